/* SPDX-License-Identifier: ISC */
/* A binary heap of deadlines, the earliest first. */

#include "engine/soon.h"

#include <stdlib.h>
#include <string.h>

#define SOON_MS 30000u /* what is later is in the tree by then */
#define SOON_MAX 65536

struct soon_entry {
	uint64_t deadline, bid, seq;
	size_t len;
	char key[];
};

struct soon {
	struct soon_entry **heap;
	size_t count, cap;
};

int
soon_new(struct soon **out)
{
	return (*out = calloc(1, sizeof(**out))) == NULL ? KV_ENOMEM : KV_OK;
}

void
soon_free(struct soon *s)
{
	size_t i;

	if (s == NULL)
		return;
	for (i = 0; i < s->count; i++)
		free(s->heap[i]);
	free(s->heap);
	free(s);
}

static bool
soon_reserve(struct soon *s)
{
	size_t cap = s->cap == 0 ? 64 : s->cap * 2;
	struct soon_entry **heap;

	if (s->count < s->cap)
		return true;
	if (s->count == SOON_MAX ||
	    (heap = realloc(s->heap, cap * sizeof(struct soon_entry *))) ==
		NULL)
		return false;
	s->heap = heap;
	s->cap = cap;
	return true;
}

void
soon_add(struct soon *s, const struct record *r, uint64_t now_ms)
{
	struct soon_entry *entry;
	size_t i, up;

	if (r->deadline > now_ms + SOON_MS || !soon_reserve(s) ||
	    (entry = malloc(sizeof(*entry) + r->key.len)) == NULL)
		return; /* the sweep will see to it */
	entry->deadline = r->deadline;
	entry->bid = r->bid;
	entry->seq = r->seq;
	entry->len = r->key.len;
	memcpy(entry->key, r->key.data, r->key.len);
	for (i = s->count++; i > 0; i = up) {
		up = (i - 1) / 2;
		if (s->heap[up]->deadline <= entry->deadline)
			break;
		s->heap[i] = s->heap[up];
	}
	s->heap[i] = entry;
}

uint64_t
soon_next(const struct soon *s)
{
	return s->count == 0 ? 0 : s->heap[0]->deadline;
}

/* The hole at the top goes down, until the last entry fits into it. */
static void
soon_close(struct soon *s)
{
	const struct soon_entry *last = s->heap[s->count];
	size_t i = 0, down;

	while ((down = 2 * i + 1) < s->count) {
		if (down + 1 < s->count &&
		    s->heap[down + 1]->deadline < s->heap[down]->deadline)
			down++;
		if (last->deadline <= s->heap[down]->deadline)
			break;
		s->heap[i] = s->heap[down];
		i = down;
	}
	s->heap[i] = s->heap[s->count];
}

bool
soon_take(struct soon *s, uint64_t now_ms, struct record *out,
    char key[KV_KEY_MAX])
{
	struct soon_entry *first;

	if (s->count == 0 || s->heap[0]->deadline > now_ms)
		return false;
	first = s->heap[0];
	s->count--;
	soon_close(s);
	*out = (struct record){ .bid = first->bid,
		.seq = first->seq,
		.deadline = first->deadline,
		.key = { key, first->len } };
	memcpy(key, first->key, first->len);
	free(first);
	if (s->count == 0) {
		free(s->heap);
		s->heap = NULL;
		s->cap = 0;
	}
	return true;
}
