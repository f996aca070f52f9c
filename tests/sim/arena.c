/* SPDX-License-Identifier: ISC */
/* A list of chunks that is filled and forgotten as a whole. */

#include "arena.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK ((size_t)1 << 18)
#define ALIGN sizeof(uint64_t)

struct arena_chunk {
	struct arena_chunk *next;
	size_t size;
	char bytes[];
};

void
arena_fini(struct arena *a)
{
	struct arena_chunk *c, *next;

	for (c = a->first; c != NULL; c = next) {
		next = c->next;
		free(c);
	}
	*a = (struct arena){ 0 };
}

void
arena_reset(struct arena *a)
{
	a->now = a->first;
	a->used = 0;
}

static struct arena_chunk *
arena_chunk_new(size_t n)
{
	size_t size = n > CHUNK ? n : CHUNK;
	struct arena_chunk *c = malloc(sizeof(*c) + size);

	if (c == NULL)
		abort();
	*c = (struct arena_chunk){ .size = size };
	return c;
}

char *
arena_take(struct arena *a, size_t n)
{
	struct arena_chunk **at;
	char *p;

	n = (n + ALIGN - 1) & ~(ALIGN - 1);
	while (a->now == NULL || a->now->size - a->used < n) {
		at = a->now == NULL ? &a->first : &a->now->next;
		if (*at == NULL)
			*at = arena_chunk_new(n);
		a->now = *at;
		a->used = 0;
	}
	p = a->now->bytes + a->used;
	a->used += n;
	return p;
}

struct kv_slice
arena_copy(struct arena *a, struct kv_slice s)
{
	char *p;

	if (s.len == 0)
		return (struct kv_slice){ "", 0 };
	p = arena_take(a, s.len);
	memcpy(p, s.data, s.len);
	return (struct kv_slice){ p, s.len };
}
