/* SPDX-License-Identifier: ISC */
/* LATENCY: what took longest, and how long each command takes. */

#include "worker/cmd.h"
#include "worker/commands.h"
#include "worker/measure.h"

static const struct measure_sample *
latency_sample(const struct measure_samples *s, size_t i)
{
	return &s->sample[i % MEASURE_SAMPLES];
}

static int
latency_latest(struct call *c)
{
	struct call_place place = call_open(c);
	enum measure_event e;
	size_t n = 0;

	for (e = 0; e < EVENT_COUNT; e++) {
		const struct measure_samples *s =
		    &c->worker->measure->events[e];

		if (s->count == 0)
			continue;
		n++;
		reply_array(c->reply, 4);
		reply_text(c->reply, measure_event_name(e));
		reply_integer(c->reply,
		    (int64_t)latency_sample(s, s->count - 1)->at_s);
		reply_integer(c->reply,
		    (int64_t)latency_sample(s, s->count - 1)->ms);
		reply_integer(c->reply, (int64_t)s->worst);
	}
	call_close_array(c, place, n);
	return KV_OK;
}

static int
latency_history(struct call *c)
{
	const struct measure_samples *s = NULL;
	enum measure_event e;
	size_t i;

	for (e = 0; e < EVENT_COUNT; e++)
		if (slice_is_word(c->args[2], measure_event_name(e)))
			s = &c->worker->measure->events[e];
	if (s == NULL) {
		reply_array(c->reply, 0);
		return KV_OK;
	}
	i = s->count > MEASURE_SAMPLES ? s->count - MEASURE_SAMPLES : 0;
	reply_array(c->reply, s->count - i);
	for (; i < s->count; i++) {
		reply_array(c->reply, 2);
		reply_integer(c->reply, (int64_t)latency_sample(s, i)->at_s);
		reply_integer(c->reply, (int64_t)latency_sample(s, i)->ms);
	}
	return KV_OK;
}

static int
latency_reset(struct call *c)
{
	enum measure_event e;
	int64_t n = 0;
	size_t i;

	for (e = 0; e < EVENT_COUNT; e++) {
		struct measure_samples *s = &c->worker->measure->events[e];
		bool asked = c->argc == 2;

		for (i = 2; i < c->argc; i++)
			asked |= slice_is_word(c->args[i],
				     measure_event_name(e)) != 0;
		if (!asked || s->count == 0)
			continue;
		memset(s, 0, sizeof(*s));
		n++;
	}
	reply_integer(c->reply, n);
	return KV_OK;
}

static int
latency_doctor(struct call *c)
{
	const struct measure *m = c->worker->measure;
	struct buf *b = &c->worker->scratch;
	enum measure_event e;
	int rc;

	b->len = 0;
	if (m->threshold_ms == 0)
		rc = buf_printf(b,
		    "Nothing is watched: CONFIG SET latency-monitor-threshold"
		    " <milliseconds> begins with it.\n");
	else
		rc = buf_printf(b, "Commands that take %lld ms or more:\n",
		    (long long)m->threshold_ms);
	for (e = 0; e < EVENT_COUNT && rc == KV_OK; e++) {
		if (m->events[e].count > 0)
			rc = buf_printf(b,
			    "%s: in %zu different seconds, worst %llu ms. See"
			    " SLOWLOG GET for which.\n",
			    measure_event_name(e), m->events[e].count,
			    (unsigned long long)m->events[e].worst);
	}
	if (rc == KV_OK)
		reply_verbatim(c->reply, "txt", buf_slice(b));
	return rc;
}

/* Of the calls, how many took at most 1, 2, 4 ... us. */
static void
latency_distribution(struct call *c, const struct command *command,
    const struct measure_command *row)
{
	struct call_place place;
	uint64_t sum = 0;
	size_t i, n = 0;

	reply_text(c->reply, command->info.name);
	reply_map(c->reply, 2);
	reply_text(c->reply, "calls");
	reply_integer(c->reply, (int64_t)row->calls);
	reply_text(c->reply, "histogram_usec");
	place = call_open(c);
	for (i = 0; i < MEASURE_BUCKETS; i++) {
		if (row->took[i] == 0)
			continue;
		sum += row->took[i];
		reply_integer(c->reply, (int64_t)1 << i);
		reply_integer(c->reply, (int64_t)sum);
		n++;
	}
	call_close_map(c, place, n);
}

static int
latency_histogram(struct call *c)
{
	const struct measure *m = c->worker->measure;
	struct call_place place = call_open(c);
	const struct command *all, *one;
	size_t count, i, n = 0;

	all = commands_all(&count);
	for (i = 0; c->argc == 2 && i < count; i++) {
		if (m->commands[i].calls == 0)
			continue;
		latency_distribution(c, &all[i], &m->commands[i]);
		n++;
	}
	for (i = 2; i < c->argc; i++) {
		if ((one = commands_find(c->args[i])) == NULL ||
		    m->commands[one - all].calls == 0)
			continue;
		latency_distribution(c, one, &m->commands[one - all]);
		n++;
	}
	call_close_map(c, place, n);
	return KV_OK;
}

int
cmd_latency(struct call *c)
{
	static const struct cmd_sub subs[] = {
		{ "latest", 2, latency_latest },
		{ "history", 3, latency_history },
		{ "reset", -2, latency_reset },
		{ "doctor", 2, latency_doctor },
		{ "histogram", -2, latency_histogram },
		{ NULL, 0, NULL },
	};

	return cmd_dispatch(c, subs);
}
