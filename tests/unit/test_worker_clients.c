/* SPDX-License-Identifier: ISC */
/* What CLIENT LIST and CLIENT KILL mean, and lists put together. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "worker/filter.h"
#include "worker/listing.h"

/* ---- filters */

static struct filter
parsed(size_t count, ...)
{
	struct kv_slice args[16];
	char why[FILTER_WHY_MAX];
	struct filter f;
	va_list ap;
	size_t i;

	va_start(ap, count);
	for (i = 0; i < count; i++)
		args[i] = slice_of(va_arg(ap, const char *));
	va_end(ap);
	assert_int_equal(filter_parse(args, count, &f, why), KV_OK);
	return f;
}

static bool
matches(const struct filter *f, struct filter_client c)
{
	return filter_matches(f, &c);
}

static struct filter_client
some_client(void)
{
	return (struct filter_client){ .type = FILTER_NORMAL,
		.id = 7,
		.age_s = 60,
		.peer = slice_of("[::1]:4050"),
		.local = slice_of("unix:/tmp/kv") };
}

static void
a_client_must_match_every_filter(void **state)
{
	struct filter f = parsed(10, "ID", "7", "addr", "[::1]:4050", "LAddr",
	    "unix:/tmp/kv", "type", "NORMAL", "maxage", "60");
	struct filter_client c = some_client();

	(void)state;
	assert_true(f.spare_me);
	assert_true(matches(&f, c));
	c.id = 8;
	assert_false(matches(&f, c));
	c = some_client();
	c.age_s = 59;
	assert_false(matches(&f, c));
	c = some_client();
	c.peer = slice_of("[::1]:405");
	assert_false(matches(&f, c));
	c = some_client();
	c.local = slice_of("unix:/tmp/kv2");
	assert_false(matches(&f, c));
	c = some_client();
	c.type = FILTER_PUBSUB;
	assert_false(matches(&f, c));
}

static void
no_filter_matches_all_and_an_address_too_long_nobody(void **state)
{
	char text[200];
	struct filter f = parsed(0);

	(void)state;
	assert_true(matches(&f, some_client()));
	memset(text, 'x', sizeof(text));
	filter_of_peer((struct kv_slice){ text, sizeof(text) }, &f);
	assert_false(matches(&f, some_client()));
	f = parsed(4, "addr", "", "type", "normal");
	assert_false(matches(&f, some_client()));
	f = parsed(4, "type", "slave", "type", "normal");
	assert_false(matches(&f, some_client()));
}

static void
a_filter_survives_the_way_to_another_worker(void **state)
{
	struct filter f = parsed(10, "id", "9223372036854775807", "addr",
			  "127.0.0.1:1", "laddr", "127.0.0.1:2", "type",
			  "pubsub", "maxage", "4294967296"),
		      got;
	char bytes[FILTER_BYTES_MAX];
	size_t n = filter_encode(&f, bytes), i;

	(void)state;
	assert_int_equal(filter_decode((struct kv_slice){ bytes, n }, &got),
	    KV_OK);
	assert_int_equal(got.id, f.id);
	assert_int_equal(got.age_s, f.age_s);
	assert_int_equal(got.type, f.type);
	assert_string_equal(got.peer, f.peer);
	assert_string_equal(got.local, f.local);
	for (i = 0; i < n; i++)
		assert_int_equal(filter_decode((struct kv_slice){ bytes, i },
				     &got),
		    KV_EPROTO);
	bytes[0] = 99;
	assert_int_equal(filter_decode((struct kv_slice){ bytes, n }, &got),
	    KV_EPROTO);
}

static void
bytes_that_are_no_filter_do_no_harm(void **state)
{
	char bytes[2 * FILTER_BYTES_MAX], again[FILTER_BYTES_MAX];
	uint64_t seed = rng_u64(), x = seed | 1;
	struct filter f;
	unsigned i, k;
	size_t n;

	(void)state;
	print_message("seed=%llu\n", (unsigned long long)seed);
	for (i = 0; i < 20000; i++) {
		n = (x >> 20) % sizeof(bytes);
		for (k = 0; k < n; k++) {
			x = x * 6364136223846793005u + 1442695040888963407u;
			bytes[k] = (char)((x >> 40) % (i % 2 ? 256 : 4));
		}
		if (filter_decode((struct kv_slice){ bytes, n }, &f) == KV_OK)
			assert_true(filter_encode(&f, again) <= n);
	}
}

static void
what_is_wrong_is_said_in_redis_words(void **state)
{
	struct kv_slice args[2] = { slice_of("user"), slice_of("bob") };
	char why[FILTER_WHY_MAX], text[500];
	struct filter f;

	(void)state;
	assert_int_equal(filter_parse(args, 2, &f, why), KV_EINVAL);
	assert_string_equal(why, "ERR No such user 'bob'");
	assert_int_equal(filter_parse(args, 1, &f, why), KV_EINVAL);
	assert_string_equal(why, "ERR syntax error");
	memset(text, '%', sizeof(text));
	args[0] = slice_of("type");
	args[1] = (struct kv_slice){ text, sizeof(text) };
	assert_int_equal(filter_parse(args, 2, &f, why), KV_EINVAL);
	assert_memory_equal(why, "ERR Unknown client type '%%%%", 29);
	assert_string_equal(why + strlen(why) - 3, "%%'");
}

/* ---- lists */

static void
merges_to(const char *text, uint64_t *ids, size_t count, const char *want)
{
	struct buf b;

	buf_init(&b);
	assert_int_equal(listing_merge(slice_of(text), ids, count, &b), KV_OK);
	assert_int_equal(b.len, strlen(want));
	if (b.len > 0)
		assert_memory_equal(b.data, want, b.len);
	buf_fini(&b);
}

static void
lists_of_several_workers_become_one_in_order(void **state)
{
	(void)state;
	merges_to("", NULL, 0, "");
	merges_to("id=9 a\nid=10 b\nid=2 c\nid=18446744073709551615 d\n", NULL,
	    0, "id=2 c\nid=9 a\nid=10 b\nid=18446744073709551615 d\n");
}

static void
what_is_no_line_of_a_list_is_left_out(void **state)
{
	(void)state;
	merges_to("id=3 a\nid= b\nid=x c\n\nid=4\nad=5 d\nid=1 whole\nid=2 cut",
	    NULL, 0, "id=1 whole\nid=3 a\n");
	merges_to("id=3 a\nid=3 b\n id=4 c\nid=-1 d\n", NULL, 0, "id=3 a\n");
}

static void
a_list_by_id_has_those_that_are_there_once(void **state)
{
	uint64_t ids[] = { 10, 7, 2, 10, 0 };

	(void)state;
	merges_to("id=9 a\nid=10 b\nid=2 c\n", ids, 5, "id=2 c\nid=10 b\n");
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_must_match_every_filter),
		cmocka_unit_test(
		    no_filter_matches_all_and_an_address_too_long_nobody),
		cmocka_unit_test(a_filter_survives_the_way_to_another_worker),
		cmocka_unit_test(bytes_that_are_no_filter_do_no_harm),
		cmocka_unit_test(what_is_wrong_is_said_in_redis_words),
		cmocka_unit_test(lists_of_several_workers_become_one_in_order),
		cmocka_unit_test(what_is_no_line_of_a_list_is_left_out),
		cmocka_unit_test(a_list_by_id_has_those_that_are_there_once),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
