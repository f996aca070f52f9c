/* SPDX-License-Identifier: ISC */
/* Adopting the memory that dead processes left; see recover.c. */

#include "base/log.h"
#include "engine/recover.h"

/* Is this the memory of this very folder?  The folder may have been restored
 * from a backup; the incarnation tells, or the next one, if all died when the
 * tree had it and the memory did not. */
static bool
adopt_is_ours(const struct engine *e, const struct recovery *r, uint64_t inc)
{
	const struct control *c = e->control;
	uint64_t end = atomic_load(&c->wal_end);

	return atomic_load(&c->state) == 1 && c->store_id == e->store_id &&
	    inc != 0 && (c->inc == inc || c->inc_next == inc) &&
	    c->segment_size == e->segment_size && c->boot == home_boot() &&
	    !(atomic_load(&c->trouble) & TROUBLE_CORRUPT) &&
	    r->tree.checkpointed <= end && atomic_load(&c->durable) <= end &&
	    atomic_load(&c->indexed_end) <= end;
}

/* The oldest segment in memory that is not all in the tree. */
static uint64_t
adopt_oldest(const struct engine *e)
{
	uint64_t lo = atomic_load(&e->control->segment_lo);
	uint64_t n =
	    engine_segment_of(e, atomic_load(&e->control->checkpointed));

	return n > lo ? n : lo;
}

static bool
adopt_headers_hold(const struct engine *e, const struct recovery *r)
{
	const struct control *c = e->control;
	uint64_t n = adopt_oldest(e);
	uint64_t hi = engine_segment_of(e, atomic_load(&c->wal_end));

	if (n > hi || hi - n >= CONTROL_SLOTS ||
	    /* A tree put back from a backup lacks what was moved since. */
	    segment_header(engine_segment(e, n))->prev_end >
		r->tree.checkpointed)
		return false;
	for (; n <= hi; n++) {
		const struct segment_header *h =
		    segment_header(engine_segment(e, n));

		if (segment_header_verify(h) < 0 || h->number != n ||
		    h->store_id != e->store_id)
			return false;
	}
	return true;
}

void
adopt_forget_processes(struct control *c)
{
	unsigned i;

	for (i = 0; i < CONTROL_PROCESSES; i++) {
		struct control_process *p = &c->processes[i];

		atomic_store(&p->pid, 0);
		atomic_store(&p->pin, CONTROL_NO_PIN);
		channel_forget(c, i);
		host_forget(c, i);
		ask_forget(c, i);
		atomic_store(&p->want_durable, 0);
		atomic_store(&p->want_indexed, 0);
		atomic_store(&p->want_room, 0);
	}
	atomic_store(&c->followers, 0);
	atomic_store(&c->process_high, 0);
	atomic_store(&c->writer_sleeps, 0);
	atomic_store(&c->checkpoint_sleeps, 0);
	atomic_store(&c->trouble, 0);
}

static int
adopt_repair(struct engine *e, const struct recovery *r)
{
	struct control *c = e->control;
	uint64_t lo, start;

	control_reset_mutex(c);
	adopt_forget_processes(c);
	/* An older tree in the same segment: it is all in memory still. */
	start = adopt_oldest(e) * e->segment_size + SEGMENT_HEADER;
	atomic_store(&c->checkpointed,
	    r->tree.checkpointed > start ? r->tree.checkpointed : start);
	lo = adopt_oldest(e);
	if (lo > atomic_load(&c->segment_lo))
		atomic_store(&c->segment_lo, lo);
	append_repair(e);
	log_info("recover from=memory segments=%llu bytes=%llu",
	    (unsigned long long)(atomic_load(&c->segment_hi) - lo + 1),
	    (unsigned long long)(atomic_load(&c->wal_end) -
		atomic_load(&c->checkpointed)));
	return KV_OK;
}

int
adopt_memory(struct engine *e, const struct recovery *r)
{
	uint64_t inc;
	int rc;

	if ((rc = control_map(e->shm, &e->control)) < 0)
		return rc;
	if ((rc = recover_meta_u64(e, "inc", &inc)) < 0)
		return rc;
	if (adopt_is_ours(e, r, inc)) {
		rc = memory_map(e);
		if (rc == KV_OK && adopt_headers_hold(e, r))
			return adopt_repair(e, r);
		log_error("recover shm=%s error=\"memory is damaged, the log "
			  "on disk is used instead\"",
		    e->shm);
		memory_unmap(e);
	} else if (atomic_load(&e->control->state) == 1)
		log_warn("recover shm=%s ignored=\"damaged, or of another life "
			 "of this store\"",
		    e->shm);
	control_unmap(e->control);
	e->control = NULL;
	return KV_ENOTFOUND;
}
