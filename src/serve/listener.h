/* SPDX-License-Identifier: ISC */
#ifndef KV_SERVE_LISTENER_H
#define KV_SERVE_LISTENER_H

/* A listening socket that somebody else opened and perhaps shares with us. */

#include "serve/serve.h"

struct listener {
	struct loop_source source;
	struct timer timer; /* back-off when descriptors run out */
	struct serve *serve;
	uint32_t flags; /* of the connections that come here */
	bool logged;
};

/* Begin to accept.  The struct must stay where it is. */
KV_CHECKED int listener_start(struct listener *l, struct serve *s, int fd,
    uint32_t flags);

/* Accept no more and close the descriptor. */
void listener_stop(struct listener *l);

#endif
