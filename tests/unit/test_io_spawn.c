/* SPDX-License-Identifier: ISC */
/* Children: descriptors, signals, death. */

#include "io/spawn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/parent.h"
#include "io/sock.h"

/* Run a shell script with the write end of a pipe at descriptor
 * 3 + fd_count - 1; what it printed there is the result. */
static void
run_script(const char *script, const int *fds, size_t fd_count, char *out,
    size_t size)
{
	char copy[512];
	char name[] = "sh", dash_c[] = "-c";
	char *argv[] = { name, dash_c, copy, NULL };
	int all[8], result[2], status;
	size_t i, len = 0;
	ssize_t n;
	pid_t pid;

	snprintf(copy, sizeof(copy), "%s", script);
	assert_int_equal(pipe2(result, O_CLOEXEC), 0);
	for (i = 0; i < fd_count; i++)
		all[i] = fds[i];
	all[i++] = result[1];
	assert_int_equal(spawn_process(
			     &(struct spawn){
				 .path = "/bin/sh",
				 .argv = argv,
				 .fds = all,
				 .fd_count = i,
			     },
			     &pid),
	    KV_OK);
	close(result[1]);
	while ((n = read(result[0], out + len, size - 1 - len)) > 0)
		len += (size_t)n;
	out[len] = '\0';
	close(result[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
a_child_has_exactly_the_descriptors_it_was_given(void **state)
{
	char out[256];
	/* Not close-on-exec on purpose: a leak that must not reach it. */
	int leak = open("/dev/null", O_RDONLY);
	int fds[3] = { leak, -1, leak };

	(void)state;
	run_script("for i in 0 1 2 3 4 5 6 7 8 9 10 11 12 13; do "
		   "[ -e /proc/$$/fd/$i ] && printf '%s ' $i >&6; done; true",
	    fds, 3, out, sizeof(out));
	assert_string_equal(out, "0 1 2 3 5 6 ");
	close(leak);
}

static void
descriptors_that_stand_in_each_others_places_arrive_in_order(void **state)
{
	char out[64];
	int a[2], b[2], fds[2];

	(void)state;
	/* Whatever their numbers are, swap them: 3 and 4 are among them in
	 * a process that has nothing else open. */
	assert_int_equal(pipe2(a, O_CLOEXEC), 0);
	assert_int_equal(pipe2(b, O_CLOEXEC), 0);
	assert_int_equal(write(a[1], "a\n", 2), 2);
	assert_int_equal(write(b[1], "b\n", 2), 2);
	fds[0] = b[0];
	fds[1] = a[0];
	run_script("read x <&3; read y <&4; echo $x$y >&5", fds, 2, out,
	    sizeof(out));
	assert_string_equal(out, "ba\n");
	close(a[0]);
	close(a[1]);
	close(b[0]);
	close(b[1]);
}

static void
signals_of_a_child_are_neither_blocked_nor_ignored(void **state)
{
	char out[128];
	sigset_t term, old;

	(void)state;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, &old);
	signal(SIGHUP, SIG_IGN);
	run_script("grep -E '^Sig(Blk|Ign)' /proc/self/status >&3", NULL, 0,
	    out, sizeof(out));
	signal(SIGHUP, SIG_DFL);
	sigprocmask(SIG_SETMASK, &old, NULL);
	assert_string_equal(out,
	    "SigBlk:\t0000000000000000\n"
	    "SigIgn:\t0000000000000000\n");
}

static void
a_program_that_is_not_there_is_not_found(void **state)
{
	char name[] = "x";
	char *argv[] = { name, NULL };
	pid_t pid;

	(void)state;
	assert_int_equal(spawn_process(&(struct spawn){ .path = "/nowhere/x",
					   .argv = argv },
			     &pid),
	    KV_ENOTFOUND);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* reaped */
}

/* A middle process spawns a sleeper that holds the write end of a pipe, and
 * is killed; the pipe ends only when the sleeper is dead too. */
static void
a_child_dies_with_its_parent(void **state)
{
	int alive[2], started[2];
	struct pollfd end;
	pid_t middle;
	char c;

	(void)state;
	assert_int_equal(pipe2(alive, O_CLOEXEC), 0);
	assert_int_equal(pipe2(started, O_CLOEXEC), 0);
	if ((middle = fork()) == 0) {
		char name[] = "sleep", time[] = "1000";
		char *argv[] = { name, time, NULL };
		int fds[1] = { alive[1] };
		pid_t pid;

		if (spawn_process(&(struct spawn){ .path = "/bin/sleep",
				      .argv = argv,
				      .fds = fds,
				      .fd_count = 1 },
			&pid) == KV_OK &&
		    write(started[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	close(alive[1]);
	assert_int_equal(read(started[0], &c, 1), 1);
	end = (struct pollfd){ .fd = alive[0], .events = POLLIN };
	assert_int_equal(poll(&end, 1, 0), 0); /* it runs */
	kill(middle, SIGKILL);
	assert_int_equal(poll(&end, 1, 5000), 1);
	assert_int_equal(read(alive[0], &c, 1), 0);
	waitpid(middle, NULL, 0);
	close(alive[0]);
	close(started[0]);
	close(started[1]);
}

/* As a library that LD_PRELOAD brings may: it runs before main does. */
static void
what_stands_behind_the_listening_sockets_is_not_one_of_them(void **state)
{
	int status, rc, listener = -1;
	pid_t child;

	(void)state;
	rc = sock_listen_tcp("127.0.0.1", 0, 1, &listener);
	assert_int_equal(rc, KV_OK);
	if ((child = fork()) == 0) {
		int file = open("/dev/null", O_RDONLY);

		if (dup2(listener, PARENT_LISTEN_FD) < 0 ||
		    dup2(listener, PARENT_LISTEN_FD + 1) < 0 ||
		    dup2(file, PARENT_LISTEN_FD + 2) < 0)
			_exit(100);
		_exit((int)parent_listeners());
	}
	close(listener);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_child_has_exactly_the_descriptors_it_was_given),
		cmocka_unit_test(
		    descriptors_that_stand_in_each_others_places_arrive_in_order),
		cmocka_unit_test(
		    signals_of_a_child_are_neither_blocked_nor_ignored),
		cmocka_unit_test(a_program_that_is_not_there_is_not_found),
		cmocka_unit_test(a_child_dies_with_its_parent),
		cmocka_unit_test(
		    what_stands_behind_the_listening_sockets_is_not_one_of_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
