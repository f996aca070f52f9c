/* SPDX-License-Identifier: ISC */
/* The life of the desk, and what its parts share. */

#include "syncd/desk.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "io/sock.h"
#include "syncd/store.h"

#define DESK_BACKLOG 1024
#define DESK_CONNS 4096
#define DESK_OUTPUT (8u << 20) /* of a connection: a call's arguments twice */
#define DESK_INPUT (4u << 20)
#define DESK_NAME_MAX 32 /* "worker.127", below the folder */

static void
desk_opened(struct conn *c)
{
	desk_conn_of(c)->kind = &door_kind;
	if (!sock_peer_is_ours(c->source.fd))
		conn_finish(c, true);
}

static size_t
desk_input(struct conn *c, struct kv_slice in)
{
	return desk_conn_of(c)->kind->input(desk_conn_of(c), in);
}

static void
desk_closed(struct conn *c)
{
	struct desk_conn *dc = desk_conn_of(c);

	dc->kind->closed(dc);
	buf_fini(&dc->rest);
	buf_fini(&dc->text);
}

static const struct serve_handlers desk_handlers = {
	.size = sizeof(struct desk_conn),
	.opened = desk_opened,
	.input = desk_input,
	.closed = desk_closed,
};

struct desk_conn *
desk_find(const struct desk *d, const struct desk_kind *kind, uint64_t id)
{
	struct conn *c;

	DL_FOREACH(d->serve.conns, c)
		if (desk_conn_of(c)->kind == kind && desk_conn_of(c)->id == id)
			return desk_conn_of(c);
	return NULL;
}

bool
desk_has_worker(const struct desk *d, unsigned slot)
{
	const struct control_process *p =
	    &engine_control(d->s->engine)->processes[slot];

	return atomic_load(&p->pid) != 0 &&
	    atomic_load(&p->role) == ROLE_WORKER;
}

static void
desk_path(const struct desk *d, const char *name, unsigned slot,
    char to[PATH_MAX])
{
	int n = snprintf(to, PATH_MAX, "%.*s/%s", PATH_MAX - DESK_NAME_MAX,
	    engine_folder(d->s->engine), name);

	if (slot != UINT_MAX)
		snprintf(to + n, (size_t)(PATH_MAX - n), ".%u", slot);
}

struct desk_conn *
desk_connect(struct desk *d, const struct desk_kind *kind, unsigned slot,
    char how)
{
	char path[PATH_MAX], head[1 + DESK_MARK];
	struct desk_conn *c;
	struct conn *conn;
	int fd;

	desk_path(d, "worker", slot, path);
	if (sock_connect_unix(path, 0, &fd) < 0 ||
	    (conn = conn_take(&d->serve, fd, CONN_WHOLE)) == NULL)
		return NULL;
	c = desk_conn_of(conn);
	c->kind = kind;
	c->slot = slot;
	head[0] = how;
	randombytes_buf(c->mark, DESK_MARK);
	memcpy(head + 1, c->mark, DESK_MARK);
	return desk_write(c, (struct kv_slice){ head, sizeof(head) }) ? c
								      : NULL;
}

bool
desk_write(struct desk_conn *c, struct kv_slice bytes)
{
	bool outer = conn_enter(&c->conn), alive;

	if (output_append(&c->conn, bytes.data, bytes.len))
		output_flush(&c->conn);
	alive = !conn_is_dead(&c->conn);
	conn_leave(&c->conn, outer);
	return alive;
}

void
desk_wants_turn(struct desk *d)
{
	d->s->turn_wanted = true;
	loop_again(d->s->loop);
}

/* ---- life ---- */

static void
desk_look(void *user, const struct replica_link *l, struct replica_status *out)
{
	const struct desk *d = user;

	replica_status(d->s->replica, l, out);
}

static int
desk_open_services(struct desk *d)
{
	static const struct services_ops ops = {
		.look = desk_look,
		.answer = door_answer,
		.answered = door_answered,
		.run = runner_run,
		.stop = runner_stop,
		.room = runner_room,
		.message = post_message,
		.wall_ms = post_wall_ms,
		.settled = door_settled,
	};
	struct services_config config = {
		.inc = syncd_store_self(d->s->adapter)->inc,
		.value_max = (size_t)conf_u64(d->s->conf, CONF_VALUE_MAX),
		.store = syncd_store_ops(d->s->adapter),
		.ops = &ops,
		.user = d,
	};

	return services_new(&config, &d->services);
}

static int
desk_open_door(struct desk *d)
{
	char path[PATH_MAX];
	int fd, rc;

	desk_path(d, "sync", UINT_MAX, path);
	/* Whose it was is dead: the role is ours. */
	(void)unlink(path);
	if ((rc = sock_listen_unix(path, DESK_BACKLOG, &fd)) < 0)
		return rc;
	rc = listener_start(&d->door, &d->serve, fd, 0);
	d->is_open = rc == KV_OK;
	return rc;
}

/* Each client that waits is a descriptor. */
static void
desk_raise_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int
desk_open(struct syncd *s, struct desk **out)
{
	struct serve_limits limits = { .connections = DESK_CONNS,
		.output = DESK_OUTPUT,
		.input = DESK_INPUT };
	struct desk *d = calloc(1, sizeof(*d));
	int rc;

	if (d == NULL)
		return KV_ENOMEM;
	d->s = s;
	*out = d;
	desk_raise_files();
	request_init(&d->request);
	roster_init(d);
	post_init(d);
	if ((rc = serve_init(&d->serve, s->loop, &desk_handlers, &limits, d)) <
		0 ||
	    (rc = allow_new(conf_text(s->conf, CONF_REMOTE_COMMANDS),
		 &d->allow)) < 0 ||
	    (rc = desk_open_services(d)) < 0)
		return rc;
	return desk_open_door(d);
}

void
desk_shut(struct desk *d)
{
	char path[PATH_MAX];

	if (!d->is_open)
		return;
	d->is_open = false;
	desk_path(d, "sync", UINT_MAX, path);
	(void)unlink(path);
	listener_stop(&d->door);
}

void
desk_close(struct desk *d)
{
	if (d == NULL)
		return;
	desk_shut(d);
	roster_fini(d);
	if (d->serve.input != NULL)
		serve_fini(&d->serve);
	post_fini(d);
	services_free(d->services);
	allow_free(d->allow);
	request_fini(&d->request);
	free(d);
}

void
desk_reload(struct desk *d)
{
	struct allow *allow;

	if (allow_new(conf_text(d->s->conf, CONF_REMOTE_COMMANDS), &allow) <
	    0) {
		log_error("remote_commands stays as it was");
		return;
	}
	allow_free(d->allow);
	d->allow = allow;
}

/* ---- a turn ---- */

void
desk_begin(struct desk *d)
{
	serve_run_again(&d->serve);
}

int
desk_turn(struct desk *d, uint64_t *next_ms)
{
	int rc;

	if ((rc = post_turn(d)) < 0)
		return rc;
	return services_turn(d->services, clock_mono_ns() / 1000000, next_ms);
}
