/* SPDX-License-Identifier: ISC */
#ifndef KV_TESTS_PAPER_ENGINE_H
#define KV_TESTS_PAPER_ENGINE_H

/* An engine of paper: one name space in two arrays, commits that fail as a
 * script says.  It is code in a header because it stands in for the archive of
 * the real one in the single program that includes it; in the helpers' archive
 * it would be linked into everybody's test. */

#include <stdlib.h>
#include <sys/eventfd.h>

#include "engine/ask.h"
#include "engine/feed.h"
#include "engine/host.h"
#include "engine/prefetch.h"
#include "engine/scan.h"

#define NAMES 64
#define STAGED 4096

struct paper {
	char name[80];
	size_t name_len;
	char value[64];
	size_t value_len;
	bool live;
};

struct engine {
	struct paper kept[NAMES], staged[STAGED];
	size_t kept_count, staged_count;
	struct bucket bucket;
	struct control control;
	int script[64]; /* results of the next commits */
	size_t script_at, script_len;
	int put_fails; /* at the n-th put from now, with KV_ENOSPC */
	uint64_t end, durable;
	bool locked, room;
	unsigned commits, locks, refreshes;
	bool monitored;
	char told[65536]; /* lines of commits that went well */
	size_t told_len, told_staged;
};

static struct engine paper;

static void
paper_name(const struct bucket *b, struct kv_slice key, struct paper *p)
{
	p->name_len = (size_t)snprintf(p->name, sizeof(p->name), "%llu/%.*s",
	    (unsigned long long)b->bid, (int)key.len, key.data);
}

static struct paper *
paper_find(struct paper *all, size_t count, const struct paper *name)
{
	while (count-- > 0)
		if (all[count].name_len == name->name_len &&
		    memcmp(all[count].name, name->name, name->name_len) == 0)
			return &all[count];
	return NULL;
}

static int
paper_stage(const struct bucket *b, struct kv_slice key, struct kv_slice value,
    bool live)
{
	struct paper *p = &paper.staged[paper.staged_count];

	if (paper.put_fails > 0 && --paper.put_fails == 0)
		return KV_ENOSPC;
	assert_true(paper.staged_count < STAGED);
	paper_name(b, key, p);
	memcpy(p->value, value.data, value.len);
	p->value_len = value.len;
	p->live = live;
	paper.staged_count++;
	return KV_OK;
}

int
engine_put(struct engine *e, const struct bucket *b, struct kv_slice key,
    struct kv_slice value, uint64_t deadline)
{
	(void)e;
	(void)deadline;
	return paper_stage(b, key, value, true);
}

int
engine_put_built(struct engine *e, const struct bucket *b, struct kv_slice key,
    struct kv_slice value, uint64_t deadline)
{
	return engine_put(e, b, key, value, deadline);
}

void
engine_because(struct engine *e, uint8_t cause)
{
	(void)e;
	(void)cause;
}

int
engine_delete(struct engine *e, const struct bucket *b, struct kv_slice key)
{
	(void)e;
	return paper_stage(b, key, (struct kv_slice){ "", 0 }, false);
}

int
engine_get(struct engine *e, const struct bucket *b, struct kv_slice key,
    struct record *out)
{
	struct paper name, *p;

	paper_name(b, key, &name);
	if ((p = paper_find(e->staged, e->staged_count, &name)) == NULL)
		p = paper_find(e->kept, e->kept_count, &name);
	if (p == NULL || !p->live)
		return KV_ENOTFOUND;
	*out = (struct record){ .type = RECORD_PUT,
		.value = { p->value, p->value_len } };
	return KV_OK;
}

int
engine_commit(struct engine *e, uint64_t *end)
{
	size_t i;
	int rc = KV_OK;

	assert_true(engine_staged(e) > 0);
	if (e->script_at < e->script_len)
		rc = e->script[e->script_at++];
	/* Under the lock nobody else can have changed a bucket. */
	if (rc == KV_ESTALE && e->locked)
		rc = KV_OK;
	for (i = 0; rc == KV_OK && i < e->staged_count; i++) {
		struct paper *p =
		    paper_find(e->kept, e->kept_count, &e->staged[i]);

		if (p == NULL)
			p = &e->kept[e->kept_count++];
		assert_true(e->kept_count <= NAMES);
		*p = e->staged[i];
	}
	e->staged_count = 0;
	if (rc == KV_OK)
		e->told_len += e->told_staged;
	e->told_staged = 0;
	if (rc == KV_OK) {
		e->commits++;
		*end = ++e->end;
	}
	return rc;
}

