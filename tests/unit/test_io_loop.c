/* SPDX-License-Identifier: ISC */
/* The event loop with real pipes and timers. */

#include "io/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

struct fixture {
	struct loop *loop;
	struct loop_source source[2];
	struct timer timer;
	int pipe[2][2];
	int ready;
	int expired;
	char order[64];
	size_t order_len;
};

static struct fixture f;

static void
note(char c)
{
	if (f.order_len + 1 < sizeof(f.order))
		f.order[f.order_len++] = c;
	f.order[f.order_len] = '\0';
}

static void
count_ready(struct loop_source *source, uint32_t events)
{
	char c;

	assert_true(events & EPOLLIN);
	assert_int_equal(read(source->fd, &c, 1), 1);
	f.ready++;
	note('r');
}

static void
count_expired(struct timer *timer)
{
	assert_ptr_equal(timer, &f.timer);
	f.expired++;
	note('t');
}

static int
set_up(void **state)
{
	int i;

	(void)state;
	f = (struct fixture){ .timer.expired = count_expired };
	if (loop_new(&f.loop) < 0)
		return -1;
	for (i = 0; i < 2; i++) {
		if (pipe(f.pipe[i]) < 0)
			return -1;
		f.source[i] = (struct loop_source){
			.ready = count_ready,
			.fd = f.pipe[i][0],
			.events = EPOLLIN,
		};
		if (loop_add(f.loop, &f.source[i]) < 0)
			return -1;
	}
	return 0;
}

static int
tear_down(void **state)
{
	int i;

	(void)state;
	loop_free(f.loop);
	for (i = 0; i < 2; i++) {
		close(f.pipe[i][0]);
		close(f.pipe[i][1]);
	}
	return 0;
}

static void
poke(int i)
{
	assert_int_equal(write(f.pipe[i][1], "x", 1), 1);
}

static void
a_source_is_called_once_for_each_turn_with_events(void **state)
{
	(void)state;
	poke(0);
	poke(1);
	assert_int_equal(loop_turn(f.loop), KV_OK);
	assert_int_equal(f.ready, 2);
	poke(1);
	assert_int_equal(loop_turn(f.loop), KV_OK);
	assert_int_equal(f.ready, 3);
}

static void
remove_both(struct loop_source *source, uint32_t events)
{
	(void)source;
	(void)events;
	f.ready++;
	loop_remove(f.loop, &f.source[0]);
	loop_remove(f.loop, &f.source[1]);
	f.source[0].ready = f.source[1].ready = NULL; /* as if freed */
}

static void
a_source_removed_by_another_one_gets_no_event_of_that_turn(void **state)
{
	(void)state;
	f.source[0].ready = f.source[1].ready = remove_both;
	poke(0);
	poke(1);
	assert_int_equal(loop_turn(f.loop), KV_OK);
	assert_int_equal(f.ready, 1);
	loop_again(f.loop);
	assert_int_equal(loop_turn(f.loop), KV_OK);
	assert_int_equal(f.ready, 1);
}

static void
remove_at_begin(void *arg)
{
	(void)arg;
	loop_remove(f.loop, &f.source[0]);
	f.source[0].ready = NULL; /* as if freed */
}

static void
a_source_removed_as_the_turn_begins_gets_no_event_of_it(void **state)
{
	struct loop_hooks hooks = { .turn_begin = remove_at_begin };

	(void)state;
	loop_set_hooks(f.loop, &hooks);
	poke(0);
	poke(1);
	assert_int_equal(loop_turn(f.loop), KV_OK);
	assert_int_equal(f.ready, 1);
}

static void
remove_and_add_other(struct loop_source *source, uint32_t events)
{
	struct loop_source *other =
	    source == &f.source[0] ? &f.source[1] : &f.source[0];

	(void)events;
	f.ready++;
	loop_remove(f.loop, other);
	assert_int_equal(loop_add(f.loop, other), KV_OK);
}

