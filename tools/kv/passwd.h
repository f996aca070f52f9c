/* SPDX-License-Identifier: ISC */
#ifndef KV_PASSWD_H
#define KV_PASSWD_H

/* Saying the password of --secret-file or KV_SECRET_FILE, if there is one, to
 * the server that t is connected to.  Returns an exit code. */

#include "tool.h"

int passwd_say(struct tool *t);

#endif
