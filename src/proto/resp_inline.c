/* SPDX-License-Identifier: ISC */
/* The words of an inline command and their quotes. */

#include "proto/resp_inline.h"

#include <stdbool.h>

struct cursor {
	const char *at;
	const char *end;
};

static bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Redis skips \v and \f between words but does not end a word at them. */
static bool
is_word_end(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that an escape stands for; c->at is behind the backslash, where
 * there is at least one byte. */
static char
unescape(struct cursor *c)
{
	static const char names[] = "nrtba";
	static const char bytes[] = "\n\r\t\b\a";
	const char *name;
	char x = *c->at++;

	if (x == 'x' && c->end - c->at >= 2 && hex_digit(c->at[0]) >= 0 &&
	    hex_digit(c->at[1]) >= 0) {
		x = (char)(hex_digit(c->at[0]) * 16 + hex_digit(c->at[1]));
		c->at += 2;
		return x;
	}
	name = x == '\0' ? NULL : strchr(names, x);
	return name == NULL ? x : bytes[name - names];
}

/* Copy what stands between quotes; c->at is behind the opening one.  There is
 * room at to, for no escape is shorter than what it stands for. */
static int
take_quoted(struct cursor *c, char quote, struct buf *to)
{
	while (c->at < c->end) {
		char x = *c->at++;

		if (x == quote) {
			if (c->at < c->end && !is_space(*c->at))
				return KV_EINVAL;
			return KV_OK;
		}
		if (x == '\\' && c->at < c->end) {
			if (quote == '"')
				x = unescape(c);
			else if (*c->at == '\'')
				x = *c->at++;
		}
		to->data[to->len++] = x;
	}
	return KV_EINVAL;
}

/* A word with a quote in it: word is what came before, c->at the quote. */
static int
take_word(struct cursor *c, size_t max, struct buf *to, struct kv_slice *word)
{
	size_t begin = to->len;
	int rc;

	/* Once for the whole line, so that earlier words stay in place. */
	if (begin == 0 && (rc = buf_reserve(to, max)) < 0)
		return rc;
	memcpy(to->data + to->len, word->data, word->len);
	to->len += word->len;
	if ((rc = take_quoted(c, *c->at++, to)) < 0)
		return rc;
	*word = (struct kv_slice){ to->data + begin, to->len - begin };
	return KV_OK;
}

int
resp_inline_split(struct kv_slice line, struct request *req)
{
	struct cursor c = { line.data, line.data + line.len };
	int rc;

	req->count = 0;
	req->scratch.len = 0;
	for (;;) {
		struct kv_slice word;

		while (c.at < c.end && is_space(*c.at))
			c.at++;
		if (c.at == c.end)
			return KV_OK;
		word.data = c.at;
		while (c.at < c.end && !is_word_end(*c.at) && *c.at != '"' &&
		    *c.at != '\'')
			c.at++;
		word.len = (size_t)(c.at - word.data);
		if (c.at < c.end && !is_word_end(*c.at) &&
		    (rc = take_word(&c, line.len, &req->scratch, &word)) < 0)
			return rc;
		if ((rc = request_grow(req)) < 0)
			return rc;
		req->args[req->count++] = word;
	}
}
