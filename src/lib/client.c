/* SPDX-License-Identifier: ISC */

/* A client's connection: blocking calls over a non-blocking socket, requests
 * queued in one buffer, replies parsed in another. */

#include "lib/client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "io/sock.h"
#include "proto/reply.h"

#define FILL_BYTES (64u << 10)
#define KEEP_BYTES (1u << 20) /* of an idle buffer */
#define REPLY_BULK_MAX (1u << 30)
#define REPLY_VALUES_MAX (64u << 20)

static int
client_new(int fd, int timeout_ms, struct kv_client **out)
{
	struct kv_client *c;

	if ((c = calloc(1, sizeof(*c))) == NULL) {
		close(fd);
		return KV_ENOMEM;
	}
	c->fd = fd;
	c->timeout_ms = timeout_ms;
	resp_reply_init(&c->reply);
	*out = c;
	return KV_OK;
}

int
kv_client_connect(const char *host, uint16_t port, int timeout_ms,
    struct kv_client **out)
{
	int fd, rc;

	if (host == NULL)
		host = "127.0.0.1";
	if ((rc = sock_connect_tcp(host, port, timeout_ms, &fd)) < 0)
		return rc;
	return client_new(fd, timeout_ms, out);
}

int
kv_client_connect_unix(const char *path, int timeout_ms, struct kv_client **out)
{
	int fd, rc;

	if ((rc = sock_connect_unix(path, timeout_ms, &fd)) < 0)
		return rc;
	return client_new(fd, timeout_ms, out);
}

void
kv_client_close(struct kv_client *c)
{
	if (c == NULL)
		return;
	close(c->fd);
	resp_reply_fini(&c->reply);
	buf_fini(&c->in);
	buf_fini(&c->out);
	free(c);
}

void
kv_client_set_timeout(struct kv_client *c, int timeout_ms)
{
	c->timeout_ms = timeout_ms;
}

int
kv_client_fd(const struct kv_client *c)
{
	return c->fd;
}

/* ---- bytes ---- */

static int
wait_ready(const struct kv_client *c, short events, short *ready)
{
	struct pollfd p = { .fd = c->fd, .events = events };
	int n;

	*ready = 0;
	while ((n = poll(&p, 1, c->timeout_ms)) < 0)
		if (errno != EINTR)
			return err_system("poll", "client");
	*ready = p.revents;
	return n == 0 ? KV_ETIMEOUT : KV_OK;
}

struct kv_slice
client_rest(const struct kv_client *c)
{
	if (c->in.len == c->start)
		return kv_bytes("", 0);
	return kv_bytes(c->in.data + c->start, c->in.len - c->start);
}

void
client_drop(struct kv_client *c)
{
	c->start += c->handed;
	c->handed = 0;
	c->scanned = 0;
	if (c->start < c->in.len)
		return;
	c->start = c->in.len = 0;
	buf_shrink(&c->in, KEEP_BYTES);
}

int
client_fill(struct kv_client *c, size_t need)
{
	short ready;
	ssize_t n;
	int rc;

	if (need < FILL_BYTES)
		need = FILL_BYTES;
	if (c->handed == 0 && c->start > 0) {
		buf_consume(&c->in, c->start);
		c->start = 0;
	}
	if ((rc = buf_reserve(&c->in, need)) < 0)
		return rc;
	for (;;) {
		n = recv(c->fd, c->in.data + c->in.len, c->in.cap - c->in.len,
		    0);
		if (n > 0) {
			c->in.len += (size_t)n;
			return KV_OK;
		}
		if (n == 0)
			return KV_ECLOSED;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return KV_ECLOSED;
		if ((rc = wait_ready(c, POLLIN, &ready)) < 0)
			return rc;
	}
}

/* While the server does not take more it may be waiting for us to read its
 * replies: take them meanwhile, or a long pipeline stands still for ever. */
static int
wait_sendable(struct kv_client *c)
{
	short ready;
	int rc;

	if ((rc = wait_ready(c, POLLIN | POLLOUT, &ready)) < 0)
		return rc;
	if ((ready & POLLOUT) == 0 && (ready & POLLIN) != 0)
		return client_fill(c, 0);
	return KV_OK;
}

