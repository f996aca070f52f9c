/* SPDX-License-Identifier: ISC */
/* Nodes of one user on one host, and how they find each other. */

#include "syncd/rundir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"

static char base[64], folder[80];
static char address[RUNDIR_ADDRESS_TEXT];

static int
setup(void **state)
{
	(void)state;
	snprintf(base, sizeof(base), "/tmp/kv-test-rundir.XXXXXX");
	if (mkdtemp(base) == NULL)
		return -1;
	snprintf(folder, sizeof(folder), "%s/kv", base);
	log_init("test", LOG_LEVEL_ERROR);
	return setenv("XDG_RUNTIME_DIR", base, 1);
}

static int
teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", base);
	return system(command);
}

static struct rundir *
node(const char *name, uint16_t port)
{
	struct rundir *r;

	assert_int_equal(rundir_open(name, &r), KV_OK);
	if (port != 0)
		assert_int_equal(rundir_publish(r, "127.0.0.1", port), KV_OK);
	return r;
}

static uint16_t
find(const struct rundir *r, const char *asked)
{
	return rundir_find(r, slice_of(asked), address);
}

static void
nodes_of_a_user_find_each_other_by_both_names(void **state)
{
	struct rundir *foo = node("foo@jv", 4070), *bar = node("bar@jv", 4071);

	(void)state;
	assert_int_equal(find(foo, "bar"), 4071);
	assert_string_equal(address, "127.0.0.1");
	assert_int_equal(find(foo, "bar@jv"), 4071);
	assert_int_equal(find(bar, "foo"), 4070);
	assert_int_equal(find(foo, "baz"), 0);
	assert_int_equal(find(foo, "bar@b"), 0);
	rundir_close(foo);
	rundir_close(bar);
}

static void
a_node_does_not_find_itself(void **state)
{
	struct rundir *foo = node("foo@jv", 4070);

	(void)state;
	assert_int_equal(find(foo, "foo"), 0);
	rundir_close(foo);
}

static void
whoever_has_not_said_where_is_not_found(void **state)
{
	struct rundir *foo = node("foo@jv", 4070), *bar = node("bar@jv", 0);

	(void)state;
	assert_int_equal(find(foo, "bar"), 0);
	rundir_close(foo);
	rundir_close(bar);
}

static void
a_port_may_change(void **state)
{
	struct rundir *foo = node("foo@jv", 4070), *bar = node("bar@jv", 40710);

	(void)state;
	assert_int_equal(rundir_publish(bar, "::1", 99), KV_OK);
	assert_int_equal(find(foo, "bar"), 99);
	assert_string_equal(address, "::1");
	rundir_close(foo);
	rundir_close(bar);
}

static void
who_ended_in_order_leaves_no_file(void **state)
{
	struct rundir *foo = node("foo@jv", 4070), *bar = node("bar@jv", 4071);
	char path[128];

	(void)state;
	rundir_close(bar);
	snprintf(path, sizeof(path), "%s/bar@jv", folder);
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_equal(find(foo, "bar"), 0);
	rundir_close(foo);
}

/* The file is there, but nobody holds it. */
static bool
is_told(int fd, int ms)
{
	struct pollfd p = { fd, POLLIN, 0 };

	return poll(&p, 1, ms) == 1;
}

