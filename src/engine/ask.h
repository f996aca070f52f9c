/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_ASK_H
#define KV_ENGINE_ASK_H

/* Asking all other workers of the host, of all ports and of every kvd on the
 * store, and putting their answers together.  Nothing goes through the log, so
 * it works when the store cannot be written.
 *
 * The asker puts a question in the control block and wakes the workers; each
 * writes what it has to say into a file of its own in the folder in shared
 * memory, sets the word of its slot, and wakes the asker.  Neither of them ever
 * waits: the asker looks again when it is woken and now and then, and gives up
 * when it likes.  Either may die at any moment. */

#include "base/buf.h"
#include "engine/engine.h"

#define ASK_BODY_MAX (CONTROL_ASK_WORDS * 8)

enum ask_what {
	ASK_CLIENTS = 1, /* who is connected; body and text are worker/'s */
	ASK_KILL,	 /* close clients; how many is the answer */
};

/* ---- asking ---- */

struct ask {
	uint32_t place;
	uint32_t number; /* no other question has it */
};

/* Ask.  KV_EBUSY: too many questions are open, try again soon.  Body: at most
 * ASK_BODY_MAX bytes. */
KV_CHECKED int ask_begin(struct engine *e, enum ask_what what,
    struct kv_slice body, struct ask *out);

/* Has everybody answered who can?  ask_again wakes once more those who have
 * not, and finds out which of them are gone: call it now and then. */
bool ask_is_done(const struct engine *e, const struct ask *a);
bool ask_again(struct engine *e, const struct ask *a);

/* The sum of the answers' numbers. */
uint64_t ask_sum(const struct engine *e, const struct ask *a);

/* Append the answers' texts, one behind the other.  KV_ETOOBIG when they come
 * to more than limit bytes; a text that cannot be read is left out, and its
 * sender counts as one who said nothing. */
KV_CHECKED int ask_texts(struct engine *e, const struct ask *a, size_t limit,
    struct buf *to);

/* The pids of those who have not answered, or could not, one a call, beginning
 * with *at 0; 0: no more. */
uint32_t ask_silent(const struct engine *e, const struct ask *a, uint32_t *at);

/* Forget the question, answered or not. */
void ask_end(struct engine *e, const struct ask *a);

/* ---- answering ---- */

struct ask_question {
	struct ask ask;
	unsigned asker; /* its slot */
	uint32_t what;	/* of enum ask_what, if it is one we know */
	size_t len;
	char body[ASK_BODY_MAX]; /* written by another process: check it */
};

/* When woken: what somebody wants to know; false: nothing more. */
bool ask_next(struct engine *e, struct ask_question *out);

void ask_answer(struct engine *e, const struct ask_question *q, uint32_t number,
    struct kv_slice text);

#endif
