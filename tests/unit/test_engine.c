/* SPDX-License-Identifier: ISC */
/* The engine against a naive model: random changes from one process or
 * several, orderly stops, deaths at any instruction, power cuts. */

#include "engine_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/maintain.h"

#define LIVES 12
#define BATCHES 120
#define DEATHS 25

typedef void life(enum engine_durability durability);

/* Run one life in a child; false: it was killed, as it was meant to be. */
static bool
live(life *run, enum engine_durability durability)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		run(durability);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status) &&
	    (WTERMSIG(status) == SIGALRM || WTERMSIG(status) == SIGKILL))
		return false;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	return true;
}

static void
work(struct engine *e, unsigned batches)
{
	while (batches-- > 0) {
		model_commit(model, e);
		switch (model_random(model, 30)) {
		case 0:
			model_maintain(model, e, true);
			model_follow(model, e);
			break;
		case 1:
			model_maintain(model, e, false);
			break;
		case 2:
			EXPECT(model_findings(e) == 0);
			break;
		case 3:
		case 4:
			model_check(model, e);
			break;
		default:
			break;
		}
	}
}

static void
life_to_the_end(enum engine_durability durability)
{
	struct engine *e = model_open(model, durability);

	model_find(model, e, false);
	model_check(model, e);
	work(e, BATCHES);
	model_check(model, e);
	EXPECT(model_findings(e) == 0);
	engine_close(e);
	/* Stopped in order: everything is safe. */
	model->durable = model->newest;
}

static void
random_changes_are_all_there_after_each_orderly_stop(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < LIVES; i++) {
		assert_true(live(life_to_the_end, DURABILITY_ALWAYS));
		if (i % 3 == 2)
			model_cut_power(model); /* nothing was left there */
	}
}

static void
the_same_holds_when_the_disk_is_written_once_a_second(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < LIVES / 2; i++)
		assert_true(live(life_to_the_end, DURABILITY_EVERYSEC));
}

static void
life_without_end(enum engine_durability durability)
{
	struct engine *e = model_open(model, durability);

	model_find(model, e, false);
	model_check(model, e);
	work(e, 1 + model_random(model, BATCHES / 2));
	_exit(0); /* all its locks and its memory go at once */
}

static void
what_was_committed_survives_the_death_of_the_process(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < LIVES; i++)
		assert_true(live(life_without_end, DURABILITY_ALWAYS));
	assert_true(live(life_to_the_end, DURABILITY_ALWAYS));
}

/* Some time in the next milliseconds: at any instruction.  In the crash build
 * KV_TEST_CRASH names the place instead (see engine/crash.c). */
static void
die_soon(void)
{
	const char *point = getenv("KV_TEST_CRASH");
	struct itimerval t = { { 0, 0 },
		{ point != NULL,
		    1 + (suseconds_t)model_random(model, 30000) } };
	char text[64];

	if (point != NULL) {
		snprintf(text, sizeof(text), "%s:%u", point,
		    1 + model_random(model, 12));
		EXPECT(setenv("KV_CRASH", text, 1) == 0);
	}
	EXPECT(setitimer(ITIMER_REAL, &t, NULL) == 0);
}

static void
life_cut_short(enum engine_durability durability)
{
	struct engine *e;

	if (model_random(model, 4) == 0)
		die_soon(); /* perhaps while recovering */
	e = model_open(model, durability);
	model_find(model, e, false);
	model_check(model, e);
	EXPECT(model_findings(e) == 0);
	die_soon();
	for (;;)
		work(e, 1);
}

static void
a_process_killed_at_any_instruction_loses_no_commit(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < DEATHS; i++)
		live(life_cut_short, DURABILITY_ALWAYS);
	assert_true(live(life_to_the_end, DURABILITY_ALWAYS));
}

static void
life_after_power_cut(enum engine_durability durability)
{
	struct engine *e = model_open(model, durability);

	model_find(model, e, true);
	model_check(model, e);
	EXPECT(model_findings(e) == 0);
	/* The log ends at a state: so must what was handed out of it. */
	model_maintain(model, e, model_random(model, 2));
	model_follow(model, e);
	die_soon();
	for (;;)
		work(e, 1);
}

static void
a_power_cut_leaves_a_prefix_with_all_that_was_durable(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < DEATHS; i++) {
		live(life_after_power_cut, DURABILITY_ALWAYS);
		model_cut_power(model);
	}
}

/* One that stays, and hears by a pipe that another was killed. */
static void
survivor(int from, int to)
{
	struct engine *e = model_open(model, DURABILITY_ALWAYS);
	char byte;

	EXPECT(write(to, "r", 1) == 1);
	while (read(from, &byte, 1) == 1) {
		/* A batch that was whole but not indexed appears with this. */
		EXPECT(engine_refresh(e) == KV_OK);
		engine_lock(e);
		engine_unlock(e);
		engine_release(e);
		model_find(model, e, false);
		if (model_random(model, 2))
			EXPECT(model_findings(e) == 0);
		model_commit(model, e);
		model_check(model, e);
		EXPECT(model_findings(e) == 0);
		if (model_random(model, 3) == 0) {
			model_maintain(model, e, true);
			model_follow(model, e);
		}
		EXPECT(write(to, "r", 1) == 1);
	}
	engine_close(e);
	_exit(0);
}

static void
victim(enum engine_durability durability)
{
	struct engine *e = model_open(model, durability);

	model_find(model, e, false);
	die_soon();
	for (;;)
		work(e, 1);
}

static void
the_living_mend_what_one_killed_within_an_append_left(void **state)
{
	int to[2], from[2], status;
	unsigned i;
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(to), 0);
	assert_int_equal(pipe(from), 0);
	if ((pid = fork()) == 0) {
		close(to[1]);
		survivor(to[0], from[1]);
	}
	assert_true(pid > 0);
	close(from[1]);
	for (i = 0; i < DEATHS; i++) {
		assert_int_equal(read(from[0], &byte, 1), 1);
		live(victim, DURABILITY_ALWAYS);
		assert_int_equal(write(to[1], "d", 1), 1);
	}
	assert_int_equal(read(from[0], &byte, 1), 1);
	close(to[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	close(to[0]);
	close(from[0]);
}

int
main(int argc, char **argv)
{
#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, model_set_up, model_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(random_changes_are_all_there_after_each_orderly_stop),
		TEST(the_same_holds_when_the_disk_is_written_once_a_second),
		TEST(what_was_committed_survives_the_death_of_the_process),
		TEST(a_process_killed_at_any_instruction_loses_no_commit),
		TEST(a_power_cut_leaves_a_prefix_with_all_that_was_durable),
		TEST(the_living_mend_what_one_killed_within_an_append_left),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
