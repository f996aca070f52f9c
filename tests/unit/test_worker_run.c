/* SPDX-License-Identifier: ISC */
/* Requests in batches over an engine of paper whose commits fail on command:
 * whatever goes wrong, each request is answered once and in order, and what was
 * answered "OK" is what happened. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/rng.h"
#include "conf/conf.h"
#include "serve/conn.h"
#include "worker/worker.h"

#include "paper_engine.h"

/* ---- a worker with one client */

static struct worker worker;
static struct loop *loop;
static int client;

static int
set_up(void **state)
{
	struct conf_error error;
	struct conf *conf;
	int pair[2];

	(void)state;
	memset(&paper, 0, sizeof(paper));
	paper.durable = UINT64_MAX;
	if (conf_new(&conf) < 0 || conf_complete(conf, &error) < 0 ||
	    loop_new(&loop) < 0 || worker_init(&worker, &paper, loop, conf) < 0)
		return -1;
	conf_free(conf);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0)
		return -1;
	client = pair[1];
	return conn_take(&worker.serve, pair[0], 0) == NULL ? -1 : 0;
}

static int
tear_down(void **state)
{
	int wake = worker.wake.fd;

	(void)state;
	worker_fini(&worker);
	loop_free(loop);
	close(client);
	close(wake);
	assert_false(paper.locked);
	return 0;
}

static void
turns(unsigned n)
{
	while (n-- > 0) {
		loop_again(loop);
		assert_int_equal(loop_turn(loop), KV_OK);
	}
}

static void
script(size_t n, const int *results)
{
	memcpy(paper.script, results, n * sizeof(*results));
	paper.script_len = n;
	paper.script_at = 0;
}

static void
say(const char *text)
{
	assert_int_equal(write(client, text, strlen(text)),
	    (ssize_t)strlen(text));
	turns(3);
}

static void
expect(const char *text)
{
	static char got[65536];
	ssize_t n = read(client, got, sizeof(got) - 1);

	if (n < 0)
		assert_int_equal(errno, EAGAIN);
	got[n > 0 ? n : 0] = '\0';
	assert_string_equal(got, text);
}

/* The commands that monitors were told of, without times and addresses. */
static void
expect_told(const char *text)
{
	char got[65536];
	size_t i, n = 0;
	bool in = false;

	for (i = 0; i < paper.told_len; i++) {
		char ch = paper.told[i];

		if (ch == ']')
			in = true;
		else if (in && ch != '\r')
			got[n++] = ch;
		if (ch == '\n')
			in = false;
	}
	got[n] = '\0';
	assert_string_equal(got, text);
	paper.told_len = 0;
}

static const char *
value(const char *key)
{
	static char text[65];
	struct record r;

	if (engine_get(&paper, &paper.bucket, slice_of(key), &r) < 0)
		return "";
	memcpy(text, r.value.data, r.value.len);
	text[r.value.len] = '\0';
	return text;
}

static void
the_writes_of_one_buffer_are_one_batch(void **state)
{
	(void)state;
	say("SET a 1\r\nSET b 2\r\nGET a\r\nSET c 3\r\n");
	expect("+OK\r\n+OK\r\n$1\r\n1\r\n+OK\r\n");
	assert_int_equal(paper.commits, 1);
	assert_string_equal(value("c"), "3");
}

static void
a_stale_batch_is_run_again_and_answered_once(void **state)
{
	(void)state;
	script(2, (int[]){ KV_ESTALE, KV_ESTALE });
	say("PING\r\nGET a\r\nSET a 1\r\nGET a\r\nSET a 2\r\n");
	expect("+PONG\r\n$-1\r\n+OK\r\n$1\r\n1\r\n+OK\r\n");
	assert_int_equal(paper.commits, 1);
	assert_int_equal(paper.locks, 0);
}

static void
a_batch_that_stays_stale_is_run_under_the_lock(void **state)
{
	int stale[32];
	size_t i;

	(void)state;
	for (i = 0; i < 32; i++)
		stale[i] = KV_ESTALE;
	script(32, stale);
	say("SET a 1\r\nSET b 2\r\n");
	expect("+OK\r\n+OK\r\n");
	assert_true(paper.locks > 0);
	assert_string_equal(value("b"), "2");
}

