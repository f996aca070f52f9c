/* SPDX-License-Identifier: ISC */
/* The client of libkv, against servers that say what a test tells them. */

#include <kv.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/sock.h"

static char dir[64], path[128];
static int listener, server;
static struct kv_client *client;

static int
set_up(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/kv-test-client.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/sock", dir);
	if (sock_listen_unix(path, 4, &listener) < 0 ||
	    kv_client_connect_unix(path, 2000, &client) < 0)
		return -1;
	server = accept(listener, NULL, NULL);
	return server < 0 ? -1 : 0;
}

static int
tear_down(void **state)
{
	(void)state;
	kv_client_close(client);
	close(server);
	close(listener);
	unlink(path);
	return rmdir(dir);
}

static void
say(const char *text)
{
	size_t len = strlen(text);

	assert_int_equal(write(server, text, len), len);
}

static void
assert_text(const struct kv_value *v, enum kv_value_type type, const char *text)
{
	struct kv_slice got = kv_value_text(v);

	assert_int_equal(kv_value_type(v), type);
	assert_int_equal(got.len, strlen(text));
	assert_memory_equal(got.data, text, got.len);
}

static void
a_command_goes_out_as_bulk_strings_of_any_bytes(void **state)
{
	static const char wire[] = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n"
				   "$3\r\na\0\n\r\n";
	const struct kv_value *reply;
	char got[64];

	(void)state;
	say("+OK\r\n");
	assert_int_equal(kv_client_call(client,
			     KV_ARGS(kv_text("SET"), kv_text("k"),
				 kv_bytes("a\0\n", 3)),
			     &reply),
	    KV_OK);
	assert_text(reply, KV_SIMPLE, "OK");
	assert_int_equal(read(server, got, sizeof(got)), sizeof(wire) - 1);
	assert_memory_equal(got, wire, sizeof(wire) - 1);
}

static void
a_nested_reply_is_walked_as_a_tree(void **state)
{
	const struct kv_value *reply, *v, *w;

	(void)state;
	say("*4\r\n:-7\r\n*2\r\n$1\r\na\r\n$-1\r\n%1\r\n+k\r\n#t\r\n"
	    "-ERR no\r\n");
	assert_int_equal(kv_client_receive(client, &reply), KV_OK);
	assert_int_equal(kv_value_type(reply), KV_ARRAY);
	assert_int_equal(kv_value_count(reply), 4);
	v = kv_value_first(reply);
	assert_int_equal(kv_value_integer(v), -7);
	v = kv_value_next(reply, v);
	w = kv_value_first(v);
	assert_text(w, KV_STRING, "a");
	w = kv_value_next(v, w);
	assert_int_equal(kv_value_type(w), KV_NULL);
	assert_null(kv_value_next(v, w));
	v = kv_value_next(reply, v);
	assert_int_equal(kv_value_type(v), KV_MAP);
	assert_int_equal(kv_value_count(v), 2);
	w = kv_value_next(v, kv_value_first(v));
	assert_int_equal(kv_value_type(w), KV_BOOL);
	assert_int_equal(kv_value_integer(w), 1);
	v = kv_value_next(reply, v);
	assert_text(v, KV_FAILURE, "ERR no");
	assert_null(kv_value_next(reply, v));
}

static void
an_empty_array_has_no_children(void **state)
{
	const struct kv_value *reply;

	(void)state;
	say("*0\r\n");
	assert_int_equal(kv_client_receive(client, &reply), KV_OK);
	assert_null(kv_value_first(reply));
}

static void
an_attribute_is_stepped_over(void **state)
{
	const struct kv_value *reply;

	(void)state;
	say("|1\r\n+ttl\r\n:3\r\n,1.5\r\n");
	assert_int_equal(kv_client_receive(client, &reply), KV_OK);
	assert_int_equal(kv_value_type(reply), KV_DOUBLE);
	assert_true(kv_value_double(reply) == 1.5);
}

static void
replies_of_a_pipeline_come_in_order(void **state)
{
	static char text[32 * 2000];
	const struct kv_value *reply;
	char *end = text;
	int i;

	(void)state;
	for (i = 0; i < 2000; i++) {
		assert_int_equal(kv_client_send(client,
				     KV_ARGS(kv_text("PING"))),
		    KV_OK);
		end += sprintf(end, ":%d\r\n", i);
	}
	say(text);
	for (i = 0; i < 2000; i++) {
		assert_int_equal(kv_client_receive(client, &reply), KV_OK);
		assert_int_equal(kv_value_integer(reply), i);
	}
}

