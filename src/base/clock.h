/* SPDX-License-Identifier: ISC */
#ifndef KV_BASE_CLOCK_H
#define KV_BASE_CLOCK_H

/* The clocks (clock_gettime(2)), in the units the callers think in. */

#include <stdint.h>

#define CLOCK_NS_PER_MS 1000000u

/* CLOCK_MONOTONIC, nanoseconds: intervals. */
uint64_t clock_mono_ns(void);

/* CLOCK_REALTIME, milliseconds since 1970: deadlines and stamps. */
uint64_t clock_wall_ms(void);

/* The same in microseconds, for people. */
uint64_t clock_wall_us(void);

/* CLOCK_BOOTTIME, milliseconds: what the wall clock is measured against, as it
 * counts suspended time but is never set. */
uint64_t clock_boot_ms(void);

#endif
