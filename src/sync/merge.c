/* SPDX-License-Identifier: ISC */
/* The last writer wins, by stamp. */

#include "sync/merge.h"

bool
merge_wins(const struct record *there, const struct record *in)
{
	int order;

	if (there == NULL)
		return true;
	order = stamp_compare(there->stamp, in->stamp);
	return order < 0 ||
	    (order == 0 && in->type == RECORD_TOMB &&
		there->type == RECORD_PUT);
}

uint8_t
merge_relay(const struct record *there, uint64_t own_inc)
{
	if (there == NULL)
		return 0;
	if (there->stamp.inc == own_inc || there->flags & RECORD_RELAY)
		return RECORD_RELAY;
	return 0;
}

bool
merge_erases(const struct record *there, struct stamp stamp)
{
	return there != NULL && stamp_compare(there->stamp, stamp) == 0;
}

bool
merge_bucket(struct bucket *there, const struct bucket *in)
{
	bool changed = false;

	if (stamp_compare(in->created, there->created) > 0) {
		there->created = in->created;
		there->options = in->options;
		changed = true;
	}
	if (stamp_compare(in->dropped, there->dropped) > 0) {
		there->dropped = in->dropped;
		changed = true;
	}
	return changed;
}
