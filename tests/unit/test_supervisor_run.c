/* SPDX-License-Identifier: ISC */
/* A whole kvd: starts, restarts, reloads, stops. */

#include "kvd_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "io/sock.h"

static void
each_port_is_announced_when_all_children_are_ready(void **state)
{
	(void)state;
	rig_start("port = 0,0\n");
	rig_expect("redis-cli");
	assert_true(rig_ask_port(rig_listening_port(0)) !=
	    rig_ask_port(rig_listening_port(1)));
	kill(rig_kvd, SIGTERM);
	rig_expect_exit(0);
}

static void
a_stop_goes_from_workers_to_walwriter_to_checkpointer(void **state)
{
	char path[128];

	(void)state;
	rig_start("port = 0\n");
	rig_expect("redis-cli");
	snprintf(path, sizeof(path), "%s/journal", rig_store);
	assert_int_equal(unlink(path), 0);
	kill(rig_kvd, SIGINT);
	rig_expect_exit(0);
	rig_assert_journal("stop kv-worker\nstop kv-walwriter\n"
			   "stop kv-checkpointer\n");
}

static void
a_store_that_cannot_be_opened_is_one_line_and_exit_1(void **state)
{
	(void)state;
	rig_set_mode("kv-walwriter", "fail");
	rig_start("port = 0\n");
	rig_expect_exit(1);
	assert_string_equal(rig_text, "kvd: no good store\n");
}

static void
a_child_that_has_logged_the_reason_gets_no_second_line(void **state)
{
	(void)state;
	rig_set_mode("kv-checkpointer", "exit 1");
	rig_start("port = 0\n");
	rig_expect_exit(1);
	assert_string_equal(rig_text, "");
}

static void
a_child_that_crashes_or_is_not_yet_able_is_tried_again(void **state)
{
	(void)state;
	rig_set_mode("kv-walwriter", "exit 75");
	rig_set_mode("kv-checkpointer", "crash");
	rig_start("port = 0\n");
	rig_expect("redis-cli");
	assert_non_null(strstr(rig_text, "restart child=\"kv-walwriter\""));
	assert_non_null(strstr(rig_text, "exit=75"));
	assert_non_null(strstr(rig_text, "restart child=\"kv-checkpointer\""));
	assert_non_null(strstr(rig_text, "signal=9"));
}

static void
a_port_in_use_is_one_line_that_names_its_holder(void **state)
{
	char text[128], line[192];
	uint64_t began;
	int fd;

	(void)state;
	assert_int_equal(sock_listen_tcp("127.0.0.1", 0, 1, &fd), KV_OK);
	snprintf(text, sizeof(text), "port = 0,%u\n", sock_port(fd));
	began = clock_mono_ns();
	rig_start(text);
	rig_expect_exit(1);
	print_message("%u ms\n",
	    (unsigned)((clock_mono_ns() - began) / 1000000));
	snprintf(line, sizeof(line), "kvd: port %u is in use (held by %d ",
	    sock_port(fd), (int)getpid());
	assert_memory_equal(rig_text, line, strlen(line));
	assert_ptr_equal(strchr(rig_text, '\n'),
	    rig_text + strlen(rig_text) - 1);
	close(fd);
}

static void
a_killed_worker_comes_back_and_nobody_is_refused(void **state)
{
	pid_t first, second;
	int port;

	(void)state;
	rig_start("port = 0\n");
	rig_expect("redis-cli");
	port = rig_listening_port(0);
	first = rig_ask_port(port);
	kill(first, SIGKILL);
	second =
	    rig_ask_port(port); /* connects at once, waits for the answer */
	while (second == first) /* taken just before the signal */
		second = rig_ask_port(port);
	rig_expect("restart child=\"kv-worker ");
	assert_int_equal(kill(first, 0), -1);
}

static void
children_die_with_kvd(void **state)
{
	struct pollfd p;

	(void)state;
	rig_start("port = 0\n");
	rig_expect("redis-cli");
	kill(rig_kvd, SIGKILL);
	/* They hold our pipe as their stderr; it ends with the last one. */
	p = (struct pollfd){ .fd = rig_log, .events = POLLIN };
	assert_int_equal(poll(&p, 1, RIG_PATIENCE_MS), 1);
	assert_int_equal(read(rig_log, rig_text, sizeof(rig_text)), 0);
}

static void
a_reload_adds_and_removes_ports_and_leaves_the_others(void **state)
{
	int a = rig_free_port(), b = rig_free_port(), c = rig_free_port(), fd;
	char text[128];
	pid_t on_a;

	(void)state;
	snprintf(text, sizeof(text), "port = %d,%d\n", a, b);
	rig_start(text);
	rig_expect("redis-cli");
	on_a = rig_ask_port(a);
	rig_ask_port(b);
	rig_expect_anew();
	snprintf(text, sizeof(text), "port = %d,%d\noutput_limit = 1m\n", a, c);
	rig_write_text(rig_config, text);
	kill(rig_kvd, SIGHUP);
	rig_expect("reload done");
	assert_true(rig_ask_port(c) != on_a);
	assert_int_equal(rig_ask_port(a), on_a);
	/* Refused as soon as its worker has closed the socket, too. */
	while (sock_connect_tcp("127.0.0.1", (uint16_t)b, RIG_PATIENCE_MS,
		   &fd) == KV_OK)
		close(fd);
}

