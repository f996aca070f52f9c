/* SPDX-License-Identifier: ISC */
#ifndef KV_CPU_H
#define KV_CPU_H

/* Processor time of a server: of a process and all that descend from it. */

#include <stdint.h>

/* User and system time so far, ns, children that ended included.  0 when there
 * is no such process. */
uint64_t cpu_of_tree(int pid);

#endif
