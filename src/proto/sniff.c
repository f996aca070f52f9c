/* SPDX-License-Identifier: ISC */
/* The first line of a connection. */

#include "proto/sniff.h"

#include "proto/line.h"
#include "proto/resp.h"

/* Is word, in capitals, one with which line mode begins? */
static bool
sniff_is_verb(struct kv_slice word)
{
	/* AUTH, PING and QUIT are not here: Redis' words come first. */
	static const char *const verbs[] = { "CREATE", "PUT", "GET", "DELETE",
		"SUBSCRIBE", "DROP", "BUCKETS", "KEYS", "COUNT", "WAIT",
		"NODES", "CLIENTS", "CALL", "BARRIER" };
	size_t i;

	for (i = 0; i < sizeof(verbs) / sizeof(*verbs); i++)
		if (slice_equal(word, slice_of(verbs[i])))
			return true;
	return false;
}

static struct kv_slice
first_word(struct kv_slice text)
{
	const char *p = text.data;
	const char *end = p + text.len;
	const char *begin;
	size_t n;

	while ((n = line_space(p, end)) > 0)
		p += n;
	begin = p;
	while (p < end && line_space(p, end) == 0)
		p++;
	return (struct kv_slice){ begin, (size_t)(p - begin) };
}

/* What a browser can be made to send to any port, without asking first, begins
 * so (Redis closes on the same words). */
static bool
is_http_start(struct kv_slice in)
{
	struct kv_slice five = { in.data, 5 };

	return in.len >= 5 &&
	    (slice_is_word(five, "post ") || slice_is_word(five, "host:"));
}

/* "GET / HTTP/1.1", which could pass for a line of ours. */
static bool
is_http_request(struct kv_slice line)
{
	static const char tail[] = " HTTP/1.";
	size_t n = sizeof(tail) - 1;
	const char *p;

	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line.len--;
	if (line.len < n + 1)
		return false;
	p = line.data + line.len - n - 1;
	return memcmp(p, tail, n) == 0 && p[n] >= '0' && p[n] <= '9';
}

static enum sniff_answer
after_blank(struct kv_slice rest)
{
	if (rest.len == 0)
		return SNIFF_BLANK;
	return rest.data[0] == '*' ? SNIFF_RESP : SNIFF_LINE;
}

/* No end of the line yet.  What has more bytes than an inline command may, and
 * does not begin with a verb of ours, will never be a request of either
 * protocol: RESP says so and closes. */
static enum sniff_answer
without_end(struct kv_slice in, size_t max)
{
	struct kv_slice begin = { in.data,
		in.len < RESP_INLINE_MAX ? in.len : RESP_INLINE_MAX };

	if (in.len > RESP_INLINE_MAX && !sniff_is_verb(first_word(begin)))
		return SNIFF_RESP;
	return in.len > max ? SNIFF_LINE : SNIFF_MORE;
}

enum sniff_answer
sniff_protocol(struct sniffer *s, struct kv_slice in, size_t max,
    bool (*is_command)(struct kv_slice word))
{
	size_t until = in.len > max ? max + 1 : in.len;
	const char *lf = NULL;
	struct kv_slice line, word;

	if (in.len == 0)
		return SNIFF_MORE;
	if (in.data[0] == '*')
		return SNIFF_RESP;
	if (is_http_start(in))
		return SNIFF_CLOSE;
	if (until > s->scanned)
		lf = memchr(in.data + s->scanned, '\n', until - s->scanned);
	if (lf == NULL) {
		s->scanned = until;
		return without_end(in, max);
	}
	line = (struct kv_slice){ in.data, (size_t)(lf - in.data) };
	s->scanned = line.len; /* the next call finds the same one */
	word = first_word(line);
	if (word.len == 0)
		return after_blank(
		    (struct kv_slice){ lf + 1, in.len - line.len - 1 });
	if (is_http_request(line))
		return SNIFF_CLOSE;
	if (sniff_is_verb(word) || !is_command(word))
		return SNIFF_LINE;
	return SNIFF_RESP;
}
