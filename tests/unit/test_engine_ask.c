/* SPDX-License-Identifier: ISC */
/* Questions between processes, which here are so many struct engine over one
 * control block, each with its own locks. */

#include "engine/ask.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>

#include "engine/host.h"
#include "engine/internal.h"
#include "io/file.h"
#include "shm/region.h"

#define PROCESSES 4

static char folder[64];
static struct control *control;
static struct engine engines[PROCESSES];

static void
be_born(unsigned slot, enum control_role role)
{
	struct engine *e = &engines[slot];
	char path[128];

	*e = (struct engine){ .control = control, .slot = slot };
	snprintf(e->shm, sizeof(e->shm), "%s", folder);
	snprintf(path, sizeof(path), "%s/lock", folder);
	e->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(e->lock_fd >= 0);
	assert_int_equal(file_lock(e->lock_fd, LOCK_SLOT + (off_t)slot,
			     FILE_LOCK_EXCLUSIVE, false),
	    KV_OK);
	assert_int_equal(wake_new(folder, CONTROL_PROCESSES, &e->wake), KV_OK);
	assert_int_equal(wake_descriptor(e->wake, slot, &e->wake_fd), KV_OK);
	wake_drain(e->wake, slot);
	e->process = &control->processes[slot];
	ask_forget(control, slot);
	host_forget(control, slot);
	atomic_store(&e->process->role, role);
	atomic_store(&e->process->pid, 1000 + slot);
	if (atomic_load(&control->process_high) <= slot)
		atomic_store(&control->process_high, slot + 1);
}

/* As by SIGKILL: nothing is tidied up. */
static void
die(unsigned slot)
{
	close(engines[slot].lock_fd);
	wake_free(engines[slot].wake);
	engines[slot].wake = NULL;
	engines[slot].lock_fd = -1;
}

static int
set_up(void **state)
{
	unsigned i;

	(void)state;
	snprintf(folder, sizeof(folder), "/var/tmp/kv-ask-XXXXXX");
	assert_non_null(mkdtemp(folder));
	assert_int_equal(control_make(folder, &control), KV_OK);
	for (i = 0; i < PROCESSES; i++)
		be_born(i, i == 3 ? ROLE_SYNCD : ROLE_WORKER);
	return 0;
}

static int
tear_down(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < PROCESSES; i++)
		if (engines[i].lock_fd >= 0)
			die(i);
	control_unmap(control);
	region_remove_folder(folder);
	return 0;
}

static struct ask
begin(unsigned asker, enum ask_what what, const char *body)
{
	struct ask a;

	assert_int_equal(ask_begin(&engines[asker], what, slice_of(body), &a),
	    KV_OK);
	return a;
}

static void
answer(unsigned slot, const char *body, uint32_t number, const char *text)
{
	struct ask_question q;

	assert_true(ask_next(&engines[slot], &q));
	assert_int_equal(q.len, strlen(body));
	assert_memory_equal(q.body, body, q.len);
	ask_answer(&engines[slot], &q, number, slice_of(text));
}

static void
texts_are(unsigned asker, const struct ask *a, const char *want)
{
	struct buf b;

	buf_init(&b);
	assert_int_equal(ask_texts(&engines[asker], a, 1000, &b), KV_OK);
	assert_int_equal(b.len, strlen(want));
	if (b.len > 0)
		assert_memory_equal(b.data, want, b.len);
	buf_fini(&b);
}

static bool
is_woken(unsigned slot)
{
	char byte;

	return read(engines[slot].wake_fd, &byte, 1) == 1;
}

static size_t
files(void)
{
	char command[128], line[32] = "";
	FILE *p;

	snprintf(command, sizeof(command), "ls %s | grep -c answer", folder);
	p = popen(command, "r");
	assert_non_null(p);
	assert_non_null(fgets(line, sizeof(line), p));
	pclose(p);
	return strtoul(line, NULL, 10);
}

static void
all_workers_are_asked_and_nobody_else(void **state)
{
	struct ask_question q;
	struct ask a;

	(void)state;
	a = begin(0, ASK_CLIENTS, "all");
	assert_false(ask_is_done(&engines[0], &a));
	assert_false(ask_next(&engines[0], &q));
	assert_false(ask_next(&engines[3], &q));
	assert_true(is_woken(1) && is_woken(2));
	assert_false(is_woken(0) || is_woken(3));
	answer(1, "all", 7, "one\n");
	assert_true(is_woken(0));
	assert_false(ask_is_done(&engines[0], &a));
	answer(2, "all", 8, "");
	assert_false(ask_next(&engines[2], &q));
	assert_true(ask_is_done(&engines[0], &a));
	assert_int_equal(ask_sum(&engines[0], &a), 15);
	texts_are(0, &a, "one\n");
	ask_end(&engines[0], &a);
	assert_int_equal(files(), 0);
}

