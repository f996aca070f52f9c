/* SPDX-License-Identifier: ISC */
/* kv-walwriter: the log to disk.  Started by kvd; holds the role, or waits
 * until its holder is gone. */

#include "engine/maintain.h"
#include "engine/program.h"
#include "io/stop.h"

static int
writer_work(struct engine *e)
{
	int rc, sleep_ms;

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
	return program_main("kv-walwriter", ROLE_WALWRITER, writer_work);
}
