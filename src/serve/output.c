/* SPDX-License-Identifier: ISC */
/* The arena of replies, and the way from there to a socket. */

#include "serve/output.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/log.h"
#include "serve/conn.h"

#define OUTPUT_ARENA_KEEP (1u << 20)
#define OUTPUT_CONN_KEEP 256	  /* bytes an idle connection may hold on to */
#define OUTPUT_MOVE_MIN 262144	  /* sent bytes worth moving the rest */
#define OUTPUT_FIT_MIN (2u << 20) /* memory worth giving back then */

void
output_rewind(struct output *o, struct output_place place)
{
	o->bytes.len = place.len;
	while (o->ref_count > place.ref_count)
		o->ref_bytes -= o->refs[--o->ref_count].data.len;
}

bool
output_refer(struct output *o, struct kv_slice data)
{
	if (data.len < OUTPUT_REF_MIN || o->ref_count == OUTPUT_REFS)
		return false;
	o->refs[o->ref_count++] = (struct output_ref){ o->bytes.len, data };
	o->ref_bytes += data.len;
	return true;
}

int
output_settle(struct output *o)
{
	size_t end = o->bytes.len, to = output_size(o), tail;
	const struct output_ref *ref;
	int rc;

	if (o->ref_count == 0)
		return KV_OK;
	if ((rc = buf_reserve(&o->bytes, o->ref_bytes)) < 0)
		return rc;
	o->bytes.len = to;
	while (o->ref_count > 0) {
		ref = &o->refs[--o->ref_count];
		tail = end - ref->at;
		to -= tail;
		memmove(o->bytes.data + to, o->bytes.data + ref->at, tail);
		to -= ref->data.len;
		memcpy(o->bytes.data + to, ref->data.data, ref->data.len);
		end = ref->at;
	}
	o->ref_bytes = 0;
	return KV_OK;
}

static void
output_clear(struct output *o)
{
	o->bytes.len = 0;
	o->ref_count = 0;
	o->ref_bytes = 0;
	buf_shrink(&o->bytes, OUTPUT_ARENA_KEEP);
}

size_t
output_pending(const struct conn *c)
{
	return c->out.len - c->sent;
}

static void
output_count(struct conn *c)
{
	struct serve *s = c->serve;

	s->unsent += c->out.cap - c->counted;
	c->counted = c->out.cap;
}

static void
output_want(struct conn *c, bool full)
{
	uint32_t had = c->flags & CONN_WANT_OUT;

	if (full == (had != 0))
		return;
	c->flags ^= CONN_WANT_OUT;
	conn_update(c);
}

/* A client that does not read is not read either; and when one reply alone is
 * beyond all bounds, the connection goes. */
static void
output_bound(struct conn *c)
{
	size_t pending = output_pending(c), limit = c->serve->limits.output;

	if (c->flags & CONN_DEAD)
		return;
	if (pending > limit && !(c->flags & CONN_LINGER)) {
		log_warn("close fd=%d reason=output_limit pending=%zu"
			 " limit=%zu",
		    c->source.fd, pending, limit);
		conn_close(c);
	} else if (pending > limit / 2) {
		conn_hold(c, CONN_HOLD_OUTPUT);
	} else if (c->flags & CONN_HOLD_OUTPUT && pending < limit / 4) {
		conn_release(c, CONN_HOLD_OUTPUT);
		conn_update(c);
	}
}

/* Sent bytes make room; an idle connection gives its memory back. */
static void
output_tidy(struct conn *c)
{
	if (c->sent == c->out.len) {
		c->base += c->sent;
		c->out.len = c->sent = c->ready = 0;
		buf_shrink(&c->out, OUTPUT_CONN_KEEP);
	} else if (c->sent >= OUTPUT_MOVE_MIN && c->sent > c->out.len / 2) {
		c->base += c->sent;
		c->ready -= c->sent;
		buf_consume(&c->out, c->sent);
		c->sent = 0;
		if (c->out.cap > OUTPUT_FIT_MIN)
			buf_fit(&c->out);
	}
}

