/* SPDX-License-Identifier: ISC */
/* Glob patterns. */

#include "proto/glob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rng.h"

static bool
match(const char *pattern, const char *text)
{
	return glob_match(slice_of(pattern), slice_of(text), false);
}

static void
patterns_match_as_redis_has_it(void **state)
{
	(void)state;
	assert_true(match("*", "anything"));
	assert_true(match("h?llo", "hello"));
	assert_false(match("h?llo", "hllo"));
	assert_true(match("h*llo", "hllo"));
	assert_true(match("h*llo", "heeeello"));
	assert_true(match("h[ae]llo", "hallo"));
	assert_false(match("h[ae]llo", "hillo"));
	assert_true(match("h[^e]llo", "hallo"));
	assert_false(match("h[^e]llo", "hello"));
	assert_true(match("h[a-c]llo", "hbllo"));
	assert_true(match("h[c-a]llo", "hbllo"));
	assert_false(match("h[a-c]llo", "hdllo"));
	assert_true(match("h[\\]]", "h]"));
	assert_true(match("h[\\-a]", "h-"));
	assert_true(match("a\\*b", "a*b"));
	assert_false(match("a\\*b", "axb"));
	assert_true(match("a\\", "a\\"));
	assert_true(match("[abc", "b"));
	assert_false(match("[abc", "d"));
	assert_false(match("[]", "]"));
	assert_true(match("[^]", "x"));
	assert_true(match("a***", "a"));
	assert_true(match("**a**", "bab"));
	assert_false(match("a", "ab"));
	assert_false(match("ab", "a"));
	assert_true(match("[\xc0-\xff]", "\xe9"));
	assert_true(match("*ab*cd*", "xxabyyabzzcd"));
	assert_false(match("*ab*cd", "abcdx"));
}

static void
nothing_is_matched_by_nothing_and_stars(void **state)
{
	(void)state;
	assert_true(match("", ""));
	assert_true(match("*", ""));
	assert_false(match("?", ""));
	assert_false(match("a", ""));
	assert_false(match("", "a"));
}

static void
case_counts_unless_told_otherwise(void **state)
{
	(void)state;
	assert_false(match("max*", "MAXmemory"));
	assert_true(glob_match(slice_of("max*"), slice_of("MAXmemory"), true));
	assert_true(glob_match(slice_of("[A-C]x"), slice_of("bX"), true));
	assert_true(glob_match(slice_of("[Q]"), slice_of("q"), true));
}

/* The plainest way to say what a pattern means, by recursion. */
static bool
oracle(const char *p, const char *t)
{
	bool invert, found = false;

	switch (*p) {
	case '\0':
		return *t == '\0';
	case '*':
		return oracle(p + 1, t) || (*t != '\0' && oracle(p, t + 1));
	case '?':
		return *t != '\0' && oracle(p + 1, t + 1);
	case '[':
		invert = *++p == '^';
		for (p += invert; *p != '\0' && *p != ']'; p++)
			found |= *p == *t;
		return *t != '\0' && found != invert &&
		    oracle(p + (*p == ']'), t + 1);
	default:
		return *t == *p && oracle(p + 1, t + 1);
	}
}

static void
random_patterns_match_what_their_meaning_says(void **state)
{
	static const char alphabet[] = "abab*?[^]";
	uint64_t seed = rng_u64() | 1;
	int round;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	for (round = 0; round < 300000; round++) {
		char pattern[9] = "", text[9] = "";
		size_t n = rng_next(&seed) % 9, i;

		for (i = 0; i < n; i++)
			pattern[i] =
			    alphabet[rng_next(&seed) % (sizeof(alphabet) - 1)];
		n = rng_next(&seed) % 9;
		for (i = 0; i < n; i++)
			text[i] = "ab"[rng_next(&seed) % 2];
		if (match(pattern, text) != oracle(pattern, text))
			fail_msg("'%s' and '%s'", pattern, text);
	}
}

static void
hostile_patterns_come_to_an_end(void **state)
{
	enum { size = 4 << 20 };
	char *pattern = malloc(size), *text = malloc(size);
	size_t i;

	(void)state;
	assert_non_null(pattern);
	assert_non_null(text);
	memset(text, 'a', size);
	for (i = 0; i < size; i++)
		pattern[i] = i % 2 == 0 ? '*' : 'a';
	pattern[size - 1] = 'b';
	assert_false(glob_match((struct kv_slice){ pattern, size },
	    (struct kv_slice){ text, size }, false));
	memset(pattern, 'a', size);
	pattern[0] = '*';
	pattern[size / 2] = 'b';
	assert_false(glob_match((struct kv_slice){ pattern, size },
	    (struct kv_slice){ text, size }, false));
	memset(pattern, 'x', size);
	memcpy(pattern, "*[", 2);
	assert_false(glob_match((struct kv_slice){ pattern, size },
	    (struct kv_slice){ text, size }, false));
	free(pattern);
	free(text);
}

static void
check_prefix(const char *pattern, const char *want)
{
	struct kv_slice got = glob_literal_prefix(slice_of(pattern));

	assert_true(slice_equal(got, slice_of(want)));
}

static void
the_literal_prefix_ends_at_the_first_special_byte(void **state)
{
	(void)state;
	check_prefix("user:*", "user:");
	check_prefix("user:?", "user:");
	check_prefix("a[b]", "a");
	check_prefix("a\\*", "a");
	check_prefix("*", "");
	check_prefix("plain", "plain");
	assert_true(glob_is_all(slice_of("*")));
	assert_true(glob_is_all(slice_of("**")));
	assert_false(glob_is_all(slice_of("")));
	assert_false(glob_is_all(slice_of("*a")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_match_as_redis_has_it),
		cmocka_unit_test(nothing_is_matched_by_nothing_and_stars),
		cmocka_unit_test(case_counts_unless_told_otherwise),
		cmocka_unit_test(random_patterns_match_what_their_meaning_says),
		cmocka_unit_test(hostile_patterns_come_to_an_end),
		cmocka_unit_test(
		    the_literal_prefix_ends_at_the_first_special_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
