/* SPDX-License-Identifier: ISC */
/* What needs other hosts: WAIT, BARRIER, CALL, CLIENTS, KICK.  kv-syncd is asked, the
 * client waits, the worker does not. */

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/num.h"
#include "io/sock.h"
#include "worker/cmd.h"
#include "worker/multi.h"
#include "worker/peers.h"
#include "worker/run.h"

#define PEERS_GRACE_MS 2000u  /* kv-syncd keeps the time, if it lives */
#define PEERS_MS_MAX 3600000u /* longest wait, but for WAIT */
#define PEERS_KEEP_S 60	      /* until a client that waits is looked for */
#define PEERS_CALL_MS 5000u   /* of a CALL that names none */
#define PEERS_ARGS_MAX 1024   /* of a CALL */

static bool
peers_time(struct call *c, struct kv_slice text, uint64_t *ms)
{
	const char *sign = c->command == NULL ? "" : "ERR ";
	int64_t n;

	if (num_parse_i64(text, &n) < 0) {
		call_errorf(c, "%stimeout is not an integer or out of range",
		    sign);
		return false;
	}
	if (n < 0) {
		call_errorf(c, "%stimeout is negative", sign);
		return false;
	}
	*ms = (uint64_t)n;
	return true;
}

/* A time limit in an argument: 0 is the longest.  False: it is answered. */
bool
cmd_peers_limit(struct call *c, struct kv_slice text, uint64_t *ms)
{
	if (!peers_time(c, text, ms))
		return false;
	if (*ms == 0 || *ms > PEERS_MS_MAX)
		*ms = PEERS_MS_MAX;
	return true;
}

/* "noconnection foo: why" as a line, "-NOCONNECTION foo: why" in RESP.  What is
 * unavailable is only waited for: "ERROR waiting for foo". */
int
cmd_peers_error(struct call *c, const char *text)
{
	static const char unavailable[] = "unavailable ";
	char upper[512];
	size_t i;

	if (c->command == NULL)
		return call_error(c,
		    strncmp(text, unavailable, strlen(unavailable)) == 0
			? text + strlen(unavailable)
			: text);
	snprintf(upper, sizeof(upper), "%s", text);
	for (i = 0; upper[i] != '\0' && upper[i] != ' '; i++)
		upper[i] = (char)toupper((unsigned char)upper[i]);
	return call_error(c, upper);
}

static int
peers_cannot_ask(struct call *c, int rc)
{
	if (rc == KV_ENOTFOUND)
		return cmd_peers_error(c,
		    "noconnection kv-syncd does not run on this host");
	if (rc == KV_EBUSY)
		return cmd_peers_error(c,
		    "noconnection kv-syncd has too much to do");
	return rc;
}

/* ---- WAIT ---- */

static int
wait_answer(struct call *c, int64_t n)
{
	if (c->command != NULL) {
		reply_integer(c->reply, n);
		return KV_OK;
	}
	line_number(c->reply, n);
	line_ok(c->reply);
	return KV_OK;
}

static bool
wait_arguments(struct call *c, size_t first, int64_t *n, uint64_t *ms)
{
	return call_integer(c, c->args[first], n) &&
	    peers_time(c, c->args[first + 1], ms);
}

/* ms 0: until they are so many, or the client is gone, which only its kernel
 * may know. */
static bool
wait_ask(struct call *c, int64_t n, uint64_t ms)
{
	char seq[NUM_TEXT_MAX], want[NUM_TEXT_MAX];
	struct kv_slice words[] = { { "WAIT", 4 },
		{ seq, num_format_u64(seq, c->session->written) },
		{ want, num_format_u64(want, n < 0 ? 0 : (uint64_t)n) } };
	struct peers_question q = { .words = words,
		.count = 3,
		.limit_ms = n <= 0 ? 1 : ms,
		.is_wait = true };

	if (q.limit_ms == 0)
		sock_keep_alive(c->session->conn.source.fd, PEERS_KEEP_S);
	return peers_ask(c, &q) == KV_OK;
}

/* How many hosts have what this client wrote.  False: not known yet, and the
 * client is held. */
static bool
wait_hosts(struct call *c, int64_t n, uint64_t ms, int64_t *count)
{
	struct peers_answer answer;

	*count = 0;
	/* As in Redis a transaction waits for nothing; and a node by itself is
	 * told so, instead of waiting for others in vain. */
	if (!peers_has_asked(c->session))
		return multi_is_open(c->session) || !c->worker->has_sync ||
		    !wait_ask(c, n, ms);
	if (!peers_answered(c, &answer))
		return false;
	if (!answer.is_error)
		*count = answer.number;
	peers_end(c->session);
	return true;
}

int
cmd_wait(struct call *c)
{
	int64_t n, count;
	uint64_t ms;

	if (!wait_arguments(c, 1, &n, &ms) || !wait_hosts(c, n, ms, &count))
		return KV_OK;
	return wait_answer(c, count);
}

/* This reply waits for the disk itself where the mode is "always". */
int
cmd_waitaof(struct call *c)
{
	const struct control *k = engine_control(c->engine);
	int64_t local, n, count;
	uint64_t ms;

	if (!call_integer(c, c->args[1], &local) ||
	    !wait_arguments(c, 2, &n, &ms))
		return KV_OK;
	if (local < 0 || local > 1)
		return call_error(c,
		    "ERR value is out of range, must be between 0 and 1");
	if (n > 0 ? !wait_hosts(c, n, ms, &count) : (count = 0, false))
		return KV_OK;
	reply_array(c->reply, 2);
	reply_integer(c->reply,
	    atomic_load(&k->durability) == DURABILITY_ALWAYS);
	reply_integer(c->reply, count);
	return KV_OK;
}

