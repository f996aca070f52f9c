/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_CHANNEL_H
#define KV_SYNC_CHANNEL_H

/* Frames over an authenticated stream: a length and a secretstream message
 * (https://doc.libsodium.org/secret-key_cryptography/secretstream).
 *
 *	u16 n (17..65535) | n bytes: tag, ciphertext, MAC
 *
 * The field's width is the buffer's bound.  Secretstream owns nonce, order,
 * truncation (FINAL) and rekeying; an altered length makes the MAC fail.  Work
 * is done in place, in the buffers the sockets read into and write from. */

#include "base/buf.h"
#include "sync/handshake.h"

#define CHANNEL_LENGTH 2
#define CHANNEL_FRAME_MAX (CHANNEL_LENGTH + UINT16_MAX)
#define CHANNEL_PLAIN_MAX                                                      \
	(UINT16_MAX - crypto_secretstream_xchacha20poly1305_ABYTES)

/* Keys of past frames become unrecoverable after so much of either. */
#define CHANNEL_REKEY_BYTES (1ull << 30)
#define CHANNEL_REKEY_MS (60ull * 60 * 1000)

struct channel {
	crypto_secretstream_xchacha20poly1305_state tx, rx;
	uint64_t tx_bytes;  /* sealed since the last rekeying */
	uint64_t tx_since;  /* ms of the last rekeying */
	uint64_t worn_at;   /* ms */
	uint64_t tx_rekeys; /* for the statistics */
	bool tx_closed;	    /* FINAL was sealed */
	bool rx_closed;	    /* FINAL was opened */
	bool rx_failed;
};

/* Takes the session's keys and wipes them there.  now_ms: a clock that never
 * goes back, the same in all calls. */
void channel_take(struct channel *c, struct handshake_session *s,
    uint64_t now_ms);
void channel_fini(struct channel *c); /* wipe */

/* Write: channel_begin(), append a frame's plaintext to out, channel_end().
 * If something goes wrong between, set out->len back to *at. */
KV_CHECKED int channel_begin(struct buf *out, size_t *at);

/* Seal what was appended since.  is_final: nothing follows in this direction.
 * KV_EINVAL nothing was appended; KV_ETOOBIG over CHANNEL_PLAIN_MAX; KV_ECLOSED
 * after FINAL; KV_ENOMEM.  Then out is as it was before channel_begin(). */
KV_CHECKED int channel_end(struct channel *c, struct buf *out, size_t at,
    bool is_final, uint64_t now_ms);

struct channel_frame {
	struct kv_slice plain; /* in the input's bytes, decrypted there */
	size_t used;	       /* of the input */
	bool is_final;	       /* the peer's last one */
};

/* The next frame at the front of data.
 *
 * KV_OK      drop out->used bytes when the plaintext was looked at.
 * KV_EMORE   no whole frame yet; nothing was touched.  The frame takes
 *            out->used bytes in all, 0 when not even that is known.
 * KV_EPROTO  n < 17 or an unknown tag; KV_ECORRUPT the MAC is wrong;
 * KV_ECLOSED after FINAL or one of these: close the link. */
KV_CHECKED int channel_open(struct channel *c, char *data, size_t len,
    struct channel_frame *out);

/* After a day, give or take a tenth, a link is closed in order and dialled
 * again: a fresh Diffie-Hellman. */
bool channel_is_worn(const struct channel *c, uint64_t now_ms);

#endif
