/* SPDX-License-Identifier: ISC */
/* Telling of commands, in the form of Redis' MONITOR. */

#include "worker/monitor.h"

#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "io/sock.h"
#include "worker/commands.h"

/* Quoted as by Redis' sdscatrepr. */
static int
monitor_quote(struct buf *to, struct kv_slice text)
{
	static const char plain[] = "\n\r\t\a\b\"\\", letters[] = "nrtab\"\\";
	const char *at;
	size_t i;
	int rc = buf_append(to, " \"", 2);

	for (i = 0; i < text.len && rc == KV_OK; i++) {
		unsigned char ch = (unsigned char)text.data[i];

		at = ch == 0 ? NULL : strchr(plain, ch);
		if (at != NULL)
			rc = buf_printf(to, "\\%c", letters[at - plain]);
		else if (ch >= ' ' && ch <= '~')
			rc = buf_append(to, text.data + i, 1);
		else
			rc = buf_printf(to, "\\x%02x", ch);
	}
	return rc < 0 ? rc : buf_append(to, "\"", 1);
}

/* Passwords are not told. */
static bool
monitor_is_secret(const struct call *c, size_t i)
{
	return i > 0 && c->command->info.flags & COMMAND_NO_AUTH &&
	    (slice_is_word(c->args[0], "auth") ||
		slice_is_word(c->args[0], "hello"));
}

static int
monitor_line(const struct call *c, struct buf *to)
{
	uint64_t now = clock_wall_ms();
	char peer[SOCK_TEXT_MAX];
	size_t i;
	int rc;

	peer[sock_peer_text(c->session->conn.source.fd, peer,
	    sizeof(peer) - 1)] = 0;
	to->len = 0;
	rc = buf_printf(to, "+%llu.%06llu [%u %s]",
	    (unsigned long long)(now / 1000),
	    (unsigned long long)(now % 1000 * 1000),
	    (unsigned)c->session->database, peer);
	for (i = 0; i < c->argc && rc == KV_OK; i++)
		rc = monitor_quote(to,
		    monitor_is_secret(c, i) ? slice_of("(redacted)")
					    : c->args[i]);
	return rc < 0 ? rc : buf_append(to, "\r\n", 2);
}

static void
monitor_send(struct worker *w, struct session *s, const struct buf *line)
{
	struct conn *c = &s->conn;

	if (output_pending(c) + line->len <= w->subscriber_limit) {
		(void)output_append(c, line->data, line->len);
		return;
	}
	w->subscribers_lost++;
	log_warn("close id=%llu reason=\"monitor too slow\" pending=%zu",
	    (unsigned long long)s->id, output_pending(c));
	conn_close(c);
}

void
monitor_command(const struct call *c)
{
	struct worker *w = c->worker;
	struct conn *conn, *next;
	struct buf line;

	if (w->monitors == 0 ||
	    c->command->info.flags & (COMMAND_ADMIN | COMMAND_SKIP_MONITOR))
		return;
	buf_init(&line);
	if (monitor_line(c, &line) == KV_OK) {
		/* Not to oneself: it would come between one's replies. */
		DL_FOREACH_SAFE(w->serve.conns, conn, next)
			if (session_of(conn)->flags & SESSION_MONITOR &&
			    conn != &c->session->conn)
				monitor_send(w, session_of(conn), &line);
	}
	buf_fini(&line);
}

void
monitor_flush(struct worker *w)
{
	struct conn *conn, *next;

	if (w->monitors == 0)
		return;
	DL_FOREACH_SAFE(w->serve.conns, conn, next)
		if (session_of(conn)->flags & SESSION_MONITOR &&
		    output_pending(conn) > 0 && !(conn->flags & CONN_WANT_OUT))
			output_flush(conn);
}

void
monitor_end(struct session *s)
{
	if (!(s->flags & SESSION_MONITOR))
		return;
	s->flags &= (uint16_t)~SESSION_MONITOR;
	s->conn.flags &= ~(uint32_t)CONN_PATIENT;
	session_worker(s)->monitors--;
}

int
cmd_monitor(struct call *c)
{
	struct session *s = c->session;

	if (!(s->flags & SESSION_MONITOR))
		c->worker->monitors++;
	s->flags |= SESSION_MONITOR;
	s->conn.flags |= CONN_PATIENT;
	reply_ok(c->reply);
	return KV_OK;
}
