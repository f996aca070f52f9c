/* SPDX-License-Identifier: ISC */
/* kv repair-clock: measuring, building, taking the place. */

#include "engine/repair_clock.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "engine/internal.h"
#include "engine/maintain.h"
#include "engine/recover.h"
#include "engine/repair_ticks.h"
#include "io/file.h"
#include "shm/region.h"
#include "tree/reissue.h"

#define EARLIEST_MS 1735689600000ull /* 2025: a clock before it is not set */
#define PASSES 3		     /* over the rows: count, list, write */

struct repair {
	struct engine *e;
	const struct clock_repair *how;
	struct clock_repaired *out;
	struct repair_ticks ticks;
	uint64_t limit;
	size_t tick_count; /* with repetitions */
	uint64_t rows;	   /* of the tree */
	uint64_t passed;   /* passes over them that are done */
	char folder[PATH_MAX];
};

/* ---- may it be done? --------------------------------------------------- */

static void
refuse(struct repair *r, const char *text)
{
	snprintf(r->out->why, sizeof(r->out->why), "%s", text);
}

/* Who has it open, for who is to stop them. */
static void
name_holders(struct repair *r)
{
	static const char *const roles[] = { "", "kv-worker", "kv-walwriter",
		"kv-checkpointer", "kv-syncd", "a program" };
	struct engine *e = r->e;
	size_t at;
	unsigned i;

	refuse(r, "it is open:");
	at = strlen(r->out->why);
	for (i = 0; i < CONTROL_PROCESSES; i++) {
		struct control_process *p = &e->control->processes[i];
		uint32_t role = atomic_load(&p->role);
		uint32_t pid = atomic_load(&p->pid);

		if (i == e->slot || pid == 0 || !host_is_alive(e, i) ||
		    role >= sizeof(roles) / sizeof(roles[0]) ||
		    at + 40 > sizeof(r->out->why))
			continue;
		at +=
		    (size_t)snprintf(r->out->why + at, sizeof(r->out->why) - at,
			" %s (pid %u)", roles[role], (unsigned)pid);
	}
}

static int
take_alone(struct repair *r)
{
	int rc =
	    file_lock(r->e->lock_fd, LOCK_OPEN, FILE_LOCK_EXCLUSIVE, false);

	if (rc == KV_EBUSY)
		name_holders(r);
	return rc;
}

/* Writes of other hosts above the limit were taken in under a clock that said
 * so.  Either that one was wrong, or the one of now is. */
static int
check_others(struct repair *r)
{
	uint64_t unlikely = r->limit + ((uint64_t)CLOCK_DRIFT_MS << 16);
	struct tree_scan *scan = NULL;
	struct schema_vector v;
	struct record row;
	bool found = false;
	int rc;

	rc = tree_scan_open(r->e->tree, TREE_BY_POSITION, 0, &scan);
	while (rc == KV_OK && (rc = tree_scan_next(scan, &row)) == KV_OK)
		if (schema_get_vector(row.key, row.value, &v) == KV_OK &&
		    v.vv > unlikely && v.uid != 0 && v.uid != r->e->store_id)
			found = true;
	tree_scan_close(scan);
	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	if (!found || r->how->force)
		return KV_OK;
	refuse(r,
	    "other hosts have written later than that too: is the clock "
	    "slow now?");
	return KV_EINVAL;
}

/* ---- counting ---------------------------------------------------------- */

static void
pass_rows(void *user, uint64_t rows)
{
	struct repair *r = user;

	if (r->how->progress != NULL)
		r->how->progress(r->how->user, r->passed * r->rows + rows,
		    PASSES * r->rows);
}

static void
count_tick(void *user, uint64_t tick)
{
	struct repair *r = user;

	(void)tick;
	r->tick_count++;
}

static void
list_tick(void *user, uint64_t tick)
{
	struct repair *r = user;

	repair_ticks_add(&r->ticks, tick);
}

static int
look(struct repair *r, void (*each)(void *user, uint64_t tick))
{
	struct reissue_look how = { .limit = r->limit,
		.each = each,
		.progress = pass_rows,
		.user = r };
	struct reissue_found found;
	int rc = reissue_look(r->e->tree, &how, &found);

	r->passed++;
	r->out->records = found.records;
	r->out->places = found.places;
	r->out->buckets = found.buckets;
	return rc;
}

static int
measure(struct repair *r)
{
	struct tree_stat stat;
	uint64_t room;
	int rc;

	if ((rc = check_others(r)) < 0 ||
	    (rc = tree_stat(r->e->tree, &stat)) < 0)
		return rc;
	r->rows = stat.entries + stat.buckets;
	if ((rc = look(r, count_tick)) < 0 ||
	    (rc = region_free_space(r->e->dir, &room)) < 0)
		return rc;
	/* The copy, what it grows by while rows change, and the list. */
	if (!r->how->dry &&
	    room < stat.used_bytes * 2 + r->tick_count * sizeof(uint64_t)) {
		log_error("repair dir=%s free_mb=%llu needed_mb=%llu "
			  "error=\"no room for a second tree\"",
		    r->e->dir, (unsigned long long)(room >> 20),
		    (unsigned long long)(stat.used_bytes >> 19));
		return KV_ENOSPC;
	}
	return KV_OK;
}

/* ---- building ---------------------------------------------------------- */

static uint64_t
new_tick(void *user, uint64_t old)
{
	struct repair *r = user;

	return repair_ticks_get(&r->ticks, old);
}