static void
a_full_log_holds_the_client_back_until_there_is_room(void **state)
{
	(void)state;
	script(3, (int[]){ KV_EAGAIN, KV_EAGAIN, KV_EAGAIN });
	say("PING\r\nSET a 1\r\nGET a\r\n");
	say("SET a 2\r\n");
	expect("+PONG\r\n");
	assert_int_equal(paper.commits, 0);
	paper.room = true;
	turns(10);
	expect("+OK\r\n$1\r\n1\r\n+OK\r\n");
	assert_string_equal(value("a"), "2");
}

static void
a_full_disk_refuses_writes_and_goes_on_reading(void **state)
{
	(void)state;
	say("SET a 1\r\n");
	expect("+OK\r\n");
	script(1, (int[]){ KV_ENOSPC });
	say("SET a 2\r\nGET a\r\nINCR a\r\nGET a\r\n");
	expect("-OOM command not allowed: no space left\r\n$1\r\n1\r\n"
	       ":2\r\n$1\r\n2\r\n");
}

static void
the_line_protocol_says_it_in_its_own_words(void **state)
{
	(void)state;
	script(1, (int[]){ KV_ENOSPC });
	say("PUT b k v\r\nGET b k\r\n");
	expect("ERROR no space left\r\n\r\nOK\r\n");
	script(1, (int[]){ KV_ESTALE });
	say("PUT b k v\r\nGET b k\r\n");
	expect("OK\r\nv\r\nOK\r\n");
}

static void
half_of_a_command_is_never_done(void **state)
{
	(void)state;
	paper.put_fails = 4; /* SET is the first, MSET c the fourth */
	say("SET x 1\r\nMSET a 1 b 2 c 3\r\nSET y 2\r\n");
	expect("+OK\r\n-OOM command not allowed: no space left\r\n+OK\r\n");
	assert_string_equal(value("a"), "");
	assert_string_equal(value("x"), "1");
	assert_string_equal(value("y"), "2");
}

static void
counters_share_a_lock_section(void **state)
{
	(void)state;
	say("SET n 5\r\nGET n\r\n");
	expect("+OK\r\n$1\r\n5\r\n");
	say("*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n"
	    "*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n");
	expect(":6\r\n:7\r\n:8\r\n");
	assert_int_equal(paper.locks, 1);
	assert_int_equal(paper.commits, 2);
}

static void
a_mode_does_not_change_under_a_batch_that_is_undone(void **state)
{
	(void)state;
	script(1, (int[]){ KV_ESTALE });
	say("SET a 1\r\nHELLO 3\r\nGET none\r\n");
	script(1, (int[]){ KV_ESTALE });
	say("SET a 2\r\nQUIT\r\nSET a 3\r\n");
	turns(3);
	assert_string_equal(value("a"), "2");
	assert_int_equal(worker.serve.count, 0);
}

static void
monitors_are_told_once_of_what_was_run_again(void **state)
{
	(void)state;
	paper.monitored = true;
	script(2, (int[]){ KV_ESTALE, KV_ESTALE });
	say("PING\r\nSET a 1\r\nGET a\r\nNONE\r\nHELLO 3 AUTH u p\r\n");
	expect_told(" \"PING\"\n \"SET\" \"a\" \"1\"\n \"GET\" \"a\"\n"
		    " \"HELLO\" \"3\" \"AUTH\" \"(redacted)\""
		    " \"(redacted)\"\n");
}

static void
a_transaction_is_told_when_it_happens_and_only_then(void **state)
{
	(void)state;
	say("ECHO x\r\n"); /* Redis' protocol, then */
	expect("$1\r\nx\r\n");
	paper.monitored = true;
	say("MULTI\r\nSET a 1\r\nINCR a\r\n");
	expect_told(" \"MULTI\"\n");
	script(1, (int[]){ KV_ESTALE });
	say("EXEC\r\n");
	expect_told(" \"SET\" \"a\" \"1\"\n \"INCR\" \"a\"\n \"EXEC\"\n");
	say("MULTI\r\nSET a 3\r\nDISCARD\r\n");
	expect_told(" \"MULTI\"\n \"DISCARD\"\n");
	script(2, (int[]){ KV_OK, KV_ENOSPC }); /* MULTI, EXEC */
	say("MULTI\r\nSET a 4\r\nEXEC\r\n");
	assert_string_equal(value("a"), "2");
	expect_told(" \"MULTI\"\n");
}

