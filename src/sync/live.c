/* SPDX-License-Identifier: ISC */
/* Is the peer there, how far is it, and what time is it there? */

#include "sync/core.h"

#include "base/rng.h"

static uint64_t
quarter(const struct replica_link *l)
{
	uint64_t q = l->timeout_ms / 4;

	return q > 0 ? q : 1;
}

int
live_probe(struct replica *r, struct replica_link *l, uint64_t *token)
{
	struct frame f = { .type = FRAME_PING };

	l->ping_token = rng_next(&r->random) | 1;
	l->ping_ms = r->now.mono_ms;
	f.u.ping.token = *token = l->ping_token;
	f.u.ping.wall_ms = r->now.wall_ms;
	return outbox_put(&l->outbox, &f);
}

int
live_ping(struct replica *r, struct replica_link *l, const struct frame *f)
{
	struct frame pong = { .type = FRAME_PONG };

	live_clock(r, l, f->u.ping.wall_ms, l->rtt_us / 1000);
	pong.u.ping.token = f->u.ping.token;
	pong.u.ping.wall_ms = r->now.wall_ms;
	return outbox_put(&l->outbox, &pong);
}

/* Links that wait for word from this one. */
static int
tell_held(struct replica *r, const struct replica_link *old)
{
	struct replica_link *l;

	for (l = r->links; l != NULL; l = l->next)
		if (l->state == LINK_HELD && l->uid == old->uid &&
		    l->probe == old->ping_token)
			return link_decide(r, l, true);
	return KV_OK;
}

int
live_pong(struct replica *r, struct replica_link *l, const struct frame *f)
{
	uint64_t rtt = r->now.mono_ms - l->ping_ms;
	int rc;

	if (l->ping_token == 0 || f->u.ping.token != l->ping_token)
		return KV_OK; /* to an older PING */
	l->rtt_us =
	    (uint32_t)(rtt < UINT32_MAX / 1000 ? rtt * 1000 : UINT32_MAX);
	live_clock(r, l, f->u.ping.wall_ms, rtt);
	rc = tell_held(r, l);
	l->ping_token = 0;
	/* What becomes of the other link is no failure of this one. */
	return rc == KV_EPROTO || rc == KV_ECLOSED ? KV_OK : rc;
}

/* Warn once when it begins. */
void
live_clock(struct replica *r, struct replica_link *l, uint64_t wall_ms,
    uint64_t rtt_ms)
{
	uint64_t theirs = wall_ms + rtt_ms / 2, ours = r->now.wall_ms;
	uint64_t away = theirs > ours ? theirs - ours : ours - theirs;

	if (away > INT64_MAX)
		away = INT64_MAX;
	l->offset_ms = theirs > ours ? (int64_t)away : -(int64_t)away;
	if (away > CORE_DRIFT_MS / 2 && !l->has_warned) {
		l->has_warned = true;
		core_event(r, REPLICA_CLOCK, l);
	} else if (away < CORE_DRIFT_MS / 4) {
		l->has_warned = false;
	}
}

static int
ping_when_idle(struct replica *r, struct replica_link *l, uint64_t *next_ms)
{
	uint64_t last = l->sent_ms > l->ping_ms ? l->sent_ms : l->ping_ms;
	uint64_t token;
	int rc = KV_OK;

	if (r->now.mono_ms - last >= quarter(l)) {
		rc = live_probe(r, l, &token);
		last = r->now.mono_ms;
	}
	core_sooner(next_ms, last + quarter(l));
	return rc;
}

/* The first quarter in silence makes us ask; each one behind it could have had
 * an answer. */
static void
count_missed(struct replica_link *l, uint64_t silence)
{
	uint32_t quarters = (uint32_t)(silence / quarter(l));

	if (quarters < 2) {
		l->missed_now = 0;
	} else if (quarters - 1 > l->missed_now) {
		l->missed += quarters - 1 - l->missed_now;
		l->missed_now = quarters - 1;
	}
}

int
live_timers(struct replica *r, struct replica_link *l, uint64_t *next_ms)
{
	uint64_t silence;
	int rc;

	if (!l->is_timed) {
		l->is_timed = true;
		l->heard_ms = l->sent_ms = r->now.mono_ms;
	}
	silence = r->now.mono_ms - l->heard_ms;
	if (silence >= l->timeout_ms) {
		link_end(r, l, 0, REPLICA_SILENCE);
		return KV_OK;
	}
	count_missed(l, silence);
	core_sooner(next_ms, l->heard_ms + l->timeout_ms);
	if (l->state == LINK_HELD) {
		l->heard_ms = r->now.mono_ms; /* it is not being read */
		core_sooner(next_ms, l->held_until_ms);
		if (r->now.mono_ms < l->held_until_ms)
			return KV_OK;
		rc = link_decide(r, l, false);
		return rc == KV_EPROTO || rc == KV_ECLOSED ? KV_OK : rc;
	}
	if (l->is_misdialled) {
		core_sooner(next_ms, l->held_until_ms);
		if (r->now.mono_ms >= l->held_until_ms)
			link_end(r, l, BYE_NAME, "another node than dialled");
		return KV_OK;
	}
	return l->state == LINK_UP ? ping_when_idle(r, l, next_ms) : KV_OK;
}
