/* SPDX-License-Identifier: ISC */
/* Telling the workers how the other nodes are. */

#include "syncd/report.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "engine/clockwatch.h"
#include "engine/nodes.h"
#include "engine/note.h"
#include "engine/repair_clock.h"
#include "syncd/clocks.h"
#include "syncd/desk.h"
#include "syncd/gate.h"
#include "syncd/known.h"
#include "syncd/peer.h"
#include "syncd/store.h"

#define REPORT_GAP_NS 50000000u /* between two */
#define REPORT_JOINING_NS 100000000u
#define REPORT_BUSY_NS 1000000000u /* while figures change */
#define REPORT_BEHIND_MS 1000
#define REPORT_CALM_NS 5000000000u

struct report {
	struct syncd *s;
	struct known *known;
	struct timer timer;
	struct buf text;
	uint64_t written_ns;
	bool failed;
	enum clocks_verdict verdict; /* on this host's clock */
};

/* Since 1970, of a time of the loop's clock. */
static uint64_t
report_wall(const struct report *r, uint64_t ms)
{
	return clock_wall_ms() - (syncd_now(r->s) - ms);
}

/* Texts come from other hosts: nothing in them ends a field or a line. */
static int
report_text(struct report *r, const char *text, char end)
{
	size_t i, at = r->text.len;
	int rc;

	if (text[0] == '\0')
		text = "-";
	if ((rc = buf_printf(&r->text, "%s%c", text, end)) < 0)
		return rc;
	for (i = at; i + 1 < r->text.len; i++) {
		if ((unsigned char)r->text.data[i] < ' ' ||
		    r->text.data[i] == 0x7f)
			r->text.data[i] = '?';
	}
	return KV_OK;
}

/* When it was seen, and who it is. */
static int
report_who(struct report *r, uint64_t seen_ms, uint64_t uid, uint64_t inc)
{
	char store[NODES_ID_TEXT], run[NODES_ID_TEXT];

	nodes_put_id(store, uid);
	nodes_put_id(run, inc);
	return buf_printf(&r->text, "%" PRIu64 "\t%s\t%s\t", seen_ms, store,
	    run);
}

static int
report_reason(struct report *r, const struct member *c,
    const struct replica_status *st)
{
	char text[MEMBER_DETAIL_TEXT + 64];

	if (st->has_no_room)
		return report_text(r, "no room here for its changes", '\n');
	if (st->is_up) {
		clocks_text(st->offset_ms, text);
		if (text[0] == '\0' && st->missed > 0)
			snprintf(text, sizeof(text),
			    "%u quarters of sync_timeout without a word",
			    st->missed);
		return report_text(r, text, '\n');
	}
	snprintf(text, sizeof(text), "%s%s%s", reason_text(c->reason),
	    c->detail[0] != '\0' ? ": " : "", c->detail);
	return report_text(r, text, '\n');
}

static int
report_member(struct report *r, const struct member *c, uint64_t *pause)
{
	const struct peer *p = c->link;
	struct replica_status st = { .is_up = false };
	const char *state = reason_state_text(c->state);
	const char *name = c->name[0] != '\0' ? c->name : c->host;
	struct known_who who = known_who(r->known, name);
	int rc;

	if (p != NULL && p->link != NULL)
		replica_status(r->s->replica, p->link, &st);
	if (st.is_up) {
		who.seen_ms = clock_wall_ms();
		who.uid = st.uid;
		who.inc = st.inc;
	}
	if (c->address[0] != '\0')
		snprintf(who.address, sizeof(who.address), "%s", c->address);
	/* Under load one is always a little behind. */
	if (st.is_resyncing || st.is_joining || st.has_no_room ||
	    st.behind_ms >= REPORT_BEHIND_MS) {
		state = "catching up";
		*pause = REPORT_JOINING_NS;
	} else if ((st.behind_ms > 0 || st.unacked > 0) &&
	    *pause > REPORT_BUSY_NS) {
		*pause = REPORT_BUSY_NS;
	}
	if ((rc = report_text(r, name, '\t')) < 0 ||
	    (rc = report_text(r, state, '\t')) < 0 ||
	    (rc = report_text(r, who.address, '\t')) < 0 ||
	    (rc = buf_printf(&r->text,
		 "%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64
		 "\t%u\t%" PRId64 "\t%" PRIu64 "\t%" PRIu64 "\t%u\t",
		 report_wall(r, c->since_ms), st.behind_ms, st.behind_records,
		 st.unacked, st.rtt_us, st.offset_ms, st.sent_bytes,
		 st.received_bytes, c->state == MEMBER_UP ? 0 : c->failures)) <
		0 ||
	    (rc = report_who(r, who.seen_ms, who.uid, who.inc)) < 0)
		return rc;
	return report_reason(r, c, &st);
}

