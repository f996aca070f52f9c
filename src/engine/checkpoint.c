/* SPDX-License-Identifier: ISC */
/* The checkpointer's steps: log to tree.
 *
 * A range of one segment is walked in order, every record's check is verified
 * before the tree sees it, the newest record of each key is kept and applied.
 * Then checkpointed moves on, the segment's slot is cleaned as soon as no
 * view is pinned to it, and becomes room for the log. */

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/clockwatch.h"
#include "engine/collect.h"
#include "engine/maintain.h"
#include "engine/recover.h"
#include "io/file.h"
#include "shm/region.h"
#include "tree/apply.h"

#define CHECKPOINT_IDLE_MS 1000
#define CHECKPOINT_RETRY_MS 500
#define CHECKPOINT_RETRY_MAX_MS 8000
#define CHECKPOINT_CLOCK_MS 2	   /* until the walwriter has made a file */
#define CHECKPOINT_ROOM (4u << 20) /* less on the disk is not worth a try */
#define CHECKPOINT_PIN_MS 2	   /* a view lasts a turn */
#define CHECKPOINT_PIN_WARN_MS 5000

struct checkpointer {
	struct collection records;
	uint64_t seen_end;  /* wal_end at the last step */
	uint64_t seen_ns;   /* since when it has not moved */
	uint64_t pinned_ns; /* since when a view holds a dead segment */
	bool pin_told;
	int retry_ms; /* after trouble with the tree; doubles */
};

static int
checkpointer_new(struct engine *e)
{
	if (e->checkpointer != NULL)
		return KV_OK;
	e->checkpointer = calloc(1, sizeof(*e->checkpointer));
	/* Who made room may have died before he told. */
	engine_wake_room(e);
	return e->checkpointer == NULL ? KV_ENOMEM : KV_OK;
}

void
checkpointer_free(struct engine *e)
{
	if (e->checkpointer == NULL)
		return;
	collect_fini(&e->checkpointer->records);
	free(e->checkpointer);
	e->checkpointer = NULL;
}

/* ---- room for the log ---- */

/* The oldest segment that a living process may still look at. */
static uint64_t
checkpoint_oldest_pin(struct engine *e)
{
	uint32_t i, high = atomic_load(&e->control->process_high);
	uint64_t oldest = CONTROL_NO_PIN;

	for (i = 0; i < high; i++) {
		struct control_process *p = &e->control->processes[i];
		uint64_t pin = atomic_load(&p->pin);

		if (pin >= oldest)
			continue;
		if (i != e->slot &&
		    file_lock(e->lock_fd, LOCK_SLOT + (off_t)i,
			FILE_LOCK_EXCLUSIVE, false) == KV_OK) {
			/* Its owner died in the middle of a turn. */
			atomic_store(&p->pin, CONTROL_NO_PIN);
			atomic_store(&p->pid, 0);
			file_unlock(e->lock_fd, LOCK_SLOT + (off_t)i);
			continue;
		}
		oldest = pin;
	}
	return oldest;
}

static void
checkpoint_tell_pin(struct engine *e, uint64_t number)
{
	struct checkpointer *c = e->checkpointer;
	uint64_t now = clock_mono_ns();

	if (c->pinned_ns == 0)
		c->pinned_ns = now;
	if (c->pin_told ||
	    now - c->pinned_ns < CHECKPOINT_PIN_WARN_MS * 1000000ull)
		return;
	c->pin_told = true;
	log_warn("checkpoint segment=%llu held_by=\"a process that has been "
		 "in one turn for 5 s (stopped?)\"",
	    (unsigned long long)number);
}

