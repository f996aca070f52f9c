/* SPDX-License-Identifier: ISC */
/* The lists of those who listen, by bucket. */

#include "worker/subscribers.h"

#include <stdlib.h>

#include "tree/schema.h"

struct subscribed *
subscribers_find(const struct feeds *f, uint64_t bid)
{
	struct subscribed *b;

	HASH_FIND(hh, f->buckets, &bid, sizeof(bid), b);
	return b;
}

size_t
subscribe_count(const struct feeds *f, uint64_t bid)
{
	const struct subscribed *b = subscribers_find(f, bid);

	return b == NULL ? 0 : b->count;
}

size_t
subscribe_total(const struct feeds *f)
{
	return f->total;
}

/* The list, made when missing. */
static struct subscribed *
subscribers_list(struct feeds *f, uint64_t bid)
{
	struct subscribed *b = subscribers_find(f, bid);

	if (b != NULL || (b = calloc(1, sizeof(*b))) == NULL)
		return b;
	b->bid = bid;
	HASH_ADD(hh, f->buckets, bid, sizeof(b->bid), b);
	return b;
}

static void
subscribers_put(struct feeds *f, struct subscribed *b, struct subscriber *s)
{
	DL_APPEND(b->list, s);
	b->count++;
	f->total++;
}

int
subscribers_enter(struct feeds *f, struct subscriber *s)
{
	struct subscribed *b = subscribers_list(f, s->bid);

	if (b == NULL)
		return KV_ENOMEM;
	subscribers_put(f, b, s);
	return KV_OK;
}

void
subscribers_leave(struct feeds *f, struct subscriber *s)
{
	struct subscribed *b = subscribers_find(f, s->bid);

	DL_DELETE(b->list, s);
	f->total--;
	if (--b->count == 0) {
		HASH_DEL(f->buckets, b);
		free(b);
	}
}

bool
subscribers_turn(const struct record *r, uint64_t *from, uint64_t *to)
{
	struct bucket b;

	if (r->type != RECORD_BUCKET || scope_of_id(r->bid) != SCOPE_LOCAL ||
	    schema_get_bucket(r->value, &b) < 0)
		return false;
	*from = *to = engine_bucket_id(scope_bare(r->key));
	if (bucket_is_live(&b))
		*to = b.bid;
	else
		*from = b.bid;
	return true;
}

int
subscribers_move(struct feeds *f, struct subscriber *s, uint64_t to)
{
	struct subscribed *b = subscribers_list(f, to);

	if (b == NULL)
		return KV_ENOMEM;
	subscribers_leave(f, s);
	s->bid = to;
	subscribers_put(f, b, s);
	return KV_OK;
}
