/* SPDX-License-Identifier: ISC */
/* Events of links: who came, who went, and why. */

#include "syncd/news.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "engine/repair_clock.h"
#include "syncd/clocks.h"
#include "syncd/dial.h"

static struct peer *
news_find(const struct syncd *s, const struct replica_event *e)
{
	struct peer *p;

	DL_FOREACH(s->peers, p) {
		if (p->number == e->link && e->link != 0)
			break;
	}
	return p;
}

static const char *
news_name(const struct peer *p, const struct replica_event *e)
{
	if (e->name[0] != '\0')
		return e->name;
	return p != NULL && p->dialled != NULL ? p->dialled->name : "-";
}

/* Who is refused comes again and again: say each thing once, until a link of
 * that name is up. */
static struct news_told *
news_told(struct syncd *s, const char *name)
{
	struct news_told *oldest = s->told;
	size_t i;

	for (i = 0; i < NEWS_TOLD_MAX; i++) {
		struct news_told *t = &s->told[i];

		if (strcmp(t->name, name) == 0)
			return t;
		if (t->ms < oldest->ms)
			oldest = t;
	}
	snprintf(oldest->name, sizeof(oldest->name), "%s", name);
	oldest->kinds = 0;
	oldest->why = 0;
	return oldest;
}

static bool
news_is_new(struct syncd *s, const char *name, enum replica_event_kind kind)
{
	struct news_told *t = news_told(s, name);
	bool is_new = (t->kinds & 1u << kind) == 0;

	t->kinds |= 1u << kind;
	t->ms = syncd_now(s);
	return is_new;
}

/* Who was refused before it said its name is known by its address. */
static void
news_protocol(struct syncd *s, const struct peer *p,
    const struct replica_event *e, const char *text)
{
	const char *name = news_name(p, e);
	const char *address = p != NULL ? p->address : "-";
	uint64_t why = hash_bytes(text, strlen(text), 0);
	char from[FRAME_NAME_MAX + 1];
	const char *port = strrchr(address, ':');
	size_t n = port != NULL ? (size_t)(port - address) : strlen(address);
	struct news_told *t;

	snprintf(from, sizeof(from), "%.*s", (int)n, address);
	t = news_told(s, strcmp(name, "-") == 0 ? from : name);
	t->ms = syncd_now(s);
	if (t->why == why)
		return;
	t->why = why;
	log_warn("protocol error node=%s address=%s reason=\"%s\"", name,
	    address, text);
}

/* ---- up ---- */

static void
news_up(struct peer *p, const struct replica_event *e)
{
	const struct member_link up = { p, p->address, e->name, e->uid };
	struct syncd *s = p->s;
	const struct member *c;
	struct news_told *told;

	c = members_up(s->members, p->dialled, &up, syncd_now(s));
	if (c == NULL) {
		log_warn("node not shown node=%s reason=\"too many\"", e->name);
	} else if (c->refused == MEMBER_FINE) {
		log_info("node up node=%s address=%s by=%s", e->name,
		    p->address, p->dialled != NULL ? "us" : "them");
	}
	told = news_told(s, e->name);
	told->kinds = 0;
	told->why = 0;
	p->dialled = NULL;
	p->is_up = true;
	peer_agreed(p);
	syncd_look(s);
}

/* ---- down ---- */

static enum member_reason
news_reason(unsigned bye)
{
	static const enum member_reason reasons[] = {
		[BYE_STOP] = MEMBER_STOPPED,
		[BYE_SELF] = MEMBER_NOT_THERE,
		[BYE_NAME] = MEMBER_NAME,
		[BYE_DUPLICATE] = MEMBER_DUPLICATE,
		[BYE_REPLACED] = MEMBER_ALIAS,
		[BYE_CLOCK] = MEMBER_CLOCK,
		[BYE_WORN] = MEMBER_LOST,
		[BYE_KICKED] = MEMBER_LOST,
		[BYE_LIMIT] = MEMBER_FULL,
		[BYE_PROTOCOL] = MEMBER_PROTOCOL,
		[BYE_REDIRECT] = MEMBER_NAME,
	};

	/* 0: nobody took leave. */
	return bye > 0 && bye < sizeof(reasons) / sizeof(reasons[0])
	    ? reasons[bye]
	    : MEMBER_LOST;
}

/* It never came up: the candidate is told, and who it is, if that is known. */
static void
news_dial_failed(struct peer *p, enum member_reason reason, const char *detail,
    unsigned bye, uint64_t uid)
{
	struct member *c = p->dialled;
	struct syncd *s = p->s;

	p->dialled = NULL;
	/* Who answered in another's name is not the one we looked for. */
	if (uid != 0 && bye != BYE_NAME)
		c->uid = uid;
	if (bye == BYE_SELF) {
		c->uid = 0;
		dial_met_self(s, c);
	} else {
		dial_failed(s, c, reason, detail);
	}
}

