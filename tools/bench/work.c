/* SPDX-License-Identifier: ISC */

/* The table of works, and making a request of one. */

#include "work.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct work works[] = {
	{ .name = "ping", .summary = "PING", .args = "PING" },
	{ .name = "set",
	    .summary = "SET of a random key",
	    .args = "SET KEY VALUE",
	    .writes = true },
	{ .name = "get", .summary = "GET of a random key", .args = "GET KEY" },
	{ .name = "mixed",
	    .summary = "9 get to 1 set",
	    .args = "SET KEY VALUE",
	    .writes = true,
	    .other = "get",
	    .percent = 10 },
	{ .name = "fill",
	    .summary = "SET of every key once",
	    .args = "SET KEY VALUE",
	    .writes = true,
	    .in_order = true },
	{ .name = "incr",
	    .summary = "INCR of a random key",
	    .args = "INCR n:KEY",
	    .writes = true },
	{ .name = "hset",
	    .summary = "HSET in bucket " WORK_BUCKET,
	    .args = "HSET " WORK_BUCKET " KEY VALUE",
	    .writes = true },
	{ .name = "hget",
	    .summary = "HGET from bucket " WORK_BUCKET,
	    .args = "HGET " WORK_BUCKET " KEY" },
	{ .name = "hfill",
	    .summary = "HSET of every key once",
	    .args = "HSET " WORK_BUCKET " KEY VALUE",
	    .writes = true,
	    .in_order = true },
	{ .name = "line-put",
	    .summary = "PUT in the line protocol",
	    .kind = WORK_LINES,
	    .lines = 1,
	    .args = "PUT " WORK_BUCKET " KEY VALUE",
	    .writes = true },
	{ .name = "line-get",
	    .summary = "GET in the line protocol",
	    .kind = WORK_LINES,
	    .lines = 2,
	    .args = "GET " WORK_BUCKET " KEY" },
	{ .name = "line-create",
	    .summary = "CREATE of a new bucket",
	    .kind = WORK_LINES,
	    .lines = 1,
	    .args = "CREATE b:KEY",
	    .writes = true,
	    .in_order = true },
};

const struct work *
work_at(size_t i)
{
	return i < sizeof(works) / sizeof(works[0]) ? &works[i] : NULL;
}

const struct work *
work_find(const char *name)
{
	size_t i;

	for (i = 0; work_at(i) != NULL; i++)
		if (strcmp(works[i].name, name) == 0)
			return &works[i];
	return NULL;
}

/* Printable and without white space, so that it is a value in either protocol;
 * not compressible by anything that looks. */
static void
fill_value(char *to, size_t n)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
	struct chance c;
	size_t i;

	chance_seed(&c, 42);
	for (i = 0; i < n; i++)
		to[i] = letters[chance_below(&c, 64)];
}

struct word {
	const char *text;
	size_t len;
	size_t key; /* where KEY stands in it, (size_t)-1 */
	bool is_value;
};

static struct word
next_word(const char **rest)
{
	struct word w = { .text = *rest, .key = (size_t)-1 };
	const char *key;

	w.len = strcspn(*rest, " ");
	*rest += w.len + strspn(*rest + w.len, " ");
	w.is_value = w.len == 5 && memcmp(w.text, "VALUE", 5) == 0;
	key = memmem(w.text, w.len, "KEY", 3);
	if (key != NULL)
		w.key = (size_t)(key - w.text);
	return w;
}

static size_t
word_size(const struct word *w, size_t value_size)
{
	if (w->is_value)
		return value_size;
	return w->key == (size_t)-1 ? w->len : w->len - 3 + WORK_KEY_DIGITS;
}

/* Returns where it ends; *key_at is set when the word has the key. */
static char *
put_word(char *to, const struct word *w, size_t value_size, const char *base,
    size_t *key_at)
{
	size_t size = word_size(w, value_size);

	if (w->is_value)
		fill_value(to, size);
	else
		memcpy(to, w->text, w->key == (size_t)-1 ? w->len : w->key);
	if (w->key != (size_t)-1) {
		*key_at = (size_t)(to + w->key - base);
		memset(to + w->key, '0', WORK_KEY_DIGITS);
	}
	return to + size;
}

static unsigned
count_words(const char *args)
{
	unsigned n = 0;

	while (*args != '\0') {
		next_word(&args);
		n++;
	}
	return n;
}

char *
work_request(const struct work *w, size_t value_size, size_t *len,
    size_t *key_at)
{
	const char *rest = w->args;
	bool resp = w->kind == WORK_RESP;
	char *base, *p;
	unsigned i = 0;

	*key_at = (size_t)-1;
	if ((base = malloc(value_size + 512)) == NULL)
		return NULL;
	p = base;
	if (resp)
		p += sprintf(p, "*%u\r\n", count_words(rest));
	while (*rest != '\0') {
		struct word word = next_word(&rest);

		if (resp)
			p += sprintf(p, "$%zu\r\n",
			    word_size(&word, value_size));
		else if (i++ > 0)
			*p++ = ' ';
		p = put_word(p, &word, value_size, base, key_at);
		if (resp) {
			*p++ = '\r';
			*p++ = '\n';
		}
	}
	if (!resp) {
		*p++ = '\r';
		*p++ = '\n';
	}
	*len = (size_t)(p - base);
	return base;
}

void
work_put_key(char *digits, uint64_t key)
{
	int i;

	for (i = WORK_KEY_DIGITS - 1; i >= 0; i--) {
		digits[i] = (char)('0' + key % 10);
		key /= 10;
	}
}

/* ---- chance ---- */

void
chance_seed(struct chance *c, uint64_t seed)
{
	uint64_t x;
	int i;

	for (i = 0; i < 4; i++) {
		x = seed += 0x9e3779b97f4a7c15u;
		x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
		x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
		c->s[i] = x ^ (x >> 31);
	}
}

static uint64_t
rotate(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

uint64_t
chance_below(struct chance *c, uint64_t n)
{
	uint64_t result = rotate(c->s[1] * 5, 7) * 9, t = c->s[1] << 17;

	c->s[2] ^= c->s[0];
	c->s[3] ^= c->s[1];
	c->s[1] ^= c->s[2];
	c->s[0] ^= c->s[3];
	c->s[2] ^= t;
	c->s[3] = rotate(c->s[3], 45);
	/* Of the high bits, which are enough for 2^32 keys (Lemire 2019). */
	return ((result >> 32) * n) >> 32;
}