static void
the_end_of_another_node_is_told_however_it_ends(void **state)
{
	struct rundir *foo = node("foo@jv", 4070), *bar;
	int fd = rundir_watch(foo), status;
	pid_t child;

	(void)state;
	assert_true(fd >= 0);
	bar = node("bar@jv", 4071);
	assert_int_equal(rundir_publish(bar, "127.0.0.1", 4072), KV_OK);
	assert_false(is_told(fd, 0)); /* that it lives, nobody asks */
	rundir_close(bar);
	assert_true(is_told(fd, 5000));
	rundir_watched(fd);
	assert_false(is_told(fd, 0));
	if ((child = fork()) == 0) {
		bar = node("bar@jv", 4071);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_true(is_told(fd, 5000));
	close(fd);
	assert_int_equal(rundir_watch(NULL), -1);
	rundir_close(foo);
}

static void
what_a_killed_node_left_is_not_believed(void **state)
{
	struct rundir *foo = node("foo@jv", 4070), *bar;
	char path[128];
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		node("bar@jv", 4071);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	snprintf(path, sizeof(path), "%s/bar@jv", folder);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(find(foo, "bar"), 0);
	/* And it is no obstacle for the next one of the name. */
	bar = node("bar@jv", 4072);
	assert_int_equal(find(foo, "bar"), 4072);
	rundir_close(foo);
	rundir_close(bar);
}

static void
run(const char *program, const char *path, const char *rest)
{
	char command[256];

	snprintf(command, sizeof(command), "%s %s%s", program, path, rest);
	assert_int_equal(system(command), 0);
}

/* By who logs out, or cleans /tmp. */
static void
a_folder_that_was_taken_away_is_made_again(void **state)
{
	struct rundir *foo = node("foo@jv", 4070), *bar = node("bar@jv", 4071);
	int fd = rundir_watch(foo);

	(void)state;
	assert_false(rundir_renew(foo));
	assert_false(rundir_renew(NULL));
	run("rm -r", folder, "");
	assert_true(is_told(fd, 5000));
	assert_int_equal(find(foo, "bar"), 0);
	assert_true(rundir_renew(foo));
	assert_int_equal(rundir_publish(foo, "127.0.0.1", 4070), KV_OK);
	assert_false(rundir_renew(foo));
	assert_true(rundir_renew(bar));
	assert_int_equal(rundir_publish(bar, "127.0.0.1", 4071), KV_OK);
	assert_int_equal(find(foo, "bar"), 4071);
	assert_int_equal(find(bar, "foo"), 4070);
	/* Of the files, too, and when another one is there under our name. */
	run("rm", folder, "/foo@jv");
	assert_true(rundir_renew(foo));
	run("touch", folder, "/new");
	run("cd", folder, " && mv new bar@jv");
	assert_true(rundir_renew(bar));
	assert_false(rundir_renew(bar));
	close(fd);
	rundir_close(foo);
	rundir_close(bar);
}

static void
a_folder_that_comes_first_is_moved_to(void **state)
{
	struct rundir *foo = node("foo@jv", 4070), *bar;
	char other[96], path[128];

	(void)state;
	snprintf(other, sizeof(other), "%s/other", base);
	snprintf(path, sizeof(path), "%s/foo@jv", folder);
	run("mkdir", other, "");
	assert_int_equal(setenv("XDG_RUNTIME_DIR", other, 1), 0);
	assert_true(rundir_renew(foo));
	assert_int_not_equal(access(path, F_OK), 0);
	bar = node("bar@jv", 4071);
	assert_int_equal(find(foo, "bar"), 4071);
	rundir_close(bar);
	rundir_close(foo);
}

static void
a_name_is_taken_once(void **state)
{
	struct rundir *foo = node("foo@jv", 4070), *again;

	(void)state;
	assert_int_equal(rundir_open("foo@jv", &again), KV_EBUSY);
	rundir_close(foo);
	again = node("foo@jv", 4071);
	rundir_close(again);
}

static void
what_is_no_address_and_port_is_not_believed(void **state)
{
	static const char *const lines[] = { "", "\n", "127.0.0.1\n",
		"127.0.0.1 x\n", "127.0.0.1 70000\n", "127.0.0.1 4071" };
	struct rundir *foo = node("foo@jv", 4070), *bar = node("bar@jv", 4071);
	char path[128];
	size_t i;

	(void)state;
	snprintf(path, sizeof(path), "%s/bar@jv", folder);
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		FILE *f = fopen(path, "r+");

		assert_non_null(f);
		assert_int_equal(ftruncate(fileno(f), 0), 0);
		fputs(lines[i], f);
		fclose(f);
		assert_int_equal(find(foo, "bar"), 0);
	}
	rundir_close(foo);
	rundir_close(bar);
}

static void
a_folder_that_others_may_write_to_is_not_used(void **state)
{
	bool is_there = access("/run/kv", F_OK) == 0;
	struct rundir *foo = NULL;
	char path[128];

	(void)state;
	assert_int_equal(mkdir(folder, 0700), 0);
	assert_int_equal(chmod(folder, 0777), 0);
	/* Another one may be, or none. */
	if (rundir_open("kv-test-rundir@jv", &foo) != KV_OK)
		foo = NULL;
	snprintf(path, sizeof(path), "%s/kv-test-rundir@jv", folder);
	assert_int_not_equal(access(path, F_OK), 0);
	rundir_close(foo);
	if (!is_there)
		rmdir("/run/kv"); /* root has made it */
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(nodes_of_a_user_find_each_other_by_both_names),
		T(a_node_does_not_find_itself),
		T(whoever_has_not_said_where_is_not_found),
		T(a_port_may_change),
		T(who_ended_in_order_leaves_no_file),
		T(the_end_of_another_node_is_told_however_it_ends),
		T(what_a_killed_node_left_is_not_believed),
		T(a_folder_that_was_taken_away_is_made_again),
		T(a_folder_that_comes_first_is_moved_to),
		T(a_name_is_taken_once),
		T(what_is_no_address_and_port_is_not_believed),
		T(a_folder_that_others_may_write_to_is_not_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
