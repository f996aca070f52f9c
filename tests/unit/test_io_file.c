/* SPDX-License-Identifier: ISC */
/* Whole files, private folders, locks. */

#include "io/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64];
static char path[128];

static int
set_up(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/kv-test-file.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/file", dir);
	return 0;
}

static int
tear_down(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static int
files_in_dir(void)
{
	DIR *d = opendir(dir);
	int n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n - 2; /* . and .. */
}

static void
what_is_written_is_read_back_and_no_temporary_stays(void **state)
{
	struct buf b;
	struct stat st;

	(void)state;
	buf_init(&b);
	assert_int_equal(file_write(path, slice_of("old"), 0644), KV_OK);
	assert_int_equal(file_write(path, slice_of("new one"), 0600), KV_OK);
	assert_int_equal(file_read(path, 100, &b), KV_OK);
	assert_true(slice_equal(buf_slice(&b), slice_of("new one")));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(files_in_dir(), 1);
	buf_fini(&b);
}

static void
a_file_over_the_limit_is_refused(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b);
	assert_int_equal(file_write(path, slice_of("12345"), 0600), KV_OK);
	assert_int_equal(file_read(path, 4, &b), KV_ETOOBIG);
	buf_fini(&b);
	assert_int_equal(file_read(path, 5, &b), KV_OK);
	buf_fini(&b);
}

static void
a_missing_file_is_not_found_and_a_folder_is_invalid(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b);
	assert_int_equal(file_read(path, 4, &b), KV_ENOTFOUND);
	assert_int_equal(file_read(dir, 4, &b), KV_EINVAL);
	buf_fini(&b);
}

static void
missing_folders_are_made_private(void **state)
{
	char deep[256], why[256];
	struct stat st;

	(void)state;
	snprintf(deep, sizeof(deep), "%s/a//b/c/", dir);
	assert_int_equal(file_make_dir(deep), KV_OK);
	assert_int_equal(file_make_dir(deep), KV_OK);
	assert_int_equal(stat(deep, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(file_check_dir(deep, why, sizeof(why)), KV_OK);
}

static void
a_folder_that_others_may_write_is_refused_with_the_reason(void **state)
{
	char why[256];

	(void)state;
	assert_int_equal(chmod(dir, 0770), 0);
	assert_int_equal(file_check_dir(dir, why, sizeof(why)), KV_EACCESS);
	assert_string_equal(why,
	    "is writable by others (mode 0770), expected 0700");
	assert_int_equal(file_write(path, slice_of(""), 0600), KV_OK);
	assert_int_equal(file_check_dir(path, why, sizeof(why)), KV_EINVAL);
	assert_string_equal(why, "is not a folder");
	assert_int_equal(chmod(dir, 0700), 0);
}

static void
a_folder_of_somebody_else_is_refused_with_the_reason(void **state)
{
	char why[256], expected[128];

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(dir, 12345, 12345), 0);
	assert_int_equal(file_check_dir(dir, why, sizeof(why)), KV_EACCESS);
	snprintf(expected, sizeof(expected),
	    "belongs to user 12345, but this is user 0");
	assert_string_equal(why, expected);
}

static int
open_file(void)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	return fd;
}

#define SHARED FILE_LOCK_SHARED
#define EXCLUSIVE FILE_LOCK_EXCLUSIVE

static void
an_exclusive_lock_keeps_others_out_of_its_byte_only(void **state)
{
	int a = open_file(), b = open_file();

	(void)state;
	assert_int_equal(file_lock(a, 7, EXCLUSIVE, false), KV_OK);
	assert_int_equal(file_lock(b, 7, EXCLUSIVE, false), KV_EBUSY);
	assert_int_equal(file_lock(b, 7, SHARED, false), KV_EBUSY);
	assert_int_equal(file_lock(b, 8, EXCLUSIVE, false), KV_OK);
	file_unlock(a, 7);
	assert_int_equal(file_lock(b, 7, SHARED, false), KV_OK);
	close(a);
	close(b);
}

static void
a_refused_change_of_mode_keeps_the_old_one(void **state)
{
	int a = open_file(), b = open_file();

	(void)state;
	assert_int_equal(file_lock(a, 0, SHARED, false), KV_OK);
	assert_int_equal(file_lock(b, 0, SHARED, false), KV_OK);
	assert_int_equal(file_lock(a, 0, EXCLUSIVE, false), KV_EBUSY);
	/* a still holds the shared one. */
	assert_int_equal(file_lock(b, 0, EXCLUSIVE, false), KV_EBUSY);
	close(b);
	assert_int_equal(file_lock(a, 0, EXCLUSIVE, false), KV_OK);
	b = open_file();
	assert_int_equal(file_lock(b, 0, SHARED, false), KV_EBUSY);
	assert_int_equal(file_lock(a, 0, SHARED, false), KV_OK);
	assert_int_equal(file_lock(b, 0, SHARED, false), KV_OK);
	close(a);
	close(b);
}

static void
another_descriptor_of_the_file_may_close_without_losing_the_lock(void **state)
{
	int a = open_file(), b = open_file();

	(void)state;
	assert_int_equal(file_lock(a, 0, EXCLUSIVE, false), KV_OK);
	close(open_file());
	assert_int_equal(file_lock(b, 0, EXCLUSIVE, false), KV_EBUSY);
	close(a);
	close(b);
}

static void
a_waiting_process_gets_the_lock_when_the_holder_dies(void **state)
{
	int a = open_file(), locked[2], status;
	pid_t pid;
	char c;

	(void)state;
	assert_int_equal(pipe(locked), 0);
	if ((pid = fork()) == 0) {
		int mine = open(path, O_RDWR);

		if (file_lock(mine, 0, EXCLUSIVE, false) == KV_OK &&
		    write(locked[1], "x", 1) == 1)
			kill(getpid(), SIGKILL);
		_exit(1);
	}
	assert_int_equal(read(locked[0], &c, 1), 1);
	assert_int_equal(file_lock(a, 0, EXCLUSIVE, true), KV_OK);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	close(a);
	close(locked[0]);
	close(locked[1]);
}

int
main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(what_is_written_is_read_back_and_no_temporary_stays),
		T(a_file_over_the_limit_is_refused),
		T(a_missing_file_is_not_found_and_a_folder_is_invalid),
		T(missing_folders_are_made_private),
		T(a_folder_that_others_may_write_is_refused_with_the_reason),
		T(a_folder_of_somebody_else_is_refused_with_the_reason),
		T(an_exclusive_lock_keeps_others_out_of_its_byte_only),
		T(a_refused_change_of_mode_keeps_the_old_one),
		T(another_descriptor_of_the_file_may_close_without_losing_the_lock),
		T(a_waiting_process_gets_the_lock_when_the_holder_dies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
