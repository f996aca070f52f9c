/* SPDX-License-Identifier: ISC */
/* Cookie files: what is read from them, what is refused and how. */

#include "sync/cookie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sync_rig.h"

#define SECRET "q3Jm0kAAAABBBBCCCCDDDDEEEEFFFFGGGGHHHHIIIIJ"
#define OLD "an-older-secret-1"

static void
expect(const char *file, size_t count, const char *as_text)
{
	struct cookie_error e = { "" };
	struct cookie c;
	char text[400];
	size_t i, at = 0;

	assert_int_equal(cookie_parse(slice_of(file), false, &c, &e), KV_OK);
	assert_int_equal(c.count, count);
	for (i = 0; i < count; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%u=%.*s;",
		    (unsigned)c.lines[i].generation, (int)c.lines[i].secret.len,
		    c.lines[i].secret.data);
	assert_string_equal(text, as_text);
}

static void
the_lines_are_generations_in_their_order(void **state)
{
	(void)state;
	expect("# my cluster\n\n2 " SECRET "\n1 " OLD "\n", 2,
	    "2=" SECRET ";1=" OLD ";");
	expect("255\t" SECRET "\r\n  # indented\r\n   0   " OLD "  \r\n", 2,
	    "255=" SECRET ";0=" OLD ";");
	/* A '#' inside a line belongs to the secret. */
	expect("7 #" SECRET, 1, "7=#" SECRET ";");
	expect("1 1234567890123456", 1, "1=1234567890123456;");
}

static void
a_single_token_is_generation_0(void **state)
{
	(void)state;
	expect("ABCDEFGHIJKLMNOPQRST", 1, "0=ABCDEFGHIJKLMNOPQRST;");
	expect("\n# erlang's\nABCDEFGHIJKLMNOPQRST\n\n", 1,
	    "0=ABCDEFGHIJKLMNOPQRST;");
}

struct refusal {
	const char *file;
	const char *why;
};

static const struct refusal refusals[] = {
	{ "", "expected a generation and a secret, found none" },
	{ "# nothing\n\n", "expected a generation and a secret, found none" },
	{ "1 " SECRET "\n1 " OLD "\n",
	    "line 2: generation 1 again: expected each once" },
	{ "256 " SECRET "\n",
	    "line 1: expected a generation from 0 to 255 before the secret" },
	{ "-1 " SECRET "\n",
	    "line 1: expected a generation from 0 to 255 before the secret" },
	{ "\none " SECRET "\n",
	    "line 2: expected a generation from 0 to 255 before the secret" },
	{ "1 " SECRET " # a note\n",
	    "line 1: expected a generation and a secret, found more" },
	{ SECRET "\n" OLD "\n",
	    "line 1: expected a generation from 0 to 255 before the secret, "
	    "as there are several" },
	{ "4 " SECRET "\n" OLD "\n",
	    "line 2: expected a generation from 0 to 255 before the secret, "
	    "as there are several" },
	{ "1 " OLD "\n2 " OLD "\n3 " OLD "\n4 " OLD "\n5 " OLD "\n",
	    "line 5: expected at most 4 generations" },
	{ "1 abc\x01"
	  "defghijklmnopqr\n",
	    "line 1: expected a secret without control characters" },
	{ "1 abcdefghijklmno\x7f\n",
	    "line 1: expected a secret without control characters" },
	{ "3 123456789012345\n",
	    "generation 3: expected a secret of at least 16 bytes (or "
	    "weak_cookie = yes)" },
};

static void
an_error_names_the_line_and_what_is_expected(void **state)
{
	struct cookie_error e;
	struct cookie c;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
		assert_int_equal(cookie_parse(slice_of(refusals[i].file), false,
				     &c, &e),
		    KV_EINVAL);
		assert_string_equal(e.text, refusals[i].why);
	}
}

static void
an_error_never_shows_the_secret(void **state)
{
	struct cookie_error e;
	struct cookie c;
	char file[64];
	unsigned byte, at;

	(void)state;
	for (at = 0; at < 30; at++)
		for (byte = 0; byte < 256; byte++) {
			memcpy(file, "1 SECRETSECRETSECRET\n2 SECRETSECRET",
			    35);
			file[at] = (char)byte;
			e.text[0] = '\0';
			if (cookie_parse((struct kv_slice){ file, 35 }, false,
				&c, &e) == KV_OK)
				continue;
			assert_null(strstr(e.text, "SECR"));
			assert_true(strlen(e.text) > 10);
		}
}

