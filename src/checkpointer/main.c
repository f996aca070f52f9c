/* SPDX-License-Identifier: ISC */
/* kv-checkpointer: the log into the tree, deadlines, purging.  Started by kvd;
 * holds the role, or waits until its holder is gone. */

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/maintain.h"
#include "engine/options.h"
#include "io/spawn.h"
#include "io/stop.h"

#define STOP_LIMIT_NS 8000000000u
#define STOP_PAUSE_MS 5
#define IOPRIO_IDLE (3 << 13) /* ioprio_set(2): class idle */

static int
checkpointer_open_store(struct conf *conf, struct engine **out)
{
	struct engine_options options;
	int rc;

	engine_options_read(conf, ROLE_CHECKPOINTER, &options);
	if ((rc = engine_open(&options, out)) < 0)
		return rc;
	if ((rc = stop_arm(SPAWN_FIRST_FD)) < 0)
		return rc;
	send(SPAWN_FIRST_FD, "ready", 5, MSG_NOSIGNAL);
	return KV_OK;
}

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
checkpointer_run(struct engine *e)
{
	int rc = KV_OK, sleep_ms;

	while (!stop_asked()) {
		rc = maintain_take(e, ROLE_CHECKPOINTER, true);
		if (rc != KV_EBUSY)
			break;
	}
	if (rc < 0 || stop_asked())
		return rc == KV_EBUSY ? KV_OK : rc;
	log_info("role taken=checkpointer");
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
	struct engine *e = NULL;
	struct conf *conf;
	int rc;

	log_init("kv-checkpointer", LOG_LEVEL_INFO);
	if (conf_from_parent(SPAWN_FIRST_FD, &conf) < 0)
		return EXIT_FAILURE;
	log_init("kv-checkpointer",
	    (enum log_level)conf_u64(conf, CONF_LOG_LEVEL));
	/* The foreground comes first; being refused is no harm. */
	syscall(SYS_ioprio_set, 1, 0, IOPRIO_IDLE);
	if ((rc = checkpointer_open_store(conf, &e)) == KV_OK)
		rc = checkpointer_run(e);
	engine_close(e);
	conf_free(conf);
	return rc == KV_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
