/* SPDX-License-Identifier: ISC */
/* Glob patterns.  A star needs to be tried only until the next one has been
 * reached: what comes after that never profits from a longer match of the
 * earlier one.  So one place to go back to is enough, and the time is at most
 * the product of the lengths; for long ones the budget bounds that too. */

#include "proto/glob.h"

#define GLOB_STEPS (1u << 20) /* bytes of pattern looked at */

struct pattern {
	const char *at;
	const char *end;
	bool fold;
};

static unsigned char
lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

static bool
same(const struct pattern *p, char a, char b)
{
	return a == b || (p->fold && lower(a) == lower(b));
}

static bool
in_range(const struct pattern *p, char from, char to, char c)
{
	unsigned char a = p->fold ? lower(from) : (unsigned char)from;
	unsigned char b = p->fold ? lower(to) : (unsigned char)to;
	unsigned char x = p->fold ? lower(c) : (unsigned char)c;

	return a <= b ? x >= a && x <= b : x >= b && x <= a;
}

/* [...]: p->at is behind the bracket and will be behind the closing one, or at
 * the end if there is none, as Redis has it. */
static bool
match_class(struct pattern *p, char c)
{
	bool found = false;
	bool invert = p->at < p->end && *p->at == '^';

	if (invert)
		p->at++;
	for (; p->at < p->end && *p->at != ']'; p->at++) {
		if (p->end - p->at >= 2 && *p->at == '\\') {
			p->at++;
			found |= *p->at == c;
		} else if (p->end - p->at >= 3 && p->at[1] == '-') {
			found |= in_range(p, p->at[0], p->at[2], c);
			p->at += 2;
		} else {
			found |= same(p, *p->at, c);
		}
	}
	if (p->at < p->end)
		p->at++;
	return found != invert;
}

/* One element of the pattern that is not a star, against one byte. */
static bool
match_one(struct pattern *p, char c)
{
	char x = *p->at++;

	switch (x) {
	case '?':
		return true;
	case '[':
		return match_class(p, c);
	case '\\':
		if (p->at < p->end)
			x = *p->at++;
		break;
	default:
		break;
	}
	return same(p, x, c);
}

bool
glob_match(struct kv_slice pattern, struct kv_slice text, bool ignore_case)
{
	struct pattern p = { pattern.data, pattern.data + pattern.len,
		ignore_case };
	const char *at = text.data;
	const char *end = at + text.len;
	const char *star = NULL; /* behind the last star */
	const char *resume = NULL;
	size_t budget = GLOB_STEPS + 4 * (pattern.len + text.len);

	while (at < end) {
		const char *before = p.at;
		bool fits;

		if (p.at < p.end && *p.at == '*') {
			star = ++p.at;
			resume = at;
			if (p.at == p.end)
				return true;
			continue;
		}
		fits = p.at < p.end && match_one(&p, *at);
		if ((size_t)(p.at - before) + 1 > budget)
			return false;
		budget -= (size_t)(p.at - before) + 1;
		if (fits) {
			at++;
			continue;
		}
		if (star == NULL)
			return false;
		p.at = star;
		at = ++resume;
	}
	while (p.at < p.end && *p.at == '*')
		p.at++;
	return p.at == p.end;
}

struct kv_slice
glob_literal_prefix(struct kv_slice pattern)
{
	size_t n = 0;

	while (n < pattern.len && pattern.data[n] != '*' &&
	    pattern.data[n] != '?' && pattern.data[n] != '[' &&
	    pattern.data[n] != '\\')
		n++;
	return (struct kv_slice){ pattern.data, n };
}

bool
glob_is_all(struct kv_slice pattern)
{
	size_t n = 0;

	while (n < pattern.len && pattern.data[n] == '*')
		n++;
	return n > 0 && n == pattern.len;
}
