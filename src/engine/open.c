/* SPDX-License-Identifier: ISC */
/* Opening and closing: who is first, who joins, who is last.
 *
 * DIR/lock decides.  Everyone who has the store open holds its first byte
 * shared.  Who can take it exclusively is alone: he recovers the store and
 * turns the lock into a shared one, atomically, when the memory is ready. */

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/rng.h"
#include "engine/internal.h"
#include "engine/maintain.h"
#include "engine/recent.h"
#include "engine/recover.h"
#include "engine/soon.h"
#include "engine/store.h"
#include "io/file.h"
#include "shm/region.h"

/* How long a joiner waits for a recovery that makes no progress it can see. */
#define OPEN_TRIES 200
#define OPEN_PAUSE_US 10000

static int
open_paths(struct engine *e, const struct engine_options *o)
{
	char why[256];
	int rc;

	if (strlen(o->dir) + 32 > sizeof(e->dir) ||
	    strlen(o->shm_dir) + 64 > sizeof(e->shm))
		return KV_ETOOBIG;
	snprintf(e->dir, sizeof(e->dir), "%s", o->dir);
	if ((rc = file_check_dir(e->dir, why, sizeof(why))) < 0)
		log_error("store dir=%s error=\"%s\"", e->dir, why);
	return rc;
}

static int
open_lock_file(struct engine *e)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%.*s/lock", (int)sizeof(path) - 8,
	    e->dir);
	e->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return e->lock_fd < 0 ? err_system("open", path) : KV_OK;
}

/* A store that could not write its first log file is not worth making; one
 * that is there is opened all the same, because it can be read. */
static int
open_make_store(struct engine *e, struct store *store)
{
	uint64_t room, need = e->options.segment_size * 2;
	int rc;

	if ((rc = region_free_space(e->dir, &room)) < 0)
		return rc;
	if (room < need) {
		log_error("store dir=%s free_mb=%llu needed_mb=%llu "
			  "error=\"no space left for the log\" hint=\"make "
			  "room, or set a smaller segment_size\"",
		    e->dir, (unsigned long long)(room >> 20),
		    (unsigned long long)(need >> 20));
		return KV_ENOSPC;
	}
	if ((rc = recover_make_tree(e)) < 0)
		return rc;
	return store_make(e->dir, e->options.segment_size, store);
}

/* We are alone: make or recover, then let the others in. */
static int
open_first(struct engine *e)
{
	struct store store;
	int rc;

	rc = store_read(e->dir, &store);
	if (rc == KV_ENOTFOUND && !e->options.must_exist)
		rc = open_make_store(e, &store);
	else if (rc == KV_ENOTFOUND)
		log_error("store dir=%s error=\"no store here\"", e->dir);
	if (rc < 0)
		return rc;
	e->store_id = store.id;
	e->segment_size = store.segment_size;
	if ((rc = home_find(e)) < 0 || (rc = recover_store(e)) < 0)
		return rc;
	atomic_store(&e->control->durability, e->options.durability);
	atomic_store(&e->control->state, 1);
	return file_lock(e->lock_fd, LOCK_OPEN, FILE_LOCK_SHARED, true);
}

/* What `durable` means is one promise for all: `always` could not keep its own
 * beside a walwriter that does not sync.  A library takes what it finds. */
static int
open_check_durability(struct engine *e)
{
	static const char *const names[] = { "always", "everysec", "os" };
	uint32_t theirs = atomic_load(&e->control->durability);

	if (theirs > DURABILITY_OS)
		return KV_ECORRUPT;
	if (e->options.role == ROLE_LIBRARY)
		e->options.durability = (enum engine_durability)theirs;
	if (e->options.durability == (enum engine_durability)theirs)
		return KV_OK;
	log_error("store dir=%s durability=%s error=\"it is open with %s\" "
		  "hint=\"use the same, or stop the others first\"",
	    e->dir, names[e->options.durability], names[theirs]);
	return KV_EINVAL;
}

/* Others were here before us. */
static int
open_join(struct engine *e)
{
	struct store store;
	int rc;

	if ((rc = store_read(e->dir, &store)) < 0)
		return rc == KV_ENOTFOUND ? KV_EAGAIN : rc;
	e->store_id = store.id;
	if ((rc = home_find(e)) < 0)
		return rc;
	rc = control_map(e->shm, &e->control);
	if (rc == KV_ENOTFOUND)
		return KV_EAGAIN;
	if (rc < 0)
		return rc;
	if (atomic_load(&e->control->state) != 1) {
		control_unmap(e->control);
		e->control = NULL;
		return KV_EAGAIN; /* who recovered it died over it */
	}
	if ((rc = open_check_durability(e)) < 0)
		return rc;
	return memory_map(e);
}

static int
open_store(struct engine *e)
{
	int rc, tries;

	for (tries = 0; tries < OPEN_TRIES; tries++) {
		rc = file_lock(e->lock_fd, LOCK_OPEN, FILE_LOCK_EXCLUSIVE,
		    false);
		if (rc == KV_OK)
			return open_first(e);
		if (rc != KV_EBUSY)
			return rc;
		rc = file_lock(e->lock_fd, LOCK_OPEN, FILE_LOCK_SHARED, true);
		if (rc < 0)
			return rc;
		if ((rc = open_join(e)) != KV_EAGAIN)
			return rc;
		file_unlock(e->lock_fd, LOCK_OPEN);
		usleep(OPEN_PAUSE_US + (useconds_t)(rng_u64() % OPEN_PAUSE_US));
	}
	log_error("store dir=%s error=\"whoever recovers it does not finish\"",
	    e->dir);
	return KV_ETIMEOUT;
}

