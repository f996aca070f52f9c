/* SPDX-License-Identifier: ISC */
/* Commands of other hosts: looked up in what is allowed, given to a worker,
 * and its answer sent back as far as there is room. */

#include <utlist.h>

#include "base/rng.h"
#include "proto/line.h"
#include "proto/reply.h"
#include "syncd/desk.h"

#define RUNNER_WAITING (8u << 20) /* bytes of requests that workers leave */

/* The words of a line are to be just those that were looked up: no blanks or
 * line ends within them that would make others of them. */
static bool
runner_line(const struct kv_slice *argv, size_t argc, struct buf *to)
{
	struct request split;
	size_t i;
	bool same;

	for (i = 0; i < argc; i++)
		if (buf_append(to, " ", i > 0) < 0 ||
		    buf_append(to, argv[i].data, argv[i].len) < 0)
			return false;
	request_init(&split);
	line_split(buf_slice(to), &split);
	same = split.count == argc && argc <= REQUEST_ARGS_EMBEDDED;
	for (i = 0; i < argc && same; i++)
		same = slice_equal(split.args[i], argv[i]);
	request_fini(&split);
	return same && buf_append(to, "\r\n", 2) == KV_OK;
}

static bool
runner_encode(char form, const struct kv_slice *argv, size_t argc,
    struct buf *to)
{
	struct reply r = { to, 2, KV_OK };
	size_t i;

	if (form == 'L')
		return runner_line(argv, argc, to);
	reply_array(&r, argc);
	for (i = 0; i < argc; i++)
		reply_bulk(&r, argv[i]);
	return r.rc == KV_OK;
}

/* Workers take requests as they get rid of answers. */
static bool
runner_is_full(const struct desk *d)
{
	const struct conn *c;
	size_t n = 0;

	DL_FOREACH(d->serve.conns, c)
		if (((const struct desk_conn *)c)->kind == &runner_kind)
			n += output_pending(c);
	return n > RUNNER_WAITING;
}

/* Any worker will do; begin at random, so that all get some. */
static struct desk_conn *
runner_connect(struct desk *d, char form)
{
	unsigned start = (unsigned)(rng_next(&d->s->seed) % CONTROL_PROCESSES);
	struct desk_conn *c = NULL;
	unsigned i, slot;

	for (i = 0; i < CONTROL_PROCESSES && c == NULL; i++) {
		slot = (start + i) % CONTROL_PROCESSES;
		if (desk_has_worker(d, slot))
			c = desk_connect(d, &runner_kind, slot, form);
	}
	return c;
}

void
runner_run(void *user, uint64_t job, const char *node,
    const struct kv_slice *argv, size_t argc, uint32_t deadline_ms)
{
	struct desk *d = user;
	struct desk_conn *c;
	struct buf request;

	(void)node;
	(void)deadline_ms;
	if (argc < 2 || argv[0].len != 1 ||
	    memchr("L23", argv[0].data[0], 3) == NULL) {
		services_finish(d->services, job, REPLY_FAILED,
		    "not a command");
		return;
	}
	switch (allow_look(d->allow, argv + 1, argc - 1)) {
	case ALLOW_YES:
		break;
	case ALLOW_NO:
		services_finish(d->services, job, REPLY_DENIED,
		    "not in remote_commands there");
		return;
	case ALLOW_UNKNOWN:
		services_finish(d->services, job, REPLY_NOT_FOUND,
		    "no such command there");
		return;
	}
	buf_init(&request);
	if (runner_is_full(d))
		services_finish(d->services, job, REPLY_FAILED,
		    "too many calls wait there");
	else if (!runner_encode(argv[0].data[0], argv + 1, argc - 1, &request))
		services_finish(d->services, job, REPLY_FAILED,
		    "a word that is none");
	else if ((c = runner_connect(d, argv[0].data[0])) == NULL)
		services_finish(d->services, job, REPLY_FAILED,
		    "no worker runs there");
	else {
		c->id = job;
		(void)desk_write(c, buf_slice(&request));
	}
	buf_fini(&request);
}

void
runner_stop(void *user, uint64_t job)
{
	struct desk *d = user;
	struct desk_conn *c = desk_find(d, &runner_kind, job);

	if (c == NULL)
		return;
	c->id = 0;
	conn_close(&c->conn);
}

void
runner_room(void *user, uint64_t job)
{
	struct desk_conn *c = desk_find(user, &runner_kind, job);

	if (c != NULL)
		conn_release(&c->conn, CONN_HOLD_OWNER);
}

/* How many of the last bytes may be, or are, the mark of a whole answer. */
static size_t
runner_marked(const struct desk_conn *c, struct kv_slice in)
{
	size_t n = in.len < DESK_MARK ? in.len : DESK_MARK;

	while (memcmp(in.data + in.len - n, c->mark, n) != 0)
		n--;
	return n;
}

static size_t
runner_input(struct desk_conn *c, struct kv_slice in)
{
	struct desk *d = desk_of(c);
	size_t marked = runner_marked(c, in), part = in.len - marked;
	size_t room = services_room(d->services, c->id);
	size_t n = part < room ? part : room;

	if (n > 0 &&
	    services_reply(d->services, c->id,
		(struct kv_slice){ in.data, n }) < 0) {
		conn_close(&c->conn);
		return in.len;
	}
	if (n < part) {
		conn_hold(&c->conn, CONN_HOLD_OWNER);
	} else if (marked == DESK_MARK) {
		services_finish(d->services, c->id, REPLY_OK, "");
		c->id = 0;
		conn_close(&c->conn);
	}
	desk_wants_turn(d);
	return n;
}

static void
runner_closed(struct desk_conn *c)
{
	struct desk *d = desk_of(c);

	if (c->id == 0)
		return;
	services_finish(d->services, c->id, REPLY_FAILED,
	    "the worker that ran it ended");
	desk_wants_turn(d);
}

const struct desk_kind runner_kind = { runner_input, runner_closed };