/* Clean slots for the segments to come.  KV_EBUSY: a view holds the slot. */
static int
checkpoint_prepare(struct engine *e)
{
	struct control *c = e->control;
	uint64_t lo = atomic_load(&c->segment_lo);
	uint64_t next = atomic_load(&c->memory_ready) + 1;
	int rc;

	if (next > atomic_load(&c->segment_hi) + 1 ||
	    next - lo >= CONTROL_OUTSTANDING)
		return KV_OK;
	/* Its slot was that of number - CONTROL_SLOTS. */
	if (next >= CONTROL_SLOTS &&
	    checkpoint_oldest_pin(e) <= next - CONTROL_SLOTS) {
		checkpoint_tell_pin(e, next - CONTROL_SLOTS);
		return KV_EBUSY;
	}
	e->checkpointer->pinned_ns = 0;
	e->checkpointer->pin_told = false;
	/* Each try has a line in the log: not one each time we look. */
	if ((atomic_load(&c->trouble) & TROUBLE_SHM_SPACE) != 0 &&
	    !memory_may_prepare(e))
		rc = KV_ENOSPC;
	else
		rc = memory_prepare(e, next);
	if (rc < 0) {
		atomic_fetch_or(&c->trouble, TROUBLE_SHM_SPACE);
		engine_wake_room(e);
		return rc;
	}
	atomic_fetch_and(&c->trouble, ~(uint32_t)TROUBLE_SHM_SPACE);
	atomic_store(&c->memory_ready, next);
	return KV_OK;
}

static void
checkpoint_pause(void *user)
{
	struct engine *e = user;
	uint64_t ready = atomic_load(&e->control->memory_ready);

	CRASH_POINT("checkpoint.chunk");
	/* Writers may be filling segments while we apply one. */
	if (checkpoint_prepare(e) < 0)
		return; /* the step will see it again */
	if (atomic_load(&e->control->memory_ready) != ready)
		engine_wake_room(e);
}

/* A new incarnation needs a segment, too, and writers in a hurry leave none:
 * it comes before they are woken. */
static int
checkpoint_prepare_and_watch(struct engine *e)
{
	uint64_t ready = atomic_load(&e->control->memory_ready);
	int rc = checkpoint_prepare(e);

	clockwatch_step(e);
	if (atomic_load(&e->control->memory_ready) != ready)
		engine_wake_room(e);
	return rc;
}

/* All that the new incarnation lacks is its file: the log can wait, too. */
static bool
checkpoint_waits_for_file(const struct engine *e)
{
	const struct control *c = e->control;

	return e->process != NULL && clockwatch_jumped(e) &&
	    engine_trouble(e) == 0 &&
	    atomic_load(&c->memory_ready) > atomic_load(&c->segment_hi);
}

/* ---- moving ---- */

static int
checkpoint_apply(struct engine *e, struct tree_position to)
{
	struct collection *c = &e->checkpointer->records;
	struct bucket_totals *totals;
	struct apply a = { .records = c->records,
		.count = c->count,
		.to = to,
		.pause = e->process == NULL ? NULL : checkpoint_pause,
		.user = e };
	int rc;

	if ((rc = collect_totals(c, &totals, &a.totals_count)) < 0)
		return rc;
	a.totals = totals;
	rc = apply_checkpoint(e->tree, &a);
	free(totals);
	return rc;
}

/* What is checkpointed is no longer outstanding. */
static void
checkpoint_release(struct engine *e)
{
	struct control *c = e->control;
	uint64_t lo = engine_segment_of(e, atomic_load(&c->checkpointed));

	if (lo > atomic_load(&c->segment_lo))
		atomic_store(&c->segment_lo, lo);
}

static void
checkpoint_moved(struct engine *e, uint64_t to)
{
	atomic_store(&e->control->checkpointed, to);
	CRASH_POINT("checkpoint.moved");
	checkpoint_release(e);
}

