/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNCD_LOOKUP_H
#define KV_SYNCD_LOOKUP_H

/* From a host to addresses, in the event loop (c-ares(3)): numbers, /etc/hosts
 * and DNS, as the host is configured at that moment.  Where a service record
 * _kv._tcp.HOST (RFC 2782) is to be had, its targets and ports count. */

#include <netinet/in.h>
#include <sys/socket.h>

#include "io/loop.h"

#define LOOKUP_MAX 64
#define LOOKUP_WHY_TEXT 160

struct lookup;

union lookup_address {
	struct sockaddr any;
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
};

struct lookup_answer {
	union lookup_address address[LOOKUP_MAX]; /* with the port */
	size_t count;				  /* 0: why says it */
	char why[LOOKUP_WHY_TEXT];
};

/* The answer is gone after the call, and so is the look-up. */
typedef void lookup_done(void *arg, const struct lookup_answer *answer);

struct lookup_question {
	const char *host; /* borrowed for the call */
	uint16_t port;	  /* where none is told */
	bool services;	  /* ask for the service record, too */
	lookup_done *done;
	void *arg; /* done's */
};

/* Ask; done is called by the loop, never within this call.  *out must live
 * until then: it is set to NULL before done is called. */
KV_CHECKED int lookup_start(struct loop *loop, const struct lookup_question *q,
    struct lookup **out);

/* It is not wanted any more; NULL is fine. */
void lookup_cancel(struct lookup *l);

/* "127.0.0.1:4069", "[::1]:4069" */
#define LOOKUP_TEXT 64
void lookup_text(const union lookup_address *a, char to[LOOKUP_TEXT]);
socklen_t lookup_size(const union lookup_address *a);

#endif
