/* SPDX-License-Identifier: ISC */
/* The bytes of the tree's rows, both directions side by side. */

#include "tree/schema.h"

#include "base/bytes.h"

#define BUCKET_VERSION 1
#define ROW_FLAGS                                                              \
	(RECORD_FOREIGN | RECORD_DEADLINE | RECORD_RELAY | RECORD_EXPIRED |    \
	    RECORD_LOCAL)

void
schema_put_stamp(char to[SCHEMA_DROP_HEAD], struct stamp s)
{
	bytes_put_be64(to, s.tick);
	bytes_put_be64(to + 8, s.inc);
}

struct stamp
schema_get_stamp(const char from[SCHEMA_DROP_HEAD])
{
	return (struct stamp){ bytes_get_be64(from), bytes_get_be64(from + 8) };
}

/* RECORD_DEADLINE follows the deadline itself, RECORD_MORE stays in the log. */
static unsigned char
row_flags(const struct record *r)
{
	unsigned flags = r->flags & (unsigned)(ROW_FLAGS & ~RECORD_DEADLINE);

	return (unsigned char)(flags | (r->deadline ? RECORD_DEADLINE : 0u));
}

size_t
schema_row_head(const struct record *r)
{
	return SCHEMA_ROW_HEAD + (r->deadline != 0 ? 8u : 0u) +
	    (r->marks & RECORD_PREV ? 16u : 0u);
}

void
schema_put_row_head(char *to, const struct record *r)
{
	unsigned flags = row_flags(r);

	schema_put_stamp(to, r->stamp);
	bytes_put_be64(to + 16, r->seq);
	to[24] = (char)(flags | (r->type == RECORD_TOMB ? SCHEMA_TOMB : 0u) |
	    (r->flags & RECORD_BUILT ? SCHEMA_BUILT : 0u) |
	    (r->marks & RECORD_PREV ? SCHEMA_PREV : 0u));
	to += SCHEMA_ROW_HEAD;
	if (r->deadline != 0) {
		bytes_put_be64(to, r->deadline);
		to += 8;
	}
	if (r->marks & RECORD_PREV)
		schema_put_stamp(to, r->prev);
}

/* What may be missing between head and value. */
static int
get_row_optional(struct kv_slice from, unsigned flags, struct record *out)
{
	const char *at = from.data + SCHEMA_ROW_HEAD;

	out->deadline = 0;
	out->prev = (struct stamp){ 0, 0 };
	out->marks = flags & SCHEMA_PREV ? RECORD_PREV : 0;
	if (flags & RECORD_DEADLINE) {
		if (from.len < SCHEMA_ROW_HEAD + 8)
			return KV_ECORRUPT;
		out->deadline = bytes_get_be64(at);
		if (out->deadline == 0)
			return KV_ECORRUPT;
		at += 8;
	}
	if (from.len < schema_row_head(out))
		return KV_ECORRUPT;
	if (flags & SCHEMA_PREV)
		out->prev = schema_get_stamp(at);
	return KV_OK;
}

int
schema_get_row(struct kv_slice from, struct record *out)
{
	unsigned flags;
	size_t head;
	int rc;

	if (from.len < SCHEMA_ROW_HEAD)
		return KV_ECORRUPT;
	flags = (unsigned char)from.data[24];
	if ((flags &
		~(unsigned)(ROW_FLAGS | SCHEMA_TOMB | SCHEMA_BUILT |
		    SCHEMA_PREV)) != 0)
		return KV_ECORRUPT;
	out->stamp = schema_get_stamp(from.data);
	out->seq = bytes_get_be64(from.data + 16);
	out->type = flags & SCHEMA_TOMB ? RECORD_TOMB : RECORD_PUT;
	out->flags = (uint8_t)(flags & ROW_FLAGS);
	if (flags & SCHEMA_BUILT)
		out->flags |= RECORD_BUILT;
	out->end = 0;
	if ((rc = get_row_optional(from, flags, out)) < 0)
		return rc;
	head = schema_row_head(out);
	out->value = (struct kv_slice){ from.data + head, from.len - head };
	if (out->type == RECORD_TOMB && out->value.len != 0)
		return KV_ECORRUPT;
	return KV_OK;
}

void
schema_put_entry_head(char to[SCHEMA_ENTRY_HEAD], const struct record *r)
{
	to[0] = (char)r->type;
	to[1] = (char)row_flags(r);
	bytes_put_be64(to + 2, r->stamp.inc);
	bytes_put_be64(to + 10, r->bid);
}

int
schema_get_entry(struct kv_slice from, struct record *out)
{
	if (from.len < SCHEMA_ENTRY_HEAD)
		return KV_ECORRUPT;
	switch (from.data[0]) {
	case RECORD_PUT:
	case RECORD_TOMB:
	case RECORD_BUCKET:
		break;
	default:
		return KV_ECORRUPT;
	}
	out->type = (enum record_type)from.data[0];
	out->flags = (uint8_t)from.data[1];
	out->stamp.inc = bytes_get_be64(from.data + 2);
	out->bid = bytes_get_be64(from.data + 10);
	out->key = (struct kv_slice){ from.data + SCHEMA_ENTRY_HEAD,
		from.len - SCHEMA_ENTRY_HEAD };
	return KV_OK;
}

struct schema_expiry
schema_expiry_of(const struct record *r)
{
	struct schema_expiry e = { 0, r->deadline, r->seq };

	if (r->type == RECORD_TOMB) {
		e.kind = r->flags & RECORD_SHORT ? 'S' : 'T';
		if (e.ms < stamp_ms(r->stamp))
			e.ms = stamp_ms(r->stamp);
	} else if (r->type == RECORD_PUT && r->deadline != 0) {
		e.kind = 'D';
	}
	return e;
}