static void
a_wrong_reload_says_so_and_changes_nothing(void **state)
{
	char text[128], answer[512];
	int fd, port, tries = 0;

	(void)state;
	rig_start("port = 0\n");
	rig_expect("redis-cli");
	port = rig_listening_port(0);
	rig_write_text(rig_config, "port = 0\nprot = 1\n");
	kill(rig_kvd, SIGHUP);
	rig_expect("reload refused");
	assert_non_null(strstr(rig_text, "kvd.conf:2"));
	assert_int_equal(sock_listen_tcp("127.0.0.1", 0, 1, &fd), KV_OK);
	snprintf(text, sizeof(text), "port = 0,%d\n", sock_port(fd));
	rig_write_text(rig_config, text);
	/* The holder is looked for during 50 ms, which a busy machine takes. */
	do {
		rig_ask_control("reload\n", answer, sizeof(answer));
		assert_non_null(strstr(answer, "error port "));
		assert_true(tries++ < 100);
	} while (strstr(answer, "is in use (held by ") == NULL);
	rig_ask_port(port);
	close(fd);
}

static void
a_reload_tells_only_those_who_look_at_what_changed(void **state)
{
	char answer[2048], path[128];

	(void)state;
	rig_start("port = 0\n");
	rig_expect("redis-cli");
	snprintf(path, sizeof(path), "%s/journal", rig_store);
	assert_int_equal(unlink(path), 0);
	rig_write_text(rig_config, "port = 0\noutput_limit = 1m\n");
	rig_ask_control("reload\n", answer, sizeof(answer));
	assert_string_equal(answer, "ok\n");
	rig_write_text(rig_config,
	    "port = 0\noutput_limit = 1m\nretention = 1d\n");
	rig_ask_control("reload\n", answer, sizeof(answer));
	rig_expect("reload ignored option=retention");
	kill(rig_kvd, SIGTERM);
	rig_expect_exit(0);
	assert_non_null(strstr(rig_text, "reload done"));
	rig_assert_journal("reload 1m kv-worker\nstop kv-worker\n"
			   "stop kv-walwriter\nstop kv-checkpointer\n");
}

static void
the_control_socket_tells_and_stops(void **state)
{
	char answer[2048], expected[128];

	(void)state;
	rig_start("port = 0\n");
	rig_expect("redis-cli");
	rig_ask_control("status\r\n", answer, sizeof(answer));
	snprintf(expected, sizeof(expected), "{\"pid\":%d,", (int)rig_kvd);
	assert_memory_equal(answer, expected, strlen(expected));
	assert_non_null(strstr(answer, "\"state\":\"serving\""));
	assert_non_null(strstr(answer, "\"program\":\"kv-walwriter\""));
	rig_ask_control("ports\n", answer, sizeof(answer));
	snprintf(expected, sizeof(expected), "%d 127.0.0.1\n",
	    rig_listening_port(0));
	assert_string_equal(answer, expected);
	rig_ask_control("what\n", answer, sizeof(answer));
	assert_memory_equal(answer, "error ", 6);
	rig_ask_control("stop\n", answer, sizeof(answer));
	assert_string_equal(answer, "ok\n");
	rig_expect_exit(0);
}

static void
the_control_sockets_of_dead_kvds_are_removed(void **state)
{
	char path[192];
	pid_t first;
	int fd;

	(void)state;
	rig_start("port = 0\n");
	rig_expect("redis-cli");
	first = rig_kvd;
	kill(rig_kvd, SIGKILL);
	waitpid(rig_kvd, NULL, 0);
	close(rig_log);
	snprintf(path, sizeof(path), "%s/kvd-%d.sock", rig_store, (int)first);
	assert_int_equal(access(path, F_OK), 0);
	rig_start("port = 0\n");
	rig_expect("redis-cli");
	assert_int_equal(access(path, F_OK), -1);
	snprintf(path, sizeof(path), "%s/kvd-%d.sock", rig_store, (int)rig_kvd);
	assert_int_equal(sock_connect_unix(path, RIG_PATIENCE_MS, &fd), KV_OK);
	close(fd);
}

int
main(int argc, char **argv)
{
#define T(test) cmocka_unit_test_setup_teardown(test, rig_set_up, rig_tear_down)
	const struct CMUnitTest tests[] = {
		T(each_port_is_announced_when_all_children_are_ready),
		T(a_stop_goes_from_workers_to_walwriter_to_checkpointer),
		T(a_store_that_cannot_be_opened_is_one_line_and_exit_1),
		T(a_child_that_has_logged_the_reason_gets_no_second_line),
		T(a_child_that_crashes_or_is_not_yet_able_is_tried_again),
		T(a_port_in_use_is_one_line_that_names_its_holder),
		T(a_killed_worker_comes_back_and_nobody_is_refused),
		T(children_die_with_kvd),
		T(a_reload_adds_and_removes_ports_and_leaves_the_others),
		T(a_wrong_reload_says_so_and_changes_nothing),
		T(a_reload_tells_only_those_who_look_at_what_changed),
		T(the_control_socket_tells_and_stops),
		T(the_control_sockets_of_dead_kvds_are_removed),
	};

	int code = rig_main(argc, argv);

	if (code >= 0)
		return code;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
