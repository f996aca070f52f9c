/* SPDX-License-Identifier: ISC */
#ifndef KV_TESTS_ENGINE_STATE_H
#define KV_TESTS_ENGINE_STATE_H

/* Between engine_model.c and engine_state.c. */

#include "base/buf.h"
#include "engine_model.h"

struct kv_slice state_key(unsigned k, char to[KV_KEY_MAX]);
void state_value(const struct model_key *k, struct buf *to);

#endif
