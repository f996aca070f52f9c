/* SPDX-License-Identifier: ISC */
/* Finding commands and their keys. */

#include "proto/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* As the worker's rows: more behind the description. */
struct row {
	struct command_info info;
	int number;
};

static const struct row rows[] = {
	{ { .name = "get",
	      .arity = 2,
	      .first_key = 1,
	      .last_key = 1,
	      .key_step = 1,
	      .flags = COMMAND_READONLY | COMMAND_FAST },
	    1 },
	{ { .name = "set",
	      .arity = -3,
	      .first_key = 1,
	      .last_key = 1,
	      .key_step = 1 },
	    2 },
	{ { .name = "mset",
	      .arity = -3,
	      .first_key = 1,
	      .last_key = -1,
	      .key_step = 2 },
	    3 },
	{ { .name = "del",
	      .arity = -2,
	      .first_key = 1,
	      .last_key = -1,
	      .key_step = 1 },
	    4 },
	{ { .name = "rename",
	      .arity = 3,
	      .first_key = 1,
	      .last_key = 2,
	      .key_step = 1 },
	    5 },
	{ { .name = "ping", .arity = -1 }, 6 },
	{ { .name = "client", .arity = -2 }, 7 },
	{ { .name = "kv.changes" }, 8 },
	{ { .name = "hincrbyfloat" }, 9 },
	{ { .name = "hpexpiretime" }, 10 },
	{ { .name = "a" }, 11 },
	{ { .name = "zz" }, 12 },
	{ { .name = "twenty.four.bytes.long.x" }, 13 },
	{ { .name = "twenty.four.byteX.long.x" }, 14 },
};

#define ROWS (sizeof(rows) / sizeof(*rows) - 1) /* the last is no good name */

static struct command_table table;

static int
set_up(void **state)
{
	(void)state;
	return command_table_init(&table, rows, ROWS, sizeof(*rows));
}

static const struct row *
find(const char *name)
{
	return (const void *)command_find(&table, slice_of(name));
}

static void
every_command_is_found_in_any_case(void **state)
{
	char name[COMMAND_NAME_MAX + 1];
	size_t i, j, n;

	(void)state;
	for (i = 0; i < ROWS; i++) {
		n = strlen(rows[i].info.name);
		for (j = 0; j <= n; j++) {
			memcpy(name, rows[i].info.name, n + 1);
			if (j < n && name[j] >= 'a' && name[j] <= 'z')
				name[j] = (char)(name[j] - 'a' + 'A');
			assert_ptr_equal(find(name), &rows[i]);
		}
	}
	assert_int_equal(find("KV.Changes")->number, 8);
}

static void
check_changed(const char *name, size_t n, size_t at, char c)
{
	char changed[COMMAND_NAME_MAX];
	struct kv_slice word = { changed, n };
	const struct command_info *found;

	memcpy(changed, name, n);
	changed[at] = c;
	found = command_find(&table, word);
	assert_true(found == NULL || slice_is_word(word, found->name));
}

static void
other_words_are_no_commands(void **state)
{
	size_t i, j, n;
	int c;

	(void)state;
	assert_null(find(""));
	assert_null(find("gett"));
	assert_null(find("ge"));
	assert_null(find("twenty.four.bytes.long.xx"));
	/* Any byte in any place: folding must not be too generous. */
	for (i = 0; i < ROWS; i++) {
		n = strlen(rows[i].info.name);
		for (j = 0; j < n; j++)
			for (c = 0; c < 256; c++)
				check_changed(rows[i].info.name, n, j, (char)c);
	}
}

static void
a_table_that_is_not_in_order_is_refused(void **state)
{
	static const struct row twice[] = {
		{ { .name = "get" }, 1 },
		{ { .name = "get" }, 2 },
	};
	static struct command_table t;

	(void)state;
	assert_int_equal(command_table_init(&t, rows, ROWS + 1, sizeof(*rows)),
	    KV_EINVAL);
	assert_int_equal(command_table_init(&t, twice, 2, sizeof(*twice)),
	    KV_EINVAL);
	assert_int_equal(command_table_init(&t, rows, COMMAND_ROWS_MAX + 1,
			     sizeof(*rows)),
	    KV_EINVAL);
}

static void
check_keys(const char *name, size_t argc, size_t first, size_t step,
    size_t count)
{
	struct command_keys k = command_keys(&find(name)->info, argc);

	assert_int_equal(k.count, count);
	if (count == 0)
		return;
	assert_int_equal(k.first, first);
	assert_int_equal(k.step, step);
}

static void
the_table_says_which_arguments_are_keys(void **state)
{
	(void)state;
	check_keys("get", 2, 1, 1, 1);
	check_keys("get", 1, 0, 0, 0);
	check_keys("set", 5, 1, 1, 1);
	check_keys("mset", 7, 1, 2, 3);
	check_keys("mset", 6, 1, 2, 3); /* wrong, and refused elsewhere */
	check_keys("del", 4, 1, 1, 3);
	check_keys("del", 1, 0, 0, 0);
	check_keys("rename", 3, 1, 1, 2);
	check_keys("rename", 2, 1, 1, 1);
	check_keys("ping", 2, 0, 0, 0);
	check_keys("ping", 0, 0, 0, 0);
}

static void
arity_is_exact_or_a_least_number(void **state)
{
	(void)state;
	assert_true(command_arity_fits(&find("get")->info, 2));
	assert_false(command_arity_fits(&find("get")->info, 3));
	assert_true(command_arity_fits(&find("set")->info, 3));
	assert_true(command_arity_fits(&find("set")->info, 9));
	assert_false(command_arity_fits(&find("set")->info, 2));
}

static void
flags_and_groups_have_redis_names(void **state)
{
	(void)state;
	assert_string_equal(command_flag_name(COMMAND_WRITE), "write");
	assert_string_equal(command_flag_name(COMMAND_NO_AUTH), "no_auth");
	assert_null(command_flag_name((enum command_flag)3));
	assert_string_equal(command_group_name(COMMAND_GROUP_HASH), "hash");
	assert_null(command_group_name((enum command_group)99));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_command_is_found_in_any_case),
		cmocka_unit_test(other_words_are_no_commands),
		cmocka_unit_test(a_table_that_is_not_in_order_is_refused),
		cmocka_unit_test(the_table_says_which_arguments_are_keys),
		cmocka_unit_test(arity_is_exact_or_a_least_number),
		cmocka_unit_test(flags_and_groups_have_redis_names),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
