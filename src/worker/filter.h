/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_FILTER_H
#define KV_WORKER_FILTER_H

/* Which clients CLIENT LIST and CLIENT KILL mean: from a client's words, and
 * as bytes for the other workers. */

#include <stdbool.h>

#include "base/buf.h"
#include "io/sock.h"

enum filter_type {
	FILTER_ANY,
	FILTER_NORMAL,
	FILTER_PUBSUB,
	FILTER_NOBODY, /* replicas, masters, too long an address */
};

struct filter {
	enum filter_type type;
	uint64_t id;					/* 0: any */
	uint64_t age_s;					/* at least */
	char peer[SOCK_TEXT_MAX], local[SOCK_TEXT_MAX]; /* "": any */
	bool spare_me; /* not sent: only the asker has that client */
};

#define FILTER_WHY_MAX 256
#define FILTER_BYTES_MAX (17 + 2 * (1 + SOCK_TEXT_MAX))

/* "normal", "replica" and so on; false: there is no such type. */
bool filter_type(struct kv_slice word, enum filter_type *out);

/* Pairs of words, as CLIENT KILL has them, with Redis' error in why. */
KV_CHECKED int filter_parse(const struct kv_slice *args, size_t count,
    struct filter *out, char why[FILTER_WHY_MAX]);

/* CLIENT KILL address:port. */
void filter_of_peer(struct kv_slice peer, struct filter *out);

/* decode: KV_EPROTO for bytes that are no filter. */
size_t filter_encode(const struct filter *f, char to[FILTER_BYTES_MAX]);
KV_CHECKED int filter_decode(struct kv_slice bytes, struct filter *out);

struct filter_client {
	enum filter_type type; /* normal or pubsub */
	uint64_t id, age_s;
	struct kv_slice peer, local;
};

bool filter_matches(const struct filter *f, const struct filter_client *c);

#endif
