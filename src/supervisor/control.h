/* SPDX-License-Identifier: ISC */
#ifndef KV_SUPERVISOR_CONTROL_H
#define KV_SUPERVISOR_CONTROL_H

/* The control socket DIR/kvd-PID.sock: one line in, one answer, closed.  Who
 * may open it (mode 0600) may stop us. */

#include "base/buf.h"
#include "io/loop.h"

struct control;

/* Answer a request (a line without its end); called in the loop. */
typedef void control_answer(void *arg, const char *request, struct buf *out);

/* Also removes the sockets that dead kvds left in dir. */
KV_CHECKED int control_new(struct loop *loop, const char *dir,
    control_answer *answer, void *arg, struct control **out);

/* Closes and removes it; NULL is fine. */
void control_free(struct control *c);

#endif
