/* SPDX-License-Identifier: ISC */
/* kv-walwriter: the log to disk.  Started by kvd; holds the role, or waits
 * until its holder is gone. */

#include <stdlib.h>
#include <sys/socket.h>

#include "base/log.h"
#include "engine/maintain.h"
#include "engine/options.h"
#include "io/spawn.h"
#include "io/stop.h"

static int
writer_open_store(struct conf *conf, struct engine **out)
{
	struct engine_options options;
	int rc;

	engine_options_read(conf, ROLE_WALWRITER, &options);
	if ((rc = engine_open(&options, out)) < 0)
		return rc;
	if ((rc = stop_arm(SPAWN_FIRST_FD)) < 0)
		return rc;
	send(SPAWN_FIRST_FD, "ready", 5, MSG_NOSIGNAL);
	return KV_OK;
}

static int
writer_run(struct engine *e)
{
	int rc = KV_OK, sleep_ms;

	while (!stop_asked()) {
		rc = maintain_take(e, ROLE_WALWRITER, true);
		if (rc != KV_EBUSY)
			break;
	}
	if (rc < 0 || stop_asked())
		return rc == KV_EBUSY ? KV_OK : rc;
	log_info("role taken=walwriter");
	while (!stop_asked()) {
		if ((rc = writer_step(e, &sleep_ms)) < 0)
			return rc;
		writer_sleep(e, sleep_ms);
	}
	return writer_flush(e);
}

int
main(void)
{
	struct engine *e = NULL;
	struct conf *conf;
	int rc;

	log_init("kv-walwriter", LOG_LEVEL_INFO);
	if (conf_from_parent(SPAWN_FIRST_FD, &conf) < 0)
		return EXIT_FAILURE;
	log_init("kv-walwriter",
	    (enum log_level)conf_u64(conf, CONF_LOG_LEVEL));
	if ((rc = writer_open_store(conf, &e)) == KV_OK)
		rc = writer_run(e);
	engine_close(e);
	conf_free(conf);
	return rc == KV_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
