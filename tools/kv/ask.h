/* SPDX-License-Identifier: ISC */
#ifndef KV_ASK_H
#define KV_ASK_H

#include "tool.h"

/* One command over the connection: ASK(t, &reply, kv_text("HLEN"), name).
 * EXIT_FINE; when it fails or the server answers an error, another exit code
 * after saying what. */
int ask(struct tool *t, const struct kv_value **reply, size_t count,
    const struct kv_slice *args);

#define ASK(t, reply, ...) ask((t), (reply), KV_ARGS(__VA_ARGS__))

/* EXIT_FINE when the bucket argv[0] is there, EXIT_ABSENT after saying no. */
int ask_bucket(struct tool *t);

#endif
