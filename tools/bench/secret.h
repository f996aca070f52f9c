/* SPDX-License-Identifier: ISC */
#ifndef KV_SECRET_H
#define KV_SECRET_H

#include <stdbool.h>

/* The password of the servers: the first line of a file, never an argument.
 * False: said why. */
bool secret_load(const char *path);

/* Say it on a connection whose reads block; lines: that is to speak the line
 * protocol.  Fine when there is none, or when the server wants none; -1 with
 * errno. */
int secret_say(int fd, bool lines);

#endif
