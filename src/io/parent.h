/* SPDX-License-Identifier: ISC */
#ifndef KV_IO_PARENT_H
#define KV_IO_PARENT_H

/* A child's end of the control socket to kvd: descriptor 3, one message per
 * packet, a verb and, after a newline, its text.
 *
 *	kvd > child	config\n<name = value lines>	first of all; conf.h
 *			reload\n<name = value lines>	SIGHUP
 *			stop				finish and exit 0
 *	child > kvd	ready				serves
 *			ready missing	kv-syncd check: there is no cookie yet
 *			failed <text>			cannot start; exit 1
 *			shutdown		a client wants all to end
 *
 * kvd prints <text> of "failed" as its own one line at the first start.  A
 * child that has logged the reason already just exits with 1: then kvd adds
 * nothing.  Exit 75 (EX_TEMPFAIL) before "ready" means: try me again.  Any
 * other end is a crash: restarted after a pause.
 *
 * Descriptor 4 is kept for the shared segment and closed now; 5 and up are the
 * listening sockets of a worker, of one port and perhaps the unix socket. */

#include <stdbool.h>

#include "base/buf.h"
#include "kv_types.h"

#define PARENT_FD 3
#define PARENT_LISTEN_FD 5
#define PARENT_MESSAGE_MAX (160 * 1024)
#define PARENT_TRY_AGAIN 75 /* EX_TEMPFAIL of sysexits.h */

enum parent_verb {
	PARENT_STOP,   /* also when kvd is gone */
	PARENT_RELOAD, /* body is for conf_read */
	PARENT_OTHER,  /* of a younger kvd: to be ignored */
};

/* Take the next message without waiting; watch PARENT_FD for EPOLLIN.  body is
 * overwritten.  KV_EAGAIN when there is none. */
KV_CHECKED int parent_receive(enum parent_verb *verb, struct buf *body);

/* Tell kvd.  A kvd that does not listen is no reason to stop: no result. */
void parent_ready(void);
void parent_checked(bool missing); /* instead of parent_ready */
void parent_failed(const char *fmt, ...) KV_PRINTF(1, 2);
void parent_shutdown(void); /* a client asked that all of kvd ends */

/* How many listening sockets there are, from PARENT_LISTEN_FD up.  Ask before
 * another one is opened behind them. */
size_t parent_listeners(void);

#endif
