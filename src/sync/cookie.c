/* SPDX-License-Identifier: ISC */
/* The cookie file: what may be in it and who may have touched it. */

#include "sync/cookie.h"

#include <assert.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/num.h"

/* One line of the file, cut at white space. */
struct words {
	size_t count;
	struct kv_slice word[3]; /* the third only says there are too many */
};

static KV_PRINTF(3, 4) int fail(struct cookie_error *e, int rc, const char *fmt,
    ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, args);
	va_end(args);
	return rc;
}

int
cookie_check_file(const struct stat *st, uid_t euid, struct cookie_error *e)
{
	if (!S_ISREG(st->st_mode))
		return fail(e, KV_EINVAL, "expected a regular file");
	if (st->st_uid != 0 && st->st_uid != euid)
		return fail(e, KV_EACCESS,
		    "owned by user %u: expected %u, who runs this, or root",
		    (unsigned)st->st_uid, (unsigned)euid);
	if ((st->st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return fail(e, KV_EACCESS,
		    "mode %04o: expected no rights for group and others "
		    "(chmod 600)",
		    (unsigned)(st->st_mode & 07777));
	if (st->st_size > COOKIE_FILE_MAX)
		return fail(e, KV_ETOOBIG, "expected at most %d bytes",
		    COOKIE_FILE_MAX);
	return KV_OK;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* CR LF ends a line too: the secret must not depend on the editor. */
static struct kv_slice
take_line(struct kv_slice *text)
{
	const char *lf = memchr(text->data, '\n', text->len);
	struct kv_slice line = *text;

	if (lf != NULL)
		line.len = (size_t)(lf - text->data);
	text->data += line.len + (lf != NULL);
	text->len -= line.len + (lf != NULL);
	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line.len--;
	return line;
}

static void
split(struct kv_slice line, struct words *w)
{
	const char *p = line.data, *end = p + line.len;

	w->count = 0;
	while (w->count < 3) {
		const char *from;

		while (p < end && is_blank(*p))
			p++;
		if (p == end)
			return;
		for (from = p; p < end && !is_blank(*p); p++)
			;
		w->word[w->count++] =
		    (struct kv_slice){ from, (size_t)(p - from) };
	}
}

static bool
is_text(struct kv_slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];

		if (c <= ' ' || c == 0x7f)
			return false;
	}
	return true;
}

static int
add_line(struct cookie *c, uint64_t generation, struct kv_slice secret,
    unsigned number, struct cookie_error *e)
{
	size_t i;

	if (!is_text(secret))
		return fail(e, KV_EINVAL,
		    "line %u: expected a secret without control characters",
		    number);
	for (i = 0; i < c->count; i++)
		if (c->lines[i].generation == generation)
			return fail(e, KV_EINVAL,
			    "line %u: generation %u again: expected each once",
			    number, (unsigned)generation);
	if (c->count == COOKIE_LINES_MAX)
		return fail(e, KV_EINVAL,
		    "line %u: expected at most %d generations", number,
		    COOKIE_LINES_MAX);
	c->lines[c->count++] =
	    (struct cookie_line){ (uint8_t)generation, secret };
	return KV_OK;
}

/* *bare: the number of the line that was a single token, 0 for none. */
static int
parse_line(struct cookie *c, struct kv_slice line, unsigned number,
    unsigned *bare, struct cookie_error *e)
{
	uint64_t generation;
	struct words w;

	split(line, &w);
	if (w.count == 0 || w.word[0].data[0] == '#')
		return KV_OK;
	if (w.count == 3)
		return fail(e, KV_EINVAL,
		    "line %u: expected a generation and a secret, found more",
		    number);
	if (w.count == 1) {
		*bare = *bare == 0 ? number : *bare;
		return add_line(c, c->count, w.word[0], number, e);
	}
	if (num_parse_u64(w.word[0], &generation) < 0 || generation > UINT8_MAX)
		return fail(e, KV_EINVAL,
		    "line %u: expected a generation from 0 to 255 before the "
		    "secret",
		    number);
	return add_line(c, generation, w.word[1], number, e);
}

static int
check_whole(const struct cookie *c, unsigned bare, bool allow_weak,
    struct cookie_error *e)
{
	size_t i;

	if (c->count == 0)
		return fail(e, KV_EINVAL,
		    "expected a generation and a secret, found none");
	if (bare != 0 && c->count > 1)
		return fail(e, KV_EINVAL,
		    "line %u: expected a generation from 0 to 255 before the "
		    "secret, as there are several",
		    bare);
	for (i = 0; i < c->count && !allow_weak; i++)
		if (c->lines[i].secret.len < COOKIE_SECRET_MIN)
			return fail(e, KV_EINVAL,
			    "generation %u: expected a secret of at least %d "
			    "bytes (or weak_cookie = yes)",
			    (unsigned)c->lines[i].generation,
			    COOKIE_SECRET_MIN);
	return KV_OK;
}

int
cookie_parse(struct kv_slice text, bool allow_weak, struct cookie *out,
    struct cookie_error *e)
{
	unsigned number = 0, bare = 0;
	int rc;

	memset(out, 0, sizeof(*out));
	if (text.len > COOKIE_FILE_MAX)
		return fail(e, KV_ETOOBIG, "expected at most %d bytes",
		    COOKIE_FILE_MAX);
	while (text.len > 0) {
		rc = parse_line(out, take_line(&text), ++number, &bare, e);
		if (rc < 0)
			return rc;
	}
	return check_whole(out, bare, allow_weak, e);
}

bool
cookie_is_weak(const struct cookie *c)
{
	size_t i;

	for (i = 0; i < c->count; i++)
		if (c->lines[i].secret.len < COOKIE_SECRET_MIN)
			return true;
	return false;
}

/* How many characters of the kinds in s there are to choose from. */
static unsigned
alphabet(struct kv_slice s)
{
	enum { DIGIT = 1, LOWER = 2, UPPER = 4, OTHER = 8 };
	unsigned kinds = 0;
	size_t i;

	for (i = 0; i < s.len; i++) {
		char c = s.data[i];

		kinds |= c >= '0' && c <= '9' ? DIGIT
		    : c >= 'a' && c <= 'z'    ? LOWER
		    : c >= 'A' && c <= 'Z'    ? UPPER
					      : OTHER;
	}
	return (kinds & DIGIT ? 10u : 0u) + (kinds & LOWER ? 26u : 0u) +
	    (kinds & UPPER ? 26u : 0u) + (kinds & OTHER ? 32u : 0u);
}

uint64_t
cookie_guess_seconds(const struct cookie *c, unsigned per_second)
{
	double least = 1e30;
	size_t i, n;

	for (i = 0; i < c->count; i++) {
		struct kv_slice s = c->lines[i].secret;
		double tries = 0.5, size = alphabet(s);

		for (n = 0; n < s.len && tries < least; n++)
			tries *= size;
		least = tries < least ? tries : least;
	}
	least /= per_second > 0 ? per_second : 1;
	return least >= 1.8e19 ? UINT64_MAX : (uint64_t)least;
}

void
cookie_new_file(uint8_t generation, char to[COOKIE_NEW_FILE_MAX], size_t *len)
{
	unsigned char random[32];
	char secret[sodium_base64_ENCODED_LEN(sizeof(random),
	    sodium_base64_VARIANT_URLSAFE_NO_PADDING)];
	int n;

	randombytes_buf(random, sizeof(random));
	sodium_bin2base64(secret, sizeof(secret), random, sizeof(random),
	    sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_memzero(random, sizeof(random));
	n = snprintf(to, COOKIE_NEW_FILE_MAX,
	    "# The secret of a kv cluster: the same file on every host, mode "
	    "0600.\n# generation and secret; the first line is used to dial, "
	    "all are accepted\n%u %s\n",
	    (unsigned)generation, secret);
	assert(n > 0 && n < COOKIE_NEW_FILE_MAX);
	*len = (size_t)n;
	sodium_memzero(secret, sizeof(secret));
}
