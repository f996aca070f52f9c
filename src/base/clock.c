/* SPDX-License-Identifier: ISC */
/* Reads of the system's clocks. */

#include "base/clock.h"

#include <time.h>

static uint64_t
clock_read(clockid_t id, uint64_t units_per_second)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * units_per_second +
	    (uint64_t)t.tv_nsec / (1000000000u / units_per_second);
}

uint64_t
clock_mono_ns(void)
{
	return clock_read(CLOCK_MONOTONIC, 1000000000u);
}

uint64_t
clock_wall_ms(void)
{
	return clock_read(CLOCK_REALTIME, 1000u);
}

uint64_t
clock_wall_us(void)
{
	return clock_read(CLOCK_REALTIME, 1000000u);
}

uint64_t
clock_boot_ms(void)
{
	return clock_read(CLOCK_BOOTTIME, 1000u);
}