static void
several_may_ask_at_once_and_each_other(void **state)
{
	struct ask a, b, c;

	(void)state;
	a = begin(0, ASK_CLIENTS, "a");
	b = begin(1, ASK_KILL, "b");
	c = begin(0, ASK_CLIENTS, "c");
	answer(2, "a", 1, "2a");
	answer(2, "b", 1, "2b");
	answer(2, "c", 1, "2c");
	answer(0, "b", 2, "0b");
	answer(1, "a", 3, "1a");
	answer(1, "c", 3, "1c");
	texts_are(0, &a, "1a2a");
	texts_are(1, &b, "0b2b");
	texts_are(0, &c, "1c2c");
	assert_int_equal(ask_sum(&engines[1], &b), 3);
	ask_end(&engines[0], &a);
	ask_end(&engines[1], &b);
	ask_end(&engines[0], &c);
}

static void
who_dies_is_not_waited_for_and_what_it_answered_counts(void **state)
{
	struct ask a;

	(void)state;
	a = begin(0, ASK_CLIENTS, "x");
	answer(1, "x", 1, "last words");
	die(1);
	die(2);
	assert_false(ask_is_done(&engines[0], &a));
	assert_true(ask_again(&engines[0], &a));
	assert_true(ask_is_done(&engines[0], &a));
	texts_are(0, &a, "last words");
	assert_int_equal(ask_sum(&engines[0], &a), 1);
	ask_end(&engines[0], &a);
	/* Not even asked, although its pid stands there. */
	a = begin(0, ASK_CLIENTS, "x");
	assert_true(ask_is_done(&engines[0], &a));
	ask_end(&engines[0], &a);
}

static void
who_takes_the_slot_of_a_dead_one_is_asked_in_its_place(void **state)
{
	struct ask a;

	(void)state;
	a = begin(0, ASK_CLIENTS, "x");
	answer(2, "x", 1, "2");
	die(1);
	be_born(1, ROLE_WORKER);
	assert_false(ask_again(&engines[0], &a));
	answer(1, "x", 1, "1");
	texts_are(0, &a, "12");
	ask_end(&engines[0], &a);
}

static void
a_slot_that_serves_another_role_by_now_is_not_waited_for(void **state)
{
	struct ask a;

	(void)state;
	a = begin(0, ASK_CLIENTS, "x");
	answer(2, "x", 1, "2");
	die(1);
	be_born(1, ROLE_LIBRARY);
	assert_true(ask_again(&engines[0], &a));
	ask_end(&engines[0], &a);
}

static void
an_answer_that_comes_too_late_reaches_nobody(void **state)
{
	struct ask_question late;
	struct ask a, b;
	uint32_t at = 0;

	(void)state;
	a = begin(0, ASK_CLIENTS, "a");
	assert_true(ask_next(&engines[1], &late));
	answer(2, "a", 1, "2");
	assert_int_equal(ask_silent(&engines[0], &a, &at), 1001);
	assert_int_equal(ask_silent(&engines[0], &a, &at), 0);
	ask_end(&engines[0], &a);
	ask_answer(&engines[1], &late, 9, slice_of("late"));
	assert_int_equal(files(), 0);
	/* The same place, another question. */
	b = begin(0, ASK_CLIENTS, "b");
	assert_int_equal(b.place, a.place);
	ask_answer(&engines[1], &late, 9, slice_of("late"));
	assert_false(ask_is_done(&engines[0], &b));
	answer(1, "b", 1, "1");
	answer(2, "b", 1, "2");
	texts_are(0, &b, "12");
	assert_int_equal(ask_sum(&engines[0], &b), 2);
	ask_end(&engines[0], &b);
}

static void
what_is_over_is_not_answered_and_what_a_dead_one_asked_neither(void **state)
{
	struct ask_question q;
	struct ask a;

	(void)state;
	a = begin(0, ASK_KILL, "a");
	ask_end(&engines[0], &a);
	assert_false(ask_next(&engines[1], &q));
	(void)begin(0, ASK_KILL, "a");
	die(0);
	assert_false(ask_next(&engines[1], &q));
	be_born(0, ROLE_WORKER);
	assert_false(ask_next(&engines[2], &q));
}

