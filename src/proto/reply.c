/* SPDX-License-Identifier: ISC */
/* RESP replies. */

#include "proto/reply.h"

#include "base/num.h"

#define HEAD_MAX (1 + NUM_TEXT_MAX + 2)

/* "$12\r\n" at to; returns what is behind it. */
static inline char *
put_head(char *to, char type, uint64_t n)
{
	*to++ = type;
	if (n < 10)
		*to++ = (char)('0' + n);
	else
		to += num_format_u64(to, n);
	*to++ = '\r';
	*to++ = '\n';
	return to;
}

static void
head(struct reply *r, char type, uint64_t n)
{
	char *to = reply_room(r, HEAD_MAX);

	if (to != NULL)
		r->out->len += (size_t)(put_head(to, type, n) - to);
}

/* A type byte, text, CR LF. */
static void
text_line(struct reply *r, char type, const char *text, size_t n)
{
	char *to = reply_room(r, n + 3);

	if (to == NULL)
		return;
	*to++ = type;
	memcpy(to, text, n);
	memcpy(to + n, "\r\n", 2);
	r->out->len += n + 3;
}

/* What came since from is one line. */
static void
flatten(struct reply *r, size_t from)
{
	size_t i;

	for (i = from; r->rc == KV_OK && i < r->out->len; i++)
		if (r->out->data[i] == '\r' || r->out->data[i] == '\n')
			r->out->data[i] = ' ';
}

void
reply_simple(struct reply *r, const char *text)
{
	text_line(r, '+', text, strlen(text));
}

void
reply_error(struct reply *r, const char *text)
{
	size_t from = r->out->len;

	reply_literal(r, "-");
	reply_raw(r, text, strlen(text));
	flatten(r, from);
	reply_literal(r, "\r\n");
}

void
reply_integer(struct reply *r, int64_t x)
{
	char *to;

	if (x >= 0) {
		head(r, ':', (uint64_t)x);
		return;
	}
	if ((to = reply_room(r, HEAD_MAX)) == NULL)
		return;
	*to = ':';
	r->out->len += (size_t)(put_head(to + 1, '-', 0 - (uint64_t)x) - to);
}

void
reply_bulk(struct reply *r, struct kv_slice value)
{
	char *to = reply_room(r, value.len + HEAD_MAX + 2);
	char *at;

	if (to == NULL)
		return;
	at = put_head(to, '$', value.len);
	if (value.len > 0)
		memcpy(at, value.data, value.len);
	at += value.len;
	memcpy(at, "\r\n", 2);
	r->out->len += (size_t)(at + 2 - to);
}

void
reply_text(struct reply *r, const char *text)
{
	reply_bulk(r, slice_of(text));
}

void
reply_bulk_integer(struct reply *r, int64_t x)
{
	char text[NUM_TEXT_MAX];

	reply_bulk(r, (struct kv_slice){ text, num_format_i64(text, x) });
}

void
reply_null(struct reply *r)
{
	if (r->proto >= 3)
		reply_literal(r, "_\r\n");
	else
		reply_literal(r, "$-1\r\n");
}

void
reply_null_array(struct reply *r)
{
	if (r->proto >= 3)
		reply_literal(r, "_\r\n");
	else
		reply_literal(r, "*-1\r\n");
}

void
reply_verbatim(struct reply *r, const char *format, struct kv_slice text)
{
	if (r->proto < 3) {
		reply_bulk(r, text);
		return;
	}
	head(r, '=', text.len + 4);
	reply_raw(r, format, 3);
	reply_literal(r, ":");
	if (text.len > 0)
		reply_raw(r, text.data, text.len);
	reply_literal(r, "\r\n");
}

void
reply_array(struct reply *r, size_t n)
{
	head(r, '*', n);
}

void
reply_map(struct reply *r, size_t n)
{
	if (r->proto >= 3)
		head(r, '%', n);
	else
		head(r, '*', n * 2);
}

void
reply_set(struct reply *r, size_t n)
{
	head(r, r->proto >= 3 ? '~' : '*', n);
}

void
reply_push(struct reply *r, size_t n)
{
	head(r, r->proto >= 3 ? '>' : '*', n);
}

void
reply_bulk_head(struct reply *r, size_t n)
{
	head(r, '$', n);
}

void
reply_bulk_tail(struct reply *r)
{
	reply_literal(r, "\r\n");
}
