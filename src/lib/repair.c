/* SPDX-License-Identifier: ISC */

/* kv_repair_clock: the engine's, with the options of libkv. */

#include <stdio.h>

#include "conf/conf.h"
#include "engine/repair_clock.h"
#include "lib/embed.h"

static void
tell(const struct clock_repaired *from, struct kv_clock_repaired *to)
{
	to->was_due = from->was_due;
	to->now_ms = from->now_ms;
	to->newest_ms = from->newest_ms;
	to->records = from->records;
	to->moved = from->places;
	to->buckets = from->buckets;
	snprintf(to->why, sizeof(to->why), "%s", from->why);
}

int
kv_repair_clock(const char *dir, const struct kv_options *options,
    const struct kv_clock_repair *how, struct kv_clock_repaired *out)
{
	struct kv_options o = { 0 };
	struct clock_repair repair = { .dry = how->dry,
		.force = how->force,
		.progress = how->progress,
		.user = how->user };
	struct clock_repaired repaired = { 0 };
	struct engine_options eo;
	struct conf *conf;
	int rc;

	if (options != NULL)
		o = *options;
	o.must_exist = true;
	if ((rc = embed_options(dir, &o, &conf, &eo)) == KV_OK) {
		rc = repair_clock(&eo, &repair, &repaired);
		conf_free(conf);
	}
	tell(&repaired, out);
	return rc;
}
