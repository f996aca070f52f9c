/* SPDX-License-Identifier: ISC */
/* A wall clock that jumps. */

#include "engine/clockwatch.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <sys/wait.h>
#include <unistd.h>

#include "engine/internal.h"
#include "engine/maintain.h"
#include "engine_model.h"
#include "syncd/store.h"

#define HOUR 3600000
#define ROUNDS 200

static struct engine *e;

static void
write_key(const char *key, uint64_t deadline)
{
	const struct bucket *b;
	uint64_t end;

	EXPECT(engine_refresh(e) == KV_OK);
	EXPECT(engine_create(e, slice_of("b"), BUCKET_STAYS) == KV_OK);
	EXPECT(engine_bucket(e, slice_of("b"), &b) == KV_OK);
	EXPECT(
	    engine_put(e, b, slice_of(key), slice_of("v"), deadline) == KV_OK);
	EXPECT(engine_commit(e, &end) == KV_OK);
	engine_release(e);
}

static struct record
raw(const char *key)
{
	struct record r;

	EXPECT(engine_refresh(e) == KV_OK);
	EXPECT(engine_get_raw(e, engine_bucket_id(slice_of("b")), slice_of(key),
		   &r) == KV_OK);
	engine_release(e);
	return r;
}

/* The checkpointer's work with nothing in the log to move. */
static void
steps(unsigned n)
{
	int sleep_ms;

	EXPECT(maintain_settle(e) == KV_OK);
	EXPECT(maintain_take(e, ROLE_CHECKPOINTER, false) == KV_OK);
	while (n-- > 0)
		EXPECT(checkpoint_step(e, false, &sleep_ms) == KV_OK);
	maintain_leave(e, ROLE_CHECKPOINTER);
}

/* As if it had been so much less until now. */
static void
jump(int64_t ms)
{
	atomic_fetch_sub(&e->control->clock_offset, ms);
}

static void
step_to_another_run(uint64_t inc)
{
	unsigned i;

	for (i = 0; i < ROUNDS && e->control->inc == inc; i++)
		steps(1);
	EXPECT(e->control->inc != inc);
}

static int
find_vv(void *user, const struct sync_row *row)
{
	uint64_t *find = user;

	if (row->inc == find[0])
		find[1] = row->vv;
	return KV_OK;
}

static void
a_new_run_begins_in_the_same_memory(void **state)
{
	struct syncd_store *store;
	struct sync_store s;
	uint64_t inc, find[2] = { 0, 0 };
	struct stamp before;

	(void)state;
	e = model_open(model, DURABILITY_EVERYSEC);
	inc = find[0] = e->control->inc;
	write_key("before", 0);
	before = raw("before").stamp;
	steps(3);
	assert_int_equal(e->control->inc, inc);
	assert_int_equal(syncd_store_new(e, &store), KV_OK);
	s = syncd_store_ops(store);
	assert_int_equal(s.ops->refresh(s.self), KV_OK);
	s.ops->release(s.self);
	jump(-40000);
	write_key("after", 0); /* before anybody noticed */
	assert_int_equal(s.ops->refresh(s.self), KV_ESTALE);
	step_to_another_run(inc);
	assert_int_equal(s.ops->refresh(s.self), KV_ESTALE);
	syncd_store_free(store);
	write_key("before", 0);
	assert_int_equal(raw("before").stamp.inc, e->control->inc);
	assert_int_equal(raw("after").stamp.inc, inc);
	EXPECT(model_findings(e) == 0);
	assert_int_equal(syncd_store_new(e, &store), KV_OK);
	s = syncd_store_ops(store);
	assert_int_equal(s.ops->refresh(s.self), KV_OK);
	assert_int_equal(s.ops->rows(s.self, false, find_vv, find), KV_OK);
	s.ops->release(s.self);
	/* What was written since, the world may have in another form. */
	assert_true(find[1] >= before.tick);
	assert_true(find[1] < raw("after").stamp.tick);
	assert_true(syncd_store_self(store)->inc != inc);
	assert_true(syncd_store_self(store)->start > raw("after").stamp.tick);
	syncd_store_free(store);
	steps(3);
	EXPECT(model_findings(e) == 0);
	engine_close(e);
}

