/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_DEADLINE_H
#define KV_WORKER_DEADLINE_H

/* Deadlines of hashes, in hidden buckets (base/record.h): by the name of the hash's bucket,
 * and in the order of time.  One that is older than the bucket's making is
 * about a bucket of that name that was dropped, and means nothing.
 *
 * The deadline of a field stands in its record.  But a hash may end with its
 * last field, so hashes that have such fields are marked, and their names stand
 * in the order of time as well.
 *
 * All that is noted of hashes of this host alone stands in buckets of this host
 * alone. */

#include "engine/engine.h"

/* by name: name -> deadline 8
 * by time: deadline 8, name -> nothing */
#define DEADLINE_BY_NAME "\001deadlines"
#define DEADLINE_BY_TIME "\001expiring"

/* The deadline of the bucket of this name; *out is 0 for none. */
KV_CHECKED int deadline_get(struct engine *e, struct kv_slice name,
    const struct bucket *b, uint64_t *out);

/* Stage another one; 0 takes it away. */
KV_CHECKED int deadline_put(struct engine *e, struct kv_slice name,
    const struct bucket *b, uint64_t deadline);

/* Stage that a field of the hash has this deadline. */
KV_CHECKED int deadline_put_field(struct engine *e, struct kv_slice name,
    const struct bucket *b, uint64_t deadline);

/* A field that was there when somebody looked: as long as it is, its hash is
 * not empty.  Without it every command would walk over all fields that were
 * deleted before the first that is left.  A slot is for all hashes whose bid
 * leads to it; zeroed at first. */
#define DEADLINE_WITNESSES 64
struct deadline_witness {
	uint64_t bid;
	uint32_t len;
	char field[KV_KEY_MAX];
};

/* Is it a hash that goes with its last field, and have the last ones reached
 * their deadlines? */
KV_CHECKED int deadline_is_empty(struct engine *e, struct kv_slice name,
    const struct bucket *b, struct deadline_witness *known, bool *empty);

/* Has it ever had fields with deadlines? */
KV_CHECKED int deadline_is_marked(struct engine *e, struct kv_slice name,
    const struct bucket *b, bool *marked);

/* The names that at most so many passed deadlines are of, each once in a row;
 * looked for from due->from_ms on, which then stands at the first of them, if
 * there are any.  *next as of deadline_sweep. */
#define DEADLINE_DUE 32
struct deadline_due {
	enum scope scope; /* of the hashes */
	uint64_t from_ms;
	size_t entries, count;
	struct {
		size_t len;
		char text[KV_BUCKET_MAX];
	} name[DEADLINE_DUE];
};
KV_CHECKED int deadline_collect(struct engine *e, struct deadline_due *due,
    uint64_t *next);

/* Expired fields of a hash that is not large become tombstones: committed. */
KV_CHECKED int deadline_expire_fields(struct engine *e, enum scope scope,
    struct kv_slice name);

/* Stage the drop of the hashes of due->entries, as far as their deadline still
 * has passed.  *next: when the next one passes, the past if there are more, 0
 * if there is none. */
KV_CHECKED int deadline_sweep(struct engine *e, const struct deadline_due *due,
    struct deadline_witness *known, uint64_t *next);

#endif
