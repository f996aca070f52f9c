/* SPDX-License-Identifier: ISC */
#ifndef KV_BASE_RNG_H
#define KV_BASE_RNG_H

/* Random bytes from the kernel (getrandom(2)). */

#include <stddef.h>
#include <stdint.h>

void rng_fill(void *to, size_t n);
uint64_t rng_u64(void);

/* xorshift64*: a repeatable sequence for back-off jitter, sampling and
 * seeded tests; never for secrets.  *state must not be 0. */
uint64_t rng_next(uint64_t *state);

#endif
