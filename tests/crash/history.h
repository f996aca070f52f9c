/* SPDX-License-Identifier: ISC */
#ifndef KV_CRASH_HISTORY_H
#define KV_CRASH_HISTORY_H

/* What the clients of a crash test write, and what a store was found to hold.
 *
 * Shared buckets s0.. are written by all connections and live for ever.  Each
 * connection also has a bucket o0.. of its own, which it drops and makes again.
 * Counters are Redis keys that are only ever incremented.  An operation's
 * number is in the value it writes: "<number>.<filler>". */

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "trace.h"

#define SHARED 3
#define SHARED_KEYS 2000
#define OWNED 8 /* connections at most */
#define OWNED_KEYS 64
#define BUCKETS (SHARED + OWNED)
#define KEYS_MAX SHARED_KEYS
#define COUNTERS 4
#define COUNTER_BUCKET BUCKETS

#define STATE_MAGIC 0x6b76737461746531u
#define VALUE_ABSENT 0
#define VALUE_DAMAGED UINT64_MAX
#define VALUE_MAX 65536

enum kind { KIND_PUT, KIND_DELETE, KIND_CREATE, KIND_DROP, KIND_INCR };
enum result { RESULT_OK, RESULT_NOT_FOUND, RESULT_ERROR };

/* Where an operation goes, as an event's offset. */
static inline uint64_t
place_of(unsigned bucket, unsigned key)
{
	return (uint64_t)bucket << 32 | key;
}

static inline unsigned
keys_of(unsigned bucket)
{
	return bucket < SHARED ? SHARED_KEYS : OWNED_KEYS;
}

struct state {
	uint64_t magic;
	uint64_t exists[BUCKETS];
	uint64_t values[BUCKETS][KEYS_MAX]; /* number of the operation */
	uint64_t counters[COUNTERS];
};

static inline uint64_t
mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static inline void
bucket_name(unsigned bucket, char to[16])
{
	snprintf(to, 16, "%c%u", bucket < SHARED ? 's' : 'o',
	    bucket < SHARED ? bucket : bucket - SHARED);
}

/* s0 has subscribers: its values are small.  s2 has large ones. */
static inline size_t
value_length(unsigned bucket, uint64_t number)
{
	uint64_t h = mix(number);

	if (bucket == 2 && h % 8 == 0)
		return 4000 + h / 8 % (h / 64 % 16 == 0 ? 60000 : 5000);
	if (bucket == 1)
		return 24 + h % 1000;
	return 24 + h % 100;
}

/* The value of an operation; its length. */
static inline size_t
value_make(unsigned bucket, uint64_t number, char to[VALUE_MAX])
{
	size_t len = value_length(bucket, number), i;
	int n = snprintf(to, 32, "%" PRIu64 ".", number);

	for (i = (size_t)n; i < len; i++)
		to[i] = (char)('a' + (number + i * 7) % 26);
	return len < (size_t)n ? (size_t)n : len;
}

/* Which operation wrote this value; VALUE_DAMAGED: none of ours. */
static inline uint64_t
value_number(unsigned bucket, const char *value, size_t len)
{
	char expected[VALUE_MAX], text[24];
	uint64_t number;

	if (len < 3)
		return VALUE_DAMAGED;
	snprintf(text, sizeof(text), "%.*s", (int)(len < 23 ? len : 23), value);
	number = strtoull(text, NULL, 10);
	if (value_make(bucket, number, expected) != len ||
	    memcmp(expected, value, len) != 0)
		return VALUE_DAMAGED;
	return number;
}

#endif
