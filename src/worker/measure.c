/* SPDX-License-Identifier: ISC */
/* Counting and timing commands. */

#include "worker/measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <utlist.h>

#include "base/clock.h"
#include "io/sock.h"
#include "worker/commands.h"

#define MEASURE_ARGS_MAX 32 /* of a slow command, as Redis keeps */
#define MEASURE_ARG_MAX 128

const char *
measure_event_name(enum measure_event event)
{
	static const char *const names[] = {
		[EVENT_COMMAND] = "command",
		[EVENT_FAST_COMMAND] = "fast-command",
	};

	return names[event];
}

int
measure_init(struct worker *w)
{
	struct measure *m;
	size_t count;

	(void)commands_all(&count);
	if ((m = calloc(1, sizeof(*m))) == NULL)
		return KV_ENOMEM;
	w->measure = m;
	m->slower_than_us = 10000;
	m->slow_max = 128;
	m->commands = calloc(count, sizeof(*m->commands));
	return m->commands == NULL ? KV_ENOMEM : KV_OK;
}

void
measure_reset(struct worker *w)
{
	size_t count;

	(void)commands_all(&count);
	memset(w->measure->commands, 0, count * sizeof(*w->measure->commands));
}

void
measure_fini(struct worker *w)
{
	if (w->measure == NULL)
		return;
	measure_trim(w->measure, 0);
	free(w->measure->commands);
	free(w->measure);
	w->measure = NULL;
}

int64_t *
measure_setting(struct worker *w, const char *name, int64_t *least)
{
	struct measure *m = w->measure;

	*least = 0;
	if (strcmp(name, "slowlog-max-len") == 0)
		return &m->slow_max;
	if (strcmp(name, "latency-monitor-threshold") == 0)
		return &m->threshold_ms;
	*least = -1;
	return strcmp(name, "slowlog-log-slower-than") == 0 ? &m->slower_than_us
							    : NULL;
}

/* ---- slow ones ---- */

static void
measure_slow_free(struct measure_slow *slow)
{
	buf_fini(&slow->args);
	free(slow);
}

void
measure_trim(struct measure *m, size_t most)
{
	struct measure_slow *oldest;

	while (m->slow != NULL && m->slow_count > most) {
		oldest = m->slow->prev; /* utlist: the tail */
		DL_DELETE(m->slow, oldest);
		m->slow_count--;
		measure_slow_free(oldest);
	}
}

static int
measure_keep_arg(struct buf *to, struct kv_slice arg)
{
	char more[64] = "";
	size_t len = arg.len;
	int rc;

	if (len > MEASURE_ARG_MAX) {
		len = MEASURE_ARG_MAX;
		snprintf(more, sizeof(more), "... (%zu more bytes)",
		    arg.len - len);
	}
	if ((rc = buf_printf(to, "$%zu\r\n", len + strlen(more))) < 0 ||
	    (rc = buf_append(to, arg.data, len)) < 0)
		return rc;
	return buf_printf(to, "%s\r\n", more);
}

static int
measure_keep_args(struct buf *to, const struct call *c)
{
	size_t i, shown = c->argc;
	char more[64];
	int rc;

	if (shown > MEASURE_ARGS_MAX)
		shown = MEASURE_ARGS_MAX;
	rc = buf_printf(to, "*%zu\r\n", shown);
	for (i = 0; i < shown && rc == KV_OK; i++) {
		if (i + 1 < shown || shown == c->argc) {
			rc = measure_keep_arg(to, c->args[i]);
			continue;
		}
		snprintf(more, sizeof(more), "... (%zu more arguments)",
		    c->argc - i);
		rc = measure_keep_arg(to, slice_of(more));
	}
	return rc;
}

/* Without memory for it, it is not kept. */
static void
measure_keep(struct measure *m, struct call *c, uint64_t us)
{
	const struct session *s = c->session;
	struct measure_slow *slow;

	if (m->slow_max == 0 || (slow = calloc(1, sizeof(*slow))) == NULL)
		return;
	buf_init(&slow->args);
	slow->us = us;
	slow->at_ms = clock_wall_ms();
	sock_peer_text(s->conn.source.fd, slow->peer, sizeof(slow->peer) - 1);
	if (s->extra != NULL)
		memcpy(slow->name, s->extra->name, sizeof(slow->name));
	if (measure_keep_args(&slow->args, c) < 0) {
		measure_slow_free(slow);
		return;
	}
	slow->id = m->slow_id++;
	DL_PREPEND(m->slow, slow);
	m->slow_count++;
	measure_trim(m, (size_t)m->slow_max);
}

/* ---- the worst ---- */

static void
measure_add_sample(struct measure_samples *s, uint64_t ms)
{
	uint64_t now = clock_wall_ms() / 1000;
	struct measure_sample *last =
	    &s->sample[(s->count + MEASURE_SAMPLES - 1) % MEASURE_SAMPLES];

	if (ms > s->worst)
		s->worst = ms;
	if (s->count > 0 && last->at_s == now) { /* one a second */
		if (ms > last->ms)
			last->ms = ms;
		return;
	}
	s->sample[s->count++ % MEASURE_SAMPLES] =
	    (struct measure_sample){ now, ms };
}

/* ---- all ---- */

static unsigned
measure_bucket(uint64_t us)
{
	unsigned i = us == 0 ? 0 : 64 - (unsigned)__builtin_clzll(us);

	return i < MEASURE_BUCKETS ? i : MEASURE_BUCKETS - 1;
}

void
measure_done(struct call *c, uint64_t ns)
{
	struct measure *m = c->worker->measure;
	uint64_t us = ns / 1000;
	struct measure_command *row;
	const struct command *all;
	size_t count;
	bool fast;

	all = commands_all(&count);
	/* A verb of the line protocol, or an unknown command, has no row. */
	if (c->command >= all && c->command < all + count) {
		row = &m->commands[c->command - all];
		row->calls++;
		row->ns += ns;
		row->took[measure_bucket(us)]++;
	}
	if (m->slower_than_us >= 0 && us >= (uint64_t)m->slower_than_us &&
	    !(c->command != NULL &&
		c->command->info.flags & COMMAND_SKIP_SLOWLOG) &&
	    c->argc > 0)
		measure_keep(m, c, us);
	if (m->threshold_ms > 0 && us / 1000 >= (uint64_t)m->threshold_ms) {
		fast =
		    c->command != NULL && c->command->info.flags & COMMAND_FAST;
		measure_add_sample(&m->events[fast ? EVENT_FAST_COMMAND
						   : EVENT_COMMAND],
		    us / 1000);
	}
}