void
schema_put_expiry(char to[SCHEMA_EXPIRY_KEY], const struct schema_expiry *e)
{
	to[0] = e->kind;
	bytes_put_be64(to + 1, e->ms);
	bytes_put_be64(to + 9, e->seq);
}

int
schema_get_expiry(struct kv_slice from, struct schema_expiry *out)
{
	if (from.len != SCHEMA_EXPIRY_KEY)
		return KV_ECORRUPT;
	out->kind = from.data[0];
	out->ms = bytes_get_be64(from.data + 1);
	out->seq = bytes_get_be64(from.data + 9);
	return out->kind == 'D' || out->kind == 'S' || out->kind == 'T'
	    ? KV_OK
	    : KV_ECORRUPT;
}

void
schema_put_bucket(char to[SCHEMA_BUCKET_ROW], const struct bucket *b)
{
	to[0] = BUCKET_VERSION;
	bytes_put_be64(to + 1, b->bid);
	schema_put_stamp(to + 9, b->created);
	schema_put_stamp(to + 25, b->dropped);
	bytes_put_be32(to + 41, b->options);
	bytes_put_be64(to + 45, b->seq);
}

int
schema_get_bucket(struct kv_slice from, struct bucket *out)
{
	if (from.len == 0 || from.data[0] == 0)
		return KV_ECORRUPT;
	if (from.data[0] != BUCKET_VERSION)
		return KV_EVERSION;
	if (from.len != SCHEMA_BUCKET_ROW)
		return KV_ECORRUPT;
	out->bid = bytes_get_be64(from.data + 1);
	out->created = schema_get_stamp(from.data + 9);
	out->dropped = schema_get_stamp(from.data + 25);
	out->options = bytes_get_be32(from.data + 41);
	out->seq = bytes_get_be64(from.data + 45);
	return KV_OK;
}

void
schema_put_totals(char to[SCHEMA_TOTALS_ROW], const struct totals *t)
{
	bytes_put_be64(to, t->keys);
	bytes_put_be64(to + 8, t->bytes);
	bytes_put_be64(to + 16, t->digest[0]);
	bytes_put_be64(to + 24, t->digest[1]);
}

int
schema_get_totals(struct kv_slice from, struct totals *out)
{
	if (from.len != SCHEMA_TOTALS_ROW)
		return KV_ECORRUPT;
	out->keys = bytes_get_be64(from.data);
	out->bytes = bytes_get_be64(from.data + 8);
	out->digest[0] = bytes_get_be64(from.data + 16);
	out->digest[1] = bytes_get_be64(from.data + 24);
	return KV_OK;
}

/* ---- incs -------------------------------------------------------------- */

void
schema_put_inc(char to[SCHEMA_INC_KEY], char kind, uint64_t inc)
{
	to[0] = kind;
	bytes_put_be64(to + 1, inc);
}

void
schema_put_vector(char to[SCHEMA_VECTOR_ROW], const struct schema_vector *v)
{
	bytes_put_be64(to, v->vv);
	bytes_put_be64(to + 8, v->announced);
	bytes_put_be64(to + 16, v->purged);
	bytes_put_be64(to + 24, v->own);
	bytes_put_be64(to + 32, v->full);
	bytes_put_be64(to + 40, v->full_head);
	bytes_put_be64(to + 48, v->uid);
}

static int
get_inc(struct kv_slice key, char kind, uint64_t *inc)
{
	if (key.len == 0 || key.data[0] != kind)
		return KV_ENOTFOUND;
	if (key.len != SCHEMA_INC_KEY)
		return KV_ECORRUPT;
	*inc = bytes_get_be64(key.data + 1);
	return KV_OK;
}

int
schema_get_vector(struct kv_slice key, struct kv_slice value,
    struct schema_vector *out)
{
	int rc;

	if ((rc = get_inc(key, 'V', &out->inc)) < 0)
		return rc;
	if (value.len != SCHEMA_VECTOR_ROW)
		return KV_ECORRUPT;
	out->vv = bytes_get_be64(value.data);
	out->announced = bytes_get_be64(value.data + 8);
	out->purged = bytes_get_be64(value.data + 16);
	out->own = bytes_get_be64(value.data + 24);
	out->full = bytes_get_be64(value.data + 32);
	out->full_head = bytes_get_be64(value.data + 40);
	out->uid = bytes_get_be64(value.data + 48);
	return KV_OK;
}

int
schema_get_purged(struct kv_slice key, struct kv_slice value, uint64_t *inc,
    uint64_t *tick)
{
	int rc;

	if ((rc = get_inc(key, 'P', inc)) < 0)
		return rc;
	if (value.len != 8)
		return KV_ECORRUPT;
	*tick = bytes_get_be64(value.data);
	return KV_OK;
}

void
schema_put_lineage(char to[SCHEMA_LINEAGE_ROW], struct stamp end)
{
	bytes_put_be64(to, end.inc);
	bytes_put_be64(to + 8, end.tick);
}

bool
schema_take_lineage(struct kv_slice *rows, struct stamp *end)
{
	if (rows->len < SCHEMA_LINEAGE_ROW)
		return false;
	*end = (struct stamp){ .inc = bytes_get_be64(rows->data),
		.tick = bytes_get_be64(rows->data + 8) };
	rows->data += SCHEMA_LINEAGE_ROW;
	rows->len -= SCHEMA_LINEAGE_ROW;
	return true;
}