static int
put_once(void)
{
	static const char value[4096];
	const struct bucket *b;
	uint64_t end;
	int rc;

	EXPECT(engine_refresh(e) == KV_OK);
	EXPECT(engine_bucket(e, slice_of("b"), &b) == KV_OK);
	EXPECT(engine_put(e, b, slice_of("k"),
		   (struct kv_slice){ value, sizeof(value) }, 0) == KV_OK);
	rc = engine_commit(e, &end);
	engine_release(e);
	return rc;
}

/* One step of it, as it is. */
static int
step(enum control_role role)
{
	int sleep_ms;

	EXPECT(maintain_take(e, role, false) == KV_OK);
	if (role == ROLE_WALWRITER)
		EXPECT(writer_step(e, &sleep_ms) == KV_OK);
	else
		EXPECT(checkpoint_step(e, false, &sleep_ms) == KV_OK);
	maintain_leave(e, role);
	return sleep_ms;
}

/* The walwriter does its work, and the writers use all that there is. */
static void
fill_the_log(void)
{
	int rc;

	do {
		while ((rc = put_once()) == KV_OK)
			;
		EXPECT(rc == KV_EAGAIN);
		step(ROLE_WALWRITER);
	} while (put_once() == KV_OK);
}

static void
a_new_run_begins_though_writers_take_all_room(void **state)
{
	uint64_t inc;
	unsigned i;

	(void)state;
	e = model_open(model, DURABILITY_EVERYSEC);
	inc = e->control->inc;
	write_key("k", 0);
	steps(1);
	fill_the_log();
	jump(40000);
	for (i = 0; i < CONTROL_SLOTS && e->control->inc == inc; i++) {
		step(ROLE_CHECKPOINTER);
		if (e->control->inc == inc)
			fill_the_log();
	}
	assert_true(e->control->inc != inc);
	assert_false(clockwatch_jumped(e));
	fill_the_log();
	steps(1);
	assert_int_equal(raw("k").stamp.inc, e->control->inc);
	EXPECT(model_findings(e) == 0);
	engine_close(e);
}

static void
a_new_run_waits_for_no_segment_to_be_half_full(void **state)
{
	struct control *c;
	uint64_t inc;

	(void)state;
	e = model_open(model, DURABILITY_EVERYSEC);
	c = e->control;
	inc = c->inc;
	write_key("k", 0);
	step(ROLE_WALWRITER);
	step(ROLE_CHECKPOINTER);
	assert_int_equal(c->file_ready, c->segment_hi);
	jump(40000);
	/* It looks again soon, though there is nothing to move. */
	assert_in_range(step(ROLE_CHECKPOINTER), 1, 100);
	assert_int_equal(c->inc, inc);
	EXPECT(put_once() == KV_OK);
	step(ROLE_WALWRITER);
	step(ROLE_CHECKPOINTER);
	assert_true(c->inc != inc);
	steps(1);
	EXPECT(model_findings(e) == 0);
	engine_close(e);
}

/* As if the walwriter slept until somebody wakes it. */
static bool
is_woken_by(void (*what)(void))
{
	uint32_t seen = atomic_load(&e->control->writer_futex);

	atomic_store(&e->control->writer_sleeps, 1);
	what();
	return atomic_load(&e->control->writer_futex) != seen;
}

static void
begin_a_new_run(void)
{
	step(ROLE_CHECKPOINTER);
}

static void
ask_for_room(void)
{
	engine_want_room(e);
}

static void
a_roll_by_another_is_told_to_the_walwriter(void **state)
{
	struct control *c;
	uint64_t inc;

	(void)state;
	e = model_open(model, DURABILITY_EVERYSEC);
	c = e->control;
	inc = c->inc;
	write_key("k", 0);
	steps(1);
	step(ROLE_WALWRITER);
	assert_true(c->file_ready > c->segment_hi);
	assert_false(is_woken_by(ask_for_room));
	jump(40000);
	assert_true(is_woken_by(begin_a_new_run));
	assert_true(c->inc != inc);
	/* Who rolled may have died before. */
	assert_int_equal(c->file_ready, c->segment_hi);
	assert_true(is_woken_by(ask_for_room));
	step(ROLE_WALWRITER); /* all is durable */
	step(ROLE_WALWRITER);
	assert_false(is_woken_by(ask_for_room));
	engine_close(e);
}

