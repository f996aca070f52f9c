/* SPDX-License-Identifier: ISC */
/* The common life of kv-walwriter and kv-checkpointer. */

#include "engine/program.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "base/log.h"
#include "engine/maintain.h"
#include "engine/options.h"
#include "io/spawn.h"
#include "io/stop.h"

static int
program_open(const struct conf *conf, enum control_role role,
    struct engine **out)
{
	struct engine_options options;
	int rc;

	engine_options_read(conf, role, &options);
	if ((rc = engine_open(&options, out)) < 0)
		return rc;
	if ((rc = stop_arm(SPAWN_FIRST_FD)) < 0)
		return rc;
	send(SPAWN_FIRST_FD, "ready", 5, MSG_NOSIGNAL);
	return KV_OK;
}

static int
program_hold(struct engine *e, const char *name, enum control_role role,
    int (*work)(struct engine *e))
{
	int rc = KV_EBUSY;

	while (rc == KV_EBUSY) {
		if (stop_asked())
			return KV_OK;
		rc = maintain_take(e, role, true);
	}
	if (rc < 0)
		return rc;
	log_info("role taken=%s", name);
	return work(e);
}

int
program_main(const char *name, enum control_role role,
    int (*work)(struct engine *e))
{
	struct engine *e = NULL;
	struct conf *conf;
	int rc;

	log_init(name, LOG_LEVEL_INFO);
	if (conf_from_parent(SPAWN_FIRST_FD, &conf) < 0)
		return EXIT_FAILURE;
	log_init(name, (enum log_level)conf_u64(conf, CONF_LOG_LEVEL));
	if ((rc = program_open(conf, role, &e)) == KV_OK)
		rc = program_hold(e, name + sizeof("kv-") - 1, role, work);
	engine_close(e);
	conf_free(conf);
	return rc == KV_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
