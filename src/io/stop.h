/* SPDX-License-Identifier: ISC */
#ifndef KV_IO_STOP_H
#define KV_IO_STOP_H

/* Being told to stop while asleep in a futex or a lock, where no descriptor
 * can be waited for.  SIGTERM, SIGINT, and SIGIO from the control socket
 * interrupt the sleep; a timer repeats the interruption until it is seen, so
 * that one which comes just before the sleep is not lost. */

#include <stdbool.h>

#include "kv_types.h"

/* Watch the control socket and the signals.  Once per process. */
KV_CHECKED int stop_arm(int control_fd);

/* True from the moment that we were asked to stop: by signal, by "stop" on the
 * control socket, or by its end.  Reads and forgets other messages. */
bool stop_asked(void);

#endif
