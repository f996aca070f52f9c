/* SPDX-License-Identifier: ISC */
/* Listening, connecting, passing descriptors. */

#include "io/sock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

static char dir[64];

static int
set_up(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/kv-test-sock.XXXXXX");
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static int
tear_down(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static void
port_0_takes_a_free_port_and_tells_it(void **state)
{
	char text[SOCK_TEXT_MAX], expected[64];
	int fd, on = 0, client, peer;
	socklen_t len = sizeof(on);

	(void)state;
	assert_int_equal(sock_listen_tcp("127.0.0.1", 0, 16, &fd), KV_OK);
	assert_true(sock_port(fd) > 0);
	snprintf(expected, sizeof(expected), "127.0.0.1:%d", sock_port(fd));
	sock_local_text(fd, text, sizeof(text));
	assert_string_equal(text, expected);
	assert_int_equal(sock_connect_tcp("127.0.0.1", sock_port(fd), 1000,
			     &client),
	    KV_OK);
	assert_true((peer = accept(fd, NULL, NULL)) >= 0);
	getsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, &len);
	assert_true(on);
	sock_peer_text(client, text, sizeof(text));
	assert_string_equal(text, expected);
	close(peer);
	close(client);
	close(fd);
}

static void
a_port_in_use_is_busy_and_a_strange_address_is_told_apart(void **state)
{
	int fd, other;

	(void)state;
	assert_int_equal(sock_listen_tcp("127.0.0.1", 0, 16, &fd), KV_OK);
	assert_int_equal(sock_listen_tcp("127.0.0.1", sock_port(fd), 16,
			     &other),
	    KV_EBUSY);
	assert_int_equal(sock_listen_tcp("192.0.2.1", 0, 16, &other),
	    KV_ENOTFOUND);
	assert_int_equal(sock_listen_tcp("not an address", 0, 16, &other),
	    KV_EINVAL);
	close(fd);
}

static void
the_same_port_serves_both_families(void **state)
{
	int four, six, rc;

	(void)state;
	assert_int_equal(sock_listen_tcp("0.0.0.0", 0, 16, &four), KV_OK);
	rc = sock_listen_tcp("::", sock_port(four), 16, &six);
	if (rc == KV_OK)
		close(six);
	else
		assert_int_equal(rc, KV_ENOTFOUND); /* a host without IPv6 */
	close(four);
}

static void
a_refused_connect_is_closed_at_once(void **state)
{
	uint16_t port;
	int fd;

	(void)state;
	assert_int_equal(sock_listen_tcp("127.0.0.1", 0, 16, &fd), KV_OK);
	port = sock_port(fd);
	close(fd);
	assert_int_equal(sock_connect_tcp("127.0.0.1", port, 1000, &fd),
	    KV_ECLOSED);
}

/* A listener that accepts nothing: with its backlog full the kernel drops the
 * first packet of any other connection. */
static void
a_connect_without_an_answer_ends_in_time(void **state)
{
	int fd, clients[8], rc = KV_OK, n = 0;
	uint64_t start;

	(void)state;
	assert_int_equal(sock_listen_tcp("127.0.0.1", 0, 0, &fd), KV_OK);
	start = clock_mono_ns();
	while (n < 8 && rc == KV_OK)
		rc = sock_connect_tcp("127.0.0.1", sock_port(fd), 50,
		    &clients[n++]);
	assert_int_equal(rc, KV_ETIMEOUT);
	assert_true(clock_mono_ns() - start < 900000000);
	for (n -= 2; n >= 0; n--)
		close(clients[n]);
	close(fd);
}

static void
a_unix_socket_may_have_a_path_of_any_length(void **state)
{
	char path[512], part[128];
	struct stat st;
	int fd, client;

	(void)state;
	memset(part, 'x', sizeof(part));
	part[sizeof(part) - 1] = '\0';
	snprintf(path, sizeof(path), "%s/%s", dir, part);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/%s/socket", dir, part);
	assert_int_equal(sock_listen_unix(path, 16, &fd), KV_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(sock_connect_unix(path, 1000, &client), KV_OK);
	close(client);
	close(fd);
}

static void
a_dead_unix_socket_is_replaced_and_a_living_one_is_busy(void **state)
{
	char path[128];
	int fd, other;

	(void)state;
	snprintf(path, sizeof(path), "%s/socket", dir);
	assert_int_equal(sock_connect_unix(path, 0, &fd), KV_ENOTFOUND);
	assert_int_equal(sock_listen_unix(path, 16, &fd), KV_OK);
	assert_int_equal(sock_listen_unix(path, 16, &other), KV_EBUSY);
	close(fd);
	assert_int_equal(sock_connect_unix(path, 0, &fd), KV_ECLOSED);
	assert_int_equal(sock_listen_unix(path, 16, &fd), KV_OK);
	close(fd);
	assert_int_equal(unlink(path), 0);
	assert_true((fd = open(path, O_CREAT | O_WRONLY, 0600)) >= 0);
	close(fd);
	assert_int_equal(sock_listen_unix(path, 16, &fd), KV_EEXIST);
}

int
main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(port_0_takes_a_free_port_and_tells_it),
		T(a_port_in_use_is_busy_and_a_strange_address_is_told_apart),
		T(the_same_port_serves_both_families),
		T(a_refused_connect_is_closed_at_once),
		T(a_connect_without_an_answer_ends_in_time),
		T(a_unix_socket_may_have_a_path_of_any_length),
		T(a_dead_unix_socket_is_replaced_and_a_living_one_is_busy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
