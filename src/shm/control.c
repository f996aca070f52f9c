/* SPDX-License-Identifier: ISC */
/* The control block: its layout, its mapping, its mutex. */

#include "shm/control.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "shm/region.h"

#define CONTROL_BYTE_ORDER 0x01020304u
#define CONTROL_SPINS 100 /* about a batch's copy; measured best on 2 cores */

static_assert(sizeof(pthread_mutex_t) == 40, "glibc x86-64 layout");
static_assert(offsetof(struct control, magic) == 0, "layout");
static_assert(offsetof(struct control, store_id) == 24, "layout");
static_assert(offsetof(struct control, state) == 80, "layout");
static_assert(offsetof(struct control, append_mutex) == 128, "own line");
static_assert(offsetof(struct control, wal_end) == 192, "own line");
static_assert(offsetof(struct control, durable) == 256, "own line");
static_assert(offsetof(struct control, checkpointed) == 320, "own line");
static_assert(offsetof(struct control, writer_futex) == 384, "own line");
static_assert(offsetof(struct control, trouble) == 512, "own line");
static_assert(sizeof(struct control_process) == 64, "one line each");
static_assert(sizeof(struct control_cursor) == 576, "whole lines");
static_assert(sizeof(struct control_channel) == 512, "whole lines");
static_assert(offsetof(struct control_ask, answers) == 16 + 8 * 48, "layout");
static_assert(sizeof(struct control_ask) % 64 == 0, "whole lines");

static int
control_check(const struct control *c, const char *folder)
{
	if (c->magic == CONTROL_MAGIC && c->version == CONTROL_VERSION &&
	    c->byte_order == CONTROL_BYTE_ORDER && c->size == sizeof(*c))
		return KV_OK;
	if (c->magic == 0)
		return KV_ENOTFOUND; /* its maker died before it was whole */
	log_error("control folder=%s found_version=%u found_size=%llu "
		  "expected_version=%d expected_size=%zu "
		  "hint=\"another version of kv has this store open\"",
	    folder, c->version, (unsigned long long)c->size, CONTROL_VERSION,
	    sizeof(*c));
	return KV_EVERSION;
}

void
control_reset_mutex(struct control *c)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&c->append_mutex, &attr);
	pthread_mutexattr_destroy(&attr);
}

int
control_make(const char *folder, struct control **out)
{
	struct control *c;
	void *memory;
	int rc;

	rc = region_make(folder, "control", sizeof(*c), &memory);
	if (rc < 0)
		return rc;
	c = memory;
	c->version = CONTROL_VERSION;
	c->byte_order = CONTROL_BYTE_ORDER;
	c->size = sizeof(*c);
	control_reset_mutex(c);
	c->magic = CONTROL_MAGIC;
	*out = c;
	return KV_OK;
}

int
control_map(const char *folder, struct control **out)
{
	size_t size;
	void *memory;
	int rc;

	rc = region_map(folder, "control", &memory, &size);
	if (rc < 0)
		return rc;
	if (size < sizeof(struct control)) {
		log_error("control folder=%s found_size=%zu expected_size=%zu",
		    folder, size, sizeof(struct control));
		region_unmap(memory, size);
		return KV_EVERSION;
	}
	if ((rc = control_check(memory, folder)) < 0) {
		region_unmap(memory, size);
		return rc;
	}
	*out = memory;
	return KV_OK;
}

void
control_unmap(struct control *c)
{
	if (c != NULL)
		region_unmap(c, sizeof(*c));
}

void
control_lock(struct control *c, bool *died)
{
	int i, rc = EBUSY;

	for (i = 0; i < CONTROL_SPINS && rc == EBUSY; i++) {
		rc = pthread_mutex_trylock(&c->append_mutex);
		if (rc == EBUSY)
			__builtin_ia32_pause();
	}
	if (rc == EBUSY)
		rc = pthread_mutex_lock(&c->append_mutex);
	assert(rc == 0 || rc == EOWNERDEAD);
	*died = rc == EOWNERDEAD;
}

void
control_lock_repaired(struct control *c)
{
	int rc = pthread_mutex_consistent(&c->append_mutex);

	assert(rc == 0);
	(void)rc;
}

void
control_unlock(struct control *c)
{
	int rc = pthread_mutex_unlock(&c->append_mutex);

	assert(rc == 0);
	(void)rc;
}

void
control_futex_wait(_Atomic uint32_t *word, uint32_t seen, int timeout_ms)
{
	struct timespec limit = { timeout_ms / 1000,
		(timeout_ms % 1000) * 1000000L };

	syscall(SYS_futex, word, FUTEX_WAIT, seen,
	    timeout_ms < 0 ? NULL : &limit, NULL, 0);
}

void
control_futex_wake(_Atomic uint32_t *word)
{
	atomic_fetch_add(word, 1);
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
