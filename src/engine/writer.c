/* SPDX-License-Identifier: ISC */
/* The walwriter's steps: log to disk.
 *
 * always: what was appended since the last sync goes out in one write with
 * one sync (group commit for all processes of the host; Gray and Reuter 1992,
 * 9.4), then who waits is woken.  everysec: blocks go out as they fill, a sync
 * once a second.  os: the same without the sync.
 *
 * A segment is synced before anything of the next is written: a header on
 * disk says that all before it is there too. */

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "engine/clockwatch.h"
#include "engine/internal.h"
#include "engine/maintain.h"

#define WRITER_PERIOD_NS 1000000000u
#define WRITER_LOOK_MS 50	/* how often everysec looks for blocks */
#define WRITER_EAGER (1u << 20) /* so many bytes are written early */
#define WRITER_RETRY_MS 200	/* after trouble */

struct writer {
	struct wal_files *files;
	uint64_t written;  /* LSN: everysec wrote so far, not synced */
	uint64_t dirty_ns; /* since when something is not synced; 0: nothing */
};

static int
writer_open(struct engine *e)
{
	char folder[PATH_MAX];
	struct writer *w;
	int rc;

	if (e->writer != NULL)
		return KV_OK;
	if ((w = calloc(1, sizeof(*w))) == NULL)
		return KV_ENOMEM;
	snprintf(folder, sizeof(folder), "%.*s/wal", (int)sizeof(folder) - 8,
	    e->dir);
	rc = wal_files_open(folder, e->store_id, e->segment_size, &w->files);
	if (rc < 0) {
		free(w);
		return rc;
	}
	wal_files_retire(w->files, atomic_load(&e->control->segment_lo));
	w->written = atomic_load(&e->control->durable);
	atomic_store(&e->control->durability, e->options.durability);
	if (e->options.durability == DURABILITY_OS)
		atomic_store(&e->control->unsynced, 1);
	e->writer = w;
	return KV_OK;
}

void
writer_free(struct engine *e)
{
	if (e->writer == NULL)
		return;
	wal_files_close(e->writer->files);
	free(e->writer);
	e->writer = NULL;
}

/* Where the records of a segment end, its END mark included. */
static uint64_t
writer_segment_end(const struct engine *e, uint64_t number, uint64_t end)
{
	if (engine_segment_of(e, end) == number)
		return end;
	return segment_header(engine_segment(e, number + 1))->prev_end +
	    WAL_RECORD_MIN;
}

/* Write [lo, hi) of one segment; sync: and all that was written to its file
 * before.  clean: that is on disk already, so the write's own sync will do. */
static int
writer_segment(struct engine *e, uint64_t number, uint64_t lo, uint64_t hi,
    bool sync, bool clean)
{
	struct wal_files *files = e->writer->files;
	uint64_t start = number * e->segment_size;
	uint64_t before = wal_files_written(files);
	int rc;

	if ((rc = wal_files_prepare(files, number)) < 0)
		return rc;
	if (lo < hi)
		rc = wal_files_write(files, number,
		    engine_segment(e, number)->base, lo - start, hi - start,
		    sync && clean);
	CRASH_POINT("writer.wrote");
	if (rc == KV_OK && sync && !clean)
		rc = wal_files_sync(files, number);
	atomic_fetch_add_explicit(&e->control->stats.sync_bytes,
	    wal_files_written(files) - before, memory_order_relaxed);
	return rc;
}

/* What was called durable and never synced is in our way now. */
static int
writer_sync_old(struct engine *e)
{
	struct control *c = e->control;
	uint64_t number = atomic_load(&c->segment_lo);
	uint64_t last = engine_segment_of(e, e->writer->written);
	int rc = KV_OK;

	for (; rc == KV_OK && number <= last; number++) {
		rc = wal_files_sync(e->writer->files, number);
		if (rc == KV_ENOTFOUND) /* nothing of it is written yet */
			rc = KV_OK;
	}
	if (rc == KV_OK && e->options.durability != DURABILITY_OS)
		atomic_store(&c->unsynced, 0);
	return rc;
}

/* Write what is not written yet up to `to`, which may cross segments. */
static int
writer_write(struct engine *e, uint64_t to, bool sync)
{
	struct writer *w = e->writer;
	uint64_t number = engine_segment_of(e, w->written);
	uint64_t last = engine_segment_of(e, to);
	bool clean = w->written == atomic_load(&e->control->durable);
	int rc = KV_OK;

	if (sync && atomic_load(&e->control->unsynced))
		rc = writer_sync_old(e);
	for (; rc == KV_OK && number <= last; number++) {
		uint64_t start = number * e->segment_size;
		uint64_t lo = w->written > start ? w->written : start;
		uint64_t hi = writer_segment_end(e, number, to);
		bool whole =
		    number < last && e->options.durability != DURABILITY_OS;

		rc = writer_segment(e, number, lo, hi, sync || whole, clean);
		clean = true; /* nothing is in the next file yet */
	}
	/* After a failed sync the kernel may have dropped what it had and
	 * will call the next one good: write it all again. */
	w->written = rc == KV_OK ? to : atomic_load(&e->control->durable);
	return rc;
}