static void
a_file_over_4096_bytes_is_refused(void **state)
{
	static char file[COOKIE_FILE_MAX + 1];
	struct cookie_error e;
	struct cookie c;

	(void)state;
	memset(file, '\n', sizeof(file));
	memcpy(file, "1 " SECRET "\n", sizeof("1 " SECRET "\n") - 1);
	assert_int_equal(cookie_parse((struct kv_slice){ file, sizeof(file) },
			     false, &c, &e),
	    KV_ETOOBIG);
	assert_int_equal(cookie_parse((struct kv_slice){ file,
					  sizeof(file) - 1 },
			     false, &c, &e),
	    KV_OK);
}

static uint64_t
guess(const char *file, unsigned per_second)
{
	struct cookie_error e;
	struct cookie c;

	assert_int_equal(cookie_parse(slice_of(file), true, &c, &e), KV_OK);
	return cookie_guess_seconds(&c, per_second);
}

static void
a_weak_secret_is_allowed_by_option_and_its_time_is_told(void **state)
{
	struct cookie_error e;
	struct cookie c;

	(void)state;
	assert_int_equal(cookie_parse(slice_of("1234"), true, &c, &e), KV_OK);
	assert_true(cookie_is_weak(&c));
	assert_int_equal(guess("1234", 5), 1000);
	assert_int_equal(guess("123456", 5), 100000);
	/* The weakest line counts. */
	assert_int_equal(guess("1 " SECRET "\n2 1234\n", 5), 1000);
	assert_int_equal(guess("abcd", 1), 26 * 26 * 26 * 26 / 2);
	assert_true(guess("1 aB3-", 5) > guess("1 aB34", 5));
	assert_true(guess(SECRET, 5) == UINT64_MAX);
	assert_int_equal(cookie_parse(slice_of(SECRET), true, &c, &e), KV_OK);
	assert_false(cookie_is_weak(&c));
}

static void
a_new_file_is_a_good_one_and_never_the_same(void **state)
{
	char one[COOKIE_NEW_FILE_MAX], two[COOKIE_NEW_FILE_MAX];
	struct cookie_error e;
	struct cookie a, b;
	size_t n;

	(void)state;
	cookie_new_file(7, one, &n);
	assert_int_equal(n, strlen(one));
	assert_int_equal(cookie_parse(slice_of(one), false, &a, &e), KV_OK);
	assert_int_equal(a.count, 1);
	assert_int_equal(a.lines[0].generation, 7);
	assert_int_equal(a.lines[0].secret.len, 43);
	cookie_new_file(7, two, &n);
	assert_int_equal(cookie_parse(slice_of(two), false, &b, &e), KV_OK);
	assert_false(slice_equal(a.lines[0].secret, b.lines[0].secret));
}

static void
a_file_that_others_can_touch_is_refused(void **state)
{
	static const struct {
		mode_t mode;
		uid_t owner;
		off_t size;
		int rc;
		const char *why;
	} rows[] = {
		{ S_IFREG | 0600, 1000, 50, KV_OK, "" },
		{ S_IFREG | 0400, 0, COOKIE_FILE_MAX, KV_OK, "" },
		{ S_IFREG | 0640, 1000, 50, KV_EACCESS,
		    "mode 0640: expected no rights for group and others (chmod "
		    "600)" },
		{ S_IFREG | 0601, 1000, 50, KV_EACCESS,
		    "mode 0601: expected no rights for group and others (chmod "
		    "600)" },
		{ S_IFREG | 0600, 1001, 50, KV_EACCESS,
		    "owned by user 1001: expected 1000, who runs this, or "
		    "root" },
		{ S_IFIFO | 0600, 1000, 0, KV_EINVAL,
		    "expected a regular file" },
		{ S_IFDIR | 0700, 1000, 0, KV_EINVAL,
		    "expected a regular file" },
		{ S_IFREG | 0600, 1000, COOKIE_FILE_MAX + 1, KV_ETOOBIG,
		    "expected at most 4096 bytes" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct cookie_error e = { "" };
		const struct stat st = { .st_mode = rows[i].mode,
			.st_uid = rows[i].owner,
			.st_size = rows[i].size };

		assert_int_equal(cookie_check_file(&st, 1000, &e), rows[i].rc);
		assert_string_equal(e.text, rows[i].why);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_lines_are_generations_in_their_order),
		cmocka_unit_test(a_single_token_is_generation_0),
		cmocka_unit_test(an_error_names_the_line_and_what_is_expected),
		cmocka_unit_test(an_error_never_shows_the_secret),
		cmocka_unit_test(a_file_over_4096_bytes_is_refused),
		cmocka_unit_test(
		    a_weak_secret_is_allowed_by_option_and_its_time_is_told),
		cmocka_unit_test(a_new_file_is_a_good_one_and_never_the_same),
		cmocka_unit_test(a_file_that_others_can_touch_is_refused),
	};

	return cmocka_run_group_tests_name("sync_cookie", tests, NULL, NULL);
}
