/* SPDX-License-Identifier: ISC */
#ifndef KV_CRASH_TRACE_H
#define KV_CRASH_TRACE_H

/* A trace: what happened, in one order over all processes.  A file in tmpfs
 * that everyone maps; a place in the order is taken by one atomic addition, so
 * who dies in the middle of an event leaves a hole of type 0 and no more.
 *
 *	header 4096 | events, 64 bytes each | data
 *
 * The file is made by crash.py, which knows the header too. */

#include <assert.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define TRACE_MAGIC 0x6b76747261636531u
#define TRACE_HEADER 4096

enum trace_type {
	TRACE_HOLE,
	/* Files.  file: inode; data: paths below the folder, NUL after each */
	TRACE_OPEN,   /* an existing file */
	TRACE_CREATE, /* inode in its DONE */
	TRACE_MKDIR,
	TRACE_RENAME, /* two paths */
	TRACE_UNLINK,
	TRACE_WRITE,  /* offset, len, data; aux: 1 when durable once done */
	TRACE_ZERO,   /* the same, of zero bytes only */
	TRACE_RESIZE, /* offset: new size; aux: 1 only to grow */
	TRACE_SYNC,   /* of a file; of a folder: data is its path, aux 1 */
	TRACE_DONE,   /* aux: number of the event; len: what was returned */
	/* A client's operations.  file: number of the operation */
	TRACE_SENT,  /* who: connection; offset: bucket, key; aux: kind */
	TRACE_ACKED, /* aux: result; len: counter */
	TRACE_DEAD,  /* who: connection; its unanswered ones stay so */
};

struct trace_event {
	_Atomic uint32_t type;
	uint32_t who; /* connection or process */
	uint64_t file;
	uint64_t offset;
	uint64_t len;
	uint64_t aux;
	uint64_t time_ns;
	uint64_t data; /* where in the data */
	uint64_t data_len;
};
static_assert(sizeof(struct trace_event) == 64, "layout");

struct trace_header {
	uint64_t magic;
	uint64_t events_max;
	uint64_t data_max;
	_Atomic uint64_t events;
	_Atomic uint64_t data;
	_Atomic uint64_t full; /* it ends too early: of no use */
};

struct trace {
	struct trace_header *header;
	struct trace_event *events;
	char *data;
};

static inline int
trace_map(const char *path, struct trace *t)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	off_t size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	char *base;

	if (size < TRACE_HEADER)
		return -1;
	base = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_NORESERVE, fd, 0);
	close(fd);
	if (base == MAP_FAILED)
		return -1;
	t->header = (struct trace_header *)(void *)base;
	if (t->header->magic != TRACE_MAGIC)
		return -1;
	t->events = (struct trace_event *)(void *)(base + TRACE_HEADER);
	t->data = base + TRACE_HEADER + t->header->events_max * 64;
	return 0;
}

static inline uint64_t
trace_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Room for bytes that an event will carry, on a block boundary so that
 * O_DIRECT can write from there; NULL when the trace is full. */
static inline char *
trace_room(const struct trace *t, uint64_t len)
{
	uint64_t need = (len + 4095) & ~(uint64_t)4095;
	uint64_t at = atomic_fetch_add(&t->header->data, need);

	if (at + need > t->header->data_max) {
		atomic_store(&t->header->full, 1);
		return NULL;
	}
	return t->data + at;
}

/* Append; e->type is published last.  The event's number. */
static inline uint64_t
trace_add(const struct trace *t, enum trace_type type, struct trace_event *e)
{
	uint64_t n = atomic_fetch_add(&t->header->events, 1);

	if (n >= t->header->events_max) {
		atomic_store(&t->header->full, 1);
		return n;
	}
	e->time_ns = trace_now();
	atomic_init(&e->type, TRACE_HOLE);
	memcpy(&t->events[n], e, sizeof(*e));
	atomic_store_explicit(&t->events[n].type, type, memory_order_release);
	return n;
}

static inline uint64_t
trace_count(const struct trace *t)
{
	uint64_t n = atomic_load(&t->header->events);

	return n < t->header->events_max ? n : t->header->events_max;
}

#endif
