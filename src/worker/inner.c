/* SPDX-License-Identifier: ISC */
/* Requests that kv-syncd brings from other hosts. */

#include "worker/inner.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "io/sock.h"
#include "worker/session.h"

static void
inner_path(const struct worker *w, char to[PATH_MAX])
{
	snprintf(to, PATH_MAX, "%.*s/worker.%u", PATH_MAX - INNER_NAME_MAX,
	    engine_folder(w->engine), engine_slot(w->engine));
}

int
inner_open(struct worker *w)
{
	char path[PATH_MAX];
	int fd, rc;

	inner_path(w, path);
	/* Whose it was is dead: the slot is ours. */
	(void)unlink(path);
	if ((rc = sock_listen_unix(path, SOCK_BACKLOG, &fd)) < 0)
		return rc;
	rc = listener_start(&w->inner.listener, &w->serve, fd, CONN_INNER);
	w->inner.is_open = rc == KV_OK;
	return rc;
}

void
inner_close(struct worker *w)
{
	char path[PATH_MAX];

	if (!w->inner.is_open)
		return;
	w->inner.is_open = false;
	inner_path(w, path);
	(void)unlink(path);
	listener_stop(&w->inner.listener);
}

bool
inner_begin(struct session *s, char how)
{
	switch (how) {
	case 'L':
		session_mode(s, MODE_LINE);
		return true;
	case '2':
	case '3':
		s->proto = how == '2' ? 2 : 3;
		session_mode(s, MODE_RESP);
		return true;
	case 'P':
		session_mode(s, MODE_DEAF);
		return presence_watch(s);
	default:
		return false;
	}
}

bool
inner_is_over(const struct session *s, size_t done)
{
	return s->conn.flags & CONN_INNER && done > 0 &&
	    (s->mode == MODE_RESP || s->mode == MODE_LINE) &&
	    s->pubsub == NULL && !(s->conn.flags & CONN_HOLD_OWNER);
}
