/* SPDX-License-Identifier: ISC */
/* The arguments of the request at hand. */

#include "proto/request.h"

#include <stdlib.h>

#define REQUEST_SCRATCH_KEEP 4096

void
request_init(struct request *r)
{
	r->args = r->embedded;
	r->count = 0;
	r->used = 0;
	r->cap = REQUEST_ARGS_EMBEDDED;
	buf_init(&r->scratch);
}

void
request_fini(struct request *r)
{
	if (r->args != r->embedded)
		free(r->args);
	buf_fini(&r->scratch);
	request_init(r);
}

int
request_grow(struct request *r)
{
	size_t cap = r->cap * 2;
	struct kv_slice *args;

	if (r->count < r->cap)
		return KV_OK;
	if (r->args != r->embedded) {
		args = realloc(r->args, cap * sizeof(*args));
	} else if ((args = malloc(cap * sizeof(*args))) != NULL) {
		memcpy(args, r->embedded, sizeof(r->embedded));
	}
	if (args == NULL)
		return KV_ENOMEM;
	r->args = args;
	r->cap = cap;
	return KV_OK;
}

void
request_trim(struct request *r)
{
	r->count = 0;
	r->scratch.len = 0;
	buf_shrink(&r->scratch, REQUEST_SCRATCH_KEEP);
	if (r->args == r->embedded)
		return;
	free(r->args);
	r->args = r->embedded;
	r->cap = REQUEST_ARGS_EMBEDDED;
}
