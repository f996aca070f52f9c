/* SPDX-License-Identifier: ISC */
#ifndef KV_LIB_CLIENT_H
#define KV_LIB_CLIENT_H

/* A connection of a client, for the files that speak a protocol over it. */

#include <kv.h>

#include "base/buf.h"
#include "proto/resp_reply.h"

struct kv_client {
	int fd;
	int timeout_ms;
	struct buf out;
	struct buf in;
	size_t start;  /* of what was not handed out yet, in in */
	size_t handed; /* bytes from there that the caller is looking at */
	struct resp_reply reply;
	size_t scanned; /* no line end in the rest before this */
	struct kv_slice said;
};

/* Receive at least one byte more; need is a hint.  KV_ECLOSED, KV_ETIMEOUT;
 * what came before stays. */
KV_CHECKED int client_fill(struct kv_client *c, size_t need);

/* Go on behind what was handed out. */
void client_drop(struct kv_client *c);

/* What has come and was not dropped. */
struct kv_slice client_rest(const struct kv_client *c);

#endif
