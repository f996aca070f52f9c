/* SPDX-License-Identifier: ISC */

/* The line protocol from the client's side: a watch. */

#include "lib/client.h"

#define LINE_MAX_BYTES (1u << 30)
#define SET_TO " SET TO "
#define DELETED " DELETED"

/* The next line without its end; KV_ETIMEOUT leaves what came so far. */
static int
receive_line(struct kv_client *c, struct kv_slice *line)
{
	struct kv_slice rest;
	const char *end;
	int rc;

	if (c->handed > 0)
		client_drop(c);
	for (;;) {
		rest = client_rest(c);
		end =
		    memchr(rest.data + c->scanned, '\n', rest.len - c->scanned);
		if (end != NULL)
			break;
		c->scanned = rest.len;
		if (rest.len > LINE_MAX_BYTES)
			return KV_ETOOBIG;
		if ((rc = client_fill(c, 0)) < 0)
			return rc;
	}
	c->handed = (size_t)(end - rest.data) + 1;
	*line = kv_bytes(rest.data, c->handed - 1);
	if (line->len > 0 && line->data[line->len - 1] == '\r')
		line->len--;
	c->said = *line;
	return KV_OK;
}

/* Would the server see one word? */
static bool
is_word(struct kv_slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if ((unsigned char)s.data[i] <= ' ')
			return false;
	return s.len > 0;
}

int
kv_client_watch(struct kv_client *c, struct kv_slice bucket, uint64_t from)
{
	int rc;

	if (!is_word(bucket))
		return KV_EINVAL;
	if ((rc = buf_append(&c->out, "SUBSCRIBE ", 10)) < 0 ||
	    (rc = buf_append(&c->out, bucket.data, bucket.len)) < 0)
		return rc;
	if (from != KV_FROM_NOW)
		rc =
		    buf_printf(&c->out, " FROM %llu", (unsigned long long)from);
	if (rc < 0 || (rc = buf_append(&c->out, "\r\n", 2)) < 0)
		return rc;
	return kv_client_flush(c);
}

static bool
ends_with(struct kv_slice s, const char *tail, size_t len)
{
	return s.len > len && memcmp(s.data + s.len - len, tail, len) == 0;
}

static int
read_change(struct kv_slice line, struct kv_change *out)
{
	const char *at = memmem(line.data, line.len, SET_TO, strlen(SET_TO));

	*out = (struct kv_change){ .type = KV_CHANGE_PUT };
	if (at != NULL && at > line.data) {
		out->key = kv_bytes(line.data, (size_t)(at - line.data));
		at += strlen(SET_TO);
		out->value = kv_bytes(at, (size_t)(line.data + line.len - at));
		return KV_OK;
	}
	if (ends_with(line, DELETED, strlen(DELETED))) {
		out->type = KV_CHANGE_DELETE;
		out->key = kv_bytes(line.data, line.len - strlen(DELETED));
		return KV_OK;
	}
	if (slice_equal(line, kv_text("NOT FOUND")))
		return KV_ENOTFOUND;
	if (slice_equal(line, kv_text("GAP")))
		return KV_ESTALE;
	return KV_EPROTO;
}

int
kv_client_next_change(struct kv_client *c, struct kv_change *out)
{
	struct kv_slice line;
	int rc;

	if ((rc = receive_line(c, &line)) < 0)
		return rc;
	return read_change(line, out);
}

struct kv_slice
kv_client_said(const struct kv_client *c)
{
	return c->said;
}
