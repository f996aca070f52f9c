/* SPDX-License-Identifier: ISC */
/* Sealing and opening frames. */

#include "sync/channel.h"

#include <assert.h>
#include <string.h>

#include "base/bytes.h"

#define HOUR_MS (60u * 60 * 1000)
#define TAG_FINAL crypto_secretstream_xchacha20poly1305_TAG_FINAL
#define TAG_MESSAGE crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
#define TAG_REKEY crypto_secretstream_xchacha20poly1305_TAG_REKEY
#define OVERHEAD crypto_secretstream_xchacha20poly1305_ABYTES /* 17 */
#define MAC (OVERHEAD - 1)

/* In place: the tag's byte stands before the text, the MAC after it, so that
 * text and ciphertext are the same bytes (stream_xor(3) allows exactly that).
 * A test seals a known vector this way. */
#define HEAD (CHANNEL_LENGTH + 1)

void
channel_take(struct channel *c, struct handshake_session *s, uint64_t now_ms)
{
	memset(c, 0, sizeof(*c));
	c->tx = s->tx;
	c->rx = s->rx;
	c->tx_since = now_ms;
	c->worn_at = now_ms + 24 * HOUR_MS - 24 * HOUR_MS / 10 +
	    randombytes_uniform(24 * HOUR_MS / 10 * 2);
	sodium_memzero(s, sizeof(*s));
}

void
channel_fini(struct channel *c)
{
	sodium_memzero(c, sizeof(*c));
}

int
channel_begin(struct buf *out, size_t *at)
{
	int rc;

	*at = out->len;
	if ((rc = buf_reserve(out, HEAD)) < 0)
		return rc;
	memset(out->data + out->len, 0, HEAD);
	out->len += HEAD;
	return KV_OK;
}

static unsigned char
next_tag(struct channel *c, size_t len, bool is_final, uint64_t now_ms)
{
	if (is_final) {
		c->tx_closed = true;
		return TAG_FINAL;
	}
	c->tx_bytes += len;
	if (c->tx_bytes < CHANNEL_REKEY_BYTES &&
	    now_ms - c->tx_since < CHANNEL_REKEY_MS)
		return TAG_MESSAGE;
	c->tx_bytes = 0;
	c->tx_since = now_ms;
	c->tx_rekeys++;
	return TAG_REKEY;
}

static int
seal(struct channel *c, struct buf *out, size_t at, bool is_final,
    uint64_t now_ms)
{
	size_t len = out->len - at - HEAD;
	unsigned char *frame;
	int rc;

	if (c->tx_closed)
		return KV_ECLOSED;
	if (len == 0)
		return KV_EINVAL;
	if (len > CHANNEL_PLAIN_MAX)
		return KV_ETOOBIG;
	if ((rc = buf_reserve(out, MAC)) < 0)
		return rc;
	out->len += MAC;
	frame = (unsigned char *)out->data + at;
	bytes_put_be16(frame, (uint16_t)(len + OVERHEAD));
	crypto_secretstream_xchacha20poly1305_push(&c->tx,
	    frame + CHANNEL_LENGTH, NULL, frame + HEAD, len, NULL, 0,
	    next_tag(c, len, is_final, now_ms));
	return KV_OK;
}

int
channel_end(struct channel *c, struct buf *out, size_t at, bool is_final,
    uint64_t now_ms)
{
	int rc;

	assert(out->len >= at + HEAD);
	if ((rc = seal(c, out, at, is_final, now_ms)) < 0)
		out->len = at;
	return rc;
}

static int
refuse(struct channel *c, int rc)
{
	c->rx_failed = true;
	sodium_memzero(&c->rx, sizeof(c->rx));
	return rc;
}

int
channel_open(struct channel *c, char *data, size_t len,
    struct channel_frame *out)
{
	unsigned char *frame = (unsigned char *)data, tag;
	size_t n;

	memset(out, 0, sizeof(*out));
	if (c->rx_failed || c->rx_closed)
		return KV_ECLOSED;
	if (len < CHANNEL_LENGTH)
		return KV_EMORE;
	if ((n = bytes_get_be16(frame)) < OVERHEAD)
		return refuse(c, KV_EPROTO);
	out->used = CHANNEL_LENGTH + n;
	if (len < out->used)
		return KV_EMORE;
	if (crypto_secretstream_xchacha20poly1305_pull(&c->rx, frame + HEAD,
		NULL, &tag, frame + CHANNEL_LENGTH, n, NULL, 0) != 0)
		return refuse(c, KV_ECORRUPT);
	if (tag != TAG_MESSAGE && tag != TAG_REKEY && tag != TAG_FINAL)
		return refuse(c, KV_EPROTO);
	out->plain = (struct kv_slice){ data + HEAD, n - OVERHEAD };
	out->is_final = c->rx_closed = tag == TAG_FINAL;
	return KV_OK;
}

bool
channel_is_worn(const struct channel *c, uint64_t now_ms)
{
	return now_ms >= c->worn_at;
}
