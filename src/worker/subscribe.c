/* SPDX-License-Identifier: ISC */
/* Subscribers, and the feeds that they drink from. */

#include "worker/subscribe.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/num.h"
#include "worker/subscribers.h"

#define SUBSCRIBE_SLICE 4096		 /* records of the log in one turn */
#define SUBSCRIBE_SLICE_BYTES (4u << 20) /* sent out in one turn */
#define SUBSCRIBE_FLUSH 65536

int
subscribe_init(struct worker *w)
{
	w->feeds = calloc(1, sizeof(*w->feeds));
	return w->feeds == NULL ? KV_ENOMEM : KV_OK;
}

void
subscribe_fini(struct worker *w)
{
	if (w->feeds == NULL)
		return;
	buf_fini(&w->feeds->text[0]);
	buf_fini(&w->feeds->text[1]);
	free(w->feeds);
	w->feeds = NULL;
}

static void
subscribe_text(struct session *s, const char *text)
{
	(void)output_append(&s->conn, text, strlen(text));
}

/* A feed of his own, behind seq.  Where the log no longer reaches, the tree
 * has the newest change of each key. */
static int
subscribe_replay(struct worker *w, struct subscriber *sub, uint64_t seq)
{
	struct feeds *f = w->feeds;
	struct kv_slice name;
	struct bucket b;
	int rc = engine_bucket_by_id(w->engine, sub->bid, &name, &b);

	if (rc == KV_ENOTFOUND)
		b = (struct bucket){ .bid = sub->bid };
	else if (rc < 0)
		return rc;
	rc = feed_seek_in(w->engine, &sub->feed, seq, &b);
	if (rc == KV_OK && !sub->replays)
		DL_APPEND2(f->replaying, sub, prev_all, next_all);
	sub->replays |= rc == KV_OK;
	return rc;
}

int
subscribe_begin(struct session *s, uint64_t bid, struct subscribe_from from)
{
	struct worker *w = session_worker(s);
	struct feeds *f = w->feeds;
	struct subscriber *sub = calloc(1, sizeof(*sub));
	int rc;

	if (sub == NULL)
		return KV_ENOMEM;
	sub->session = s;
	sub->bid = bid;
	sub->numbered = from.how != SUBSCRIBE_PLAIN;
	feed_tail(w->engine, &sub->feed);
	sub->after = sub->feed.seq;
	if (f->total == 0)
		f->feed = sub->feed;
	if ((rc = subscribers_enter(f, sub)) < 0) {
		free(sub);
		return rc;
	}
	if (from.how == SUBSCRIBE_FROM_SEQ &&
	    subscribe_replay(w, sub, from.seq) == KV_ENOTFOUND)
		line_gap(&w->reply);
	s->subscriber = sub;
	s->conn.flags |= CONN_PATIENT;
	session_mode(s, MODE_DEAF);
	loop_again(w->loop);
	return KV_OK;
}

void
subscribe_end(struct session *s)
{
	struct feeds *f = session_worker(s)->feeds;
	struct subscriber *sub = s->subscriber, **at;

	if (sub == NULL)
		return;
	s->subscriber = NULL;
	for (at = &f->dirty; sub->is_dirty && *at != sub; at = &(*at)->dirty)
		;
	if (sub->is_dirty)
		*at = sub->dirty;
	if (sub->replays)
		DL_DELETE2(f->replaying, sub, prev_all, next_all);
	subscribers_leave(f, sub);
	free(sub);
}

/* A last line, as far as what is before it fits; then the end. */
static void
subscribe_lose(struct session *s, const char *why)
{
	struct worker *w = session_worker(s);

	w->subscribers_lost++;
	log_warn("close id=%llu reason=\"%s\" pending=%zu",
	    (unsigned long long)s->id, why, output_pending(&s->conn));
	subscribe_text(s, "ERROR ");
	subscribe_text(s, why);
	subscribe_text(s, "\r\n");
	subscribe_end(s);
	conn_finish(&s->conn, true);
	output_flush(&s->conn);
}

