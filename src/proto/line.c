/* SPDX-License-Identifier: ISC */
/* Lines in, words out; answers and notifications of the line protocol. */

#include "proto/line.h"

#include "base/num.h"

enum byte_kind {
	BYTE_WORD,
	BYTE_SPACE,
	BYTE_LEAD, /* may begin a white space of two or three bytes */
};

static const unsigned char kinds[256] = {
	['\t'] = BYTE_SPACE,
	['\n'] = BYTE_SPACE,
	['\v'] = BYTE_SPACE,
	['\f'] = BYTE_SPACE,
	['\r'] = BYTE_SPACE,
	[' '] = BYTE_SPACE,
	[0xc2] = BYTE_LEAD,
	[0xe1] = BYTE_LEAD,
	[0xe2] = BYTE_LEAD,
	[0xe3] = BYTE_LEAD,
};

/* U+2000-2006, 2008-200A, 2028, 2029 as the third byte after E2 80. */
static bool
is_general_space(unsigned char c)
{
	return (c >= 0x80 && c <= 0x8a && c != 0x87) || c == 0xa8 || c == 0xa9;
}

/* The bytes are looked for as they are, wherever they stand: so does the
 * original, also in text that is not UTF-8. */
static size_t
wide_space(const unsigned char *p, size_t n)
{
	if (n >= 2 && p[0] == 0xc2)
		return p[1] == 0x85 ? 2 : 0;
	if (n < 3)
		return 0;
	if (p[0] == 0xe2 && p[1] == 0x80)
		return is_general_space(p[2]) ? 3 : 0;
	if (p[0] == 0xe1)
		return p[1] == 0x9a && p[2] == 0x80 ? 3 : 0;
	if (p[0] == 0xe2)
		return p[1] == 0x81 && p[2] == 0x9f ? 3 : 0;
	return p[1] == 0x80 && p[2] == 0x80 ? 3 : 0; /* e3 */
}

size_t
line_space(const char *p, const char *end)
{
	if (p == end)
		return 0;
	switch (kinds[(unsigned char)*p]) {
	case BYTE_SPACE:
		return 1;
	case BYTE_LEAD:
		return wide_space((const unsigned char *)p, (size_t)(end - p));
	default:
		return 0;
	}
}

/* The top bit of each of eight bytes that is not in 21..7F; of those set only
 * the lowest is sure, for a borrow may make the byte above it look like one. */
static uint64_t
unplain(const char *p)
{
	const uint64_t ones = 0x0101010101010101u;
	uint64_t x;

	memcpy(&x, p, sizeof(x));
	return ((x - ones * 0x21) | x) & (ones * 0x80);
}

static const char *
word_end(const char *p, const char *end)
{
	uint64_t found;

	while (end - p >= 8) {
		if ((found = unplain(p)) == 0) {
			p += 8;
			continue;
		}
		p += __builtin_ctzll(found) / 8;
		if (line_space(p, end) > 0)
			return p;
		/* Letters beyond ASCII rarely come alone. */
		do
			p++;
		while (p < end && (*p & 0x80) != 0 &&
		    kinds[(unsigned char)*p] == BYTE_WORD);
	}
	while (p < end && line_space(p, end) == 0)
		p++;
	return p;
}

void
line_split(struct kv_slice text, struct request *req)
{
	const char *p = text.data;
	const char *end = p + text.len;
	size_t n;

	req->count = 0;
	for (;;) {
		const char *begin;

		while ((n = line_space(p, end)) > 0)
			p += n;
		if (p == end)
			return;
		begin = p;
		p = word_end(p, end);
		if (req->count < REQUEST_ARGS_EMBEDDED)
			req->args[req->count] =
			    (struct kv_slice){ begin, (size_t)(p - begin) };
		req->count++;
	}
}

