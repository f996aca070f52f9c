/* SPDX-License-Identifier: ISC */
/* The frame reader.  Byte 0 even: any bytes, none of them open, whole or in
 * pieces.  Odd: a script of frames is sealed; then a byte is changed, at a
 * place the script says, and exactly the frames before it come out. */

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/rng.h"
#include "sync/channel.h"

#define MUST(condition)                                                        \
	do {                                                                   \
		if (!(condition))                                              \
			abort();                                               \
	} while (0)
#define FRAMES 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Two channels with keys that fit, tx of the one and rx of the other. */
static void
make_channels(struct channel *from, struct channel *to)
{
	static const uint8_t key[32] = { 7 };
	uint8_t header[crypto_secretstream_xchacha20poly1305_HEADERBYTES];
	struct handshake_session i, r;

	memset(&i, 0, sizeof(i));
	memset(&r, 0, sizeof(r));
	crypto_secretstream_xchacha20poly1305_init_push(&i.tx, header, key);
	crypto_secretstream_xchacha20poly1305_init_pull(&r.rx, header, key);
	channel_take(from, &i, 0);
	channel_take(to, &r, 0);
}

/* Read it all in pieces; every plaintext goes to text.  Returns why it ended.
 */
static int
read_pieces(struct channel *c, struct kv_slice wire, size_t most, uint64_t seed,
    struct buf *text)
{
	struct channel_frame f;
	struct buf in;
	int rc = KV_EMORE;

	buf_init(&in);
	while (wire.len > 0 && rc == KV_EMORE) {
		size_t n = 1 + rng_next(&seed) % most;

		n = n < wire.len ? n : wire.len;
		MUST(buf_append(&in, wire.data, n) == KV_OK);
		wire.data += n;
		wire.len -= n;
		while ((rc = channel_open(c, in.data, in.len, &f)) == KV_OK) {
			MUST(f.used <= in.len && f.plain.len < f.used);
			MUST(buf_append(text, f.plain.data, f.plain.len) ==
			    KV_OK);
			buf_consume(&in, f.used);
		}
		MUST(rc != KV_EMORE || in.len < CHANNEL_FRAME_MAX);
	}
	buf_fini(&in);
	return rc;
}

static void
any_bytes(struct kv_slice in, unsigned seed)
{
	struct channel from, to, copy;
	struct buf text;
	int whole, pieces;

	make_channels(&from, &to);
	copy = to;
	buf_init(&text);
	whole = read_pieces(&to, in, 1u << 20, 1, &text);
	pieces = read_pieces(&copy, in, 1 + seed % 60, seed + 1, &text);
	MUST(whole == pieces);
	MUST(text.len == 0);
	buf_fini(&text);
}

/* Each byte: a frame of that length; 255 a large one, 254 after an hour, 253
 * the last. */
static unsigned
seal_script(struct channel *c, const uint8_t *script, size_t size,
    struct buf *wire, struct buf *texts, size_t *ends)
{
	static const char zeros[5000];
	uint64_t now = 0;
	unsigned i;

	for (i = 0; i < size && i < FRAMES; i++) {
		size_t n = script[i] == 255 ? sizeof(zeros) : script[i], at;
		int rc;

		now += script[i] == 254 ? CHANNEL_REKEY_MS : 1;
		MUST(channel_begin(wire, &at) == KV_OK);
		MUST(buf_append(wire, zeros, n) == KV_OK);
		rc = channel_end(c, wire, at, script[i] == 253, now);
		MUST(rc == (n == 0 ? KV_EINVAL : KV_OK));
		if (rc == KV_OK)
			MUST(buf_append(texts, zeros, n) == KV_OK);
		ends[2 * i] = wire->len;
		ends[2 * i + 1] = texts->len;
		if (script[i] == 253)
			return i + 1;
	}
	return i;
}

static void
script(const uint8_t *data, size_t size, unsigned seed)
{
	size_t ends[2 * FRAMES], where, good = 0;
	struct buf wire, texts, got;
	struct channel from, to;
	unsigned n, i;
	uint8_t flip;

	if (size < 5)
		return;
	make_channels(&from, &to);
	buf_init(&wire);
	buf_init(&texts);
	buf_init(&got);
	n = seal_script(&from, data + 4, size - 4, &wire, &texts, ends);
	flip = data[3];
	if (wire.len > 0) {
		where = bytes_get_be16(data + 1) % wire.len;
		wire.data[where] = (char)((uint8_t)wire.data[where] ^ flip);
		for (i = 0; i < n; i++)
			if (flip == 0 || ends[2 * i] <= where)
				good = ends[2 * i + 1];
		read_pieces(&to, buf_slice(&wire), 1 + seed * 8, seed + 1,
		    &got);
		MUST(got.len == good);
		MUST(good == 0 || memcmp(got.data, texts.data, good) == 0);
	}
	buf_fini(&wire);
	buf_fini(&texts);
	buf_fini(&got);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	if (data[0] & 1)
		script(data + 1, size - 1, data[0]);
	else
		any_bytes((struct kv_slice){ (const char *)data + 1, size - 1 },
		    data[0]);
	return 0;
}