/* A child that is the other end. */
static pid_t
serve(void (*what)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		what();
		_exit(0);
	}
	return pid;
}

static void
by_bytes(void)
{
	static const char text[] = "*2\r\n$5\r\nhello\r\n%1\r\n+a\r\n:1\r\n";
	size_t i;

	for (i = 0; i + 1 < sizeof(text); i++) {
		if (write(server, text + i, 1) != 1)
			_exit(1);
		usleep(200);
	}
}

static void
a_reply_may_come_byte_by_byte(void **state)
{
	const struct kv_value *reply;
	pid_t pid = serve(by_bytes);

	(void)state;
	assert_int_equal(kv_client_receive(client, &reply), KV_OK);
	assert_text(kv_value_first(reply), KV_STRING, "hello");
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Takes one request of 64 KiB at a time and answers as much, before it looks
 * at the next. */
static void
much_said(void)
{
	static char request[65600], text[65600];
	size_t asked = sizeof("*1\r\n$65536\r\n") - 1 + 65536 + 2;
	size_t size, done;
	ssize_t n;
	int i;

	memset(text, 'v', sizeof(text));
	size = (size_t)sprintf(text, "$%d\r\n", 65536) + 65536 + 2;
	memcpy(text, "$65536\r\n", 8);
	memcpy(text + size - 2, "\r\n", 2);
	for (i = 0; i < 100; i++) {
		for (done = 0; done < asked; done += (size_t)n)
			if ((n = read(server, request, asked - done)) <= 0)
				_exit(1);
		for (done = 0; done < size; done += (size_t)n)
			if ((n = write(server, text + done, size - done)) <= 0)
				_exit(1);
	}
}

static void
a_pipeline_longer_than_all_buffers_does_not_stand_still(void **state)
{
	static char big[65536];
	const struct kv_value *reply;
	pid_t pid = serve(much_said);
	int i;

	(void)state;
	memset(big, '.', sizeof(big));
	for (i = 0; i < 100; i++)
		assert_int_equal(kv_client_send(client,
				     KV_ARGS(kv_bytes(big, sizeof(big)))),
		    KV_OK);
	for (i = 0; i < 100; i++) {
		assert_int_equal(kv_client_receive(client, &reply), KV_OK);
		assert_int_equal(kv_value_text(reply).len, 65536);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void
a_silent_server_is_a_timeout_and_a_closed_one_is_closed(void **state)
{
	const struct kv_value *reply;

	(void)state;
	kv_client_set_timeout(client, 20);
	assert_int_equal(kv_client_receive(client, &reply), KV_ETIMEOUT);
	say("+OK\r\n");
	shutdown(server, SHUT_RDWR);
	assert_int_equal(kv_client_receive(client, &reply), KV_OK);
	assert_int_equal(kv_client_receive(client, &reply), KV_ECLOSED);
	assert_int_equal(kv_client_call(client, KV_ARGS(kv_text("PING")),
			     &reply),
	    KV_ECLOSED);
}

static void
bytes_that_are_no_resp_are_a_protocol_error(void **state)
{
	const struct kv_value *reply;

	(void)state;
	say("HTTP/1.1 400 Bad Request\r\n");
	assert_int_equal(kv_client_receive(client, &reply), KV_EPROTO);
}

static void
where_nobody_listens_there_is_no_connection(void **state)
{
	struct kv_client *c;
	int fd;
	uint16_t port;

	(void)state;
	assert_int_equal(sock_listen_tcp("127.0.0.1", 0, 1, &fd), KV_OK);
	port = sock_port(fd);
	close(fd);
	assert_int_equal(kv_client_connect(NULL, port, 1000, &c), KV_ECLOSED);
	assert_int_equal(kv_client_connect_unix("/nonexistent/x", 1000, &c),
	    KV_ENOTFOUND);
}

static void
assert_next(int rc, enum kv_change_type type, const char *key,
    const char *value)
{
	struct kv_change c;

	assert_int_equal(kv_client_next_change(client, &c), rc);
	if (rc < 0)
		return;
	assert_int_equal(c.type, type);
	assert_int_equal(c.key.len, strlen(key));
	assert_memory_equal(c.key.data, key, c.key.len);
	assert_int_equal(c.value.len, strlen(value));
	assert_memory_equal(c.value.data, value, c.value.len);
}

static void
a_watch_reads_the_notifications_of_the_line_protocol(void **state)
{
	char got[64];
	ssize_t n;

	(void)state;
	assert_int_equal(kv_client_watch(client, kv_text("a b"), KV_FROM_NOW),
	    KV_EINVAL);
	assert_int_equal(kv_client_watch(client, kv_text("shopping"), 17),
	    KV_OK);
	n = read(server, got, sizeof(got));
	assert_int_equal(n, strlen("SUBSCRIBE shopping FROM 17\r\n"));
	assert_memory_equal(got, "SUBSCRIBE shopping FROM 17\r\n", (size_t)n);
	say("milk SET TO 1 SET TO 2\r\nmilk DELETED\r\neggs SET TO \r\nGA");
	assert_next(KV_OK, KV_CHANGE_PUT, "milk", "1 SET TO 2");
	assert_next(KV_OK, KV_CHANGE_DELETE, "milk", "");
	assert_next(KV_OK, KV_CHANGE_PUT, "eggs", "");
	kv_client_set_timeout(client, 10);
	assert_next(KV_ETIMEOUT, 0, "", "");
	say("P\r\nNOT FOUND\r\nERROR too slow\r\n");
	assert_next(KV_ESTALE, 0, "", "");
	assert_next(KV_ENOTFOUND, 0, "", "");
	assert_next(KV_EPROTO, 0, "", "");
	assert_memory_equal(kv_client_said(client).data, "ERROR too slow",
	    kv_client_said(client).len);
}

static int
readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0);
}

static void
replies_are_taken_in_a_loop_of_ones_own(void **state)
{
	const struct kv_value *reply;
	char got[64];

	(void)state;
	kv_client_set_timeout(client, 0);
	assert_int_equal(kv_client_send(client, KV_ARGS(kv_text("PING"))),
	    KV_OK);
	assert_int_equal(readable(server), 0);
	assert_int_equal(kv_client_flush(client), KV_OK);
	assert_int_equal(read(server, got, sizeof(got)), 14);
	assert_int_equal(readable(kv_client_fd(client)), 0);
	assert_int_equal(kv_client_receive(client, &reply), KV_ETIMEOUT);
	say("*2\r\n+PO");
	assert_int_equal(readable(kv_client_fd(client)), 1);
	assert_int_equal(kv_client_receive(client, &reply), KV_ETIMEOUT);
	assert_int_equal(readable(kv_client_fd(client)), 0);
	say("NG\r\n$1\r\nx\r\n:7\r\n");
	assert_int_equal(readable(kv_client_fd(client)), 1);
	assert_int_equal(kv_client_receive(client, &reply), KV_OK);
	assert_text(kv_value_first(reply), KV_SIMPLE, "PONG");
	/* The second one came with it and does not show. */
	assert_int_equal(readable(kv_client_fd(client)), 0);
	assert_int_equal(kv_client_receive(client, &reply), KV_OK);
	assert_int_equal(kv_value_integer(reply), 7);
	assert_int_equal(kv_client_receive(client, &reply), KV_ETIMEOUT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_command_goes_out_as_bulk_strings_of_any_bytes),
		TEST(a_nested_reply_is_walked_as_a_tree),
		TEST(an_empty_array_has_no_children),
		TEST(an_attribute_is_stepped_over),
		TEST(replies_of_a_pipeline_come_in_order),
		TEST(a_reply_may_come_byte_by_byte),
		TEST(a_pipeline_longer_than_all_buffers_does_not_stand_still),
		TEST(a_silent_server_is_a_timeout_and_a_closed_one_is_closed),
		TEST(bytes_that_are_no_resp_are_a_protocol_error),
		TEST(where_nobody_listens_there_is_no_connection),
		TEST(a_watch_reads_the_notifications_of_the_line_protocol),
		TEST(replies_are_taken_in_a_loop_of_ones_own),
	};

	return cmocka_run_group_tests_name("lib_client", tests, NULL, NULL);
}
