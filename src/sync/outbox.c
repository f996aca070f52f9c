/* SPDX-License-Identifier: ISC */
/* The queue of encoded frames. */

#include "sync/outbox.h"

#include "base/bytes.h"

#define LEN 4
#define KEEP 4096

void
outbox_fini(struct outbox *o)
{
	buf_fini(&o->bytes);
}

int
outbox_put(struct outbox *o, const struct frame *f)
{
	size_t before = o->bytes.len;
	char len[LEN] = { 0 };
	int rc;

	if ((rc = buf_append(&o->bytes, len, LEN)) < 0)
		return rc;
	if ((rc = frame_encode(f, &o->bytes)) < 0) {
		o->bytes.len = before;
		return rc;
	}
	bytes_put_be32(o->bytes.data + before,
	    (uint32_t)(o->bytes.len - before - LEN));
	return KV_OK;
}

size_t
outbox_size(const struct outbox *o)
{
	return o->bytes.len - o->taken;
}

int
outbox_take(struct outbox *o, struct buf *out)
{
	size_t n;
	int rc;

	if (outbox_size(o) == 0)
		return KV_EAGAIN;
	n = bytes_get_be32(o->bytes.data + o->taken);
	if ((rc = buf_append(out, o->bytes.data + o->taken + LEN, n)) < 0)
		return rc;
	o->taken += LEN + n;
	if (o->taken == o->bytes.len) {
		o->bytes.len = 0;
		o->taken = 0;
		buf_shrink(&o->bytes, KEEP);
	} else if (o->taken > o->bytes.len / 2) {
		buf_consume(&o->bytes, o->taken);
		o->taken = 0;
	}
	return KV_OK;
}
