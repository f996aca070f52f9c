/* SPDX-License-Identifier: ISC */
/* The life of one child: the table of states and events. */

#include "supervisor/child.h"

#include <assert.h>
#include <stddef.h>

static enum child_action
start(struct child *c, uint64_t now)
{
	(void)now;
	c->state = CHILD_STARTING;
	c->due_ms = 0;
	return CHILD_SPAWN;
}

static enum child_action
up(struct child *c, uint64_t now)
{
	c->state = CHILD_UP;
	c->was_ready = true;
	c->up_since = now;
	return CHILD_NOTHING;
}

static enum child_action
pause_failed(struct child *c, uint64_t now)
{
	uint64_t ms = CHILD_PAUSE_MIN_MS;
	unsigned i;

	for (i = 0; i < c->failures && ms < CHILD_PAUSE_MAX_MS; i++)
		ms *= 2;
	if (ms > CHILD_PAUSE_MAX_MS)
		ms = CHILD_PAUSE_MAX_MS;
	c->failures++;
	c->restarts++;
	c->state = CHILD_WAITING;
	c->due_ms = now + ms;
	return CHILD_PAUSE;
}

static enum child_action
pause_crashed(struct child *c, uint64_t now)
{
	if (now - c->up_since >= CHILD_STEADY_MS)
		c->failures = 0;
	return pause_failed(c, now);
}

static enum child_action
give_up(struct child *c, uint64_t now)
{
	/* It could be started before: what is wrong may pass. */
	if (c->was_ready)
		return pause_failed(c, now);
	c->state = CHILD_IDLE;
	return CHILD_GIVE_UP;
}

static enum child_action
ask(struct child *c, uint64_t now)
{
	c->state = CHILD_STOPPING;
	c->due_ms = now + CHILD_STOP_LIMIT_MS;
	return CHILD_ASK;
}

static enum child_action
slay(struct child *c, uint64_t now)
{
	(void)now;
	c->state = CHILD_KILLED;
	c->due_ms = 0;
	return CHILD_KILL;
}

static enum child_action
rest(struct child *c, uint64_t now)
{
	(void)now;
	c->state = CHILD_IDLE;
	c->due_ms = 0;
	return CHILD_ENDED;
}

typedef enum child_action child_cell(struct child *c, uint64_t now);

/* An empty cell: ignored. */
static child_cell *const cells[CHILD_STATE_COUNT][CHILD_EVENT_COUNT] = {
	[CHILD_IDLE] = {
		[CHILD_WANTED] = start,
		[CHILD_UNWANTED] = rest,
	},
	[CHILD_STARTING] = {
		[CHILD_READY] = up,
		[CHILD_CRASHED] = pause_failed,
		[CHILD_REFUSED] = give_up,
		[CHILD_UNWANTED] = ask,
	},
	[CHILD_UP] = {
		[CHILD_CRASHED] = pause_crashed,
		[CHILD_REFUSED] = pause_crashed,
		[CHILD_UNWANTED] = ask,
	},
	[CHILD_WAITING] = {
		[CHILD_TIME] = start,
		[CHILD_UNWANTED] = rest,
	},
	[CHILD_STOPPING] = {
		[CHILD_CRASHED] = rest,
		[CHILD_REFUSED] = rest,
		[CHILD_TIME] = slay,
	},
	[CHILD_KILLED] = {
		[CHILD_CRASHED] = rest,
		[CHILD_REFUSED] = rest,
	},
};

enum child_action
child_handle(struct child *c, enum child_event event, uint64_t now_ms)
{
	child_cell *cell;

	assert(c->state < CHILD_STATE_COUNT && event < CHILD_EVENT_COUNT);
	cell = cells[c->state][event];
	return cell == NULL ? CHILD_NOTHING : cell(c, now_ms);
}

const char *
child_state_text(enum child_state state)
{
	static const char *const texts[] = {
#define X(name, text) [CHILD_##name] = text,
		CHILD_STATES(X)
#undef X
	};

	assert(state < CHILD_STATE_COUNT);
	return texts[state];
}