static void
writer_trouble(struct engine *e, uint32_t bit, bool on)
{
	_Atomic uint32_t *trouble = &e->control->trouble;

	if (on && !(atomic_fetch_or(trouble, bit) & bit)) {
		log_error("log trouble=\"%s\" action=\"writes are refused "
			  "until it is over\"",
		    engine_trouble_text(bit));
		engine_wake_room(e);
	} else if (!on && (atomic_load(trouble) & bit)) {
		atomic_fetch_and(trouble, ~bit);
		log_info("log trouble=over");
		engine_wake_room(e);
	}
}

/* A file for the segment after the current one, before it is needed. */
static int
writer_prepare(struct engine *e)
{
	struct control *c = e->control;
	uint64_t next = atomic_load(&c->segment_hi) + 1;
	int rc;

	if (atomic_load(&c->file_ready) >= next)
		return KV_OK;
	wal_files_retire(e->writer->files, atomic_load(&c->segment_lo));
	rc = wal_files_prepare(e->writer->files, next);
	writer_trouble(e, TROUBLE_LOG_SPACE, rc < 0);
	if (rc < 0)
		return rc;
	atomic_store(&c->file_ready, next);
	engine_wake_room(e);
	return KV_OK;
}

static void
writer_publish(struct engine *e, uint64_t to, uint64_t began_ns)
{
	struct control *c = e->control;
	uint64_t from = atomic_load(&c->durable);

	CRASH_POINT("writer.synced");
	atomic_store(&c->durable, to);
	/* A segment is complete on disk: now it can be moved. */
	if (engine_segment_of(e, from) != engine_segment_of(e, to))
		control_futex_wake(&c->checkpoint_futex);
	e->writer->dirty_ns = 0;
	atomic_fetch_add_explicit(&c->stats.syncs, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&c->stats.sync_ns, clock_mono_ns() - began_ns,
	    memory_order_relaxed);
	engine_wake_durable(e);
}

static int
writer_sync(struct engine *e, uint64_t end, bool sync)
{
	uint64_t began = clock_mono_ns();
	int rc;

	rc = writer_write(e, end, sync);
	if (rc < 0)
		writer_trouble(e,
		    rc == KV_ENOSPC ? TROUBLE_LOG_SPACE : TROUBLE_LOG_IO, true);
	else
		writer_trouble(e, TROUBLE_LOG_SPACE | TROUBLE_LOG_IO, false);
	if (rc == KV_OK)
		writer_publish(e, end, began);
	return rc;
}

/* everysec and os: write what fills, sync when the second is over. */
static int
writer_lazy(struct engine *e, uint64_t end, int *sleep_ms)
{
	struct writer *w = e->writer;
	uint64_t now = clock_mono_ns(), whole = end & ~(uint64_t)4095;
	uint64_t durable = atomic_load(&e->control->durable);

	if (w->dirty_ns == 0)
		w->dirty_ns = now;
	/* A complete segment is in the way until it is in the tree, and goes
	 * there when it is durable: that is worth a sync before its time. */
	if (now - w->dirty_ns >= WRITER_PERIOD_NS ||
	    engine_segment_of(e, end) != engine_segment_of(e, durable))
		return writer_sync(e, end,
		    e->options.durability == DURABILITY_EVERYSEC);
	*sleep_ms = WRITER_LOOK_MS;
	if (whole < w->written + WRITER_EAGER)
		return KV_OK;
	return writer_write(e, whole, false);
}

int
writer_step(struct engine *e, int *sleep_ms)
{
	struct control *c = e->control;
	uint64_t end;
	int rc;

	*sleep_ms = 0;
	if ((rc = writer_open(e)) < 0)
		return rc;
	end = atomic_load(&c->wal_end);
	if (end != atomic_load(&c->durable)) {
		if (e->options.durability == DURABILITY_ALWAYS)
			rc = writer_sync(e, end, true);
		else
			rc = writer_lazy(e, end, sleep_ms);
		if (rc < 0)
			*sleep_ms = WRITER_RETRY_MS;
		/* Half full, or a new incarnation is due, which begins with a
		 * segment of its own: time to see to the next file. */
		if (engine_offset_of(e, end) < e->segment_size / 2 &&
		    !clockwatch_jumped(e) &&
		    atomic_load(&c->file_ready) >= atomic_load(&c->segment_hi))
			return KV_OK;
	} else
		*sleep_ms = -1;
	if (writer_prepare(e) < 0)
		*sleep_ms = WRITER_RETRY_MS;
	return KV_OK;
}

int
writer_flush(struct engine *e)
{
	uint64_t end;
	int rc;

	if ((rc = writer_open(e)) < 0)
		return rc;
	while ((end = atomic_load(&e->control->wal_end)) !=
	    atomic_load(&e->control->durable))
		if ((rc = writer_sync(e, end, true)) < 0)
			return rc;
	return writer_prepare(e);
}

void
writer_sleep(struct engine *e, int timeout_ms)
{
	struct control *c = e->control;
	uint32_t seen = atomic_load(&c->writer_futex);

	if (timeout_ms == 0)
		return;
	if (timeout_ms < 0) {
		/* Pairs with engine_kick: store, then look. */
		atomic_store(&c->writer_sleeps, 1);
		if (atomic_load(&c->wal_end) != atomic_load(&c->durable)) {
			atomic_store(&c->writer_sleeps, 0);
			return;
		}
	}
	control_futex_wait(&c->writer_futex, seen, timeout_ms);
	atomic_store(&c->writer_sleeps, 0);
}
