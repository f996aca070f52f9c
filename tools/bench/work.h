/* SPDX-License-Identifier: ISC */
#ifndef KV_WORK_H
#define KV_WORK_H

/* What a connection asks for: requests ready to send, in which only the digits
 * of the keys change. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORK_BUCKET "bench"

enum work_kind {
	WORK_RESP,
	WORK_LINES, /* the line protocol */
};

struct work {
	const char *name;
	const char *summary;
	enum work_kind kind;
	unsigned lines;	  /* of an answer in the line protocol */
	const char *args; /* words; KEY and VALUE stand for themselves */
	bool writes;
	bool in_order;	   /* keys one after the other, not by chance */
	const char *other; /* the work of the remaining requests */
	unsigned percent;  /* of requests that are this one */
};

/* The named work; the i-th; NULL when there is none. */
const struct work *work_find(const char *name);
const struct work *work_at(size_t i);

/* A request of it: *key_at is where its KEY_DIGITS digits stand, (size_t)-1
 * when it has no key.  Allocated; NULL: out of memory. */
#define WORK_KEY_DIGITS 12
char *work_request(const struct work *w, size_t value_size, size_t *len,
    size_t *key_at);

void work_put_key(char *digits, uint64_t key);

/* A small fast generator (xoshiro256**, Blackman and Vigna 2018, seeded with
 * splitmix64). */
struct chance {
	uint64_t s[4];
};
void chance_seed(struct chance *c, uint64_t seed);
uint64_t chance_below(struct chance *c, uint64_t n);

#endif