/* A slot whose byte of the lock file we can take belongs to nobody, whatever
 * its pid says. */
static int
open_slot(struct engine *e)
{
	struct control *c = e->control;
	uint32_t high;
	unsigned i;

	for (i = 0; i < CONTROL_PROCESSES; i++)
		if (file_lock(e->lock_fd, LOCK_SLOT + (off_t)i,
			FILE_LOCK_EXCLUSIVE, false) == KV_OK)
			break;
	if (i == CONTROL_PROCESSES) {
		log_error("store dir=%s error=\"%d processes have it open, "
			  "there is no room for more\"",
		    e->dir, CONTROL_PROCESSES);
		return KV_EBUSY;
	}
	e->slot = i;
	e->process = &c->processes[i];
	atomic_store(&e->process->pin, CONTROL_NO_PIN);
	atomic_store(&e->process->want_durable, 0);
	if (atomic_exchange(&e->process->want_indexed, 0) != 0)
		atomic_fetch_sub(&c->followers, 1);
	atomic_store(&e->process->want_room, 0);
	atomic_store(&e->process->clients, 0);
	channel_forget(c, i);
	host_forget(c, i);
	ask_forget(c, i);
	atomic_store(&e->process->requests, 0);
	atomic_store(&e->process->started_ms, clock_wall_ms());
	atomic_store(&e->process->role, e->options.role);
	atomic_store(&e->process->port, e->options.port);
	atomic_store(&e->process->pid, (uint32_t)getpid());
	high = atomic_load(&c->process_high);
	while (high < i + 1 &&
	    !atomic_compare_exchange_weak(&c->process_high, &high, i + 1))
		continue;
	return KV_OK;
}

static int
open_parts(struct engine *e)
{
	char folder[PATH_MAX];
	struct tree_options tree = { .folder = folder,
		.map_size = e->options.map_size,
		.max_readers = CONTROL_PROCESSES,
		.writable = e->options.role == ROLE_CHECKPOINTER ||
		    e->options.role == ROLE_LIBRARY };
	int rc;

	snprintf(folder, sizeof(folder), "%.*s/tree", (int)sizeof(folder) - 8,
	    e->dir);
	if ((rc = open_slot(e)) < 0 || (rc = tree_open(&tree, &e->tree)) < 0 ||
	    (rc = tree_hot_new(&e->hot)) < 0 ||
	    (rc = wake_new(e->shm, CONTROL_PROCESSES, &e->wake)) < 0 ||
	    (rc = wake_descriptor(e->wake, e->slot, &e->wake_fd)) < 0 ||
	    (rc = bucket_cache_new(e)) < 0)
		return rc;
	wake_drain(e->wake, e->slot);
	if (e->options.role != ROLE_LIBRARY) {
		/* We may stand in for one that was killed. */
		tree_reap_readers(e->tree);
		engine_wake_all(e);
	}
	return recent_new(&e->recent);
}

int
engine_open(const struct engine_options *options, struct engine **out)
{
	struct engine *e;
	int rc;

	if (sodium_init() < 0)
		return KV_ESYSTEM;
	if ((e = calloc(1, sizeof(*e))) == NULL)
		return KV_ENOMEM;
	e->options = *options;
	e->lock_fd = -1;
	e->wake_fd = -1;
	if ((rc = open_paths(e, options)) < 0 || (rc = open_lock_file(e)) < 0 ||
	    (rc = open_store(e)) < 0 || (rc = open_parts(e)) < 0) {
		engine_close(e);
		return rc;
	}
	*out = e;
	return KV_OK;
}

/* We are the last: bring the log to rest, so that no memory need stay. */
static void
close_store(struct engine *e)
{
	struct control *c = e->control;

	if (e->tree == NULL) /* repair_clock.c has seen to it */
		return;
	if (file_lock(e->lock_fd, LOCK_OPEN, FILE_LOCK_EXCLUSIVE, false) < 0)
		return;
	if (e->options.role == ROLE_LIBRARY && maintain_settle(e) < 0)
		return;
	if (atomic_load(&c->checkpointed) != atomic_load(&c->wal_end))
		return; /* the next opener adopts it */
	atomic_store(&c->state, 0);
	region_remove_folder(e->shm);
}

void
engine_close(struct engine *e)
{
	if (e == NULL)
		return;
	engine_release(e);
	if (e->process != NULL && e->recent != NULL)
		close_store(e);
	if (e->process != NULL) {
		if (atomic_exchange(&e->process->want_indexed, 0) != 0)
			atomic_fetch_sub(&e->control->followers, 1);
		atomic_store(&e->process->want_durable, 0);
		host_forget(e->control, e->slot);
		ask_forget(e->control, e->slot);
		atomic_store(&e->process->pid, 0);
	}
	recent_free(e->recent);
	soon_free(e->soon);
	writer_free(e);
	checkpointer_free(e);
	bucket_cache_free(e);
	stage_fini(&e->stage);
	wake_free(e->wake);
	tree_hot_free(e->hot);
	tree_close(e->tree);
	if (e->control != NULL)
		memory_unmap(e);
	control_unmap(e->control);
	if (e->lock_fd >= 0)
		close(e->lock_fd); /* gives all locks back */
	free(e);
}
