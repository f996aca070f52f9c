/* SPDX-License-Identifier: ISC */

/* The daemon's jobs, while there is no daemon: whoever writes carries the log
 * on to the disk and into the tree, a step at a time, within its own calls.
 * The roles are given back after each step, so that a daemon that starts can
 * have them at once. */

#include <poll.h>

#include "base/clock.h"
#include "engine/maintain.h"
#include "lib/embed.h"

#define LOOK_EVERY_NS 1000000000u /* at the log, for the sake of everysec */
#define WAIT_MS 50

/* Write the log out and sync it, if nobody else does.  KV_EBUSY: somebody
 * does. */
static int
write_out(struct kv *kv)
{
	int rc;

	if ((rc = maintain_take(kv->engine, ROLE_WALWRITER, false)) < 0)
		return rc;
	rc = writer_flush(kv->engine);
	maintain_leave(kv->engine, ROLE_WALWRITER);
	return rc;
}

/* Move complete segments into the tree, if nobody else does. */
static int
move_segments(struct kv *kv)
{
	int rc, sleep_ms = 0;

	if ((rc = maintain_take(kv->engine, ROLE_CHECKPOINTER, false)) < 0)
		return rc;
	while (rc == KV_OK && sleep_ms == 0)
		rc = checkpoint_step(kv->engine, false, &sleep_ms);
	maintain_leave(kv->engine, ROLE_CHECKPOINTER);
	return rc;
}

void
upkeep_after_write(struct kv *kv)
{
	const struct control *c = engine_control(kv->engine);
	uint64_t segment =
	    atomic_load_explicit(&c->segment_hi, memory_order_relaxed);
	uint64_t now = clock_mono_ns();

	if (segment == kv->upkeep_segment && now < kv->upkeep_due_ns)
		return;
	kv->upkeep_due_ns = now + LOOK_EVERY_NS;
	/* Failures here are the log's trouble, told when writes fail. */
	(void)write_out(kv);
	if (segment != kv->upkeep_segment)
		(void)move_segments(kv);
	kv->upkeep_segment = segment;
}

int
upkeep_room(struct kv *kv, uint64_t deadline_ns)
{
	struct pollfd p = { .fd = engine_wake_fd(kv->engine),
		.events = POLLIN };
	int written = write_out(kv);
	int moved = move_segments(kv);

	if (clock_mono_ns() >= deadline_ns)
		return KV_EAGAIN;
	/* Both were ours and went well: there is room as far as we can make
	 * any.  Otherwise wait for who has the other half. */
	if ((written == KV_OK && moved == KV_OK) ||
	    engine_want_room(kv->engine))
		return KV_OK;
	if (poll(&p, 1, WAIT_MS) > 0)
		engine_wake_drain(kv->engine);
	return KV_OK;
}

int
upkeep_sync(struct kv *kv, uint64_t position, int timeout_ms)
{
	const struct control *c = engine_control(kv->engine);
	uint64_t began = clock_mono_ns();
	int rc;

	while (atomic_load_explicit(&c->durable, memory_order_acquire) <
	    position) {
		if ((rc = write_out(kv)) == KV_OK)
			continue;
		if (rc != KV_EBUSY)
			return rc;
		if (timeout_ms >= 0 &&
		    clock_mono_ns() - began >
			(uint64_t)timeout_ms * CLOCK_NS_PER_MS)
			return KV_ETIMEOUT;
		engine_kick(kv->engine);
		(void)poll(NULL, 0, 1); /* a pause; a signal may end it */
	}
	return KV_OK;
}