/* Move [checkpointed, to) of one segment. */
static int
checkpoint_move(struct engine *e, uint64_t from, uint64_t to, uint64_t moved_to)
{
	struct control_stats *stats = &e->control->stats;
	struct collection *records = &e->checkpointer->records;
	struct tree_position position = { .checkpointed = moved_to };
	uint64_t began = clock_mono_ns();
	int rc;

	if ((rc = collect_range(e, from, to, records, &position.seq)) < 0)
		return rc;
	/* Also when there are no records: the file of a segment is reused only
	 * after the tree says that recovery need not look for it. */
	rc = checkpoint_apply(e, position);
	if (rc == KV_ENOSPC) {
		if (!(atomic_fetch_or(&e->control->trouble,
			  TROUBLE_TREE_SPACE) &
			TROUBLE_TREE_SPACE))
			log_error("checkpoint trouble=\"%s\"",
			    engine_trouble_text(TROUBLE_TREE_SPACE));
		engine_wake_room(e);
	}
	if (rc < 0)
		return rc;
	if (atomic_load(&e->control->inc_stored))
		atomic_fetch_and(&e->control->trouble,
		    ~(uint32_t)TROUBLE_TREE_SPACE);
	checkpoint_moved(e, moved_to);
	e->swept_ms = 0; /* new deadlines may lie anywhere */
	atomic_fetch_add(&stats->checkpoints, 1);
	atomic_fetch_add(&stats->checkpoint_records, records->count);
	atomic_fetch_add(&stats->checkpoint_ns, clock_mono_ns() - began);
	collect_forget(records);
	return KV_OK;
}

/* Where the records of the oldest segment begin and end, and where to go on
 * when they are moved.  partial: also of the one that is being written. */
static bool
checkpoint_range(const struct engine *e, bool partial, uint64_t *from,
    uint64_t *to, uint64_t *moved_to)
{
	const struct control *c = e->control;
	uint64_t at = atomic_load(&c->checkpointed);
	uint64_t lo = atomic_load(&c->segment_lo);
	uint64_t durable = atomic_load(&c->durable);
	uint64_t start = lo * e->segment_size + SEGMENT_HEADER;

	*from = at > start ? at : start;
	/* Not wal_end: views end at indexed_end, and who died within a roll left
	 * that in the segment before.  They would look below segment_lo. */
	if (lo < engine_segment_of(e, atomic_load(&c->indexed_end))) {
		*to = segment_header(engine_segment(e, lo + 1))->prev_end;
		*moved_to = (lo + 1) * e->segment_size + SEGMENT_HEADER;
	} else {
		/* What a dead appender did not index would not be found. */
		if (durable > atomic_load(&c->indexed_end))
			durable = atomic_load(&c->indexed_end);
		*to = durable < *from ? *from : durable;
		*moved_to = *to;
		if (!partial)
			return false;
	}
	return *to <= durable && *moved_to > at;
}

int
checkpoint_oldest(struct engine *e)
{
	uint64_t from, to, moved_to;
	int rc;

	if ((rc = checkpointer_new(e)) < 0)
		return rc;
	if (!checkpoint_range(e, true, &from, &to, &moved_to))
		return KV_OK;
	return checkpoint_move(e, from, to, moved_to);
}

/* Nothing was appended for a while: as good a time as any. */
static bool
checkpoint_is_idle(struct engine *e)
{
	struct checkpointer *c = e->checkpointer;
	uint64_t end = atomic_load(&e->control->wal_end);
	uint64_t now = clock_mono_ns();

	if (atomic_exchange(&e->control->checkpoint_asked, 0) != 0)
		return true;
	if (end != c->seen_end) {
		c->seen_end = end;
		c->seen_ns = now;
	}
	return now - c->seen_ns >= CHECKPOINT_IDLE_MS * 1000000ull;
}

/* The next to append would index what a dead appender did not, but nobody may
 * append for long: readers and we want it now. */
static void
checkpoint_mend(struct engine *e)
{
	struct control *c = e->control;

	if (atomic_load(&c->indexed_end) == atomic_load(&c->wal_end))
		return;
	append_lock(e);
	append_unlock(e);
	engine_wake_followers(e);
}

static int
checkpoint_sleep_for(struct engine *e, bool sweeping, uint64_t next_ms)
{
	struct control *c = e->control;
	uint64_t now = clock_wall_ms();
	int limit = -1;

	if (atomic_load(&c->checkpointed) != atomic_load(&c->wal_end))
		limit = CHECKPOINT_IDLE_MS;
	if (clockwatch_jumped(e))
		limit = CHECKPOINT_RETRY_MS;
	if (sweeping)
		return 1;
	if (next_ms != 0) {
		uint64_t wait = next_ms > now ? next_ms - now : 1;

		if (limit < 0 || wait < (uint64_t)limit)
			limit = wait > 3600000 ? 3600000 : (int)wait;
	}
	return limit;
}

