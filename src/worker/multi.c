/* SPDX-License-Identifier: ISC */
/* Queueing commands and carrying them out as one. */

#include "worker/multi.h"

#include <stdlib.h>

#include "worker/ahead.h"
#include "worker/cmd.h"
#include "worker/commands.h"
#include "worker/run.h"
#include "worker/tell.h"
#include "worker/watch.h"

#define MULTI_KEEP 16384 /* bytes of queue that a session may go on holding */
#define MULTI_WARM 64	 /* commands whose keys are read before the lock */

struct multi_entry {
	const struct command *command;
	size_t argc;
};

/* What commands of the queue may change, as it was before EXEC. */
struct multi_before {
	bool known;
	uint8_t proto;
	uint16_t flags;
	uint32_t database;
	size_t bucket_len;
	char bucket[KV_BUCKET_MAX + 1];
};

struct multi {
	bool open;
	bool spoiled;
	struct buf bytes;   /* of all arguments, one behind the other */
	struct buf lengths; /* theirs: size_t */
	struct buf entries; /* struct multi_entry */
	size_t count;
	size_t most;	/* arguments of one command */
	unsigned needs; /* of all commands */
	struct watch *watches;
	struct multi_before before;
};

static struct multi *
multi_of(struct session *s)
{
	if (s->multi == NULL)
		s->multi = calloc(1, sizeof(*s->multi));
	return s->multi;
}

bool
multi_is_open(const struct session *s)
{
	return s->multi != NULL && s->multi->open;
}

void
multi_spoil(struct session *s)
{
	if (multi_is_open(s))
		s->multi->spoiled = true;
}

bool
multi_is_spoiled(const struct session *s)
{
	return s->multi->spoiled;
}

size_t
multi_count(const struct session *s)
{
	return s->multi->count;
}

size_t
multi_bytes(const struct session *s)
{
	const struct multi *m = s->multi;

	return m == NULL ? 0 : m->bytes.cap + m->lengths.cap + m->entries.cap;
}

size_t
multi_watched(const struct session *s)
{
	return s->multi == NULL ? 0 : watch_count(s->multi->watches);
}

struct watch **
multi_watches(struct session *s)
{
	struct multi *m = multi_of(s);

	return m == NULL ? NULL : &m->watches;
}

int
multi_open(struct session *s)
{
	struct multi *m = multi_of(s);

	if (m == NULL)
		return KV_ENOMEM;
	m->open = true;
	return KV_OK;
}

/* Neither queue nor watches; what memory there is stays if it is little. */
static void
multi_clear(struct multi *m)
{
	watch_clear(&m->watches);
	m->bytes.len = m->lengths.len = m->entries.len = 0;
	buf_shrink(&m->bytes, MULTI_KEEP);
	buf_shrink(&m->lengths, MULTI_KEEP);
	buf_shrink(&m->entries, MULTI_KEEP);
	m->open = m->spoiled = m->before.known = false;
	m->count = m->most = 0;
	m->needs = 0;
}

void
multi_end(struct session *s)
{
	struct multi *m = s->multi;

	if (m == NULL)
		return;
	multi_clear(m);
	buf_fini(&m->bytes);
	buf_fini(&m->lengths);
	buf_fini(&m->entries);
	free(m);
	s->multi = NULL;
}

/* ---- queueing ---- */

bool
multi_takes(const struct call *c)
{
	static call_handler *const at_once[] = { cmd_exec, cmd_discard,
		cmd_multi, cmd_watch, cmd_quit, cmd_reset };
	size_t i;

	if (!multi_is_open(c->session))
		return false;
	for (i = 0; i < sizeof(at_once) / sizeof(*at_once); i++)
		if (c->command->run == at_once[i])
			return false;
	return true;
}

static int
multi_add(struct multi *m, const struct call *c)
{
	struct multi_entry entry = { c->command, c->argc };
	size_t i;
	int rc = KV_OK;

	for (i = 0; rc == KV_OK && i < c->argc; i++) {
		rc = buf_append(&m->bytes, c->args[i].data, c->args[i].len);
		if (rc == KV_OK)
			rc = buf_append(&m->lengths, &c->args[i].len,
			    sizeof(c->args[i].len));
	}
	if (rc == KV_OK)
		rc = buf_append(&m->entries, &entry, sizeof(entry));
	if (rc < 0)
		return rc;
	m->count++;
	if (c->argc > m->most)
		m->most = c->argc;
	m->needs |= commands_needs(c);
	return KV_OK;
}

int
multi_queue(struct call *c)
{
	struct multi *m = c->session->multi;
	size_t size = 0, i;

	if (c->command->info.flags & COMMAND_NO_MULTI) {
		m->spoiled = true;
		return call_error(c,
		    "ERR Command not allowed inside a transaction");
	}
	for (i = 0; i < c->argc; i++)
		size += c->args[i].len + sizeof(size_t);
	if (m->bytes.len + m->lengths.len + size >
	    c->worker->serve.limits.input) {
		m->spoiled = true;
		return call_error(c, "ERR the transaction is too large");
	}
	/* What was added of it stays, but EXEC will not look. */
	if (!m->spoiled && multi_add(m, c) < 0) {
		m->spoiled = true;
		return KV_ENOMEM;
	}
	reply_literal(c->reply, "+QUEUED\r\n");
	return KV_OK;
}

/* ---- carrying out ---- */

