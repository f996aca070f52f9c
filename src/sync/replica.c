/* SPDX-License-Identifier: ISC */
/* The node: its life, its turns, who handles which frame, events. */

#include "sync/core.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/rng.h"

#define EVENTS 256
#define OUTBOX_MAX (1u << 20) /* answers that the peer does not take */

typedef int handler(struct replica *r, struct replica_link *l,
    const struct frame *f);

static int
services_frame(struct replica *r, struct replica_link *l, const struct frame *f)
{
	const struct replica_services *s = r->config.services;
	int rc;

	if (s == NULL || l->state != LINK_UP)
		return KV_OK;
	rc = s->receive(s->user, l, f);
	return rc == KV_EPROTO
	    ? link_refuse(r, l, BYE_PROTOCOL, "not what a service takes")
	    : rc;
}

/* Who handles what.  A frame without a row here is a protocol error. */
static const struct {
	handler *handle;
	bool is_early; /* may come before HELLO */
} handlers[] = {
	[FRAME_HELLO] = { link_hello, true },
	[FRAME_VV] = { announce_received, false },
	[FRAME_SUB] = { push_sub, false },
	[FRAME_RESYNC] = { receive_resync, false },
	[FRAME_PULL] = { full_pull, false },
	[FRAME_DATA_OWN] = { receive_data, false },
	[FRAME_DATA_FULL] = { receive_data, false },
	[FRAME_RANGE] = { range_request, false },
	[FRAME_DATA_RANGE] = { receive_data, false },
	[FRAME_ACK] = { stream_ack, false },
	[FRAME_DIGEST] = { digest_received, false },
	[FRAME_PING] = { live_ping, false },
	[FRAME_PONG] = { live_pong, false },
	[FRAME_REDIRECT] = { link_redirect, true },
	[FRAME_BARRIER] = { services_frame, false },
	[FRAME_BARRIER_OK] = { services_frame, false },
	[FRAME_CALL] = { services_frame, false },
	[FRAME_REPLY] = { services_frame, false },
	[FRAME_PRESENCE] = { services_frame, false },
	[FRAME_MESSAGE] = { services_frame, false },
	[FRAME_PART] = { services_frame, false },
	[FRAME_LEFT] = { left_received, false },
	[FRAME_LEAVES] = { leaves_asked, false },
	[FRAME_SUMS] = { leaves_sums, false },
	[FRAME_FLOW] = { services_frame, false },
	[FRAME_BYE] = { link_bye, true },
};

/* ---- life ---- */

static void
set_defaults(struct replica_tuning *t)
{
	t->mark_ops = t->mark_ops > 0 ? t->mark_ops : 1000;
	t->mark_bytes = t->mark_bytes > 0 ? t->mark_bytes : 256u << 10;
	if (t->frame_bytes == 0 || t->frame_bytes > FRAME_DATA_MAX)
		t->frame_bytes = FRAME_DATA_MAX;
	t->credit = t->credit > 0 ? t->credit : 1u << 20;
	t->batch_bytes = t->batch_bytes > 0 ? t->batch_bytes : 4u << 20;
	t->range_keys = t->range_keys > 0 ? t->range_keys : 8192;
	t->rows_max = t->rows_max > 0 ? t->rows_max : CORE_INCS_MAX;
	t->digest_ms = t->digest_ms > 0 ? t->digest_ms : 5000;
}

static int
copy_config(struct replica *r, const struct replica_config *config)
{
	size_t n = strlen(config->name);

	r->config = *config;
	if (n == 0 || n > FRAME_NAME_MAX || config->inc == 0)
		return KV_EINVAL;
	memcpy(r->name, config->name, n + 1);
	r->config.name = r->name;
	set_defaults(&r->config.tuning);
	r->random = hash_u64(config->seed) | 1;
	return buf_append(&r->lineage, config->lineage.data,
	    config->lineage.len);
}

int
replica_new(const struct replica_config *config, struct sync_store store,
    struct replica **out)
{
	struct replica *r;
	int rc;

	if ((r = calloc(1, sizeof(*r))) == NULL)
		return KV_ENOMEM;
	r->store = store;
	rc = copy_config(r, config);
	if (rc == KV_OK &&
	    (r->events = calloc(EVENTS, sizeof(*r->events))) == NULL)
		rc = KV_ENOMEM;
	if (rc < 0) {
		replica_free(r);
		return rc;
	}
	*out = r;
	return KV_OK;
}

void
replica_free(struct replica *r)
{
	if (r == NULL)
		return;
	while (r->links != NULL)
		replica_close(r, r->links);
	resync_free(r);
	leaves_reset(r);
	pending_fini(&r->batch.stage);
	vector_fini(&r->batch.rows);
	buf_fini(&r->batch.note);
	vector_fini(&r->vector);
	buf_fini(&r->lineage);
	buf_fini(&r->scratch);
	buf_fini(&r->digest);
	free(r->events);
	free(r);
}

/* ---- rows of the store ---- */

static int
load_row(void *user, const struct sync_row *row)
{
	struct replica *r = user;

	return vector_install(&r->vector, row);
}