/* Trouble with the tree: is there anything to be hoped from another try? */
static bool
checkpoint_may_try(struct engine *e)
{
	uint64_t room;

	return !(engine_trouble(e) & TROUBLE_TREE_SPACE) ||
	    region_free_space(e->dir, &room) < 0 || room >= CHECKPOINT_ROOM;
}

static int
checkpoint_retry(struct checkpointer *c)
{
	int now = c->retry_ms == 0 ? CHECKPOINT_RETRY_MS : c->retry_ms;

	c->retry_ms = now * 2 > CHECKPOINT_RETRY_MAX_MS
	    ? CHECKPOINT_RETRY_MAX_MS
	    : now * 2;
	return now;
}

/* A store that was opened on a full disk: its incarnation comes first. */
static int
checkpoint_incarnation(struct engine *e)
{
	struct control *c = e->control;
	int rc;

	if (atomic_load(&c->inc_stored))
		return KV_OK;
	if ((rc = incarnation_store(e)) < 0)
		return rc;
	/* Or who drew a new one died over it: then there was no trouble. */
	if (atomic_fetch_and(&c->trouble, ~(uint32_t)TROUBLE_TREE_SPACE) &
	    TROUBLE_TREE_SPACE)
		log_info("recover trouble=over");
	engine_wake_room(e);
	return KV_OK;
}

int
checkpoint_step(struct engine *e, bool all, int *sleep_ms)
{
	uint64_t from, to, moved_to, next_ms = 0;
	bool partial, sweeping = false;
	int rc;

	*sleep_ms = 0;
	if ((rc = checkpointer_new(e)) < 0)
		return rc;
	if (!checkpoint_may_try(e)) {
		*sleep_ms = CHECKPOINT_RETRY_MS;
		return KV_OK;
	}
	if (checkpoint_incarnation(e) < 0) {
		*sleep_ms = checkpoint_retry(e->checkpointer);
		return KV_OK;
	}
	checkpoint_release(e); /* who moved it may have died over that */
	if ((partial = all || checkpoint_is_idle(e)))
		checkpoint_mend(e);
	rc = checkpoint_prepare_and_watch(e);
	if (rc < 0)
		*sleep_ms =
		    rc == KV_EBUSY ? CHECKPOINT_PIN_MS : CHECKPOINT_RETRY_MS;
	if (!all && checkpoint_waits_for_file(e)) {
		engine_wake_writer(e);
		*sleep_ms = CHECKPOINT_CLOCK_MS;
		return KV_OK;
	}
	if (checkpoint_range(e, partial, &from, &to, &moved_to)) {
		rc = checkpoint_move(e, from, to, moved_to);
		if (rc == KV_OK) {
			e->checkpointer->retry_ms = 0;
			return KV_OK; /* look for more at once */
		}
		*sleep_ms = checkpoint_retry(e->checkpointer);
		return rc == KV_ENOMEM ? rc : KV_OK;
	}
	if (*sleep_ms != 0)
		return KV_OK;
	if (!all && (rc = sweep_step(e, &sweeping, &next_ms)) < 0)
		return rc;
	*sleep_ms = checkpoint_sleep_for(e, sweeping, next_ms);
	return KV_OK;
}

void
checkpoint_sleep(struct engine *e, int timeout_ms)
{
	struct control *c = e->control;
	uint32_t seen = atomic_load(&c->checkpoint_futex);

	if (timeout_ms == 0)
		return;
	if (atomic_load(&c->checkpointed) == atomic_load(&c->wal_end)) {
		/* Pairs with engine_kick: store, then look. */
		atomic_store(&c->checkpoint_sleeps, 1);
		if (atomic_load(&c->checkpointed) != atomic_load(&c->wal_end)) {
			atomic_store(&c->checkpoint_sleeps, 0);
			return;
		}
	}
	control_futex_wait(&c->checkpoint_futex, seen, timeout_ms);
	atomic_store(&c->checkpoint_sleeps, 0);
}