int
kv_client_flush(struct kv_client *c)
{
	size_t sent = 0;
	ssize_t n;
	int rc = KV_OK;

	while (sent < c->out.len) {
		n = send(c->fd, c->out.data + sent, c->out.len - sent,
		    MSG_NOSIGNAL);
		if (n >= 0) {
			sent += (size_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		rc = errno == EAGAIN ? wait_sendable(c) : KV_ECLOSED;
		if (rc < 0)
			break;
	}
	c->out.len = 0;
	buf_shrink(&c->out, KEEP_BYTES);
	return rc;
}

/* ---- commands ---- */

int
kv_client_send(struct kv_client *c, size_t count, const struct kv_slice *args)
{
	struct reply r = { .out = &c->out, .proto = 2 };
	size_t before = c->out.len, i;

	if (count == 0)
		return KV_EINVAL;
	reply_array(&r, count);
	for (i = 0; i < count; i++)
		reply_bulk(&r, args[i]);
	if (r.rc < 0)
		c->out.len = before;
	return r.rc;
}

static const struct kv_value *
as_value(const struct resp_value *v)
{
	return (const struct kv_value *)(const void *)v;
}

static const struct resp_value *
of_value(const struct kv_value *v)
{
	return (const struct resp_value *)(const void *)v;
}

int
kv_client_receive(struct kv_client *c, const struct kv_value **reply)
{
	static const struct resp_reply_limits limits = { REPLY_BULK_MAX,
		REPLY_VALUES_MAX };
	const struct resp_value *v;
	int rc;

	client_drop(c);
	if (c->out.len > 0 && (rc = kv_client_flush(c)) < 0)
		return rc;
	while ((rc = resp_reply_parse(&c->reply, client_rest(c), &limits)) ==
	    KV_EMORE) {
		c->start += c->reply.used;
		if ((rc = client_fill(c, c->reply.need)) < 0)
			return rc;
	}
	if (rc < 0)
		return rc;
	c->handed = c->reply.used;
	v = &c->reply.values[0];
	while (v->type == RESP_ATTRIBUTE)
		v += v->span;
	*reply = as_value(v);
	return KV_OK;
}

int
kv_client_call(struct kv_client *c, size_t count, const struct kv_slice *args,
    const struct kv_value **reply)
{
	int rc;

	if ((rc = kv_client_send(c, count, args)) < 0)
		return rc;
	return kv_client_receive(c, reply);
}

/* ---- values ---- */

enum kv_value_type
kv_value_type(const struct kv_value *v)
{
	switch (of_value(v)->type) {
	case RESP_SIMPLE:
		return KV_SIMPLE;
	case RESP_ERROR:
	case RESP_BULK_ERROR:
		return KV_FAILURE;
	case RESP_BULK:
	case RESP_VERBATIM:
		return KV_STRING;
	case RESP_INTEGER:
		return KV_INTEGER;
	case RESP_NULL:
		return KV_NULL;
	case RESP_BOOL:
		return KV_BOOL;
	case RESP_DOUBLE:
		return KV_DOUBLE;
	case RESP_BIG_NUMBER:
		return KV_BIG;
	case RESP_ARRAY:
		return KV_ARRAY;
	case RESP_SET:
		return KV_SET;
	case RESP_MAP:
	case RESP_ATTRIBUTE:
		return KV_MAP;
	case RESP_PUSH:
		return KV_PUSH;
	}
	return KV_NULL;
}

struct kv_slice
kv_value_text(const struct kv_value *v)
{
	return of_value(v)->text;
}

int64_t
kv_value_integer(const struct kv_value *v)
{
	return of_value(v)->integer;
}

double
kv_value_double(const struct kv_value *v)
{
	const struct resp_value *r = of_value(v);

	return r->type == RESP_DOUBLE ? resp_reply_double(r)
				      : (double)r->integer;
}

size_t
kv_value_count(const struct kv_value *v)
{
	return of_value(v)->count;
}

const struct kv_value *
kv_value_first(const struct kv_value *v)
{
	return of_value(v)->span > 1 ? as_value(of_value(v) + 1) : NULL;
}

const struct kv_value *
kv_value_next(const struct kv_value *parent, const struct kv_value *child)
{
	const struct resp_value *after = of_value(child);

	after += after->span;
	return after < of_value(parent) + of_value(parent)->span
	    ? as_value(after)
	    : NULL;
}
