/* SPDX-License-Identifier: ISC */

/* Batches: filling them and going through them. */

#include "lib/batch.h"

#include <stdlib.h>

#include "base/record.h"

/* In front of the bytes of each change; private memory, never stored. */
struct head {
	uint64_t number;
	uint32_t value_len;
	uint16_t key_len;
	uint8_t bucket_len;
	uint8_t kind;
};

int
kv_batch_new(struct kv_batch **out)
{
	return (*out = calloc(1, sizeof(**out))) == NULL ? KV_ENOMEM : KV_OK;
}

void
kv_batch_free(struct kv_batch *b)
{
	if (b == NULL)
		return;
	buf_fini(&b->bytes);
	free(b);
}

void
kv_batch_clear(struct kv_batch *b)
{
	b->bytes.len = 0;
	b->changes = b->expectations = 0;
}

static void
put_bytes(struct buf *b, const void *data, size_t n)
{
	if (n > 0)
		memcpy(b->data + b->len, data, n);
	b->len += n;
}

static int
add(struct kv_batch *b, const struct batch_change *c)
{
	struct head head = { .number = c->number };
	size_t size = sizeof(head) + c->bucket.len + c->key.len + c->value.len;
	int rc;

	if (c->bucket.len == 0)
		return KV_EINVAL;
	if (bucket_is_hidden(c->bucket))
		return KV_EACCESS;
	if (c->bucket.len > KV_BUCKET_MAX || c->key.len > KV_KEY_MAX ||
	    c->value.len > UINT32_MAX)
		return KV_ETOOBIG;
	if ((rc = buf_reserve(&b->bytes, size)) < 0)
		return rc;
	head.kind = (uint8_t)c->kind;
	head.bucket_len = (uint8_t)c->bucket.len;
	head.key_len = (uint16_t)c->key.len;
	head.value_len = (uint32_t)c->value.len;
	put_bytes(&b->bytes, &head, sizeof(head));
	put_bytes(&b->bytes, c->bucket.data, c->bucket.len);
	put_bytes(&b->bytes, c->key.data, c->key.len);
	put_bytes(&b->bytes, c->value.data, c->value.len);
	b->changes++;
	b->expectations += c->kind == BATCH_EXPECT;
	return KV_OK;
}

int
kv_batch_put(struct kv_batch *b, struct kv_slice bucket, struct kv_slice key,
    struct kv_slice value, uint64_t deadline_ms)
{
	return add(b,
	    &(struct batch_change){ .kind = BATCH_PUT,
		.number = deadline_ms,
		.bucket = bucket,
		.key = key,
		.value = value });
}

int
kv_batch_delete(struct kv_batch *b, struct kv_slice bucket, struct kv_slice key)
{
	return add(b,
	    &(struct batch_change){ .kind = BATCH_DELETE,
		.bucket = bucket,
		.key = key });
}

int
kv_batch_create(struct kv_batch *b, struct kv_slice bucket)
{
	return kv_batch_create_with(b, bucket, NULL);
}

int
kv_batch_create_with(struct kv_batch *b, struct kv_slice bucket,
    const struct kv_bucket_options *options)
{
	static const struct kv_bucket_options none;
	uint32_t number = BUCKET_STAYS;

	if (options == NULL)
		options = &none;
	/* A program of tomorrow asks for what this library does not know. */
	if (memcmp(options->reserved, none.reserved, sizeof(none.reserved)) !=
	    0)
		return KV_EINVAL;
	if (options->ttl_max_ms != 0 &&
	    !bucket_put_ttl(options->ttl_max_ms, &number))
		return KV_EINVAL;
	if (options->local)
		number |= BUCKET_LOCAL;
	if (options->conflict_log)
		number |= BUCKET_CONFLICTS;
	return add(b,
	    &(struct batch_change){ .kind = BATCH_CREATE,
		.number = number,
		.bucket = bucket });
}

int
kv_batch_drop(struct kv_batch *b, struct kv_slice bucket)
{
	return add(b,
	    &(struct batch_change){ .kind = BATCH_DROP, .bucket = bucket });
}

int
kv_batch_expect(struct kv_batch *b, struct kv_slice bucket, struct kv_slice key,
    uint64_t seq)
{
	return add(b,
	    &(struct batch_change){ .kind = BATCH_EXPECT,
		.number = seq,
		.bucket = bucket,
		.key = key });
}

static struct kv_slice
cut(const char **from, size_t len)
{
	struct kv_slice s = { *from, len };

	*from += len;
	return s;
}

bool
batch_next(const struct kv_batch *b, size_t *at, struct batch_change *out)
{
	struct head head;
	const char *p;

	if (*at >= b->bytes.len)
		return false;
	p = b->bytes.data + *at;
	memcpy(&head, p, sizeof(head));
	p += sizeof(head);
	out->kind = head.kind;
	out->number = head.number;
	out->bucket = cut(&p, head.bucket_len);
	out->key = cut(&p, head.key_len);
	out->value = cut(&p, head.value_len);
	*at = (size_t)(p - b->bytes.data);
	return true;
}