/* ---- BARRIER ---- */

int
cmd_peers_barrier(struct call *c, uint64_t until, uint64_t seq, uint64_t ms)
{
	char number[NUM_TEXT_MAX];
	struct kv_slice words[] = { { "BARRIER", 7 },
		{ number, num_format_u64(number, until) } };
	struct peers_question q = { .words = words,
		.count = 2,
		.limit_ms = ms,
		.is_wait = true,
		.seq = seq };

	return peers_ask(c, &q);
}

int
cmd_kv_barrier(struct call *c)
{
	struct peers_answer answer = { .is_error = false };
	uint64_t ms;
	int rc = KV_OK;

	if (!peers_has_asked(c->session)) {
		if (!cmd_peers_limit(c, c->args[1], &ms))
			return KV_OK;
		/* A node by itself is all there are. */
		if (c->worker->has_sync)
			return cmd_peers_barrier(c, c->session->written, 0, ms);
	} else if (!peers_answered(c, &answer)) {
		return KV_OK;
	}
	if (answer.is_error)
		rc = cmd_peers_error(c, answer.text);
	else if (c->command == NULL)
		line_ok(c->reply);
	else
		reply_ok(c->reply);
	peers_end(c->session);
	return rc;
}

/* ---- CALL, CLIENTS: the answer goes to the client as it comes ---- */

/* What came went out; at its end only a failure is left to say. */
static int
peers_streamed(struct call *c)
{
	struct peers_answer answer;
	int rc = KV_OK;

	if (!peers_answered(c, &answer))
		return KV_OK;
	if (answer.is_error && answer.is_begun && c->command != NULL) {
		/* There is no way to say it within a reply. */
		c->worker->run->stop = true;
		conn_close(&c->session->conn);
		return KV_OK;
	}
	if (answer.is_error)
		rc = cmd_peers_error(c, answer.text);
	peers_end(c->session);
	return rc;
}

/* The answer's form. */
static struct kv_slice
peers_form(const struct call *c)
{
	const char *form = c->command == NULL ? "L"
	    : c->session->proto == 3	      ? "3"
					      : "2";

	return (struct kv_slice){ form, 1 };
}

static bool
call_subscribes(struct kv_slice command)
{
	return slice_is_word(command, "subscribe") ||
	    slice_is_word(command, "psubscribe");
}

/* CALL node [TIMEOUT ms] command ... */
static int
call_ask(struct call *c)
{
	struct kv_slice *words;
	char limit[NUM_TEXT_MAX];
	struct peers_question q = { .is_line = c->command == NULL };
	uint64_t ms = PEERS_CALL_MS;
	size_t at = 2, i;
	int rc;

	if (c->argc > 4 && slice_is_word(c->args[2], "timeout")) {
		if (!cmd_peers_limit(c, c->args[3], &ms))
			return KV_OK;
		at = 4;
	}
	if (c->argc - at > PEERS_ARGS_MAX - 2)
		return cmd_peers_error(c, "failed too many arguments");
	q.count = 4 + c->argc - at;
	q.streams = call_subscribes(c->args[at]);
	q.limit_ms = q.streams ? 0 : ms + PEERS_GRACE_MS;
	if ((words = malloc(q.count * sizeof(*words))) == NULL)
		return KV_ENOMEM;
	words[0] = slice_of("CALL");
	words[1] = peers_form(c);
	words[2] = c->args[1];
	words[3] = (struct kv_slice){ limit,
		num_format_u64(limit, q.streams ? 0 : ms) };
	for (i = at; i < c->argc; i++)
		words[4 + i - at] = c->args[i];
	q.words = words;
	rc = peers_ask(c, &q);
	free(words);
	if (rc < 0)
		return peers_cannot_ask(c, rc);
	if (q.streams) {
		session_mode(c->session, MODE_DEAF);
		c->session->conn.flags |= CONN_PATIENT;
	}
	return KV_OK;
}

int
cmd_kv_call(struct call *c)
{
	return peers_has_asked(c->session) ? peers_streamed(c) : call_ask(c);
}

int
cmd_kv_clients(struct call *c)
{
	struct kv_slice words[] = { { "CLIENTS", 7 }, peers_form(c),
		c->argc > 1 ? c->args[1] : (struct kv_slice){ "", 0 } };
	struct peers_question q = { .words = words,
		.count = c->argc > 1 ? 3 : 2,
		.limit_ms = 10000,
		.is_line = c->command == NULL };
	int rc;

	if (c->argc > 2)
		return call_error(c, "ERR syntax error");
	if (peers_has_asked(c->session))
		return peers_streamed(c);
	if (!c->worker->has_sync)
		return cmd_kv_clients_here(c);
	rc = peers_ask(c, &q);
	return rc < 0 ? peers_cannot_ask(c, rc) : rc;
}

/* ---- KICK ---- */

int
cmd_kv_kick(struct call *c)
{
	struct kv_slice words[] = { { "KICK", 4 },
		c->argc > 1 ? c->args[1] : (struct kv_slice){ "", 0 } };
	struct peers_question q = { .words = words,
		.count = c->argc > 1 ? 2 : 1,
		.limit_ms = PEERS_GRACE_MS };
	struct peers_answer answer;
	int rc = KV_OK;

	if (c->argc > 2)
		return call_error(c, "ERR syntax error");
	if (!peers_has_asked(c->session)) {
		rc = peers_ask(c, &q);
		return rc < 0 ? peers_cannot_ask(c, rc) : rc;
	}
	if (!peers_answered(c, &answer))
		return KV_OK;
	if (answer.is_error)
		rc = cmd_peers_error(c, answer.text);
	else
		reply_integer(c->reply, answer.number);
	peers_end(c->session);
	return rc;
}