static void
lines_that_cannot_be_written_hold_nobody_back(void **state)
{
	(void)state;
	say("ECHO x\r\n"); /* Redis' protocol, then */
	expect("$1\r\nx\r\n");
	paper.monitored = true;
	script(3, (int[]){ KV_EAGAIN, KV_ENOSPC, KV_OK });
	say("GET a\r\n");
	say("GET b\r\n");
	say("GET c\r\n");
	expect("$-1\r\n$-1\r\n$-1\r\n");
	expect_told(" \"GET\" \"c\"\n");
}

static void
nobody_waits_for_lines_to_be_durable(void **state)
{
	(void)state;
	say("ECHO x\r\n"); /* Redis' protocol, then */
	expect("$1\r\nx\r\n");
	paper.monitored = true;
	paper.durable = 0;
	say("GET a\r\n");
	expect("$-1\r\n");
	assert_int_equal(paper.commits, 1);
}

/* Pipelines of counters and plain writes against every kind of failure. */
static void
whatever_fails_answers_and_state_agree(void **state)
{
	static const int kinds[] = { KV_OK, KV_OK, KV_ESTALE, KV_EAGAIN };
	uint64_t seed = rng_u64() | 1;
	char text[8192], wanted[8192], told[8192];
	int results[64], counts[3] = { 0, 0, 0 }, round, i;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	paper.room = true;
	for (round = 0; round < 300; round++) {
		size_t said = 0, hoped = 0, lines = 0;
		int n = 1 + (int)(rng_next(&seed) % 40);

		paper.monitored = rng_next(&seed) % 2;
		for (i = 0; i < 64; i++)
			results[i] = kinds[rng_next(&seed) % 4];
		script(rng_next(&seed) % 64, results);
		for (i = 0; i < n; i++) {
			unsigned k = (unsigned)(rng_next(&seed) % 3);
			unsigned what = (unsigned)(rng_next(&seed) % 3);

			if (what == 0)
				counts[k] = (int)(rng_next(&seed) % 1000);
			if (what == 1)
				counts[k]++;
			said +=
			    (size_t)snprintf(text + said, sizeof(text) - said,
				what == 0	? "SET k%u %d\r\n"
				    : what == 1 ? "INCR k%u\r\n"
						: "INCRBY k%u 0\r\n",
				k, counts[k]);
			lines +=
			    (size_t)snprintf(told + lines, sizeof(told) - lines,
				what == 0	? " \"SET\" \"k%u\" \"%d\"\n"
				    : what == 1 ? " \"INCR\" \"k%u\"\n"
						: " \"INCRBY\" \"k%u\" \"0\"\n",
				k, counts[k]);
			hoped += (size_t)snprintf(wanted + hoped,
			    sizeof(wanted) - hoped,
			    what == 0 ? "+OK\r\n" : ":%d\r\n", counts[k]);
		}
		if (!paper.monitored)
			lines = 0;
		told[lines] = '\0';
		paper.told_len = 0;
		say(text);
		turns(80);
		expect(wanted);
		expect_told(told);
	}
}

static void
nothing_is_said_before_it_is_durable(void **state)
{
	(void)state;
	paper.durable = 0;
	say("SET a 1\r\nPING\r\n");
	expect("");
	say("PING\r\n");
	expect("");
	paper.durable = 1;
	turns(1);
	expect("+OK\r\n+PONG\r\n+PONG\r\n");
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(the_writes_of_one_buffer_are_one_batch),
		T(a_stale_batch_is_run_again_and_answered_once),
		T(a_batch_that_stays_stale_is_run_under_the_lock),
		T(a_full_log_holds_the_client_back_until_there_is_room),
		T(a_full_disk_refuses_writes_and_goes_on_reading),
		T(the_line_protocol_says_it_in_its_own_words),
		T(half_of_a_command_is_never_done),
		T(counters_share_a_lock_section),
		T(a_mode_does_not_change_under_a_batch_that_is_undone),
		T(monitors_are_told_once_of_what_was_run_again),
		T(a_transaction_is_told_when_it_happens_and_only_then),
		T(lines_that_cannot_be_written_hold_nobody_back),
		T(nobody_waits_for_lines_to_be_durable),
		T(whatever_fails_answers_and_state_agree),
		T(nothing_is_said_before_it_is_durable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
