/* SPDX-License-Identifier: ISC */
#ifndef KV_WAL_REPLAY_H
#define KV_WAL_REPLAY_H

/* Reading a segment's image from its start: what is whole and genuine.  Pure;
 * the bytes may be anything. */

#include <stdbool.h>

#include "wal/segment.h"

struct replay {
	uint64_t end;	   /* offset behind the last whole batch */
	uint64_t last_seq; /* highest seq below end; first_seq - 1 if none */
	uint64_t records;
	bool sealed; /* an END record follows: the segment is complete */
	bool torn;   /* bytes of an incomplete batch or record follow */
};

/* Called for every record of every whole batch, in order; offset is where it
 * is in the image.  May be NULL. */
typedef void replay_record(void *user, const struct wal_record *w,
    uint64_t offset);

/* image: size bytes, of which the header was verified and is that of segment
 * number.  limit: do not look further than this offset (size when all is to
 * be read). */
void replay_segment(const char *image, uint64_t limit, replay_record *each,
    void *user, struct replay *out);

#endif
