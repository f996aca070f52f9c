/* SPDX-License-Identifier: ISC */
/* Questions from process to process.
 *
 * A place in the control block belongs to its owner, a word of the question's
 * number and the asker's slot: as numbers are not used twice, who finds the
 * same owner twice has seen one question, and who takes the place of a dead
 * asker takes it from none else.  For each process there is a word: "number, 0"
 * when it is asked, "number, answer + 1" when it answered; under any other
 * number it is of a question that is over.  An answer replaces the first by
 * compare and exchange, so one that comes too late reaches nobody.
 *
 * All accesses are sequentially consistent; nothing here is hot. */

#include "engine/ask.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "engine/internal.h"
#include "io/file.h"

#define ASK_FAILED UINT32_MAX /* as an answer: it could not */
#define ASK_TRAILER 4	      /* behind a text: the question's number */

static_assert(CONTROL_ASKS == 64, "a bit each in a word");

static uint64_t
ask_word(uint32_t number, uint32_t low)
{
	return (uint64_t)number << 32 | low;
}

/* ---- places ---- */

void
ask_forget(struct control *c, unsigned slot)
{
	unsigned i;

	for (i = 0; i < CONTROL_ASKS; i++) {
		uint64_t owner = atomic_load(&c->asks[i].owner);

		if ((uint32_t)owner == slot + 1)
			atomic_compare_exchange_strong(&c->asks[i].owner,
			    &owner, 0);
	}
	atomic_store(&c->asked[slot], 0);
}

static uint32_t
ask_number(struct control *c)
{
	uint32_t number;

	do
		number = (uint32_t)(atomic_fetch_add(&c->ask_number, 1) + 1);
	while (number == 0);
	return number;
}

/* A free place, or else one of an asker that was killed. */
static bool
ask_take(struct engine *e, bool of_dead, struct ask *out)
{
	struct control *c = e->control;
	uint64_t mine = ask_word(out->number, e->slot + 1);

	for (out->place = 0; out->place < CONTROL_ASKS; out->place++) {
		_Atomic uint64_t *word = &c->asks[out->place].owner;
		uint64_t owner = atomic_load(word);

		if (owner != 0 &&
		    (!of_dead || host_is_alive(e, (uint32_t)owner - 1)))
			continue;
		if (atomic_compare_exchange_strong(word, &owner, mine))
			return true;
	}
	return false;
}

/* ---- texts ---- */

static void
ask_path(const struct engine *e, char path[PATH_MAX], uint32_t place,
    unsigned slot, const char *suffix)
{
	snprintf(path, PATH_MAX, "%.*s/%u.%u.answer%s", PATH_MAX - 48, e->shm,
	    place, slot, suffix);
}

static void
ask_remove(const struct engine *e, uint32_t place, unsigned slot)
{
	char path[PATH_MAX];

	ask_path(e, path, place, slot, "");
	(void)unlink(path);
}

static int
ask_write_file(const char *path, uint32_t number, struct kv_slice text)
{
	char trailer[ASK_TRAILER];
	int fd, rc;

	bytes_put_be32(trailer, number);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_system("open", path);
	rc = file_write_all(fd, text, path);
	if (rc == KV_OK)
		rc = file_write_all(fd,
		    (struct kv_slice){ trailer, sizeof(trailer) }, path);
	close(fd);
	return rc;
}

/* Under its name the file is whole; it need not outlive the machine. */
static int
ask_write(const struct engine *e, const struct ask *a, struct kv_slice text)
{
	char path[PATH_MAX], new[PATH_MAX];
	int rc;

	ask_path(e, path, a->place, e->slot, "");
	ask_path(e, new, a->place, e->slot, ".new");
	rc = ask_write_file(new, a->number, text);
	if (rc == KV_OK && rename(new, path) < 0)
		rc = err_system("rename", path);
	if (rc < 0)
		(void)unlink(new);
	return rc;
}