void
engine_rollback(struct engine *e)
{
	e->staged_count = 0;
	e->told_staged = 0;
}

size_t
engine_staged(const struct engine *e)
{
	return e->staged_count * 100 + e->told_staged;
}

int
engine_publish(struct engine *e, enum message_kind kind, struct kv_slice key,
    struct kv_slice payload)
{
	assert_int_equal(kind, MESSAGE_MONITOR);
	assert_int_equal(key.len, 8);
	assert_true(
	    e->told_len + e->told_staged + payload.len < sizeof(e->told));
	memcpy(e->told + e->told_len + e->told_staged, payload.data,
	    payload.len);
	e->told_staged += payload.len;
	return KV_OK;
}

bool
host_has_monitors(const struct engine *e)
{
	return e->monitored;
}

void
host_look_for_dead(struct engine *e)
{
	(void)e;
}

void
engine_lock(struct engine *e)
{
	assert_false(e->locked);
	assert_int_equal(e->staged_count, 0);
	e->locked = true;
	e->locks++;
}

void
engine_unlock(struct engine *e)
{
	assert_true(e->locked);
	assert_int_equal(e->staged_count, 0);
	e->locked = false;
}

int
engine_bucket(struct engine *e, struct kv_slice name, const struct bucket **out)
{
	if (!slice_equal(name, slice_of("db0")) &&
	    !slice_equal(name, slice_of("b")))
		return KV_ENOTFOUND;
	e->bucket.bid = 1;
	e->bucket.options =
	    slice_equal(name, slice_of("db0")) ? BUCKET_DATABASE : 0;
	*out = &e->bucket;
	return KV_OK;
}

int
engine_bucket_in(struct engine *e, enum scope scope, struct kv_slice name,
    const struct bucket **out)
{
	return scope == SCOPE_GLOBAL ? engine_bucket(e, name, out)
				     : KV_ENOTFOUND;
}

int
engine_refresh(struct engine *e)
{
	e->refreshes++;
	return KV_OK;
}

bool
engine_want_room(struct engine *e)
{
	return e->room;
}

uint64_t
engine_durable(const struct engine *e)
{
	return e->durable;
}

bool
engine_want_durable(struct engine *e, uint64_t position)
{
	return position <= e->durable;
}

uint64_t
engine_revealed(struct engine *e)
{
	(void)e;
	return 0;
}

uint32_t
engine_trouble(const struct engine *e)
{
	(void)e;
	return 0;
}

uint64_t
engine_written(const struct engine *e)
{
	return e->end;
}

const char *
engine_folder(const struct engine *e)
{
	(void)e;
	return "/nowhere";
}

unsigned
engine_slot(const struct engine *e)
{
	(void)e;
	return 0;
}

const struct control *
engine_control(const struct engine *e)
{
	return &e->control;
}

struct control_process *
engine_process(struct engine *e)
{
	return &e->control.processes[0];
}

