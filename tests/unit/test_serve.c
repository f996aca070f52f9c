/* SPDX-License-Identifier: ISC */
/* Connections over socket pairs, with a toy protocol: each input line names
 * what is to be answered. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/sock.h"
#include "serve/conn.h"
#include "serve/listener.h"

#define BIG (1u << 20)

struct toy {
	struct conn conn;
	unsigned closed_at; /* to make it larger than a conn */
};

static struct loop *loop;
static struct serve serve;
static char *big;
static unsigned closes;
static uint64_t next_lsn; /* what the next answers wait for */
static bool hold;	  /* the owner holds the next input back */

static void
toy_opened(struct conn *c)
{
	(void)c;
}

static void
toy_closed(struct conn *c)
{
	(void)c;
	closes++;
}

/* "b": a value by reference; "q": close; anything else: itself. */
static void
toy_answer(struct conn *c, const char *line, size_t len)
{
	struct output *o = &serve.output;

	if (line[0] == 'b')
		assert_true(output_refer(o, (struct kv_slice){ big, BIG }));
	else if (line[0] == 'q')
		conn_finish(c, true);
	else
		assert_int_equal(buf_append(&o->bytes, line, len), KV_OK);
}

static size_t
toy_input(struct conn *c, struct kv_slice in)
{
	size_t used = 0;
	const char *lf;

	while (!hold && used < in.len &&
	    !(c->flags & (CONN_HOLD_OUTPUT | CONN_DEAD)) &&
	    (lf = memchr(in.data + used, '\n', in.len - used)) != NULL) {
		size_t end = (size_t)(lf + 1 - in.data);

		toy_answer(c, in.data + used, end - used);
		used = end;
		if (output_size(&serve.output) >= BIG)
			output_emit(c, next_lsn);
	}
	if (hold)
		conn_hold(c, CONN_HOLD_OWNER);
	output_emit(c, next_lsn);
	return used;
}

static const struct serve_handlers toy_handlers = {
	.size = sizeof(struct toy),
	.opened = toy_opened,
	.input = toy_input,
	.closed = toy_closed,
};

static int
set_up(void **state)
{
	struct serve_limits limits = {
		.connections = 100,
		.output = 8 * BIG,
		.input = BIG,
	};

	(void)state;
	closes = 0;
	next_lsn = 0;
	hold = false;
	big = malloc(BIG);
	memset(big, 'x', BIG);
	if (loop_new(&loop) < 0)
		return -1;
	return serve_init(&serve, loop, &toy_handlers, &limits, NULL);
}

static int
tear_down(void **state)
{
	(void)state;
	serve_fini(&serve);
	loop_free(loop);
	free(big);
	return 0;
}

static int
client(struct conn **c)
{
	struct conn *conn;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
			     pair),
	    0);
	conn = conn_take(&serve, pair[0], 0);
	assert_non_null(conn);
	if (c != NULL)
		*c = conn;
	return pair[1];
}

static void
turn(void)
{
	loop_again(loop);
	assert_int_equal(loop_turn(loop), KV_OK);
	serve_run_again(&serve);
}