/* Another process wrote it: of any length, to any question. */
static int
ask_read(const struct engine *e, const struct ask *a, unsigned slot,
    size_t limit, struct buf *to)
{
	char path[PATH_MAX];
	size_t before = to->len;
	int rc;

	ask_path(e, path, a->place, slot, "");
	rc = file_read(path, limit + ASK_TRAILER, to);
	if (rc == KV_OK &&
	    (to->len < before + ASK_TRAILER ||
		bytes_get_be32(to->data + to->len - ASK_TRAILER) != a->number))
		rc = KV_ENOTFOUND;
	to->len = rc == KV_OK ? to->len - ASK_TRAILER : before;
	return rc;
}

/* ---- asking ---- */

static bool
ask_is_worker(const struct engine *e, uint32_t slot)
{
	const struct control_process *p = &e->control->processes[slot];

	return atomic_load(&p->pid) != 0 &&
	    atomic_load(&p->role) == ROLE_WORKER;
}

/* What the process has answered, + 1; 0: nothing yet; false: not asked. */
static bool
ask_answered(const struct engine *e, const struct ask *a, uint32_t slot,
    uint32_t *out)
{
	uint64_t word = atomic_load(&e->control->asks[a->place].answers[slot]);

	*out = (uint32_t)word;
	return word >> 32 == a->number;
}

int
ask_begin(struct engine *e, enum ask_what what, struct kv_slice body,
    struct ask *out)
{
	uint64_t words[CONTROL_ASK_WORDS] = { 0 };
	struct control_ask *a;
	uint32_t i, high;

	assert(body.len <= sizeof(words));
	out->number = ask_number(e->control);
	if (!ask_take(e, false, out) && !ask_take(e, true, out))
		return KV_EBUSY;
	a = &e->control->asks[out->place];
	memcpy(words, body.data, body.len);
	for (i = 0; i < CONTROL_ASK_WORDS; i++)
		atomic_store(&a->body[i], words[i]);
	atomic_store(&a->what, what);
	atomic_store(&a->len, (uint32_t)body.len);
	high = atomic_load(&e->control->process_high);
	for (i = 0; i < high; i++)
		if (i != e->slot && ask_is_worker(e, i))
			/* Pairs with the load in ask_read_question. */
			atomic_store(&a->answers[i], ask_word(out->number, 0));
	(void)ask_again(e, out);
	return KV_OK;
}

bool
ask_again(struct engine *e, const struct ask *a)
{
	struct control_ask *place = &e->control->asks[a->place];
	bool done = true;
	uint32_t i, seen;

	for (i = 0; i < CONTROL_PROCESSES; i++) {
		uint64_t wanted = ask_word(a->number, 0);

		if (!ask_answered(e, a, i, &seen) || seen != 0)
			continue;
		if (!ask_is_worker(e, i) || !host_is_alive(e, i)) {
			/* If it answered before it went, that counts. */
			atomic_compare_exchange_strong(&place->answers[i],
			    &wanted, 0);
			continue;
		}
		done = false;
		atomic_fetch_or(&e->control->asked[i], (uint64_t)1 << a->place);
		wake_send(e->wake, i);
	}
	return done;
}

bool
ask_is_done(const struct engine *e, const struct ask *a)
{
	uint32_t i, seen;

	for (i = 0; i < CONTROL_PROCESSES; i++)
		if (ask_answered(e, a, i, &seen) && seen == 0)
			return false;
	return true;
}

uint64_t
ask_sum(const struct engine *e, const struct ask *a)
{
	uint64_t sum = 0;
	uint32_t i, seen;

	for (i = 0; i < CONTROL_PROCESSES; i++)
		if (ask_answered(e, a, i, &seen) && seen != 0 &&
		    seen != ASK_FAILED)
			sum += seen - 1;
	return sum;
}

