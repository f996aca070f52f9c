/* SPDX-License-Identifier: ISC */
#ifndef KV_BASE_BYTES_H
#define KV_BASE_BYTES_H

/* Integers as bytes.  Big-endian is what stands on disk and on the wire, so
 * that the order of the bytes is the order of the numbers. */

#include <stdint.h>
#include <string.h>

#define BYTES_INTEGER(bits)                                                    \
	static inline void bytes_put_be##bits(void *to, uint##bits##_t x)      \
	{                                                                      \
		x = __builtin_bswap##bits(x);                                  \
		memcpy(to, &x, sizeof(x));                                     \
	}                                                                      \
	static inline uint##bits##_t bytes_get_be##bits(const void *from)      \
	{                                                                      \
		uint##bits##_t x;                                              \
                                                                               \
		memcpy(&x, from, sizeof(x));                                   \
		return __builtin_bswap##bits(x);                               \
	}

BYTES_INTEGER(16)
BYTES_INTEGER(32)
BYTES_INTEGER(64)

#undef BYTES_INTEGER

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
    "a big-endian port needs bytes.h without the swaps");

#endif