static void
a_source_whose_memory_is_used_again_gets_no_event_of_the_old_one(void **state)
{
	(void)state;
	f.source[0].ready = f.source[1].ready = remove_and_add_other;
	poke(0);
	poke(1);
	assert_int_equal(loop_turn(f.loop), KV_OK);
	assert_int_equal(f.ready, 1);
}

static void
modifying_to_no_events_silences_a_source(void **state)
{
	(void)state;
	assert_int_equal(loop_modify(f.loop, &f.source[0], 0), KV_OK);
	poke(0);
	loop_again(f.loop);
	assert_int_equal(loop_turn(f.loop), KV_OK);
	assert_int_equal(f.ready, 0);
	assert_int_equal(loop_modify(f.loop, &f.source[0], EPOLLIN), KV_OK);
	assert_int_equal(loop_turn(f.loop), KV_OK);
	assert_int_equal(f.ready, 1);
}

static void
a_timer_ends_the_wait_and_is_never_early(void **state)
{
	uint64_t due = clock_mono_ns() + 3500000;

	(void)state;
	loop_timer_set(f.loop, &f.timer, due);
	while (f.expired == 0)
		assert_int_equal(loop_turn(f.loop), KV_OK);
	assert_true(clock_mono_ns() >= due);
}

static void
set_again(struct timer *timer)
{
	f.expired++;
	loop_timer_set(f.loop, timer, 0);
}

static void
a_timer_that_sets_itself_to_the_past_comes_once_a_turn(void **state)
{
	(void)state;
	f.timer.expired = set_again;
	loop_timer_set(f.loop, &f.timer, 0);
	assert_int_equal(loop_turn(f.loop), KV_OK);
	assert_int_equal(f.expired, 1);
	assert_int_equal(loop_turn(f.loop), KV_OK);
	assert_int_equal(f.expired, 2);
}

static void
note_sleep(void *arg)
{
	note(*(const char *)arg);
}

static void
note_begin(void *arg)
{
	(void)arg;
	note('b');
}

static void
note_end(void *arg)
{
	(void)arg;
	note('e');
	if (f.expired > 0)
		loop_stop(f.loop);
}

static void
the_hooks_stand_around_sources_and_timers(void **state)
{
	char sleeping = 's';
	struct loop_hooks hooks = { note_sleep, note_begin, note_end,
		&sleeping };

	(void)state;
	loop_set_hooks(f.loop, &hooks);
	loop_timer_set(f.loop, &f.timer, 0);
	poke(0);
	assert_int_equal(loop_run(f.loop), KV_OK);
	assert_string_equal(f.order, "sbrte");
}

static void
stop_now(struct timer *timer)
{
	(void)timer;
	loop_stop(f.loop);
}

/* The targets ask for no wakeups of an idle process. */
static void
an_idle_loop_sleeps_until_its_timer(void **state)
{
	char sleeping = 's';
	struct loop_hooks hooks = { .before_sleep = note_sleep,
		.arg = &sleeping };

	(void)state;
	loop_set_hooks(f.loop, &hooks);
	f.timer.expired = stop_now;
	loop_timer_set(f.loop, &f.timer, clock_mono_ns() + 20000000);
	assert_int_equal(loop_run(f.loop), KV_OK);
	assert_string_equal(f.order, "s");
}

int
main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(a_source_is_called_once_for_each_turn_with_events),
		T(a_source_removed_by_another_one_gets_no_event_of_that_turn),
		T(a_source_removed_as_the_turn_begins_gets_no_event_of_it),
		T(a_source_whose_memory_is_used_again_gets_no_event_of_the_old_one),
		T(modifying_to_no_events_silences_a_source),
		T(a_timer_ends_the_wait_and_is_never_early),
		T(a_timer_that_sets_itself_to_the_past_comes_once_a_turn),
		T(the_hooks_stand_around_sources_and_timers),
		T(an_idle_loop_sleeps_until_its_timer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
