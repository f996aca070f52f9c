/* SPDX-License-Identifier: ISC */
#ifndef KV_BASE_FETCH_H
#define KV_BASE_FETCH_H

/* Have the cache line at `at` fetched while other work is done.  gcc drops
 * calls of a function that does nothing but prefetch, as having no effect; the
 * empty asm is one. */
static inline void
fetch(const void *at)
{
	__builtin_prefetch(at);
	__asm__ volatile("");
}

#endif
