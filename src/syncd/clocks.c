/* SPDX-License-Identifier: ISC */
/* What the other nodes' clocks say of ours. */

#include "syncd/clocks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/repair_clock.h"

#define CLOCKS_MAX SYNCD_PEERS_MAX
#define CLOCKS_FRESH_MS 600000 /* what was heard longer ago does not count */
#define CLOCKS_SPAN_TEXT 32

struct clocks {
	struct heard {
		uint64_t uid; /* 0: free */
		int64_t offset_ms;
		uint64_t at_ms;
		bool is_off;
	} heard[CLOCKS_MAX];
};

int
clocks_new(struct clocks **out)
{
	*out = calloc(1, sizeof(**out));
	return *out == NULL ? KV_ENOMEM : KV_OK;
}

void
clocks_free(struct clocks *c)
{
	free(c);
}

static uint64_t
size_of(int64_t offset_ms)
{
	return offset_ms < 0 ? -(uint64_t)offset_ms : (uint64_t)offset_ms;
}

/* ---- hearing ---- */

/* The node's place, or the one of whom nobody has heard for longest. */
static struct heard *
place_of(struct clocks *c, uint64_t uid)
{
	struct heard *oldest = &c->heard[0];
	size_t i;

	for (i = 0; i < CLOCKS_MAX; i++) {
		if (c->heard[i].uid == uid)
			return &c->heard[i];
		if (c->heard[i].at_ms < oldest->at_ms)
			oldest = &c->heard[i];
	}
	*oldest = (struct heard){ .uid = uid };
	return oldest;
}

bool
clocks_hear(struct clocks *c, uint64_t uid, int64_t offset_ms, uint64_t now_ms)
{
	struct heard *h;
	bool was_off;

	if (uid == 0)
		return false;
	h = place_of(c, uid);
	was_off = h->is_off;
	h->offset_ms = offset_ms;
	h->at_ms = now_ms;
	if (size_of(offset_ms) > CLOCKS_OFF_MS)
		h->is_off = true;
	else if (size_of(offset_ms) < CLOCKS_OFF_MS / 2)
		h->is_off = false;
	return h->is_off != was_off;
}

/* ---- judging ---- */

static bool
is_fresh(const struct heard *h, uint64_t now_ms)
{
	return h->uid != 0 && now_ms - h->at_ms < CLOCKS_FRESH_MS;
}

/* How many have a clock like one that is so far from ours. */
static unsigned
count_like(const struct clocks *c, int64_t offset_ms, uint64_t now_ms)
{
	unsigned n = 0;
	size_t i;

	for (i = 0; i < CLOCKS_MAX; i++) {
		const struct heard *h = &c->heard[i];
		uint64_t apart = h->offset_ms > offset_ms
		    ? (uint64_t)h->offset_ms - (uint64_t)offset_ms
		    : (uint64_t)offset_ms - (uint64_t)h->offset_ms;

		if (is_fresh(h, now_ms) && apart <= CLOCKS_OFF_MS)
			n++;
	}
	return n;
}

/* "1 h 0 min" */
static const char *
span(uint64_t ms, char to[CLOCKS_SPAN_TEXT])
{
	uint64_t s = ms / 1000;

	if (s >= 172800)
		snprintf(to, CLOCKS_SPAN_TEXT, "%" PRIu64 " d %" PRIu64 " h",
		    s / 86400, s / 3600 % 24);
	else if (s >= 3600)
		snprintf(to, CLOCKS_SPAN_TEXT, "%" PRIu64 " h %" PRIu64 " min",
		    s / 3600, s / 60 % 60);
	else
		snprintf(to, CLOCKS_SPAN_TEXT, "%" PRIu64 " min %" PRIu64 " s",
		    s / 60, s % 60);
	return to;
}

#define ADVICE "stop kvd, run kv repair-clock, start kvd"

enum clocks_verdict
clocks_judge(const struct clocks *c, uint64_t ahead_ms, uint64_t now_ms,
    char text[CLOCKS_TEXT])
{
	unsigned n, most = 1, ours = count_like(c, 0, now_ms);
	char by[CLOCKS_SPAN_TEXT];
	int64_t offset_ms = 0;
	size_t i;

	text[0] = '\0';
	for (i = 0; i < CLOCKS_MAX; i++) {
		const struct heard *h = &c->heard[i];

		if (!is_fresh(h, now_ms) || !h->is_off)
			continue;
		n = count_like(c, h->offset_ms, now_ms);
		if (n > most && n > ours) {
			most = n;
			offset_ms = h->offset_ms;
		}
	}
	if (offset_ms != 0) {
		snprintf(text, CLOCKS_TEXT,
		    "the clock here is %s %s %u other nodes: set it%s",
		    span(size_of(offset_ms), by),
		    offset_ms < 0 ? "ahead of" : "behind", most,
		    offset_ms < 0 ? ", " ADVICE : "");
		return CLOCKS_OURS;
	}
	if (ahead_ms <= CLOCK_DRIFT_MS)
		return CLOCKS_FINE;
	snprintf(text, CLOCKS_TEXT,
	    "stamps here lie %s in the future, others refuse them: %s",
	    span(ahead_ms, by), ADVICE);
	return CLOCKS_STAMPS;
}

bool
clocks_in_doubt(const struct clocks *c, uint64_t now_ms)
{
	size_t i;

	for (i = 0; i < CLOCKS_MAX; i++)
		if (is_fresh(&c->heard[i], now_ms) &&
		    size_of(c->heard[i].offset_ms) > CLOCK_DRIFT_MS)
			return true;
	return false;
}

/* ---- saying ---- */

void
clocks_text(int64_t offset_ms, char text[CLOCKS_TEXT])
{
	char by[CLOCKS_SPAN_TEXT];

	text[0] = '\0';
	if (size_of(offset_ms) > CLOCKS_OFF_MS)
		snprintf(text, CLOCKS_TEXT, "its clock is %s %s ours",
		    span(size_of(offset_ms), by),
		    offset_ms > 0 ? "ahead of" : "behind");
}

void
clocks_refusal(int64_t offset_ms, uint64_t ahead_ms, char text[CLOCKS_TEXT])
{
	clocks_text(offset_ms, text);
	if (text[0] != '\0')
		return;
	if (ahead_ms > CLOCK_DRIFT_MS)
		snprintf(text, CLOCKS_TEXT, "it refuses our stamps: %s",
		    ADVICE);
	else
		snprintf(text, CLOCKS_TEXT,
		    "its stamps lie in the future: on it, %s", ADVICE);
}