static void
digest(const struct record *record, uint64_t sum[2])
{
	uint64_t d[2];

	bucket_digest(record->bid, record->key, record->stamp, d);
	sum[0] += d[0];
	sum[1] += d[1];
}

static int
change_copy(struct repair *r)
{
	const struct tree_options o = { .folder = r->folder,
		.map_size = r->e->options.map_size,
		.max_readers = 2,
		.writable = true,
		.make_nosync = true };
	struct control *c = r->e->control;
	struct reissue how = { .limit = r->limit,
		.tick = new_tick,
		.run = { repair_ticks_last(&r->ticks), incarnation_draw() },
		.old_run = c->inc,
		/* Of the log there is nothing that the tree has not. */
		.checkpointed =
		    (engine_segment_of(r->e, atomic_load(&c->wal_end)) + 1) *
		    r->e->segment_size,
		.digest = digest,
		.progress = pass_rows,
		.user = r };
	struct tree *t = NULL;
	int rc;

	if ((rc = tree_open(&o, &t)) == KV_OK)
		rc = reissue_apply(t, &how);
	tree_close(t);
	return rc;
}

static int
build(struct repair *r)
{
	struct tree *t = r->e->tree;
	int rc;

	region_remove_folder(r->folder); /* of one that was broken off */
	if ((rc = tree_copy(t, r->folder)) < 0)
		return rc;
	CRASH_POINT("repair.copied");
	rc = repair_ticks_init(&r->ticks, r->folder, r->limit, r->tick_count);
	if (rc == KV_OK)
		rc = look(r, list_tick);
	if (rc == KV_OK) {
		repair_ticks_sort(&r->ticks);
		rc = change_copy(r);
	}
	repair_ticks_fini(&r->ticks);
	return rc;
}

/* ---- taking the place -------------------------------------------------- */

/* Files of a log that is all in the tree, and whose seqs are of the future. */
static void
remove_log(const struct engine *e)
{
	char path[PATH_MAX];
	struct dirent *entry;
	const char *dot;
	DIR *dir;

	snprintf(path, sizeof(path), "%.*s/wal", (int)sizeof(path) - 8, e->dir);
	if ((dir = opendir(path)) == NULL)
		return;
	while ((entry = readdir(dir)) != NULL) {
		dot = strrchr(entry->d_name, '.');
		if (dot != NULL && strcmp(dot, ".wal") == 0)
			(void)unlinkat(dirfd(dir), entry->d_name, 0);
	}
	closedir(dir);
}

static int
take_place(struct repair *r)
{
	char from[PATH_MAX], to[PATH_MAX];
	struct engine *e = r->e;
	int rc;

	snprintf(from, sizeof(from), "%.*s/tree.new/data.mdb",
	    (int)sizeof(from) - 32, e->dir);
	snprintf(to, sizeof(to), "%.*s/tree/data.mdb", (int)sizeof(to) - 32,
	    e->dir);
	/* Nobody may go on with memory of a run that is withdrawn. */
	tree_close(e->tree);
	e->tree = NULL;
	atomic_store(&e->control->state, 0);
	region_remove_folder(e->shm);
	CRASH_POINT("repair.built");
	if (rename(from, to) < 0)
		return err_system("rename", from);
	CRASH_POINT("repair.renamed");
	if ((rc = file_sync_parent(to)) < 0)
		return rc;
	remove_log(e);
	CRASH_POINT("repair.removed");
	return KV_OK;
}

/* ------------------------------------------------------------------------ */

static int
run(struct repair *r)
{
	struct control *c = r->e->control;
	int rc;

	if ((rc = take_alone(r)) < 0 || (rc = maintain_settle(r->e)) < 0)
		return rc;
	if (atomic_load(&c->checkpointed) != atomic_load(&c->wal_end))
		return KV_EAGAIN;
	r->out->newest_ms = c->seq >> 16;
	r->out->was_due = c->seq > r->limit;
	if (!r->out->was_due)
		return KV_OK;
	if ((rc = tree_renew(r->e->tree)) < 0)
		return rc;
	rc = measure(r);
	if (rc == KV_OK && !r->how->dry)
		rc = build(r);
	tree_release(r->e->tree);
	if (rc == KV_OK && !r->how->dry)
		rc = take_place(r);
	region_remove_folder(r->folder);
	return rc;
}

int
repair_clock(const struct engine_options *options,
    const struct clock_repair *how, struct clock_repaired *out)
{
	struct engine_options o = *options;
	struct repair r = { .how = how, .out = out };
	int rc;

	*out = (struct clock_repaired){ .now_ms = clock_wall_ms() };
	r.limit = (out->now_ms + CLOCK_DRIFT_MS) << 16;
	if (out->now_ms < EARLIEST_MS) {
		refuse(&r, "the clock of this host is not set");
		return KV_EINVAL;
	}
	o.role = ROLE_LIBRARY;
	o.must_exist = true;
	if ((rc = engine_open(&o, &r.e)) < 0)
		return rc;
	snprintf(r.folder, sizeof(r.folder), "%.*s/tree.new",
	    (int)sizeof(r.folder) - 16, r.e->dir);
	rc = run(&r);
	engine_close(r.e);
	return rc;
}

uint64_t
repair_clock_ahead(const struct engine *e, uint64_t wall_ms)
{
	uint64_t ms = e->control->seq >> 16;

	return ms > wall_ms ? ms - wall_ms : 0;
}
