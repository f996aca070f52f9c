/* SPDX-License-Identifier: ISC */
/* Questions and answers between many at once, some of whom leave in the middle
 * of it: an answer is to the question that was asked, whole, and counted once.
 * Threads stand for processes, so that the thread sanitizer sees them all. */

#include "engine/ask.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "base/rng.h"
#include "engine/internal.h"
#include "io/file.h"
#include "shm/region.h"

#define PROCESSES 4
#define QUESTIONS 3000
#define TEXT 300

static char folder[64];
static struct control *control;
static _Atomic unsigned done, wrong, answered;

static void
is(bool right)
{
	if (!right)
		atomic_fetch_add(&wrong, 1);
}

static void
be_born(struct engine *e, unsigned slot)
{
	char path[128];

	*e = (struct engine){ .control = control, .slot = slot };
	snprintf(e->shm, sizeof(e->shm), "%s", folder);
	snprintf(path, sizeof(path), "%s/lock", folder);
	e->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	is(file_lock(e->lock_fd, LOCK_SLOT + (off_t)slot, FILE_LOCK_EXCLUSIVE,
	       true) == KV_OK);
	is(wake_new(folder, CONTROL_PROCESSES, &e->wake) == KV_OK);
	is(wake_descriptor(e->wake, slot, &e->wake_fd) == KV_OK);
	e->process = &control->processes[slot];
	ask_forget(control, slot);
	atomic_store(&e->process->role, ROLE_WORKER);
	atomic_store(&e->process->pid, 1000 + slot);
}

/* As by SIGKILL. */
static void
die(struct engine *e)
{
	wake_free(e->wake);
	close(e->lock_fd);
}

static bool
is_all(const char *bytes, size_t len, char value)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (bytes[i] != value)
			return false;
	return true;
}

/* The body is one byte, often; so is the answer, and its number. */
static void
answer(struct engine *e)
{
	struct ask_question q;
	char text[TEXT];

	wake_drain(e->wake, e->slot);
	while (ask_next(e, &q)) {
		is(q.len == ASK_BODY_MAX && is_all(q.body, q.len, q.body[0]));
		memset(text, q.body[0], sizeof(text));
		ask_answer(e, &q, (unsigned char)q.body[0],
		    (struct kv_slice){ text, sizeof(text) });
	}
}

/* Each who answered did so once, and those who did not were gone. */
static void
check(struct engine *e, const struct ask *a, char value)
{
	uint64_t sum = ask_sum(e, a), n = sum / (unsigned char)value;
	struct buf b;

	buf_init(&b);
	is(n < PROCESSES && sum == n * (unsigned char)value);
	is(ask_texts(e, a, PROCESSES * TEXT, &b) == KV_OK);
	is(b.len == n * TEXT && is_all(b.data, b.len, value));
	buf_fini(&b);
	atomic_fetch_add(&answered, (unsigned)n);
}

static void
ask(struct engine *e, uint64_t *seed)
{
	char value = (char)(1 + rng_next(seed) % 255), body[ASK_BODY_MAX];
	struct pollfd p = { .fd = e->wake_fd, .events = POLLIN };
	unsigned patience = (unsigned)(rng_next(seed) % 3 * 20);
	struct ask a;

	memset(body, value, sizeof(body));
	if (ask_begin(e, ASK_CLIENTS, (struct kv_slice){ body, sizeof(body) },
		&a) < 0)
		return;
	while (!ask_is_done(e, &a) && patience > 0) {
		if (poll(&p, 1, 1) == 0) {
			(void)ask_again(e, &a);
			patience--;
		}
		answer(e);
	}
	if (ask_is_done(e, &a))
		check(e, &a, value);
	if (rng_next(seed) % 64 > 0) { /* or die over it */
		ask_end(e, &a);
		return;
	}
	die(e);
	be_born(e, e->slot);
}

static void *
process(void *arg)
{
	unsigned slot = *(const unsigned *)arg, i;
	uint64_t seed = rng_u64() | 1;
	struct pollfd p = { .events = POLLIN };
	struct engine e;

	be_born(&e, slot);
	for (i = 0; i < QUESTIONS; i++) {
		answer(&e);
		ask(&e, &seed);
	}
	atomic_fetch_add(&done, 1);
	while (atomic_load(&done) < PROCESSES) {
		p.fd = e.wake_fd;
		(void)poll(&p, 1, 1);
		answer(&e);
	}
	die(&e);
	return NULL;
}

static void
answers_are_whole_and_counted_once(void **state)
{
	unsigned slots[PROCESSES], i;
	pthread_t threads[PROCESSES];

	(void)state;
	snprintf(folder, sizeof(folder), "/dev/shm/kv-test-ask.XXXXXX");
	assert_non_null(mkdtemp(folder));
	assert_int_equal(control_make(folder, &control), KV_OK);
	atomic_store(&control->process_high, PROCESSES);
	for (i = 0; i < PROCESSES; i++) {
		slots[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, process,
				     &slots[i]),
		    0);
	}
	for (i = 0; i < PROCESSES; i++)
		pthread_join(threads[i], NULL);
	print_message("%u answers\n", atomic_load(&answered));
	assert_int_equal(atomic_load(&wrong), 0);
	assert_true(atomic_load(&answered) > QUESTIONS);
	control_unmap(control);
	region_remove_folder(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_whole_and_counted_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