int
engine_wake_fd(const struct engine *e)
{
	(void)e;
	return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

uint64_t
host_client_id(struct engine *e)
{
	return atomic_fetch_add(&e->control.client_id, 1) + 1;
}

uint64_t
host_pause(const struct engine *e, bool *all)
{
	(void)e;
	*all = false;
	return 0;
}

/* What these tests never reach. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#define NEVER(result, name, ...)                                               \
	result name(__VA_ARGS__)                                               \
	{                                                                      \
		fail_msg("%s", #name);                                         \
		abort();                                                       \
	}
/* clang-format off */
NEVER(int, engine_create, struct engine *e, struct kv_slice n, uint32_t o)
NEVER(int, engine_drop, struct engine *e, struct kv_slice n)
NEVER(int, engine_create_in, struct engine *e, enum scope s, struct kv_slice n,
    uint32_t o)
NEVER(int, engine_drop_in, struct engine *e, enum scope s, struct kv_slice n)
NEVER(int, engine_shadows, struct engine *e, struct kv_slice n,
    const struct bucket *b, bool *o)
NEVER(int, engine_scope, struct engine *e, struct kv_slice n, enum scope *s)
NEVER(int, engine_row_in, struct engine *e, enum scope s, struct kv_slice n,
    struct bucket *b)
NEVER(int, engine_bucket_row, struct engine *e, struct kv_slice n,
    struct bucket *b)
NEVER(void, host_set_monitors, struct engine *e, bool any)
NEVER(void, host_set_pause, struct engine *e, uint64_t ms, bool all)
NEVER(void, engine_ask_checkpoint, struct engine *e)
NEVER(int, engine_bucket_by_id, struct engine *e, uint64_t bid,
    struct kv_slice *n, struct bucket *b)
NEVER(int, engine_totals, struct engine *e, const struct bucket *b,
    struct totals *t)
NEVER(int, engine_get_raw, struct engine *e, uint64_t b, struct kv_slice k,
    struct record *r)
NEVER(uint64_t, engine_position, const struct engine *e)
NEVER(bool, engine_remembers, const struct engine *e, uint64_t p)
NEVER(bool, engine_bucket_changed, const struct engine *e, uint64_t b,
    uint64_t p)
NEVER(uint64_t, engine_bucket_id, struct kv_slice n)
NEVER(void, engine_wake_drain, struct engine *e)
NEVER(const char *, engine_trouble_text, uint32_t t)
NEVER(uint64_t, engine_cursor_save, struct engine *e, uint64_t c, uint64_t b,
    uint32_t p, struct kv_slice k)
NEVER(int, engine_cursor_load, struct engine *e, uint64_t c, uint64_t b,
    uint32_t *p, char k[KV_KEY_MAX + 4], size_t *n)
NEVER(int, scan_open, struct engine *e, const struct bucket *b,
    struct scan **s)
NEVER(int, scan_open_buckets, struct engine *e, struct scan **s)
NEVER(void, scan_only_expired, struct scan *s)
NEVER(void, scan_also_shadowed, struct scan *s)
NEVER(int, engine_sweep_bucket, struct engine *e, const struct bucket *b)
NEVER(void, scan_close, struct scan *s)
NEVER(int, scan_seek, struct scan *s, struct kv_slice k)
NEVER(int, scan_next, struct scan *s, struct record *r)
NEVER(void, feed_tail, struct engine *e, struct feed *f)
NEVER(int, feed_seek, struct engine *e, struct feed *f, uint64_t s)
NEVER(int, feed_seek_in, struct engine *e, struct feed *f, uint64_t s,
    const struct bucket *b)
NEVER(int, feed_next, struct engine *e, struct feed *f, struct record *r)
NEVER(bool, feed_want, struct engine *e, const struct feed *f)
NEVER(int, ask_begin, struct engine *e, enum ask_what w, struct kv_slice b,
    struct ask *a)
NEVER(bool, ask_is_done, const struct engine *e, const struct ask *a)
NEVER(bool, ask_again, struct engine *e, const struct ask *a)
NEVER(uint64_t, ask_sum, const struct engine *e, const struct ask *a)
NEVER(int, ask_texts, struct engine *e, const struct ask *a, size_t n,
    struct buf *b)
NEVER(uint32_t, ask_silent, const struct engine *e, const struct ask *a,
    uint32_t *i)
NEVER(void, ask_end, struct engine *e, const struct ask *a)
NEVER(int, engine_expire_own, struct engine *e)
NEVER(bool, host_has_role, const struct engine *e, enum control_role r)
NEVER(void, ask_answer, struct engine *e, const struct ask_question *q,
    uint32_t n, struct kv_slice t)
/* clang-format on */
#pragma GCC diagnostic pop

void
engine_release(struct engine *e)
{
	(void)e;
}

/* Nothing passes here but by the hand of a test. */
int
engine_own_deadlines(struct engine *e)
{
	(void)e;
	return KV_OK;
}

uint64_t
engine_next_deadline(const struct engine *e)
{
	(void)e;
	return 0;
}

/* Nobody else makes buckets here. */
void
engine_alone(struct engine *e, uint64_t bid, struct kv_slice prefix)
{
	(void)e;
	(void)bid;
	(void)prefix;
}

bool
ask_next(struct engine *e, struct ask_question *q)
{
	(void)e;
	(void)q;
	return false;
}

void
engine_kick(struct engine *e)
{
	(void)e;
}

/* A hint. */
void
engine_prefetch(struct engine *e, const struct prefetch *p)
{
	(void)e;
	(void)p;
}

uint64_t
engine_now_ms(const struct engine *e)
{
	(void)e;
	return 1000;
}

#endif
