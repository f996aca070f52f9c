/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_LIMITS_H
#define KV_SYNC_LIMITS_H

/* What strangers may cost before they are authenticated: memory, curve work,
 * guesses (man kv-sync.7).
 *
 * Every accepted socket takes a seat; when none is to be had, close it.  An M1
 * must be allowed before it is worked on; from the M2 on, whoever leaves
 * without a valid M3 has made a guess at the cookie.  Nothing is allocated
 * after limits_new().  Times are milliseconds of a clock that never goes
 * back. */

#include <stdbool.h>

#include "kv_types.h"

#define LIMITS_SEATS 64
#define LIMITS_SEATS_UNKNOWN 48	 /* so many of them for unknown sources */
#define LIMITS_SEATS_EACH 4	 /* per source */
#define LIMITS_M1_MS 2000	 /* until M1 is whole */
#define LIMITS_HANDSHAKE_MS 5000 /* until M3 is; both from accept */
#define LIMITS_M1_RATE 100	 /* a second; known sources have their own */
#define LIMITS_M1_BURST 50
#define LIMITS_GUESS_RATE 5 /* a second, of unknown sources */
#define LIMITS_GUESS_BURST 50
#define LIMITS_PENALTY_MIN_MS 1000
#define LIMITS_PENALTY_MAX_MS 300000
#define LIMITS_SOURCES 1024
#define LIMITS_KNOWN_MS (24ull * 60 * 60 * 1000)

/* Why a socket or an M1 was turned away, for log and statistics. */
#define LIMITS_ANSWERS(X)                                                      \
	X(LIMITS_ALLOW, "allowed")                                             \
	X(LIMITS_FULL, "too many handshakes")                                  \
	X(LIMITS_SOURCE, "too many handshakes from one source")                \
	X(LIMITS_PENALTY, "failed before, must wait")                          \
	X(LIMITS_RATE, "too many handshakes a second")                         \
	X(LIMITS_GUESSES, "too many failed handshakes")                        \
	X(LIMITS_LATE, "too slow")

enum limits_answer {
#define X(name, text) name,
	LIMITS_ANSWERS(X)
#undef X
	    LIMITS_ANSWER_COUNT
};

/* Where a connection comes from: an IPv6 address, ::ffff:a.b.c.d for IPv4.
 * TCP proves it. */
struct limits_address {
	uint8_t bytes[16];
};

struct limits;

KV_CHECKED int limits_new(uint64_t now_ms, struct limits **out);
void limits_free(struct limits *l);

/* A source counts as known until until_ms: the addresses of `nodes` and DNS, again
 * at every answer.  Who authenticates is known for a day by itself. */
void limits_know(struct limits *l, const struct limits_address *a,
    uint64_t now_ms, uint64_t until_ms);

/* A socket was accepted.  LIMITS_ALLOW: *seat is 0 to LIMITS_SEATS - 1 until
 * limits_leave(); the caller's own table of handshakes goes by it. */
enum limits_answer limits_enter(struct limits *l,
    const struct limits_address *a, uint64_t now_ms, unsigned *seat);

/* Its M1 is here.  LIMITS_ALLOW: answer it, now; else leave and close. */
enum limits_answer limits_m1(struct limits *l, unsigned seat, uint64_t now_ms);

/* Its M3 was valid: no longer a stranger.  Gives the seat up. */
void limits_authenticated(struct limits *l, unsigned seat, uint64_t now_ms);

/* It is gone, closed or refused.  Gives the seat up; after an allowed M1 it
 * was a failed guess. */
void limits_leave(struct limits *l, unsigned seat, uint64_t now_ms);

/* When a seat's time is up: LIMITS_M1_MS after entering, LIMITS_HANDSHAKE_MS
 * once its M1 was allowed. */
uint64_t limits_deadline(const struct limits *l, unsigned seat);

/* A seat whose time is up, -1 if there is none. */
int limits_late(const struct limits *l, uint64_t now_ms);

/* How often each answer was given; LIMITS_LATE by limits_leave(). */
uint64_t limits_count(const struct limits *l, enum limits_answer answer);
unsigned limits_seated(const struct limits *l);
const char *limits_text(enum limits_answer answer);

#endif
