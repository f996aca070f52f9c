/* SPDX-License-Identifier: ISC */
/* Bytes of a log record. */

#include "wal/record.h"

#include <string.h>

#include "base/hash.h"

void
wal_record_encode(void *to, const struct record *r)
{
	struct wal_record *w = to;
	size_t len =
	    wal_record_size(r->flags, r->marks, r->key.len, r->value.len);
	char *at = (char *)to + sizeof(*w);

	memset(w, 0, sizeof(*w));
	w->len = (uint32_t)len;
	w->key_len = (uint16_t)r->key.len;
	w->value_len = (uint32_t)r->value.len;
	w->type = (uint8_t)r->type;
	w->flags = r->flags;
	w->bid = r->bid;
	w->cause = r->cause;
	w->marks = r->marks;
	if (r->flags & RECORD_FOREIGN) {
		memcpy(at, &r->stamp, sizeof(r->stamp));
		at += sizeof(r->stamp);
	}
	if (r->flags & RECORD_DEADLINE) {
		memcpy(at, &r->deadline, sizeof(r->deadline));
		at += sizeof(r->deadline);
	}
	if (r->marks & RECORD_PREV) {
		memcpy(at, &r->prev, sizeof(r->prev));
		at += sizeof(r->prev);
	}
	if (r->key.len + r->value.len > 0)
		memset((char *)to + len - 8, 0, 8);
	if (r->key.len > 0)
		memcpy(at, r->key.data, r->key.len);
	at += r->key.len;
	if (r->value.len > 0)
		memcpy(at, r->value.data, r->value.len);
	wal_record_seal_body(w);
}

void
wal_record_seal_body(struct wal_record *w)
{
	w->body = (uint32_t)hash_bytes(wal_record_key(w).data,
	    (size_t)w->key_len + w->value_len, 0);
}

static size_t
wal_record_head(const struct wal_record *w)
{
	return (size_t)(wal_record_key(w).data - (const char *)w);
}

uint32_t
wal_record_check(const struct wal_record *w, uint64_t nonce, uint64_t lsn)
{
	return (uint32_t)hash_bytes(&w->body,
	    wal_record_head(w) - sizeof(w->check), nonce ^ hash_u64(lsn));
}

int
wal_record_verify(const struct wal_record *w, size_t room, uint64_t nonce,
    uint64_t lsn)
{
	if (room < sizeof(*w) || w->len > room || w->key_len > KV_KEY_MAX ||
	    w->value_len > room ||
	    w->len !=
		wal_record_size(w->flags, w->marks, w->key_len, w->value_len))
		return KV_ECORRUPT;
	if (wal_record_check(w, nonce, lsn) != w->check)
		return KV_ECORRUPT;
	if ((uint32_t)hash_bytes(wal_record_key(w).data,
		(size_t)w->key_len + w->value_len, 0) != w->body)
		return KV_ECORRUPT;
	return KV_OK;
}

void
wal_record_view(const struct wal_record *w, uint64_t inc, uint64_t lsn,
    struct record *out)
{
	const char *at = (const char *)w + sizeof(*w);

	out->type = (enum record_type)w->type;
	out->flags = w->flags;
	out->cause = w->cause;
	out->marks = w->marks;
	out->seq = w->seq;
	out->bid = w->bid;
	out->stamp = (struct stamp){ w->seq, inc };
	out->deadline = 0;
	out->prev = (struct stamp){ 0, 0 };
	if (w->flags & RECORD_FOREIGN) {
		memcpy(&out->stamp, at, sizeof(out->stamp));
		at += sizeof(out->stamp);
	}
	if (w->flags & RECORD_DEADLINE) {
		memcpy(&out->deadline, at, sizeof(out->deadline));
		at += sizeof(out->deadline);
	}
	if (w->marks & RECORD_PREV) {
		memcpy(&out->prev, at, sizeof(out->prev));
		at += sizeof(out->prev);
	}
	out->key = (struct kv_slice){ at, w->key_len };
	out->value = (struct kv_slice){ at + w->key_len, w->value_len };
	out->end = lsn + w->len;
}
