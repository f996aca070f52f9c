/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_PRESENCE_H
#define KV_WORKER_PRESENCE_H

/* Who is connected to this worker, told to kv-syncd as it changes, at most ten
 * times a second (kv-sync.7).  A line each:
 *
 *	+ID SINCE_US NAME	connected, or has another name; NAME may have
 *				blanks: its CLIENT SETNAME, else its address
 *	-ID			gone
 *
 * While nobody watches nothing is noted. */

#include "base/buf.h"
#include "io/timer.h"

struct session;
struct session_extra;
struct worker;

struct presence {
	size_t watchers; /* sessions */
	struct buf gone; /* ids of those who were told and are gone */
	struct timer timer;
	bool is_armed;
};

void presence_init(struct worker *w);
void presence_fini(struct worker *w);

/* The session wants to be told, of all first.  False: no memory. */
bool presence_watch(struct session *s);

/* It came, or has another name. */
void presence_changed(struct session *s);
/* It is called so from now on; "" for nothing.  Who says it again keeps the time
 * at which it took the name.  name fits. */
void presence_name(struct session_extra *x, struct kv_slice name);
/* It is gone. */
void presence_end(struct session *s);

#endif