void
output_flush(struct conn *c)
{
	ssize_t n;

	if (c->flags & CONN_DEAD)
		return;
	while (c->sent < c->ready) {
		n = send(c->source.fd, c->out.data + c->sent,
		    c->ready - c->sent, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			conn_close(c);
			return;
		}
		if (n < 0)
			break;
		c->sent += (size_t)n;
		c->active_ns = loop_now(c->serve->loop);
	}
	output_want(c, c->sent < c->ready);
	if (c->flags & CONN_DEAD)
		return;
	output_tidy(c);
	output_count(c);
	output_bound(c);
	conn_close_if_done(c);
}

/* Let the output up to its end leave: now, or after what waits. */
static bool
output_allow(struct conn *c, uint64_t lsn)
{
	struct mark mark = { c, lsn, c->base + c->out.len };

	if (lsn < c->last_lsn && c->marks > 0)
		mark.lsn = c->last_lsn;
	if (lsn == 0 && c->marks == 0) {
		c->ready = c->out.len;
		return true;
	}
	if (marks_push(&c->serve->marks, mark) < 0) {
		conn_close(c);
		return false;
	}
	c->marks++;
	c->last_lsn = mark.lsn;
	return true;
}

bool
output_append(struct conn *c, const void *data, size_t len)
{
	if (c->flags & CONN_DEAD)
		return false;
	if (buf_append(&c->out, data, len) < 0) {
		conn_close(c);
		return false;
	}
	output_count(c);
	return output_allow(c, 0);
}

/* The arena and what it refers to, in order, behind the first `skip` bytes. */
static int
output_gather(const struct output *o, size_t skip,
    struct iovec iov[2 * OUTPUT_REFS + 1])
{
	size_t at = 0, i, end;
	int n = 0;

	for (i = 0; i <= o->ref_count; i++) {
		end = i < o->ref_count ? o->refs[i].at : o->bytes.len;
		iov[n++] = (struct iovec){ o->bytes.data + at, end - at };
		at = end;
		if (i < o->ref_count)
			iov[n++] = (struct iovec){
				(void *)(uintptr_t)o->refs[i].data.data,
				o->refs[i].data.len
			};
	}
	for (i = 0; skip > 0 && i < (size_t)n; i++) {
		size_t part = iov[i].iov_len < skip ? iov[i].iov_len : skip;

		iov[i].iov_base = (char *)iov[i].iov_base + part;
		iov[i].iov_len -= part;
		skip -= part;
	}
	return n;
}

/* How many bytes the socket took. */
static size_t
output_send(struct conn *c, const struct output *o)
{
	struct iovec iov[2 * OUTPUT_REFS + 1];
	struct msghdr msg = { .msg_iov = iov };
	ssize_t n;

	do {
		if (o->ref_count == 0) {
			n = send(c->source.fd, o->bytes.data, o->bytes.len,
			    MSG_NOSIGNAL);
		} else {
			msg.msg_iovlen = (size_t)output_gather(o, 0, iov);
			n = sendmsg(c->source.fd, &msg, MSG_NOSIGNAL);
		}
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN)
		conn_close(c);
	return n < 0 ? 0 : (size_t)n;
}

/* Keep what is behind the first `skip` bytes. */
static int
output_keep(struct conn *c, const struct output *o, size_t skip)
{
	struct iovec iov[2 * OUTPUT_REFS + 1];
	int n = output_gather(o, skip, iov), i, rc;

	if ((rc = buf_reserve(&c->out, output_size(o) - skip)) < 0)
		return rc;
	for (i = 0; i < n; i++) {
		rc = buf_append(&c->out, iov[i].iov_base, iov[i].iov_len);
		if (rc < 0)
			return rc;
	}
	return KV_OK;
}

void
output_emit(struct conn *c, uint64_t lsn)
{
	struct output *o = &c->serve->output;
	size_t size = output_size(o), sent = 0;
	bool direct = lsn == 0 && c->marks == 0 && output_pending(c) == 0;

	if (size == 0 || c->flags & CONN_DEAD)
		goto out;
	if (direct)
		sent = output_send(c, o);
	if (c->flags & CONN_DEAD)
		goto out;
	if (sent == size) {
		c->base += size;
		goto out;
	}
	c->base += sent;
	if (output_keep(c, o, sent) < 0) {
		conn_close(c);
		goto out;
	}
	output_count(c);
	if (output_allow(c, lsn)) {
		output_want(c, c->ready > c->sent);
		output_bound(c);
	}
out:
	output_clear(o);
}
