/* SPDX-License-Identifier: ISC */
/* Waiting for positions and waking those who wait.
 *
 * The pattern is always the same: who is about to sleep stores what he wants,
 * then looks at the position once more; who moves a position stores it, then
 * looks at the wants.  Both with sequentially consistent order between store
 * and load, so one of the two sees the other. */

#include <poll.h>

#include "base/clock.h"
#include "engine/internal.h"
#include "engine/maintain.h"

uint64_t
engine_durable(const struct engine *e)
{
	if (e->options.durability != DURABILITY_ALWAYS)
		return UINT64_MAX;
	return atomic_load_explicit(&e->control->durable, memory_order_acquire);
}

uint32_t
engine_trouble(const struct engine *e)
{
	return atomic_load_explicit(&e->control->trouble, memory_order_relaxed);
}

const char *
engine_trouble_text(uint32_t trouble)
{
	if (trouble & TROUBLE_CORRUPT)
		return "a record in memory is damaged, restart the store to "
		       "read the log from disk";
	if (trouble & TROUBLE_LOG_IO)
		return "writing the log failed, see the log of kv-walwriter";
	if (trouble & TROUBLE_LOG_SPACE)
		return "no space left on device for the log";
	if (trouble & TROUBLE_TREE_SPACE)
		return "no space left on device or map_size reached";
	if (trouble & TROUBLE_SHM_SPACE)
		return "no space left in shm_dir";
	return "ok";
}

/* Wake a role that sleeps.  Only the sleeper clears its flag: who clears it
 * and dies before the wake-up would leave it asleep for good. */
static void
wake_role(struct control *c, _Atomic uint32_t *sleeps, _Atomic uint32_t *futex)
{
	if (!atomic_load_explicit(sleeps, memory_order_relaxed))
		return;
	atomic_fetch_add_explicit(&c->stats.wakes, 1, memory_order_relaxed);
	control_futex_wake(futex);
}

void
engine_kick(struct engine *e)
{
	struct control *c = e->control;

	if (e->own_end == 0)
		return;
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&c->durable, memory_order_relaxed) <
	    e->own_end)
		wake_role(c, &c->writer_sleeps, &c->writer_futex);
	wake_role(c, &c->checkpoint_sleeps, &c->checkpoint_futex);
	e->own_end = 0;
}

void
engine_wake_writer(struct engine *e)
{
	struct control *c = e->control;

	atomic_thread_fence(memory_order_seq_cst);
	wake_role(c, &c->writer_sleeps, &c->writer_futex);
}

void
engine_ask_checkpoint(struct engine *e)
{
	struct control *c = e->control;

	atomic_store(&c->checkpoint_asked, 1);
	atomic_fetch_add(&c->checkpoint_futex, 1);
	control_futex_wake(&c->checkpoint_futex);
}

void
engine_wake_all(struct engine *e)
{
	uint32_t i, high = atomic_load(&e->control->process_high);

	for (i = 0; i < high; i++)
		if (i != e->slot &&
		    atomic_load(&e->control->processes[i].pid) != 0)
			wake_send(e->wake, i);
}

int
engine_wake_fd(const struct engine *e)
{
	return e->wake_fd;
}

void
engine_wake_drain(struct engine *e)
{
	wake_drain(e->wake, e->slot);
}

bool
engine_want_durable(struct engine *e, uint64_t position)
{
	struct control *c = e->control;
	_Atomic uint64_t *want = &e->process->want_durable;
	uint64_t old = atomic_load(want);

	if (position <= engine_durable(e))
		return true;
	while (old == 0 || position < old)
		if (atomic_compare_exchange_weak(want, &old, position))
			break;
	if (position <= atomic_load(&c->durable))
		return true;
	/* Who appended it may have died before engine_kick. */
	wake_role(c, &c->writer_sleeps, &c->writer_futex);
	return false;
}

bool
engine_want_room(struct engine *e)
{
	struct control *c = e->control;
	bool memory, file;
	uint64_t hi;

	atomic_store(&e->process->want_room, 1);
	hi = atomic_load(&c->segment_hi);
	memory = atomic_load(&c->memory_ready) > hi;
	file = atomic_load(&c->file_ready) > hi;
	/* Who rolled may have died before engine_kick. */
	if (!memory)
		wake_role(c, &c->checkpoint_sleeps, &c->checkpoint_futex);
	if (!file)
		wake_role(c, &c->writer_sleeps, &c->writer_futex);
	return engine_trouble(e) != 0 || (memory && file);
}

/* Every process whose want, at the given member, has been reached. */
static void
wake_reached(struct engine *e, size_t member, uint64_t position)
{
	uint32_t i, high = atomic_load(&e->control->process_high);

	for (i = 0; i < high; i++) {
		char *p = (char *)&e->control->processes[i];
		_Atomic uint64_t *want =
		    (_Atomic uint64_t *)(void *)(p + member);
		uint64_t w = atomic_load(want);

		if (w == 0 || w > position ||
		    !atomic_compare_exchange_strong(want, &w, 0))
			continue;
		if (member == offsetof(struct control_process, want_indexed))
			atomic_fetch_sub(&e->control->followers, 1);
		if (i != e->slot)
			wake_send(e->wake, i);
	}
}

void
engine_wake_durable(struct engine *e)
{
	if (e->wake == NULL)
		return;
	atomic_thread_fence(memory_order_seq_cst);
	wake_reached(e, offsetof(struct control_process, want_durable),
	    atomic_load(&e->control->durable));
}

void
engine_wake_followers(struct engine *e)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&e->control->followers,
		memory_order_relaxed) == 0)
		return;
	wake_reached(e, offsetof(struct control_process, want_indexed),
	    atomic_load(&e->control->indexed_end));
}

void
engine_wake_room(struct engine *e)
{
	uint32_t i, high = atomic_load(&e->control->process_high);

	if (e->wake == NULL)
		return;
	for (i = 0; i < high; i++)
		if (atomic_exchange(&e->control->processes[i].want_room, 0) !=
			0 &&
		    i != e->slot)
			wake_send(e->wake, i);
}

/* Nobody may be writing the log: then it is for us to do. */
static int
wait_inline(struct engine *e)
{
	int taken = maintain_take(e, ROLE_WALWRITER, false), rc;

	if (taken < 0 && taken != KV_EEXIST)
		return taken;
	rc = writer_flush(e);
	if (taken == KV_OK)
		maintain_leave(e, ROLE_WALWRITER);
	return rc;
}

int
engine_wait_durable(struct engine *e, uint64_t position, int timeout_ms)
{
	uint64_t limit = clock_mono_ns() + (uint64_t)timeout_ms * 1000000u;
	struct pollfd p = { .fd = e->wake_fd, .events = POLLIN };
	int rc;

	for (;;) {
		if (engine_want_durable(e, position))
			return KV_OK;
		rc = wait_inline(e);
		if (rc < 0 && rc != KV_EBUSY)
			return rc;
		if (rc == KV_OK)
			continue;
		engine_kick(e);
		if (timeout_ms >= 0 && clock_mono_ns() >= limit)
			return KV_ETIMEOUT;
		/* The holder of the role may die: look again now and then. */
		poll(&p, 1, 100);
		engine_wake_drain(e);
	}
}