/* ---- this host's own line ---- */

/* What the links have heard since. */
static void
report_hear(struct report *r)
{
	struct replica_link *l = NULL;
	struct replica_status st;
	struct syncd *s = r->s;

	while ((l = replica_next_link(s->replica, l)) != NULL) {
		replica_status(s->replica, l, &st);
		if (st.is_up)
			(void)clocks_hear(s->clocks, st.uid, st.offset_ms,
			    syncd_now(s));
	}
	/* Whose clock is wrong, two cannot tell: nothing is taken away by time
	 * while they differ. */
	if (clocks_in_doubt(s->clocks, syncd_now(s)))
		clockwatch_doubt(s->engine);
}

static int
report_self(struct report *r)
{
	uint64_t now = syncd_now(r->s);
	const struct syncd_self *self = syncd_store_self(r->s->adapter);
	enum clocks_verdict verdict;
	char text[CLOCKS_TEXT];
	int rc;

	report_hear(r);
	verdict = clocks_judge(r->s->clocks,
	    repair_clock_ahead(r->s->engine, clock_wall_ms()), now, text);
	if (verdict != r->verdict && verdict != CLOCKS_FINE)
		log_error("clock wrong what=\"%s\"", text);
	else if (verdict != r->verdict)
		log_info("clock right");
	r->verdict = verdict;
	rc = buf_printf(&r->text,
	    "kv-nodes %d %" PRIu64 " %" PRIu64
	    "\n%s\tself\t:%u\t0\t0\t0\t0\t0\t0\t0\t0\t0\t",
	    NODES_VERSION, clock_wall_ms(), post_lost_count(r->s->desk),
	    conf_node(r->s->conf), gate_port(r->s->gate));
	if (rc < 0 || (rc = report_who(r, 0, self->uid, self->inc)) < 0)
		return rc;
	return report_text(r, text, '\n');
}

static int
report_make(struct report *r, uint64_t *pause)
{
	const struct member *c = NULL;
	int rc;

	r->text.len = 0;
	*pause = REPORT_CALM_NS;
	rc = report_self(r);
	while (rc == KV_OK && (c = members_next(r->s->members, c)) != NULL)
		rc = report_member(r, c, pause);
	return rc;
}

static void
report_write(struct timer *timer)
{
	struct report *r = loop_owner(timer, struct report, timer);
	uint64_t now = loop_now(r->s->loop);
	const struct member *c;
	uint64_t pause;
	int rc;

	while ((c = members_proved(r->s->members, syncd_now(r->s))) != NULL)
		log_info("node up node=%s address=%s", c->name, c->address);
	if ((rc = report_make(r, &pause)) == KV_OK)
		rc = note_write(r->s->engine, NOTE_NODES, buf_slice(&r->text));
	if (rc == KV_OK)
		known_take(r->known, buf_slice(&r->text));
	if (rc < 0 && !r->failed)
		log_error("nodes not shown error=\"%s\"", err_text(rc));
	r->failed = rc < 0;
	if (r->failed) /* each try has a line in the log */
		pause = REPORT_CALM_NS;
	r->written_ns = now;
	loop_timer_set(r->s->loop, timer, now + pause);
}

void
report_touch(struct report *r)
{
	/* While there is no room, the timer is enough. */
	if (r != NULL && !r->failed)
		loop_timer_set(r->s->loop, &r->timer,
		    r->written_ns + REPORT_GAP_NS);
}

int
report_open(struct syncd *s, struct report **out)
{
	struct report *r = calloc(1, sizeof(*r));
	int rc;

	if (r == NULL)
		return KV_ENOMEM;
	if ((rc = known_open(s, &r->known)) < 0) {
		free(r);
		return rc;
	}
	r->s = s;
	r->timer.expired = report_write;
	buf_init(&r->text);
	*out = r;
	report_touch(r);
	return KV_OK;
}

void
report_close(struct report *r)
{
	if (r == NULL)
		return;
	known_close(r->known);
	note_remove(r->s->engine, NOTE_NODES);
	loop_timer_clear(r->s->loop, &r->timer);
	buf_fini(&r->text);
	free(r);
}
