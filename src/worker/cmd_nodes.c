/* SPDX-License-Identifier: ISC */
/* Other hosts, and whether they hold the same. */

#include <inttypes.h>
#include <stdio.h>

#include "worker/cmd.h"
#include "worker/keyspace.h"

/* This one; kv-syncd tells of others. */
int
cmd_kv_nodes(struct call *c)
{
	if (c->command == NULL) {
		line_item(c->reply, slice_of(c->worker->node));
		line_ok(c->reply);
		return KV_OK;
	}
	reply_array(c->reply, 1);
	reply_array(c->reply, 2);
	reply_text(c->reply, c->worker->node);
	reply_text(c->reply, "self");
	return KV_OK;
}

int
cmd_kv_digest(struct call *c)
{
	const struct bucket *b;
	struct totals sums;
	char text[33];
	int rc;

	rc = keyspace_bucket(c, c->args[1], &b);
	if (rc == KV_ENOTFOUND) {
		reply_null(c->reply);
		return KV_OK;
	}
	if (rc < 0 || (rc = engine_totals(c->engine, b, &sums)) < 0)
		return rc;
	snprintf(text, sizeof(text), "%016" PRIx64 "%016" PRIx64,
	    sums.digest[0], sums.digest[1]);
	reply_text(c->reply, text);
	return KV_OK;
}
