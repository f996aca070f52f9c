/* SPDX-License-Identifier: ISC */
/* Changes in an array, their bytes in blocks that never move. */

#include "sync/pending.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK 32768
#define HEAD 64 /* what a record takes in a log beside these, about */

struct pending_block {
	struct pending_block *older;
	size_t used, size;
	char bytes[];
};

void
pending_clear(struct pending *s)
{
	struct pending_block *b;

	while ((b = s->blocks) != NULL) {
		s->blocks = b->older;
		free(b);
	}
	s->count = 0;
	s->bytes = 0;
}

void
pending_fini(struct pending *s)
{
	pending_clear(s);
	free(s->changes);
	memset(s, 0, sizeof(*s));
}

static int
reserve(struct pending *s, size_t n)
{
	size_t cap = s->cap * 2 > n ? s->cap * 2 : n;
	struct sync_change *changes;

	if (n <= s->cap)
		return KV_OK;
	if ((changes = realloc(s->changes, cap * sizeof(*changes))) == NULL)
		return KV_ENOMEM;
	s->changes = changes;
	s->cap = cap;
	return KV_OK;
}

/* A large value has a block to itself, behind the one that is being filled. */
static char *
take_bytes(struct pending *s, size_t n)
{
	struct pending_block *b = s->blocks;
	size_t size = n > BLOCK / 4 ? n : BLOCK;

	if (b == NULL || b->size - b->used < n) {
		if ((b = malloc(sizeof(*b) + size)) == NULL)
			return NULL;
		b->used = 0;
		b->size = size;
		if (s->blocks != NULL && size != BLOCK) {
			b->older = s->blocks->older;
			s->blocks->older = b;
		} else {
			b->older = s->blocks;
			s->blocks = b;
		}
	}
	b->used += n;
	return b->bytes + b->used - n;
}

static struct kv_slice
keep(char **to, struct kv_slice s)
{
	char *at = *to;

	if (s.len > 0)
		memcpy(at, s.data, s.len);
	*to += s.len;
	return (struct kv_slice){ at, s.len };
}

int
pending_add(struct pending *s, enum sync_change_how how,
    const struct sync_item *item)
{
	size_t n = item->record.key.len + item->record.value.len;
	struct sync_change *c;
	char *bytes;
	int rc;

	if ((rc = reserve(s, s->count + 1)) < 0)
		return rc;
	if ((bytes = take_bytes(s, n)) == NULL)
		return KV_ENOMEM;
	c = &s->changes[s->count++];
	c->how = how;
	c->item = *item;
	c->item.record.key = keep(&bytes, item->record.key);
	c->item.record.value = keep(&bytes, item->record.value);
	s->bytes += n + HEAD;
	return KV_OK;
}

int
pending_move(struct pending *s, struct pending *from)
{
	struct pending_block **last = &from->blocks;
	int rc;

	if ((rc = reserve(s, s->count + from->count)) < 0)
		return rc;
	if (from->count > 0)
		memcpy(&s->changes[s->count], from->changes,
		    from->count * sizeof(*s->changes));
	s->count += from->count;
	s->bytes += from->bytes;
	while (*last != NULL)
		last = &(*last)->older;
	*last = s->blocks;
	s->blocks = from->blocks;
	from->blocks = NULL;
	pending_clear(from);
	return KV_OK;
}
