/* SPDX-License-Identifier: ISC */
/* libkv's calls that need no store: cookie files, default places. */

#include <kv.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

static char dir[64], path[128];
static struct kv_cookie_error why;

static int
set_up(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/var/tmp/kvtest-cookie-XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/.kv.cookie", dir);
	return setenv("HOME", dir, 1);
}

static int
tear_down(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static void
a_new_cookie_is_private_and_replaced_only_if_told(void **state)
{
	struct kv_cookie c;
	struct stat st;

	(void)state;
	assert_int_equal(kv_cookie_show(path, NULL, &c, &why), KV_ENOTFOUND);
	assert_int_equal(kv_cookie_new(path, 7, false, &why), KV_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(kv_cookie_new(path, 8, false, &why), KV_EEXIST);
	assert_int_equal(kv_cookie_show(path, NULL, &c, &why), KV_OK);
	assert_int_equal(c.count, 1);
	assert_int_equal(c.lines[0].generation, 7);
	assert_false(c.lines[0].weak);
	assert_string_equal(c.lines[0].fingerprint, "");
	assert_int_equal(kv_cookie_new(path, 8, true, &why), KV_OK);
	assert_int_equal(kv_cookie_show(path, NULL, &c, &why), KV_OK);
	assert_int_equal(c.lines[0].generation, 8);
}

static void
a_cookie_has_a_fingerprint_of_its_own_in_each_cluster(void **state)
{
	struct kv_cookie one, same, other;

	(void)state;
	assert_int_equal(kv_cookie_new(path, 1, false, &why), KV_OK);
	assert_int_equal(kv_cookie_show(path, "kv", &one, &why), KV_OK);
	assert_int_equal(kv_cookie_show(path, "kv", &same, &why), KV_OK);
	assert_int_equal(kv_cookie_show(path, "shop", &other, &why), KV_OK);
	assert_int_equal(strlen(one.lines[0].fingerprint), 8);
	assert_string_equal(one.lines[0].fingerprint,
	    same.lines[0].fingerprint);
	assert_string_not_equal(one.lines[0].fingerprint,
	    other.lines[0].fingerprint);
}

static void
a_file_that_others_may_read_is_refused_without_its_secret(void **state)
{
	static const char secret[] = "abcdefghijklmnopqrstuvwxyz";
	struct kv_cookie c;
	FILE *f = fopen(path, "we");

	(void)state;
	assert_non_null(f);
	fprintf(f, "%s\n", secret);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(kv_cookie_show(path, NULL, &c, &why), KV_EACCESS);
	assert_true(strlen(why.text) > 0);
	assert_null(strstr(why.text, secret));
}

static void
default_places_follow_the_environment(void **state)
{
	char found[256];

	(void)state;
	assert_int_equal(kv_cookie_default_file(found, sizeof(found)), KV_OK);
	assert_string_equal(found, path);
	assert_int_equal(kv_cookie_default_file(found, strlen(path)),
	    KV_ETOOBIG);
	assert_int_equal(setenv("KV_DIR", dir, 1), 0);
	assert_int_equal(kv_default_dir(found, sizeof(found)), KV_OK);
	assert_string_equal(found, dir);
	assert_int_equal(kv_default_dir(found, strlen(dir)), KV_ETOOBIG);
	assert_int_equal(unsetenv("KV_DIR"), 0);
	assert_int_equal(unsetenv("HOME"), 0);
	assert_int_equal(kv_cookie_default_file(found, sizeof(found)),
	    KV_ENOTFOUND);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_cookie_is_private_and_replaced_only_if_told),
		TEST(a_cookie_has_a_fingerprint_of_its_own_in_each_cluster),
		TEST(a_file_that_others_may_read_is_refused_without_its_secret),
		TEST(default_places_follow_the_environment),
	};

	return cmocka_run_group_tests_name("lib_cookie", tests, NULL, NULL);
}