static void
subscribe_send(struct worker *w, struct subscriber *sub, const struct buf *text)
{
	struct feeds *f = w->feeds;
	struct session *s = sub->session;
	struct conn *c = &s->conn;
	bool outer = conn_enter(c);

	if (output_pending(c) + text->len > SUBSCRIBE_FLUSH &&
	    !(c->flags & CONN_WANT_OUT))
		output_flush(c);
	if (conn_is_dead(c))
		goto out;
	if (output_pending(c) + text->len > w->subscriber_limit) {
		subscribe_lose(s, "subscriber too slow");
		goto out;
	}
	f->sent += text->len;
	if (output_append(c, text->data, text->len) && !sub->is_dirty) {
		sub->is_dirty = true;
		sub->dirty = f->dirty;
		f->dirty = sub;
	}
out:
	conn_leave(c, outer);
}

/* A drop of more than could be told key by key. */
static bool
subscribe_is_gap(const struct record *r)
{
	return r->type == RECORD_BUCKET && r->flags & RECORD_DROP;
}

/* The record as a line; NULL when it is none that is told. */
static const struct buf *
subscribe_encode(struct feeds *f, const struct record *r, bool numbered)
{
	struct buf *text = &f->text[numbered];
	struct reply reply = { text, 2, KV_OK };
	char number[NUM_TEXT_MAX];
	size_t n;

	text->len = 0;
	if (numbered && !subscribe_is_gap(r)) {
		n = num_format_u64(number, r->seq);
		number[n++] = ' ';
		reply_raw(&reply, number, n);
	}
	if (r->type == RECORD_PUT)
		line_set_to(&reply, r->key, r->value);
	else if (r->type == RECORD_TOMB)
		line_deleted(&reply, r->key);
	else
		line_gap(&reply);
	return reply.rc < 0 ? NULL : text;
}

static bool
subscribe_is_told(const struct record *r)
{
	return r->type == RECORD_PUT || r->type == RECORD_TOMB ||
	    subscribe_is_gap(r);
}

static void
subscribe_lose_now(struct subscriber *sub)
{
	struct conn *c = &sub->session->conn;
	bool outer = conn_enter(c);

	subscribe_lose(sub->session, "changes were missed");
	conn_leave(c, outer);
}

/* Who listens to a name goes on with what it means from this record on. */
static void
subscribe_turn(struct feeds *f, const struct record *r)
{
	struct subscriber *sub, *next;
	struct subscribed *b;
	uint64_t from, to;

	if (!subscribers_turn(r, &from, &to) ||
	    (b = subscribers_find(f, from)) == NULL)
		return;
	/* When the last one has gone b has, too. */
	for (sub = b->list; sub != NULL; sub = next) {
		next = sub->next;
		if (!sub->replays && subscribers_move(f, sub, to) < 0)
			subscribe_lose_now(sub);
	}
}

/* One record to all who listen to its bucket. */
static void
subscribe_deliver(struct worker *w, const struct record *r)
{
	struct subscribed *b;
	struct subscriber *sub, *next;
	const struct buf *text[2] = { NULL, NULL };

	if (!subscribe_is_told(r) ||
	    (b = subscribers_find(w->feeds, r->bid)) == NULL)
		return;
	/* Losing the last one frees b, but not before the loop's end. */
	for (sub = b->list; sub != NULL; sub = next) {
		next = sub->next;
		if (sub->replays || r->seq <= sub->after)
			continue;
		if (!sub->numbered && subscribe_is_gap(r)) {
			subscribe_lose_now(sub);
			continue;
		}
		if (text[sub->numbered] == NULL)
			text[sub->numbered] =
			    subscribe_encode(w->feeds, r, sub->numbered);
		if (text[sub->numbered] != NULL)
			subscribe_send(w, sub, text[sub->numbered]);
	}
}

/* One with numbers has said that he can do without old versions. */
static void
subscribe_missed(struct worker *w, struct subscriber *sub, uint64_t seq)
{
	if (!sub->numbered) {
		subscribe_lose(sub->session, "changes were missed");
		return;
	}
	if (seq < sub->after)
		seq = sub->after;
	if (subscribe_replay(w, sub, seq) < 0) {
		subscribe_text(sub->session, "GAP\r\n");
		output_flush(&sub->session->conn);
	}
}

/* The common feed lost its place: a worker that was stopped for long. */
static void
subscribe_all_missed(struct worker *w)
{
	struct subscribed *b, *next_b;
	struct subscriber *sub, *next;
	struct feeds *f = w->feeds;
	uint64_t seq = f->feed.seq;
	bool last;

	feed_tail(w->engine, &f->feed);
	for (b = f->buckets; b != NULL; b = next_b) {
		next_b = b->hh.next;
		for (sub = b->list; sub != NULL; sub = next) {
			next = sub->next;
			last = next == NULL;
			if (!sub->replays)
				subscribe_missed(w, sub, seq);
			if (last)
				break; /* losing him freed b */
		}
	}
}