/* "*3" with its CR or without: what a RESP request begins with. */
static bool
is_multibulk(struct kv_slice text)
{
	size_t i;

	if (text.len > 0 && text.data[text.len - 1] == '\r')
		text.len--;
	if (text.len < 2 || text.data[0] != '*')
		return false;
	for (i = 1; i < text.len; i++)
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
	return true;
}

/* Drop the rest of a line that was too long.  False: it is not over yet. */
static bool
discard(struct line_parser *p, struct kv_slice *in, size_t *used)
{
	const char *lf = in->len == 0 ? NULL : memchr(in->data, '\n', in->len);
	size_t n = lf == NULL ? in->len : (size_t)(lf + 1 - in->data);

	in->data += n;
	in->len -= n;
	*used += n;
	p->discarding = lf == NULL;
	return lf != NULL;
}

int
line_parse(struct line_parser *p, struct kv_slice in, size_t max,
    struct request *req)
{
	const char *lf = NULL;
	struct kv_slice text;
	size_t until;

	req->count = 0;
	req->used = 0;
	if (p->discarding && !discard(p, &in, &req->used))
		return KV_EMORE;
	until = in.len > max ? max + 1 : in.len;
	if (until > p->scanned)
		lf = memchr(in.data + p->scanned, '\n', until - p->scanned);
	if (lf == NULL && in.len <= max) {
		p->scanned = until;
		return KV_EMORE;
	}
	p->scanned = 0;
	if (lf == NULL) {
		p->discarding = true;
		req->used += until;
		return KV_ETOOBIG;
	}
	text = (struct kv_slice){ in.data, (size_t)(lf - in.data) };
	if (is_multibulk(text))
		return KV_EPROTO;
	line_split(text, req);
	req->used += text.len + 1;
	return KV_OK;
}

/* ---- answers */

/* One line out of up to three parts. */
static void
put(struct reply *r, struct kv_slice a, struct kv_slice b, struct kv_slice c)
{
	char *to = reply_room(r, a.len + b.len + c.len);

	if (to == NULL)
		return;
	if (a.len > 0)
		memcpy(to, a.data, a.len);
	memcpy(to + a.len, b.data, b.len);
	if (c.len > 0)
		memcpy(to + a.len + b.len, c.data, c.len);
	r->out->len += a.len + b.len + c.len;
}

#define TEXT(s) ((struct kv_slice){ (s), sizeof(s) - 1 })

void
line_ok(struct reply *r)
{
	reply_literal(r, "OK\r\n");
}

void
line_value(struct reply *r, struct kv_slice value)
{
	put(r, value, TEXT("\r\nOK\r\n"), TEXT(""));
}

void
line_not_found(struct reply *r)
{
	reply_literal(r, "NOT FOUND\r\n");
}

void
line_unknown(struct reply *r)
{
	reply_literal(r, "UNKNOWN COMMAND\r\n");
}

void
line_error(struct reply *r, const char *why)
{
	put(r, TEXT("ERROR "), slice_of(why), TEXT("\r\n"));
}

void
line_item(struct reply *r, struct kv_slice text)
{
	put(r, text, TEXT("\r\n"), TEXT(""));
}

void
line_number(struct reply *r, int64_t x)
{
	char text[NUM_TEXT_MAX];

	line_item(r, (struct kv_slice){ text, num_format_i64(text, x) });
}

void
line_set_to(struct reply *r, struct kv_slice key, struct kv_slice value)
{
	char *to = reply_room(r, key.len + value.len + 10);
	size_t len = key.len + value.len + 10;

	if (to == NULL)
		return;
	if (key.len > 0)
		memcpy(to, key.data, key.len);
	memcpy(to + key.len, " SET TO ", 8);
	if (value.len > 0)
		memcpy(to + key.len + 8, value.data, value.len);
	memcpy(to + len - 2, "\r\n", 2);
	r->out->len += len;
}

void
line_deleted(struct reply *r, struct kv_slice key)
{
	put(r, key, TEXT(" DELETED\r\n"), TEXT(""));
}

void
line_gap(struct reply *r)
{
	reply_literal(r, "GAP\r\n");
}
