/* SPDX-License-Identifier: ISC */
/* kv-checkpointer: the log into the tree, deadlines, purging.  Started by kvd;
 * holds the role, or waits until its holder is gone. */

#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "engine/maintain.h"
#include "engine/program.h"
#include "io/stop.h"

#define STOP_LIMIT_NS 4000000000u /* kvd gives a child 5 s */
#define STOP_PAUSE_MS 5
#define IOPRIO_IDLE (3 << 13) /* ioprio_set(2): class idle */

/* All that was appended before now goes into the tree, so that the next start
 * finds an empty log.  Others may go on appending: not our concern. */
static int
checkpointer_finish(struct engine *e)
{
	const struct control *c = engine_control(e);
	uint64_t limit = clock_mono_ns() + STOP_LIMIT_NS;
	uint64_t target = atomic_load(&c->wal_end);
	int rc = KV_OK, sleep_ms;

	while (rc == KV_OK && atomic_load(&c->checkpointed) < target &&
	    clock_mono_ns() < limit && engine_trouble(e) == 0) {
		if (atomic_load(&c->durable) < target &&
		    maintain_take(e, ROLE_WALWRITER, false) == KV_OK) {
			rc = writer_flush(e);
			maintain_leave(e, ROLE_WALWRITER);
		}
		if (rc == KV_OK)
			rc = checkpoint_step(e, true, &sleep_ms);
		if (rc == KV_OK && sleep_ms != 0)
			usleep(STOP_PAUSE_MS * 1000);
	}
	return rc;
}

static int
checkpointer_work(struct engine *e)
{
	int rc, sleep_ms;

	/* The foreground comes first; being refused is no harm. */
	syscall(SYS_ioprio_set, 1, 0, IOPRIO_IDLE);
	while (!stop_asked()) {
		if ((rc = checkpoint_step(e, false, &sleep_ms)) < 0)
			return rc;
		checkpoint_sleep(e, sleep_ms);
	}
	return checkpointer_finish(e);
}

int
main(void)
{
	return program_main("kv-checkpointer", ROLE_CHECKPOINTER,
	    checkpointer_work);
}
