/* SPDX-License-Identifier: ISC */
/* Watching the wall clock. */

#include "engine/clockwatch.h"

#include "base/clock.h"
#include "base/log.h"
#include "engine/recover.h"

#define JUMP_MS 30000
#define DOUBT_MS 3600000 /* a jump forward to be doubted, and for how long */
#define DOUBT_SAID_MS 300000 /* by replication */

static int64_t
clockwatch_offset(void)
{
	return (int64_t)clock_wall_ms() - (int64_t)clock_boot_ms();
}

/* By how much the clock is off what it was; 0 when that is not known. */
static int64_t
clockwatch_off_by(const struct engine *e)
{
	int64_t was = atomic_load(&e->control->clock_offset);

	return was == 0 ? 0 : clockwatch_offset() - was;
}

static bool
clockwatch_is_jump(int64_t off_by)
{
	return off_by > JUMP_MS || off_by < -JUMP_MS;
}

bool
clockwatch_jumped(const struct engine *e)
{
	return clockwatch_is_jump(clockwatch_off_by(e));
}

static int
clockwatch_jump(struct engine *e, int64_t off_by)
{
	struct control *c = e->control;
	int rc = incarnation_renew(e, atomic_load(&c->clock_seq));

	if (rc < 0)
		return rc;
	if (off_by > DOUBT_MS)
		atomic_store(&c->clock_doubted, clock_boot_ms() + DOUBT_MS);
	else if (off_by < -DOUBT_MS)
		atomic_store(&c->clock_doubted, 0);
	log_warn("clock jumped_ms=%lld action=\"a new incarnation%s\"",
	    (long long)off_by,
	    off_by > DOUBT_MS
		? "; for an hour nothing expires and nothing is purged"
		: "");
	return KV_OK;
}

void
clockwatch_begin(struct engine *e)
{
	struct control *c = e->control;

	atomic_store(&c->clock_offset, clockwatch_offset());
	/* Where we stood when all was well: written under the mutex by others,
	 * but a number of eight bytes, and any that it had will do. */
	atomic_store(&c->clock_seq, __atomic_load_n(&c->seq, __ATOMIC_RELAXED));
}

void
clockwatch_step(struct engine *e)
{
	int64_t off_by = clockwatch_off_by(e);

	/* Recovery has a new one in any case. */
	if (e->process == NULL)
		return;
	if (clockwatch_is_jump(off_by) && clockwatch_jump(e, off_by) < 0)
		return;	     /* the next step tries again */
	clockwatch_begin(e); /* slow drift is followed */
}

bool
clockwatch_doubts(const struct engine *e)
{
	/* A jump may not have been looked at yet. */
	return clockwatch_off_by(e) > DOUBT_MS ||
	    clock_boot_ms() < atomic_load(&e->control->clock_doubted);
}

void
clockwatch_doubt(struct engine *e)
{
	uint64_t until = clock_boot_ms() + DOUBT_SAID_MS;

	if (atomic_load(&e->control->clock_doubted) < until)
		atomic_store(&e->control->clock_doubted, until);
}