/* Of what is known already only `purged` can have moved without us. */
static int
load_purged(void *user, const struct sync_row *row)
{
	struct replica *r = user;
	struct vector_row *at = vector_find(&r->vector, row->inc);

	if (at == NULL)
		return vector_install(&r->vector, row);
	if (at->row.purged < row->purged)
		at->row.purged = row->purged;
	return KV_OK;
}

static int
load_rows(struct replica *r)
{
	const struct sync_store_ops *ops = r->store.ops;
	uint64_t purges = ops->purges(r->store.self);
	int rc = KV_OK;

	if (!r->is_loaded) {
		rc = ops->rows(r->store.self, false, load_row, r);
		if (rc == KV_OK)
			rc = resync_load(r);
	} else if (purges != r->purges) {
		rc = ops->rows(r->store.self, false, load_purged, r);
	}
	if (rc == KV_OK) {
		r->is_loaded = true;
		r->purges = purges;
		core_count_runs(r);
	}
	return rc;
}

uint64_t
core_vv(const struct replica *r, uint64_t inc)
{
	return inc == r->config.inc ? r->head : vector_vv(&r->vector, inc);
}

bool
core_has_room(const struct replica *r, uint64_t inc)
{
	return r->vector.count + r->batch.new_rows <
	    r->config.tuning.rows_max ||
	    vector_find(&r->vector, inc) != NULL ||
	    vector_find(&r->batch.rows, inc) != NULL;
}

size_t
core_rows_max(const struct replica *r)
{
	size_t max = r->config.tuning.rows_max;

	return max + max / 64 + 1;
}

/* Each number is told of once. */
void
core_count_runs(struct replica *r)
{
	const size_t bounds[] = { CORE_INCS_MANY, r->config.tuning.rows_max };
	struct replica_event *e;
	size_t i;

	for (i = 0; i < sizeof(bounds) / sizeof(*bounds); i++) {
		if (r->vector.count < bounds[i] || r->runs_told >= bounds[i])
			continue;
		r->runs_told = bounds[i];
		e = core_event(r, REPLICA_MANY_RUNS, NULL);
		snprintf(e->text, sizeof(e->text), "%zu runs of nodes%s",
		    r->vector.count,
		    i == 0
			? " are known, one begins at each start: does one start "
			  "again and again?"
			: ", no more can be known: what others have of "
			  "further ones is passed by");
	}
}

uint64_t
core_drift_limit(const struct replica *r)
{
	return (r->now.wall_ms + CORE_DRIFT_MS) << 16;
}

int
core_check_claim(struct replica *r, struct replica_link *l, uint64_t inc,
    uint64_t tick)
{
	if (tick > core_drift_limit(r))
		return link_refuse(r, l, BYE_CLOCK, "claims of the future");
	if (inc == r->config.inc && tick > r->store.ops->clock(r->store.self))
		return link_refuse(r, l, BYE_PROTOCOL,
		    "more of this run than it wrote");
	return KV_OK;
}

/* ---- a turn ---- */

int
replica_begin(struct replica *r, struct replica_time now)
{
	int rc;

	r->now = now;
	if ((rc = r->store.ops->refresh(r->store.self)) < 0)
		return rc;
	r->head = r->store.ops->head(r->store.self);
	return load_rows(r);
}

void
replica_release(struct replica *r)
{
	r->store.ops->release(r->store.self);
}

bool
replica_wants_input(const struct replica *r, const struct replica_link *l)
{
	(void)r;
	return l->state != LINK_HELD && outbox_size(&l->outbox) < OUTBOX_MAX;
}

int
replica_receive(struct replica *r, struct replica_link *l,
    struct kv_slice plain)
{
	struct frame f;
	int rc;

	if (l->state == LINK_CLOSING)
		return KV_ECLOSED;
	l->heard_ms = r->now.mono_ms;
	if ((rc = link_say(r, l)) < 0)
		return rc;
	rc = frame_decode(plain, &f);
	if (rc == KV_ENOTFOUND)
		return l->has_hello
		    ? KV_OK
		    : link_refuse(r, l, BYE_PROTOCOL, "HELLO was to come");
	if (rc < 0 || f.type >= sizeof(handlers) / sizeof(*handlers) ||
	    handlers[f.type].handle == NULL)
		return link_refuse(r, l, BYE_PROTOCOL, "not a frame");
	if (!l->has_hello && !handlers[f.type].is_early)
		return link_refuse(r, l, BYE_PROTOCOL, "HELLO was to come");
	if (l->state != LINK_UP && !handlers[f.type].is_early)
		return KV_OK; /* it is about to send us elsewhere */
	rc = handlers[f.type].handle(r, l, &f);
	if (rc < 0)
		link_end(r, l, BYE_STOP, "failed");
	return rc;
}

typedef int timer(struct replica *r, uint64_t *next_ms);