static void
drift_and_small_steps_are_followed(void **state)
{
	uint64_t inc;
	int i;

	(void)state;
	e = model_open(model, DURABILITY_EVERYSEC);
	inc = e->control->inc;
	for (i = 0; i < 10; i++) {
		steps(1);
		jump(i % 2 == 0 ? 20000 : -20000);
		assert_false(clockwatch_jumped(e));
	}
	steps(1);
	assert_int_equal(e->control->inc, inc);
	engine_close(e);
}

/* Before the checkpointer makes its first step. */
static void
a_jump_right_after_the_start_is_noticed(void **state)
{
	uint64_t inc;

	(void)state;
	e = model_open(model, DURABILITY_EVERYSEC);
	inc = e->control->inc;
	assert_false(clockwatch_jumped(e));
	jump(40000);
	assert_true(clockwatch_jumped(e));
	step_to_another_run(inc);
	assert_false(clockwatch_jumped(e));
	engine_close(e);
}

/* Processes die right after: the memory is still that of this store. */
static void
the_memory_is_adopted_after_it(void **state)
{
	int status, told[2];
	uint64_t inc;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(told), 0);
	if ((pid = fork()) == 0) {
		e = model_open(model, DURABILITY_EVERYSEC);
		steps(1);
		inc = e->control->inc;
		jump(40000);
		step_to_another_run(inc);
		write_key("k", 0);
		inc = e->control->inc;
		_exit(write(told[1], &inc, sizeof(inc)) != sizeof(inc));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(read(told[0], &inc, sizeof(inc)), sizeof(inc));
	close(told[0]);
	close(told[1]);
	e = model_open(model, DURABILITY_EVERYSEC);
	assert_int_equal(e->control->inc, inc);
	assert_int_equal(raw("k").stamp.inc, inc);
	EXPECT(model_findings(e) == 0);
	engine_close(e);
}

static void
nothing_expires_for_an_hour_after_a_jump_far_ahead(void **state)
{
	uint64_t inc;
	unsigned i;

	(void)state;
	e = model_open(model, DURABILITY_EVERYSEC);
	inc = e->control->inc;
	steps(1);
	write_key("k", 1);
	jump(2 * HOUR);
	/* A worker's deadlines may be the first to notice. */
	assert_true(clockwatch_doubts(e));
	step_to_another_run(inc);
	assert_true(clockwatch_doubts(e));
	steps(20);
	assert_int_equal(raw("k").type, RECORD_PUT);
	inc = e->control->inc;
	jump(-2 * HOUR);
	step_to_another_run(inc);
	assert_false(clockwatch_doubts(e));
	for (i = 0; i < ROUNDS && raw("k").type == RECORD_PUT; i++)
		steps(1);
	assert_int_equal(raw("k").type, RECORD_TOMB);
	engine_close(e);
}

static void
nothing_expires_while_replication_doubts_the_clock(void **state)
{
	(void)state;
	e = model_open(model, DURABILITY_EVERYSEC);
	steps(1);
	write_key("k", 1);
	clockwatch_doubt(e);
	steps(20);
	assert_int_equal(raw("k").type, RECORD_PUT);
	engine_close(e);
}

int
main(void)
{
#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, model_set_up, model_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_new_run_begins_in_the_same_memory),
		TEST(a_new_run_begins_though_writers_take_all_room),
		TEST(a_new_run_waits_for_no_segment_to_be_half_full),
		TEST(a_roll_by_another_is_told_to_the_walwriter),
		TEST(drift_and_small_steps_are_followed),
		TEST(a_jump_right_after_the_start_is_noticed),
		TEST(the_memory_is_adopted_after_it),
		TEST(nothing_expires_for_an_hour_after_a_jump_far_ahead),
		TEST(nothing_expires_while_replication_doubts_the_clock),
	};
#undef TEST

	return cmocka_run_group_tests(tests, NULL, NULL);
}