/* Common feed.  True when it stopped before its end. */
static bool
subscribe_pump_common(struct worker *w)
{
	struct feeds *f = w->feeds;
	struct record r;
	unsigned n;
	int rc;

	for (n = 0; n < SUBSCRIBE_SLICE && f->total > 0 &&
	     f->sent < SUBSCRIBE_SLICE_BYTES;
	     n++) {
		rc = feed_next(w->engine, &f->feed, &r);
		if (rc == KV_EAGAIN)
			return false;
		if (rc < 0) {
			subscribe_all_missed(w);
			return false;
		}
		subscribe_deliver(w, &r);
		subscribe_turn(f, &r);
	}
	return f->total > 0;
}

/* Has caught up: from here the common feed goes on. */
static void
subscribe_join(struct feeds *f, struct subscriber *sub)
{
	sub->replays = false;
	sub->after = sub->feed.seq;
	DL_DELETE2(f->replaying, sub, prev_all, next_all);
}

/* GAP: some changes are nowhere any more. */
static void
subscribe_gap(struct worker *w, struct subscriber *sub)
{
	subscribe_text(sub->session, "GAP\r\n");
	feed_tail(w->engine, &sub->feed);
	subscribe_join(w->feeds, sub);
}

static void
subscribe_tell(struct worker *w, struct subscriber *sub, const struct record *r)
{
	const struct buf *text;

	if (r->bid == sub->bid && subscribe_is_told(r) &&
	    (text = subscribe_encode(w->feeds, r, true)) != NULL)
		subscribe_send(w, sub, text);
}

static void
subscribe_tell_own(struct worker *w, struct subscriber *sub,
    const struct record *r)
{
	uint64_t from, to;

	subscribe_tell(w, sub, r);
	if (sub->session->subscriber != NULL &&
	    subscribers_turn(r, &from, &to) && sub->bid == from &&
	    subscribers_move(w->feeds, sub, to) < 0)
		subscribe_lose(sub->session, "changes were missed");
}

/* One who replays.  True when there is more for him. */
static bool
subscribe_pump_own(struct worker *w, struct subscriber *sub)
{
	struct session *s = sub->session;
	struct record r;
	unsigned n;
	int rc;

	for (n = 0; n < SUBSCRIBE_SLICE; n++) {
		/* He asked for much: what he does not read can wait. */
		if (output_pending(&s->conn) > w->subscriber_limit / 2) {
			output_flush(&s->conn);
			return false;
		}
		rc = feed_next(w->engine, &sub->feed, &r);
		if (rc == KV_EAGAIN) {
			subscribe_join(w->feeds, sub);
			return false;
		}
		if (rc == KV_OK)
			subscribe_tell_own(w, sub, &r);
		else if (rc != KV_ENOTFOUND ||
		    subscribe_replay(w, sub, sub->feed.seq) < 0) {
			/* Not even the tree has what the log dropped. */
			subscribe_gap(w, sub);
			return false;
		}
		if (s->subscriber == NULL)
			return false; /* lost */
	}
	return true;
}

static void
subscribe_flush(struct feeds *f)
{
	struct subscriber *sub;
	struct conn *c;
	bool outer;

	while ((sub = f->dirty) != NULL) {
		f->dirty = sub->dirty;
		sub->is_dirty = false;
		c = &sub->session->conn;
		outer = conn_enter(c);
		if (!(c->flags & CONN_WANT_OUT))
			output_flush(c);
		conn_leave(c, outer);
	}
}

bool
subscribe_pump(struct worker *w)
{
	struct feeds *f = w->feeds;
	struct subscriber *sub, *next;
	bool more, outer;
	struct conn *c;

	if (f->total == 0)
		return false;
	f->sent = 0;
	more = subscribe_pump_common(w);
	for (sub = f->replaying; sub != NULL && !more; sub = next) {
		next = sub->next_all;
		c = &sub->session->conn;
		outer = conn_enter(c);
		more |= subscribe_pump_own(w, sub);
		conn_leave(c, outer);
	}
	subscribe_flush(f);
	return more;
}

bool
subscribe_want(struct worker *w)
{
	if (w->feeds->total == 0)
		return false;
	return feed_want(w->engine, &w->feeds->feed);
}