static int
link_timers(struct replica *r, uint64_t *next_ms)
{
	struct replica_link *l;
	int rc = KV_OK;

	for (l = r->links; l != NULL && rc == KV_OK; l = l->next) {
		if (l->state != LINK_CLOSING)
			rc = live_timers(r, l, next_ms);
		if (l->state == LINK_UP && rc == KV_OK)
			rc = receive_timers(r, l);
	}
	return rc;
}

static int
announce_timers(struct replica *r, uint64_t *next_ms)
{
	struct replica_link *l;
	int rc = KV_OK;

	for (l = r->links; l != NULL && rc == KV_OK; l = l->next) {
		if (l->state == LINK_UP)
			rc = announce_due(r, l, next_ms);
		if (l->state == LINK_UP && rc == KV_OK)
			rc = left_due(r, l, next_ms);
	}
	return rc;
}

int
replica_end(struct replica *r, uint64_t *next_ms)
{
	static timer *const timers[] = { link_timers, commit_timers,
		resync_timers, full_timers, digest_timers, leaves_timers,
		forget_timers, announce_timers };
	size_t i;
	int rc = KV_OK;

	*next_ms = CORE_NEVER;
	for (i = 0; i < sizeof(timers) / sizeof(*timers) && rc == KV_OK; i++)
		rc = timers[i](r, next_ms);
	if (r->wants_turn)
		*next_ms = r->now.mono_ms;
	r->wants_turn = false;
	return rc;
}

/* Data and services take turns. */
static int
send_work(struct replica *r, struct replica_link *l, struct buf *out)
{
	const struct replica_services *s = r->config.services;
	int rc = KV_EAGAIN;

	l->is_services_turn = !l->is_services_turn && s != NULL;
	if (l->is_services_turn)
		rc = s->send(s->user, l, out);
	if (rc == KV_EAGAIN)
		rc = stream_send(r, l, out);
	if (rc == KV_EAGAIN && s != NULL && !l->is_services_turn)
		rc = s->send(s->user, l, out);
	return rc;
}

int
replica_send(struct replica *r, struct replica_link *l, struct buf *out)
{
	int rc;

	if (l->state != LINK_CLOSING && (rc = link_say(r, l)) < 0)
		return rc;
	rc = outbox_take(&l->outbox, out);
	if (rc == KV_EAGAIN && l->state == LINK_CLOSING)
		return KV_ECLOSED;
	if (rc == KV_EAGAIN && l->state == LINK_UP)
		rc = send_work(r, l, out);
	if (rc == KV_OK)
		l->sent_ms = r->now.mono_ms;
	return rc;
}

/* ---- events ---- */

struct replica_event *
core_event(struct replica *r, enum replica_event_kind kind,
    const struct replica_link *l)
{
	struct replica_event *e;

	/* Who does not take them loses the oldest. */
	if (r->event_count == EVENTS) {
		r->event_first = (r->event_first + 1) % EVENTS;
		r->event_count--;
	}
	e = &r->events[(r->event_first + r->event_count++) % EVENTS];
	memset(e, 0, sizeof(*e));
	e->kind = kind;
	if (l != NULL) {
		e->link = l->number;
		memcpy(e->name, l->name, sizeof(e->name));
		e->uid = l->uid;
		e->inc = l->inc;
		e->offset_ms = l->offset_ms;
	}
	return e;
}

bool
replica_take_event(struct replica *r, struct replica_event *out)
{
	if (r->event_count == 0)
		return false;
	*out = r->events[r->event_first];
	r->event_first = (r->event_first + 1) % EVENTS;
	r->event_count--;
	return true;
}

/* ---- looking in ---- */

struct replica_link *
replica_next_link(const struct replica *r, const struct replica_link *after)
{
	return after == NULL ? r->links : after->next;
}

void
replica_status(const struct replica *r, const struct replica_link *l,
    struct replica_status *out)
{
	uint64_t vv = core_vv(r, l->inc);
	const struct sender *own = &l->to[STREAM_OWN];

	memset(out, 0, sizeof(*out));
	memcpy(out->name, l->name, sizeof(out->name));
	out->uid = l->uid;
	out->inc = l->inc;
	out->is_up = l->state == LINK_UP;
	out->is_resyncing = r->resync.source == l && !r->resync.is_repair;
	out->is_joining =
	    l->state == LINK_UP && ((vv == 0 && l->head > 0) || r->pull == l);
	out->has_no_room = out->is_up && r->batch.is_refused;
	if (l->head > vv && vv > 0)
		out->behind_ms = (l->head - vv) >> 16;
	if (own->is_open && own->credit < r->config.tuning.credit)
		out->unacked = r->config.tuning.credit - own->credit;
	out->behind_records = l->left;
	out->acked_seq = l->acked_seq;
	out->timeout_ms = l->timeout_ms;
	out->missed = l->missed;
	out->rtt_us = l->rtt_us;
	out->offset_ms = l->offset_ms;
	out->sent_bytes = l->sent_bytes;
	out->received_bytes = l->received_bytes;
	out->sent_ops = l->sent_ops;
	out->received_ops = l->received_ops;
	out->dropped_ops = l->dropped_ops;
}