unsigned
multi_needs(const struct session *s)
{
	const struct multi *m = s->multi;

	if (!multi_is_open(s) || m->spoiled || m->count == 0)
		return 0;
	return CALL_ATOMIC | (m->needs & CALL_WRITES);
}

static void
multi_keep(struct session *s, struct multi_before *b)
{
	b->known = true;
	b->proto = s->proto;
	b->flags = s->flags;
	b->database = s->database;
	b->bucket_len = s->extra == NULL ? 0 : s->extra->bucket_len;
	if (b->bucket_len > 0)
		memcpy(b->bucket, s->extra->bucket, b->bucket_len);
}

static void
multi_restore(struct session *s, const struct multi_before *b)
{
	s->proto = b->proto;
	s->flags = b->flags;
	s->database = b->database;
	if (s->extra == NULL)
		return;
	s->extra->bucket_len = b->bucket_len;
	memcpy(s->extra->bucket, b->bucket, b->bucket_len);
}

/* A walk over the queue. */
struct multi_walk {
	const struct multi_entry *entry;
	const size_t *length;
	const char *byte;
	struct kv_slice *args;
};

static bool
multi_begin(const struct multi *m, struct multi_walk *w)
{
	w->entry = (const struct multi_entry *)(const void *)m->entries.data;
	w->length = (const size_t *)(const void *)m->lengths.data;
	w->byte = m->bytes.data;
	w->args = calloc(m->most + 1, sizeof(*w->args));
	return w->args != NULL;
}

static void
multi_next(struct multi_walk *w, struct call *c)
{
	size_t i;

	for (i = 0; i < w->entry->argc; i++) {
		w->args[i] = (struct kv_slice){ w->byte, w->length[i] };
		w->byte += w->length[i];
	}
	c->args = w->args;
	c->argc = w->entry->argc;
	c->command = w->entry->command;
	w->length += w->entry->argc;
	w->entry++;
}

static void
multi_warm(const struct call *exec, const struct multi *m)
{
	struct call c = *exec;
	struct multi_walk w;
	size_t i;

	if (!multi_begin(m, &w))
		return;
	for (i = 0; i < m->count && i < MULTI_WARM; i++) {
		multi_next(&w, &c);
		ahead_touch(&c);
	}
	free(w.args);
}

void
multi_before(struct call *c)
{
	struct session *s = c->session;
	struct multi *m = s->multi;

	if (c->command->run != cmd_exec || !multi_is_open(s))
		return;
	if (m->before.known)
		multi_restore(s, &m->before);
	else
		multi_keep(s, &m->before);
	c->reply->proto = s->proto;
	if (multi_needs(s) & CALL_ATOMIC)
		multi_warm(c, m);
}

void
multi_after(struct call *c)
{
	if (c->command->run == cmd_exec && multi_is_open(c->session))
		multi_clear(c->session->multi);
}

/* Does this failure end the whole transaction?  Other ones are the answers of
 * their commands, as Redis has it. */
static bool
multi_is_fatal(const struct call *c, int rc, size_t staged)
{
	if (engine_staged(c->engine) != staged)
		return true;
	if (rc == KV_ETOOBIG)
		return c->worker->blame.what == NULL;
	return rc == KV_EAGAIN || rc == KV_ESTALE || rc == KV_ENOSPC ||
	    rc == KV_ENOMEM;
}

static int
multi_run_one(struct call *c)
{
	struct output *o = &c->worker->serve.output;
	struct output_place place = output_here(o);
	size_t staged = engine_staged(c->engine);
	int rc;

	c->worker->blame.what = NULL;
	c->reply->proto = c->session->proto;
	call_because(c);
	if ((rc = c->command->run(c)) < 0) {
		if (multi_is_fatal(c, rc, staged))
			return rc;
		output_rewind(o, place);
		call_failed(c, rc);
	}
	if (tell_needs(c))
		tell_command(c);
	return KV_OK;
}

/* It held the connection: EXEC runs again when that is released. */
static bool
multi_is_held(const struct call *c)
{
	return c->worker->run->at <= c->worker->run->start;
}

/* Nothing of it happened. */
static int
multi_undo(struct call *c, struct output_place place, size_t told, int rc)
{
	engine_rollback(c->engine);
	tell_rewind(c->worker, told);
	c->worker->made_bucket = false;
	output_rewind(&c->worker->serve.output, place);
	if (rc == KV_ETOOBIG && c->worker->blame.what == NULL)
		(void)call_blame(c, "transaction", c->session->multi->bytes.len,
		    engine_control(c->engine)->segment_size);
	return rc;
}

int
multi_run(struct call *exec)
{
	const struct multi *m = exec->session->multi;
	struct output_place place = output_here(&exec->worker->serve.output);
	struct call c = *exec;
	struct multi_walk w;
	size_t told = tell_place(exec->worker), i;
	int rc = KV_OK;

	if (!multi_begin(m, &w))
		return KV_ENOMEM;
	reply_array(c.reply, m->count);
	for (i = 0; rc == KV_OK && i < m->count; i++) {
		multi_next(&w, &c);
		rc = multi_run_one(&c);
		if (exec->session->multi != m)
			break; /* it closed its own connection */
		if (rc == KV_OK && call_overflows(exec))
			rc = KV_ETOOBIG;
		if (rc < 0 || multi_is_held(exec)) {
			rc = multi_undo(exec, place, told, rc);
			break;
		}
	}
	free(w.args);
	return rc;
}