int
ask_texts(struct engine *e, const struct ask *a, size_t limit, struct buf *to)
{
	struct control_ask *place = &e->control->asks[a->place];
	size_t before = to->len;
	uint32_t i, seen;
	int rc;

	for (i = 0; i < CONTROL_PROCESSES; i++) {
		if (!ask_answered(e, a, i, &seen) || seen == 0 ||
		    seen == ASK_FAILED)
			continue;
		rc = ask_read(e, a, i, limit - (to->len - before), to);
		if (rc == KV_ETOOBIG || rc == KV_ENOMEM)
			return rc;
		if (rc < 0 && rc != KV_ENOTFOUND) /* it had nothing to say */
			atomic_store(&place->answers[i],
			    ask_word(a->number, ASK_FAILED));
	}
	return KV_OK;
}

uint32_t
ask_silent(const struct engine *e, const struct ask *a, uint32_t *at)
{
	uint32_t i, seen, pid;

	while (*at < CONTROL_PROCESSES) {
		i = (*at)++;
		if (ask_answered(e, a, i, &seen) &&
		    (seen == 0 || seen == ASK_FAILED) &&
		    (pid = atomic_load(&e->control->processes[i].pid)) != 0)
			return pid;
	}
	return 0;
}

void
ask_end(struct engine *e, const struct ask *a)
{
	uint64_t mine = ask_word(a->number, e->slot + 1);
	uint32_t i, seen;

	for (i = 0; i < CONTROL_PROCESSES; i++)
		if (ask_answered(e, a, i, &seen) && seen != 0)
			ask_remove(e, a->place, i);
	atomic_compare_exchange_strong(&e->control->asks[a->place].owner, &mine,
	    0);
}

/* ---- answering ---- */

/* False: it is over, or its asker is gone. */
static bool
ask_read_question(struct engine *e, uint32_t place, struct ask_question *out)
{
	const struct control_ask *a = &e->control->asks[place];
	uint64_t owner = atomic_load(&a->owner), words[CONTROL_ASK_WORDS];
	uint32_t i, seen;

	out->ask = (struct ask){ place, (uint32_t)(owner >> 32) };
	out->asker = (uint32_t)owner - 1;
	if (out->asker >= CONTROL_PROCESSES ||
	    !ask_answered(e, &out->ask, e->slot, &seen) || seen != 0 ||
	    !host_is_alive(e, out->asker))
		return false;
	out->what = atomic_load(&a->what);
	out->len = atomic_load(&a->len);
	for (i = 0; i < CONTROL_ASK_WORDS; i++)
		words[i] = atomic_load(&a->body[i]);
	memcpy(out->body, words, sizeof(words));
	return out->len <= sizeof(out->body) && atomic_load(&a->owner) == owner;
}

bool
ask_next(struct engine *e, struct ask_question *out)
{
	_Atomic uint64_t *asked = &e->control->asked[e->slot];
	uint64_t bits;

	while ((bits = atomic_load(asked)) != 0) {
		uint32_t place = (uint32_t)__builtin_ctzll(bits);

		/* First, so that being asked anew is not forgotten. */
		atomic_fetch_and(asked, ~((uint64_t)1 << place));
		if (ask_read_question(e, place, out))
			return true;
	}
	return false;
}

void
ask_answer(struct engine *e, const struct ask_question *q, uint32_t number,
    struct kv_slice text)
{
	struct control_ask *a = &e->control->asks[q->ask.place];
	uint64_t word = ask_word(q->ask.number, 0);

	number = number < ASK_FAILED - 1 ? number + 1 : ASK_FAILED - 1;
	if (text.len > 0 && ask_write(e, &q->ask, text) < 0)
		number = ASK_FAILED;
	atomic_compare_exchange_strong(&a->answers[e->slot], &word,
	    ask_word(q->ask.number, number));
	/* Too late: nobody else would remove it. */
	if (atomic_load(&a->owner) != ask_word(q->ask.number, q->asker + 1)) {
		ask_remove(e, q->ask.place, e->slot);
		return;
	}
	wake_send(e->wake, q->asker);
}