static void
say(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* Everything there is to read now; -1 at the end. */
static ssize_t
hear(int fd, char *to, size_t size)
{
	ssize_t n = read(fd, to, size - 1);

	if (n < 0)
		assert_int_equal(errno, EAGAIN);
	to[n > 0 ? n : 0] = '\0';
	return n < 0 ? 0 : n == 0 ? -1 : n;
}

static void
expect(int fd, const char *text)
{
	char got[4096];

	hear(fd, got, sizeof(got));
	assert_string_equal(got, text);
}

static void
what_came_in_pieces_is_answered_when_it_is_whole(void **state)
{
	struct conn *c;
	int fd = client(&c);

	(void)state;
	say(fd, "one\ntw");
	turn();
	expect(fd, "one\n");
	assert_int_equal(c->in.len, 2);
	say(fd, "o\n");
	turn();
	expect(fd, "two\n");
	assert_null(c->in.data);
	assert_null(c->out.data);
	close(fd);
}

static void
an_answer_leaves_when_its_place_in_the_log_is_durable(void **state)
{
	int a = client(NULL), b = client(NULL);
	uint64_t lowest;

	(void)state;
	next_lsn = 10;
	say(a, "written\n");
	turn();
	next_lsn = 0;
	say(a, "read\n"); /* must not overtake */
	say(b, "other\n");
	turn();
	expect(a, "");
	expect(b, "other\n");
	assert_true(serve_lowest(&serve, &lowest));
	assert_int_equal(lowest, 10);
	serve_durable(&serve, 9);
	expect(a, "");
	serve_durable(&serve, 10);
	expect(a, "written\nread\n");
	assert_false(serve_lowest(&serve, &lowest));
	close(a);
	close(b);
}

static void
an_answer_for_a_client_that_went_away_harms_nobody(void **state)
{
	int a = client(NULL), b = client(NULL);

	(void)state;
	next_lsn = 5;
	say(a, "gone\n");
	say(b, "here\n");
	turn();
	close(a);
	turn();
	serve_durable(&serve, 5);
	turn();
	expect(b, "here\n");
	assert_int_equal(closes, 1);
	assert_int_equal(serve.count, 1);
	close(b);
}

static void
half_closed_a_client_gets_its_answers_and_then_the_end(void **state)
{
	char got[64];
	int fd = client(NULL);

	(void)state;
	next_lsn = 3;
	say(fd, "one\ntwo\nhalf");
	shutdown(fd, SHUT_WR);
	turn();
	turn();
	expect(fd, "");
	serve_durable(&serve, 3);
	expect(fd, "one\ntwo\n");
	assert_int_equal(hear(fd, got, sizeof(got)), -1);
	assert_int_equal(closes, 1);
	close(fd);
}

/* Read until `want` bytes came. */
static void
drain(int fd, size_t want)
{
	static char got[1 << 16];
	size_t had = 0;
	unsigned idle;

	for (idle = 0; had < want && idle < 1000; idle++) {
		ssize_t n = hear(fd, got, sizeof(got));

		assert_true(n >= 0);
		had += (size_t)n;
		if (n > 0)
			idle = 0;
		turn();
	}
	assert_int_equal(had, want);
}

static void
a_client_that_does_not_read_is_not_read_and_loses_nothing(void **state)
{
	struct conn *c;
	int fd = client(&c);
	unsigned i;

	(void)state;
	for (i = 0; i < 32; i++)
		say(fd, "b\n");
	turn();
	assert_true(c->flags & CONN_HOLD_OUTPUT);
	assert_true(output_pending(c) <= serve.limits.output);
	drain(fd, 32 * BIG);
	assert_false(c->flags & CONN_HOLD_OUTPUT);
	say(fd, "alive\n");
	turn();
	expect(fd, "alive\n");
	close(fd);
}

static void
references_and_copies_leave_in_the_order_they_were_written(void **state)
{
	static char got[2 * BIG];
	struct output *o = &serve.output;
	struct conn *c;
	int fd = client(&c), settled;

	(void)state;
	memset(big, '1', BIG / 2);
	memset(big + BIG / 2, '2', BIG / 2);
	for (settled = 0; settled < 2; settled++) {
		size_t had = 0;

		assert_int_equal(buf_append(&o->bytes, "a", 1), KV_OK);
		assert_true(output_refer(o, (struct kv_slice){ big, BIG / 2 }));
		assert_int_equal(buf_append(&o->bytes, "bc", 2), KV_OK);
		assert_true(output_refer(o,
		    (struct kv_slice){ big + BIG / 2, BIG / 2 }));
		if (settled)
			assert_int_equal(output_settle(o), KV_OK);
		assert_int_equal(output_size(o), BIG + 3);
		output_emit(c, 0);
		while (had < BIG + 3) {
			ssize_t n = read(fd, got + had, sizeof(got) - had);

			if (n > 0)
				had += (size_t)n;
			turn();
		}
		assert_int_equal(got[0], 'a');
		assert_memory_equal(got + 1, big, BIG / 2);
		assert_memory_equal(got + 1 + BIG / 2, "bc", 2);
		assert_memory_equal(got + 3 + BIG / 2, big + BIG / 2, BIG / 2);
	}
	close(fd);
}

static void
a_reply_beyond_all_bounds_closes_its_connection_only(void **state)
{
	int fd = client(NULL), other = client(NULL);
	struct conn *c = serve.conns;
	struct output *o = &serve.output;
	bool outer = conn_enter(c);

	(void)state;
	assert_int_equal(buf_reserve(&o->bytes, 10 * BIG), KV_OK);
	memset(o->bytes.data, 'x', 10 * BIG);
	o->bytes.len = 10 * BIG;
	output_emit(c, 0);
	conn_leave(c, outer);
	assert_int_equal(closes, 1);
	say(other, "here\n");
	turn();
	expect(other, "here\n");
	close(fd);
	close(other);
}

static void
what_the_owner_holds_back_is_run_again_when_it_lets_go(void **state)
{
	struct conn *c;
	int fd = client(&c);

	(void)state;
	hold = true;
	say(fd, "one\n");
	turn();
	say(fd, "two\n");
	turn();
	expect(fd, "");
	hold = false;
	conn_release(c, CONN_HOLD_OWNER);
	turn();
	turn();
	expect(fd, "one\ntwo\n");
	close(fd);
}

static void
draining_answers_what_was_sent_and_ends_all(void **state)
{
	int a = client(NULL), b = client(NULL);

	(void)state;
	say(a, "last\nhalf");
	serve_drain(&serve);
	expect(a, "last\n");
	assert_int_equal(serve.count, 0);
	assert_int_equal(closes, 2);
	close(a);
	close(b);
}

static void
one_client_too_many_is_told_so_and_closed(void **state)
{
	struct listener l;
	char got[64] = "";
	int fd, i, clients[3];

	(void)state;
	serve.limits.connections = 2;
	assert_int_equal(sock_listen_tcp("127.0.0.1", 0, 16, &fd), KV_OK);
	assert_int_equal(listener_start(&l, &serve, fd, 0), KV_OK);
	for (i = 0; i < 3; i++) {
		assert_int_equal(sock_connect_tcp("127.0.0.1", sock_port(fd),
				     1000, &clients[i]),
		    KV_OK);
		while (serve.accepted + serve.refused <= (uint64_t)i)
			turn();
	}
	assert_int_equal(serve.count, 2);
	while (read(clients[2], got, sizeof(got) - 1) < 0)
		assert_int_equal(errno, EAGAIN);
	assert_string_equal(got, "-ERR max number of clients reached\r\n");
	listener_stop(&l);
	for (i = 0; i < 3; i++)
		close(clients[i]);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(what_came_in_pieces_is_answered_when_it_is_whole),
		T(an_answer_leaves_when_its_place_in_the_log_is_durable),
		T(an_answer_for_a_client_that_went_away_harms_nobody),
		T(half_closed_a_client_gets_its_answers_and_then_the_end),
		T(a_client_that_does_not_read_is_not_read_and_loses_nothing),
		T(references_and_copies_leave_in_the_order_they_were_written),
		T(a_reply_beyond_all_bounds_closes_its_connection_only),
		T(what_the_owner_holds_back_is_run_again_when_it_lets_go),
		T(draining_answers_what_was_sent_and_ends_all),
		T(one_client_too_many_is_told_so_and_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
