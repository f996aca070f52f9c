/* SPDX-License-Identifier: ISC */
/* Replies as a client reads them. */

#include "proto/resp_reply.h"

#include <stdlib.h>

#include "base/num.h"

/* Longest text of a number, null or boolean; simple strings and errors may be
 * as long as a bulk. */
#define COUNT_LINE_MAX 32

void
resp_reply_init(struct resp_reply *r)
{
	memset(r, 0, sizeof(*r));
}

void
resp_reply_fini(struct resp_reply *r)
{
	free(r->values);
	resp_reply_init(r);
}

static int
want(struct resp_reply *r, size_t need)
{
	r->need = need;
	return KV_EMORE;
}

static int
grow(struct resp_reply *r)
{
	size_t cap = r->cap == 0 ? 16 : r->cap * 2;
	struct resp_value *values;

	values = realloc(r->values, cap * sizeof(*values));
	if (values == NULL)
		return KV_ENOMEM;
	r->values = values;
	r->cap = cap;
	return KV_OK;
}

static bool
is_aggregate(enum resp_type type)
{
	return type == RESP_ARRAY || type == RESP_MAP || type == RESP_SET ||
	    type == RESP_PUSH || type == RESP_ATTRIBUTE;
}

static bool
is_bulk(enum resp_type type)
{
	return type == RESP_BULK || type == RESP_BULK_ERROR ||
	    type == RESP_VERBATIM;
}

static bool
is_scalar(enum resp_type type)
{
	return type == RESP_INTEGER || type == RESP_NULL || type == RESP_BOOL ||
	    type == RESP_DOUBLE;
}

/* The line behind the type byte, without its end; *next is behind it. */
static int
find_line(struct resp_reply *r, struct kv_slice in, size_t max,
    struct kv_slice *line, size_t *next)
{
	size_t from = r->scanned > r->at + 1 ? r->scanned : r->at + 1;
	const char *cr = NULL;

	if (from < in.len)
		cr = memchr(in.data + from, '\r', in.len - from);
	r->scanned = cr == NULL ? in.len : (size_t)(cr - in.data);
	if (r->scanned > r->at + 1 + max)
		return KV_ETOOBIG;
	if (cr == NULL || r->scanned + 1 == in.len)
		return want(r, cr == NULL ? 2 : 1);
	if (cr[1] != '\n')
		return KV_EPROTO;
	*line =
	    (struct kv_slice){ in.data + r->at + 1, r->scanned - r->at - 1 };
	*next = r->scanned + 2;
	return KV_OK;
}

/* A string with its length in front. */
static int
read_bulk(struct resp_reply *r, struct kv_slice in, size_t max,
    struct resp_value *v, int64_t len, size_t *next)
{
	size_t begin = *next;

	if (len == -1 && v->type == RESP_BULK) {
		v->type = RESP_NULL;
		return KV_OK;
	}
	if (len < 0)
		return KV_EPROTO;
	if ((uint64_t)len > max)
		return KV_ETOOBIG;
	*next = begin + (size_t)len + 2;
	if (*next > in.len)
		return want(r, *next - in.len);
	if (memcmp(in.data + *next - 2, "\r\n", 2) != 0)
		return KV_EPROTO;
	v->offset = begin;
	v->text.len = (size_t)len;
	if (v->type == RESP_VERBATIM) {
		if (len < 4 || in.data[begin + 3] != ':')
			return KV_EPROTO;
		v->offset += 4;
		v->text.len -= 4;
	}
	return KV_OK;
}

static int
read_aggregate(struct resp_reply *r, size_t max, struct resp_value *v,
    int64_t n)
{
	if (n == -1 && v->type == RESP_ARRAY) {
		v->type = RESP_NULL;
		return KV_OK;
	}
	if (n < 0)
		return KV_EPROTO;
	if ((uint64_t)n > max / 2 || (uint64_t)n > UINT32_MAX / 2)
		return KV_ETOOBIG;
	if (v->type == RESP_MAP || v->type == RESP_ATTRIBUTE)
		n *= 2;
	if (n > 0 && r->depth == RESP_REPLY_DEPTH)
		return KV_ETOOBIG;
	v->count = (uint32_t)n;
	return KV_OK;
}

