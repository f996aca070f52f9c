/* SPDX-License-Identifier: ISC */
/* kvd under a service manager: sd_notify(3), sd_listen_fds(3). */

#include "kvd_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/sock.h"
#include "supervisor/sdnotify.h"

static char notify_name[64];

static int
notify_socket(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	size_t len;

	assert_true(fd >= 0);
	snprintf(notify_name, sizeof(notify_name), "@kv-test-%d",
	    (int)getpid());
	len = strlen(notify_name);
	memcpy(to.sun_path + 1, notify_name + 1, len - 1);
	len += offsetof(struct sockaddr_un, sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&to, (socklen_t)len), 0);
	return fd;
}

static void
notify_expect(int fd, const char *wanted)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char text[512] = "";
	ssize_t n;

	while (strstr(text, wanted) == NULL) {
		assert_int_equal(poll(&p, 1, RIG_PATIENCE_MS), 1);
		assert_true((n = recv(fd, text, sizeof(text) - 1, 0)) >= 0);
		text[n] = '\0';
	}
}

static void
a_service_manager_is_told_of_start_reload_and_stop(void **state)
{
	int fd = notify_socket();

	(void)state;
	setenv("NOTIFY_SOCKET", notify_name, 1);
	rig_start("port = 0\n");
	unsetenv("NOTIFY_SOCKET");
	notify_expect(fd, "READY=1\nSTATUS=");
	assert_null(strstr(rig_text, "try:"));
	kill(rig_kvd, SIGHUP);
	notify_expect(fd, "RELOADING=1\nMONOTONIC_USEC=");
	notify_expect(fd, "READY=1");
	kill(rig_kvd, SIGTERM);
	notify_expect(fd, "STOPPING=1");
	rig_expect_exit(0);
	close(fd);
}

static void
the_watchdog_is_fed_only_when_there_is_one(void **state)
{
	struct sdnotify n;
	int fd = notify_socket();

	(void)state;
	setenv("NOTIFY_SOCKET", notify_name, 1);
	setenv("WATCHDOG_USEC", "20000", 1);
	rig_start("port = 0\n");
	unsetenv("NOTIFY_SOCKET");
	notify_expect(fd, "WATCHDOG=1");
	notify_expect(fd, "WATCHDOG=1");
	setenv("WATCHDOG_PID", "1", 1);
	sdnotify_init(&n);
	assert_int_equal(n.watchdog_us, 0);
	assert_null(getenv("WATCHDOG_USEC"));
	close(fd);
}

static void
a_socket_of_the_service_manager_is_the_port(void **state)
{
	int fd;

	(void)state;
	assert_int_equal(sock_listen_tcp("127.0.0.1", 0, 16, &fd), KV_OK);
	rig_give(fd);
	rig_start("");
	rig_expect("redis-cli");
	assert_int_equal(rig_listening_port(0), sock_port(fd));
	rig_ask_port(sock_port(fd));
	/* The default port is not one that somebody chose. */
	rig_expect_anew();
	kill(rig_kvd, SIGHUP);
	rig_expect("reload done");
	rig_ask_port(sock_port(fd));
	close(fd);
}

static void
a_chosen_port_takes_only_the_socket_that_fits(void **state)
{
	char text[64];
	int fd, port = rig_free_port();

	(void)state;
	assert_int_equal(sock_listen_tcp("127.0.0.1", 0, 16, &fd), KV_OK);
	rig_give(fd);
	snprintf(text, sizeof(text), "port = %d,%d\n", port, sock_port(fd));
	rig_start(text);
	rig_expect("redis-cli");
	rig_ask_port(port);
	rig_ask_port(sock_port(fd));
	close(fd);
}

static void
sockets_meant_for_another_process_are_left_alone(void **state)
{
	struct sdnotify n;

	(void)state;
	setenv("LISTEN_FDS", "3", 1);
	setenv("LISTEN_PID", "1", 1);
	sdnotify_init(&n);
	assert_int_equal(n.listen_fds, 0);
	assert_null(getenv("LISTEN_FDS"));
}

int
main(int argc, char **argv)
{
#define T(test) cmocka_unit_test_setup_teardown(test, rig_set_up, rig_tear_down)
	const struct CMUnitTest tests[] = {
		T(a_service_manager_is_told_of_start_reload_and_stop),
		T(the_watchdog_is_fed_only_when_there_is_one),
		T(a_socket_of_the_service_manager_is_the_port),
		T(a_chosen_port_takes_only_the_socket_that_fits),
		T(sockets_meant_for_another_process_are_left_alone),
	};
	int code = rig_main(argc, argv);

	if (code >= 0)
		return code;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
