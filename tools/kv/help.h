/* SPDX-License-Identifier: ISC */
#ifndef KV_HELP_H
#define KV_HELP_H

/* Ask the server that t names about one of its commands, and print that. */

#include "tool.h"

int help_command(struct tool *t, char **name);

#endif