static void
news_link_lost(struct peer *p, enum member_reason reason, const char *detail,
    const char *name)
{
	struct syncd *s = p->s;

	p->is_up = false;
	/* When we end, it is not the others who are down. */
	if (members_down(s->members, p, reason, detail, syncd_now(s)) &&
	    !s->stopping)
		log_warn("node down node=%s address=%s reason=\"%s%s%s\"", name,
		    p->address, reason_text(reason),
		    detail[0] != '\0' ? ": " : "", detail);
	syncd_changed(s);
	syncd_look(s);
}

static void
news_down(struct peer *p, const struct replica_event *e)
{
	bool is_silent = e->bye == 0 && strcmp(e->text, REPLICA_SILENCE) == 0;
	enum member_reason reason = news_reason(e->bye);
	const char *detail = e->text;
	char text[CLOCKS_TEXT];

	if (is_silent) {
		reason = MEMBER_SILENT;
		detail = "";
	}
	/* The usual text says no more than our own words do. */
	if (reason != MEMBER_LOST &&
	    strcmp(detail, frame_bye_text(e->bye)) == 0)
		detail = "";
	if (e->bye == BYE_CLOCK) {
		clocks_refusal(e->offset_ms,
		    repair_clock_ahead(p->s->engine, clock_wall_ms()), text);
		detail = text;
	}
	/* What the socket said counts, where nobody took leave. */
	if (e->bye == 0 && p->reason != MEMBER_FINE) {
		reason = p->reason;
		detail = p->detail;
	}
	if (p->is_up)
		news_link_lost(p, reason, detail, e->name);
	else if (p->dialled != NULL)
		news_dial_failed(p, reason, detail, e->bye, e->uid);
	else if (e->bye == 0 && reason == MEMBER_PROTOCOL)
		news_protocol(p->s, p, e, detail);
	else if (is_silent)
		news_protocol(p->s, p, e, "no HELLO after the handshake");
}

void
news_end(struct peer *p)
{
	if (p->reason == MEMBER_FINE)
		p->reason = MEMBER_LOST;
	if (p->is_up)
		news_link_lost(p, p->reason, p->detail, "-");
	else if (p->dialled != NULL)
		news_dial_failed(p, p->reason, p->detail, 0, 0);
}

/* ---- others ---- */

static void
news_redirected(struct peer *p, const struct replica_event *e)
{
	struct member *c = p->dialled;

	if (c == NULL || e->port == 0)
		return;
	if (c->redirect != 0) /* round in circles */
		return;
	p->dialled = NULL;
	member_redirected(c, e->port, syncd_now(p->s));
	syncd_look(p->s);
}

/* A link for each try to connect: not a line for each. */
static void
news_hear(struct syncd *s, const struct replica_event *e, const char *name)
{
	char text[CLOCKS_TEXT];

	if (e->uid == 0 ||
	    !clocks_hear(s->clocks, e->uid, e->offset_ms, syncd_now(s)))
		return;
	clocks_text(e->offset_ms, text);
	if (text[0] == '\0')
		log_info("clock agrees node=%s", name);
	else
		log_warn("clock off node=%s offset_ms=%lld what=\"%s\" "
			 "effect=\"what is stamped more than 5 min ahead is "
			 "refused\"",
		    name, (long long)e->offset_ms, text);
}

static void
news_one(struct syncd *s, const struct replica_event *e)
{
	struct peer *p = news_find(s, e);
	const char *name = news_name(p, e);

	news_hear(s, e, name);
	switch (e->kind) {
	case REPLICA_UP:
		if (p != NULL)
			news_up(p, e);
		break;
	case REPLICA_DOWN:
		if (p != NULL)
			news_down(p, e);
		break;
	case REPLICA_REDIRECT:
		if (p != NULL)
			news_redirected(p, e);
		break;
	case REPLICA_CLOCK: /* news_hear has told it */
		break;
	case REPLICA_REPLACED:
		log_info("node replaced node=%s reason=\"another store has "
			 "its name now\"",
		    name);
		break;
	case REPLICA_DUPLICATE:
		if (news_is_new(s, name, e->kind))
			log_warn(
			    "node refused node=%s address=%s reason=\"duplicate: "
			    "its name or a copy of its store is linked already\"",
			    name, p != NULL ? p->address : "-");
		break;
	case REPLICA_RESYNC:
		log_info("resync begins node=%s reason=\"%s\"", name, e->text);
		break;
	case REPLICA_IN_STEP:
		log_info("resync done node=%s", name);
		break;
	case REPLICA_DIVERGED:
		log_warn("digests differ node=%s effect=\"repairing\"", name);
		break;
	case REPLICA_NO_ROOM:
		log_warn("changes wait node=%s reason=\"%s\"", name, e->text);
		break;
	case REPLICA_GIVEN_UP:
		log_warn("given up what=\"%s\" effect=\"deletions since are "
			 "forgotten in their time\"",
		    e->text);
		break;
	case REPLICA_MANY_RUNS:
		log_warn("many runs what=\"%s\"", e->text);
		break;
	case REPLICA_PROTOCOL:
		news_protocol(s, p, e, e->text);
		break;
	}
	syncd_changed(s);
}

void
news_take(struct syncd *s)
{
	struct replica_event e;

	while (replica_take_event(s->replica, &e))
		news_one(s, &e);
}
