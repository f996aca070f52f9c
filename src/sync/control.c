/* SPDX-License-Identifier: ISC */
/* A queue of encoded frames. */

#include "sync/control.h"

#include "base/bytes.h"

#define LEN 4
#define KEEP 4096

void
control_fini(struct control *c)
{
	buf_fini(&c->bytes);
}

int
control_put(struct control *c, const struct frame *f)
{
	size_t before = c->bytes.len;
	char len[LEN] = { 0 };
	int rc;

	if ((rc = buf_append(&c->bytes, len, LEN)) < 0)
		return rc;
	if ((rc = frame_encode(f, &c->bytes)) < 0) {
		c->bytes.len = before;
		return rc;
	}
	bytes_put_be32(c->bytes.data + before,
	    (uint32_t)(c->bytes.len - before - LEN));
	return KV_OK;
}

size_t
control_size(const struct control *c)
{
	return c->bytes.len - c->taken;
}

int
control_take(struct control *c, struct buf *out)
{
	size_t n;
	int rc;

	if (control_size(c) == 0)
		return KV_EAGAIN;
	n = bytes_get_be32(c->bytes.data + c->taken);
	if ((rc = buf_append(out, c->bytes.data + c->taken + LEN, n)) < 0)
		return rc;
	c->taken += LEN + n;
	if (c->taken == c->bytes.len) {
		c->bytes.len = 0;
		c->taken = 0;
		buf_shrink(&c->bytes, KEEP);
	} else if (c->taken > c->bytes.len / 2) {
		buf_consume(&c->bytes, c->taken);
		c->taken = 0;
	}
	return KV_OK;
}
