/* SPDX-License-Identifier: ISC */
/* Randomness. */

#include "base/rng.h"

#include <assert.h>
#include <errno.h>
#include <sys/random.h>

void
rng_fill(void *to, size_t n)
{
	char *at = to;

	while (n > 0) {
		ssize_t got = getrandom(at, n, 0);

		/* Only EINTR can happen to a valid call (getrandom(2)). */
		assert(got >= 0 || errno == EINTR);
		if (got > 0) {
			at += got;
			n -= (size_t)got;
		}
	}
}

uint64_t
rng_u64(void)
{
	uint64_t x;

	rng_fill(&x, sizeof(x));
	return x;
}

uint64_t
rng_next(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * 0x2545f4914f6cdd1du;
}