/* A value that is its line. */
static int
read_scalar(struct resp_value *v, struct kv_slice line, size_t offset)
{
	v->offset = offset;
	v->text.len = line.len;
	if (v->type == RESP_INTEGER)
		return num_parse_i64(line, &v->integer) < 0 ? KV_EPROTO : KV_OK;
	if (v->type == RESP_NULL)
		return line.len == 0 ? KV_OK : KV_EPROTO;
	if (v->type == RESP_DOUBLE || v->type == RESP_BIG_NUMBER)
		return line.len > 0 ? KV_OK : KV_EPROTO;
	if (v->type != RESP_BOOL)
		return KV_OK;
	v->integer = line.len == 1 && line.data[0] == 't';
	return v->integer || (line.len == 1 && line.data[0] == 'f') ? KV_OK
								    : KV_EPROTO;
}

/* One value at r->at, without its children. */
static int
read_value(struct resp_reply *r, struct kv_slice in,
    const struct resp_reply_limits *limits, struct resp_value *v)
{
	bool counted, text;
	struct kv_slice line;
	size_t next;
	int64_t n;
	int rc;

	if (r->at >= in.len)
		return want(r, 3);
	*v = (struct resp_value){ .type = (unsigned char)in.data[r->at],
		.span = 1 };
	counted = is_bulk(v->type) || is_aggregate(v->type);
	text = v->type == RESP_SIMPLE || v->type == RESP_ERROR ||
	    v->type == RESP_BIG_NUMBER;
	if (!counted && !text && !is_scalar(v->type))
		return KV_EPROTO;
	rc = find_line(r, in, text ? limits->bulk : COUNT_LINE_MAX, &line,
	    &next);
	if (rc < 0)
		return rc == KV_ETOOBIG && !text ? KV_EPROTO : rc;
	if (!counted)
		rc = read_scalar(v, line, r->at + 1);
	else if (num_parse_i64(line, &n) < 0)
		rc = KV_EPROTO;
	else if (is_bulk(v->type))
		rc = read_bulk(r, in, limits->bulk, v, n, &next);
	else
		rc = read_aggregate(r, limits->values, v, n);
	if (rc == KV_OK)
		r->at = next;
	return rc;
}

/* Count the value just read where it belongs; true when the reply is whole. */
static bool
close_value(struct resp_reply *r)
{
	uint32_t last = (uint32_t)r->count - 1;
	enum resp_type type = r->values[last].type;

	/* An attribute comes in addition to what was announced. */
	if (r->depth > 0 && type != RESP_ATTRIBUTE)
		r->open[r->depth - 1].left--;
	if (r->values[last].count > 0) {
		r->open[r->depth].index = last;
		r->open[r->depth].left = r->values[last].count;
		r->depth++;
		return false;
	}
	while (r->depth > 0 && r->open[r->depth - 1].left == 0) {
		last = r->open[--r->depth].index;
		r->values[last].span = (uint32_t)r->count - last;
		type = r->values[last].type;
	}
	return r->depth == 0 && type != RESP_ATTRIBUTE;
}

int
resp_reply_parse(struct resp_reply *r, struct kv_slice in,
    const struct resp_reply_limits *limits)
{
	size_t i;
	int rc;

	r->used = 0;
	if (r->at == 0)
		r->count = 0;
	do {
		if (r->count >= limits->values || r->count >= UINT32_MAX)
			return KV_ETOOBIG;
		if (r->count == r->cap && (rc = grow(r)) < 0)
			return rc;
		rc = read_value(r, in, limits, &r->values[r->count]);
		if (rc < 0)
			return rc;
		r->count++;
	} while (!close_value(r));
	for (i = 0; i < r->count; i++)
		r->values[i].text.data = in.data + r->values[i].offset;
	r->used = r->at;
	r->at = 0;
	r->scanned = 0;
	return KV_OK;
}

double
resp_reply_double(const struct resp_value *v)
{
	char text[64];
	size_t n = v->text.len < sizeof(text) ? v->text.len : sizeof(text) - 1;

	if (n > 0)
		memcpy(text, v->text.data, n);
	text[n] = '\0';
	return strtod(text, NULL);
}
