/* SPDX-License-Identifier: ISC */
/* Messages: told by the log to those who follow it, and gone with it. */

#include "engine/internal.h"

int
engine_publish(struct engine *e, enum message_kind kind, struct kv_slice key,
    struct kv_slice payload)
{
	struct record r = { .bid = kind, .key = key, .value = payload };

	return stage_message(e, &r);
}

int
engine_publish_foreign(struct engine *e, struct stamp stamp,
    struct kv_slice channel, struct kv_slice payload)
{
	struct record r = { .bid = MESSAGE_CHANNEL,
		.flags = stamp.inc != 0 ? RECORD_FOREIGN : 0,
		.stamp = stamp,
		.key = channel,
		.value = payload };

	return stage_message(e, &r);
}
