/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNCD_CLOCKS_H
#define KV_SYNCD_CLOCKS_H

/* Whose clock is wrong (kv-sync.7).  Every HELLO and PING tells the time at
 * the other end.  Two nodes that agree with each other against this one mean
 * that it is this one, unless as many agree with it.  While a clock is off by
 * more than what stamps may be, nothing is taken away by time here. */

#include "syncd/syncd.h"

#define CLOCKS_TEXT 160
#define CLOCKS_OFF_MS 150000 /* half of what stamps may be ahead */

struct clocks;

KV_CHECKED int clocks_new(struct clocks **out);
void clocks_free(struct clocks *c);

/* A node's clock less ours, at now (of the loop).  True: that it is off, or is
 * no more, is worth a line in the log. */
bool clocks_hear(struct clocks *c, uint64_t uid, int64_t offset_ms,
    uint64_t now_ms);

/* What is wrong with the clock or the stamps of this host, and what to do: ""
 * when nothing is.  ahead_ms: of the store's clock before the wall clock. */
enum clocks_verdict { CLOCKS_FINE, CLOCKS_OURS, CLOCKS_STAMPS };
enum clocks_verdict clocks_judge(const struct clocks *c, uint64_t ahead_ms,
    uint64_t now_ms, char text[CLOCKS_TEXT]);

/* Does anybody's differ by more than stamps may be ahead? */
bool clocks_in_doubt(const struct clocks *c, uint64_t now_ms);

/* "its clock is 1 h 0 min ahead of ours"; "" when it is not off. */
void clocks_text(int64_t offset_ms, char text[CLOCKS_TEXT]);

/* Why a node whose link ended with BYE_CLOCK is down. */
void clocks_refusal(int64_t offset_ms, uint64_t ahead_ms,
    char text[CLOCKS_TEXT]);

#endif
