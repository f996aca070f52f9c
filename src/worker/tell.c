/* SPDX-License-Identifier: ISC */
/* Lines for monitors, in the form of Redis' MONITOR, and their way out. */

#include "worker/tell.h"

#include <assert.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "engine/host.h"
#include "io/sock.h"
#include "worker/cmd.h"
#include "worker/commands.h"
#include "worker/monitor.h"
#include "worker/run.h"

#define TELL_PIECE 262144	  /* bytes of lines in one message */
#define TELL_LINES_MAX (8u << 20) /* that wait for one commit */
#define TELL_LOOK_NS 1000000000u  /* at monitors whose process died */
#define TELL_KEEP 65536

/* ---- which ---- */

/* Of these containers some subcommands are for administrators only. */
static bool
tell_is_admin(const struct call *c)
{
	static const struct {
		call_handler *run;
		const char *sub;
	} admin[] = {
		{ cmd_client, "list" },
		{ cmd_client, "kill" },
		{ cmd_client, "pause" },
		{ cmd_client, "unpause" },
		{ cmd_client, "no-evict" },
	};
	size_t i;

	if (c->command->info.flags & (COMMAND_ADMIN | COMMAND_SKIP_MONITOR))
		return true;
	if (c->command->run == cmd_acl) /* it may have passwords */
		return !slice_is_word(c->args[1], "whoami") &&
		    !slice_is_word(c->args[1], "cat");
	for (i = 0; i < sizeof(admin) / sizeof(*admin); i++)
		if (c->command->run == admin[i].run &&
		    slice_is_word(c->args[1], admin[i].sub))
			return true;
	return false;
}

unsigned
tell_needs(const struct call *c)
{
	if (!host_has_monitors(c->engine))
		return 0;
	/* A verb has no row in the table of commands. */
	return c->command != NULL && tell_is_admin(c) ? 0 : CALL_TOLD;
}

/* ---- lines ---- */

/* Quoted as by Redis' sdscatrepr, up to about room bytes of it. */
static int
tell_quote(struct buf *to, struct kv_slice text, size_t room)
{
	static const char plain[] = "\n\r\t\a\b\"\\", letters[] = "nrtab\"\\";
	size_t begin = to->len, i;
	const char *at;
	int rc = buf_append(to, " \"", 2);

	for (i = 0; i < text.len && rc == KV_OK && to->len - begin < room;
	     i++) {
		unsigned char ch = (unsigned char)text.data[i];

		at = ch == 0 ? NULL : strchr(plain, ch);
		if (at != NULL)
			rc = buf_printf(to, "\\%c", letters[at - plain]);
		else if (ch >= ' ' && ch <= '~')
			rc = buf_append(to, text.data + i, 1);
		else
			rc = buf_printf(to, "\\x%02x", ch);
	}
	if (rc == KV_OK && i < text.len)
		rc = buf_printf(to, "... (%zu more bytes)", text.len - i);
	return rc < 0 ? rc : buf_append(to, "\"", 1);
}

/* Passwords are not told: all behind AUTH; the two words behind HELLO's. */
static bool
tell_is_secret(const struct call *c, size_t i)
{
	if (slice_is_word(c->args[0], "auth"))
		return i > 0;
	return slice_is_word(c->args[0], "hello") &&
	    ((i > 1 && slice_is_word(c->args[i - 1], "auth")) ||
		(i > 2 && slice_is_word(c->args[i - 2], "auth")));
}

static int
tell_line(const struct call *c, struct buf *to)
{
	uint64_t now = clock_wall_us();
	size_t begin = to->len, used, i;
	char peer[SOCK_TEXT_MAX];
	int rc;

	peer[sock_peer_text(c->session->conn.source.fd, peer,
	    sizeof(peer) - 1)] = '\0';
	rc = buf_printf(to, "+%llu.%06llu [%u %s]",
	    (unsigned long long)(now / 1000000),
	    (unsigned long long)(now % 1000000), (unsigned)c->session->database,
	    peer);
	for (i = 0; i < c->argc && rc == KV_OK; i++) {
		if ((used = to->len - begin) >= TELL_LINE_MAX) {
			rc = buf_printf(to, " ... (%zu more arguments)",
			    c->argc - i);
			break;
		}
		rc = tell_quote(to,
		    tell_is_secret(c, i) ? slice_of("(redacted)") : c->args[i],
		    TELL_LINE_MAX - used);
	}
	return rc < 0 ? rc : buf_append(to, "\r\n", 2);
}

void
tell_command(const struct call *c)
{
	struct worker *w = c->worker;
	size_t before = w->told.len;

	if (before >= TELL_LINES_MAX || tell_line(c, &w->told) < 0) {
		w->told.len = before;
		w->untold++;
	}
}

size_t
tell_place(const struct worker *w)
{
	return w->told.len;
}

void
tell_rewind(struct worker *w, size_t place)
{
	if (w->told.len > place)
		w->told.len = place;
}

/* ---- on their way ---- */

/* The next whole lines, as many as one message takes. */
static struct kv_slice
tell_piece(const struct worker *w, size_t from)
{
	struct kv_slice piece = { w->told.data + from, w->told.len - from };
	const char *end;

	if (piece.len > TELL_PIECE) {
		end = memrchr(piece.data, '\n', TELL_PIECE);
		piece.len = (size_t)(end - piece.data) + 1;
	}
	return piece;
}

/* Stage lines, from `from` on; where they end that found room. */
static size_t
tell_stage(struct worker *w, size_t from)
{
	char id[MONITOR_ID_LEN];
	struct kv_slice piece;

	bytes_put_be64(id, w->run->session->id);
	while (from < w->told.len) {
		piece = tell_piece(w, from);
		if (engine_publish(w->engine, MESSAGE_MONITOR,
			(struct kv_slice){ id, sizeof(id) }, piece) < 0)
			break;
		from += piece.len;
	}
	return from;
}

static void
tell_look(struct worker *w)
{
	uint64_t now = loop_now(w->loop);

	if (w->untold > 0)
		log_warn("monitor lines_lost=%zu reason=\"a transaction of too"
			 " many commands, or no memory\"",
		    w->untold);
	w->untold = 0;
	if (now < w->tell_look_ns)
		return;
	w->tell_look_ns = now + TELL_LOOK_NS;
	host_look_for_dead(w->engine);
}

/* What found no room beside the writes comes in batches of its own, then. */
static void
tell_rest(struct worker *w, size_t from)
{
	uint64_t end;
	size_t to;

	while (from < w->told.len) {
		to = tell_stage(w, from);
		if (to == from || engine_commit(w->engine, &end) < 0)
			break;
		from = to;
	}
	if (from < w->told.len)
		monitor_here(w, w->run->session->id,
		    (struct kv_slice){ w->told.data + from,
			w->told.len - from });
	w->told.len = 0;
	buf_shrink(&w->told, TELL_KEEP);
	tell_look(w);
}

int
tell_commit(struct worker *w, uint64_t *end)
{
	size_t from = 0;
	int rc;

	if (engine_staged(w->engine) > 0) {
		from = tell_stage(w, 0);
		if ((rc = engine_commit(w->engine, end)) < 0)
			return rc;
	}
	if (w->told.len > 0)
		tell_rest(w, from);
	return KV_OK;
}

void
tell_flush(struct worker *w)
{
	assert(engine_staged(w->engine) == 0);
	if (w->told.len > 0)
		tell_rest(w, 0);
}

void
tell_fini(struct worker *w)
{
	buf_fini(&w->told);
}
