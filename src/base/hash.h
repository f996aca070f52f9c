/* SPDX-License-Identifier: ISC */
#ifndef KV_BASE_HASH_H
#define KV_BASE_HASH_H

/* XXH3 with a seed (https://xxhash.com): table positions and record checks.
 * Not for anything an adversary could gain from without the seed. */

#include <stddef.h>
#include <stdint.h>

uint64_t hash_bytes(const void *data, size_t n, uint64_t seed);

/* A finalizer for integers (splitmix64, Steele et al. 2014). */
static inline uint64_t
hash_u64(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

#endif
