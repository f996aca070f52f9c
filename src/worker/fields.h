/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_FIELDS_H
#define KV_WORKER_FIELDS_H

/* What the commands on fields with deadlines have in common. */

#include "worker/cmd.h"
#include "worker/keyspace.h"

/* FIELDS numfields field ...: at is the place of the word.  False: the error
 * is answered. */
bool fields_parse(struct call *c, size_t at, const char *bad_number);

/* As cmd_expire_time, with the bounds and texts of HEXPIRE. */
bool fields_time(struct call *c, struct kv_slice text, enum cmd_unit unit,
    uint64_t *out);

/* The field's record.  b NULL: there is no hash.  KV_ENOTFOUND. */
KV_CHECKED int fields_get(struct call *c, const struct bucket *b,
    struct kv_slice field, struct record *out);

/* Put it with a deadline, 0 for none; one that has passed deletes it. */
KV_CHECKED int fields_put(struct call *c, const struct bucket *b,
    struct kv_slice field, struct kv_slice value, uint64_t deadline);

#endif
