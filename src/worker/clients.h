/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_CLIENTS_H
#define KV_WORKER_CLIENTS_H

/* The clients of this worker, for those who ask: CLIENT LIST, INFO and KILL
 * here and on the host's other workers. */

#include "engine/ask.h"
#include "worker/filter.h"
#include "worker/session.h"

/* A line as Redis writes it; in lists with the worker behind: CLIENT INFO has
 * readers that take offence at fields they do not know. */
KV_CHECKED int clients_line(const struct session *s, bool of_list,
    struct buf *to);

/* A line for each that matches. */
KV_CHECKED int clients_list(struct worker *w, const struct filter *f,
    struct buf *to);

/* Close those that match, but for `me` (NULL: all), of whom *hit tells whether
 * he does.  How many were closed. */
uint32_t clients_kill(struct worker *w, const struct filter *f,
    const struct session *me, bool *hit);

/* Another worker wants to know, or to have some closed. */
void clients_answer(struct worker *w, const struct ask_question *q);

#endif
