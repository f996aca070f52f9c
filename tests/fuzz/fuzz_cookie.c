/* SPDX-License-Identifier: ISC */
/* Any bytes as a cookie file: one printable line for an error, and what is
 * accepted is the same when it is written out and read again. */

#include <stdlib.h>

#include "base/buf.h"
#include "sync/cookie.h"

#define MUST(condition)                                                        \
	do {                                                                   \
		if (!(condition))                                              \
			abort();                                               \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_error(const char *text)
{
	MUST(*text != '\0');
	for (; *text != '\0'; text++)
		MUST(*text >= ' ' && *text < 0x7f);
}

static void
check_cookie(const struct cookie *c)
{
	struct cookie_error e;
	struct cookie again;
	struct buf out;
	size_t i;

	MUST(c->count > 0 && c->count <= COOKIE_LINES_MAX);
	buf_init(&out);
	for (i = 0; i < c->count; i++) {
		const struct cookie_line *l = &c->lines[i];

		MUST(l->secret.len > 0);
		MUST(buf_printf(&out, "%u %.*s\n", (unsigned)l->generation,
			 (int)l->secret.len, l->secret.data) == KV_OK);
	}
	/* Longer than the limit only when white space was short before. */
	if (out.len <= COOKIE_FILE_MAX) {
		MUST(cookie_parse(buf_slice(&out), true, &again, &e) == KV_OK);
		MUST(again.count == c->count);
		for (i = 0; i < c->count; i++)
			MUST(slice_equal(again.lines[i].secret,
				 c->lines[i].secret) &&
			    again.lines[i].generation ==
				c->lines[i].generation);
	}
	buf_fini(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kv_slice text = { (const char *)data, size };
	struct cookie_error e = { "" };
	struct cookie c;
	int strict, rc;

	rc = cookie_parse(text, true, &c, &e);
	if (rc < 0)
		check_error(e.text);
	else {
		check_cookie(&c);
		strict = cookie_parse(text, false, &c, &e);
		MUST((strict == KV_OK) == !cookie_is_weak(&c));
		MUST(
		    cookie_guess_seconds(&c, 5) <= cookie_guess_seconds(&c, 1));
	}
	return 0;
}