static void
places_are_limited_and_those_of_the_dead_are_taken(void **state)
{
	struct ask a[CONTROL_ASKS], more;
	unsigned i;

	(void)state;
	for (i = 0; i < CONTROL_ASKS; i++)
		a[i] = begin(i % 2, ASK_KILL, "x");
	assert_int_equal(ask_begin(&engines[2], ASK_KILL, slice_of("y"), &more),
	    KV_EBUSY);
	die(1);
	for (i = 0; i < CONTROL_ASKS / 2; i++)
		assert_int_equal(ask_begin(&engines[2], ASK_KILL, slice_of("y"),
				     &more),
		    KV_OK);
	assert_int_equal(ask_begin(&engines[2], ASK_KILL, slice_of("y"), &more),
	    KV_EBUSY);
	ask_end(&engines[0], &a[2]);
	assert_int_equal(ask_begin(&engines[2], ASK_KILL, slice_of("y"), &more),
	    KV_OK);
	/* All of them are answered by one who is asked so much. */
	for (i = 0; i < CONTROL_ASKS / 2; i++) {
		struct ask_question q;

		assert_true(ask_next(&engines[0], &q));
		assert_memory_equal(q.body, "y", 1);
		ask_answer(&engines[0], &q, 1, slice_of(""));
	}
}

static void
a_text_beyond_the_limit_or_of_another_question_is_not_taken(void **state)
{
	char path[128];
	struct ask a;
	struct buf b;

	(void)state;
	buf_init(&b);
	a = begin(0, ASK_CLIENTS, "x");
	answer(1, "x", 1, "0123456789");
	answer(2, "x", 1, "0123456789");
	assert_int_equal(ask_texts(&engines[0], &a, 19, &b), KV_ETOOBIG);
	b.len = 0;
	assert_int_equal(ask_texts(&engines[0], &a, 20, &b), KV_OK);
	snprintf(path, sizeof(path), "%s/%u.1.answer", folder, a.place);
	assert_int_equal(file_write(path, slice_of("of another time"), 0600),
	    KV_OK);
	texts_are(0, &a, "0123456789");
	assert_int_equal(file_write(path, slice_of("x"), 0600), KV_OK);
	texts_are(0, &a, "0123456789");
	ask_end(&engines[0], &a);
	buf_fini(&b);
}

static void
who_cannot_write_its_text_has_not_answered(void **state)
{
	struct ask a;
	uint32_t at = 0;

	(void)state;
	a = begin(0, ASK_CLIENTS, "x");
	snprintf(engines[1].shm, sizeof(engines[1].shm), "/nonexistent");
	answer(1, "x", 1, "1");
	answer(2, "x", 1, "2");
	assert_true(ask_is_done(&engines[0], &a));
	texts_are(0, &a, "2");
	assert_int_equal(ask_sum(&engines[0], &a), 1);
	assert_int_equal(ask_silent(&engines[0], &a, &at), 1001);
	ask_end(&engines[0], &a);
}

static void
a_dead_process_has_no_monitors(void **state)
{
	(void)state;
	assert_false(host_has_monitors(&engines[0]));
	host_set_monitors(&engines[1], true);
	host_set_monitors(&engines[1], true);
	host_set_monitors(&engines[2], true);
	assert_true(host_has_monitors(&engines[0]));
	host_set_monitors(&engines[2], false);
	host_look_for_dead(&engines[0]);
	assert_true(host_has_monitors(&engines[0]));
	die(1);
	assert_true(host_has_monitors(&engines[0]));
	host_look_for_dead(&engines[0]);
	assert_false(host_has_monitors(&engines[0]));
}

int
main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(all_workers_are_asked_and_nobody_else),
		TEST(several_may_ask_at_once_and_each_other),
		TEST(who_dies_is_not_waited_for_and_what_it_answered_counts),
		TEST(who_takes_the_slot_of_a_dead_one_is_asked_in_its_place),
		TEST(a_slot_that_serves_another_role_by_now_is_not_waited_for),
		TEST(an_answer_that_comes_too_late_reaches_nobody),
		TEST(
		    what_is_over_is_not_answered_and_what_a_dead_one_asked_neither),
		TEST(places_are_limited_and_those_of_the_dead_are_taken),
		TEST(
		    a_text_beyond_the_limit_or_of_another_question_is_not_taken),
		TEST(who_cannot_write_its_text_has_not_answered),
		TEST(a_dead_process_has_no_monitors),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
