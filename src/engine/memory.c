/* SPDX-License-Identifier: ISC */
/* The slots of shared memory that segments live in, one after the other. */

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "engine/internal.h"
#include "shm/region.h"

/* A segment of the least records (88 bytes with key) and a bucket chain for
 * each would need size / 44 entries; a quarter of that serves real records at
 * a load below one half, and append_roll begins a new segment at 3/4. */
#define MEMORY_BYTES_PER_ENTRY 64

static void
memory_name(char name[16], unsigned slot)
{
	snprintf(name, 16, "%u.seg", slot);
}

static void
memory_place(struct engine *e, unsigned slot, void *memory)
{
	struct segment *s = &e->segments[slot];

	s->base = memory;
	s->index = (_Atomic uint64_t *)(void *)(s->base + e->segment_size);
	s->index_mask = e->control->index_entries - 1;
}

static void
memory_measure(struct engine *e)
{
	e->segment_size = e->control->segment_size;
	e->segment_bytes =
	    e->segment_size + e->control->index_entries * sizeof(uint64_t);
}

static int
memory_check_room(struct engine *e)
{
	uint64_t room, need = e->segment_bytes * CONTROL_SLOTS;
	int rc;

	if ((rc = region_free_space(e->shm, &room)) < 0)
		return rc;
	if (room >= need)
		return KV_OK;
	log_error("shared_memory folder=%s free_mb=%llu needed_mb=%llu "
		  "hint=\"set shm_dir to a larger tmpfs, or make the store "
		  "with a smaller segment_size\"",
	    e->shm, (unsigned long long)(room >> 20),
	    (unsigned long long)((need >> 20) + 1));
	return KV_ENOSPC;
}

int
memory_make(struct engine *e, uint64_t segment_size)
{
	uint64_t entries = 1024;
	char name[16];
	void *memory;
	unsigned i;
	int rc;

	while (entries < segment_size / MEMORY_BYTES_PER_ENTRY)
		entries *= 2;
	e->control->segment_size = segment_size;
	e->control->index_entries = entries;
	memory_measure(e);
	if ((rc = memory_check_room(e)) < 0)
		return rc;
	for (i = 0; i < CONTROL_SLOTS; i++) {
		memory_name(name, i);
		rc =
		    region_make_sparse(e->shm, name, e->segment_bytes, &memory);
		if (rc < 0)
			return rc;
		memory_place(e, i, memory);
	}
	return KV_OK;
}

int
memory_map(struct engine *e)
{
	char name[16];
	void *memory;
	size_t size;
	unsigned i;
	int rc;

	memory_measure(e);
	for (i = 0; i < CONTROL_SLOTS; i++) {
		memory_name(name, i);
		if ((rc = region_map(e->shm, name, &memory, &size)) < 0)
			return rc;
		memory_place(e, i, memory);
		if (size != e->segment_bytes)
			return KV_ECORRUPT;
	}
	return KV_OK;
}

void
memory_unmap(struct engine *e)
{
	unsigned i;

	for (i = 0; i < CONTROL_SLOTS; i++) {
		region_unmap(e->segments[i].base, e->segment_bytes);
		e->segments[i].base = NULL;
	}
}

bool
memory_may_prepare(const struct engine *e)
{
	uint64_t room;

	return region_free_space(e->shm, &room) < 0 || room >= e->segment_bytes;
}

int
memory_prepare(struct engine *e, uint64_t number)
{
	const struct segment *s = engine_segment(e, number);
	char name[16];
	int rc;

	memory_name(name, (unsigned)(number % CONTROL_SLOTS));
	rc = region_allocate(e->shm, name, e->segment_bytes);
	if (rc < 0)
		return rc;
	/* The log's bytes may stay: nobody reads past wal_end, and the nonce
	 * keeps recovery from believing them. */
	memset(s->base + e->segment_size, 0,
	    (s->index_mask + 1) * sizeof(uint64_t));
	return KV_OK;
}
