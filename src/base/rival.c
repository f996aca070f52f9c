/* SPDX-License-Identifier: ISC */
/* Concurrent writes, told by the stamp that a record has of the last one of
 * another host that its writer had before it. */

#include "base/rival.h"

#include "base/buf.h"

/* What was changed here under its stamp (a deadline came) is told apart by its
 * run alone. */
bool
rival_is_own(const struct record *r, uint64_t own_inc)
{
	return !(r->flags & RECORD_FOREIGN) || r->stamp.inc == own_inc;
}

void
rival_note(const struct record *was, uint64_t own_inc, struct record *r)
{
	if (was != NULL && !rival_is_own(was, own_inc))
		r->prev = was->stamp;
	else if (was != NULL && was->marks & RECORD_PREV)
		r->prev = was->prev;
	else if (was != NULL)
		return; /* of before the option: nobody knows */
	r->marks |= RECORD_PREV;
}

static bool
is_alike(const struct record *a, const struct record *b)
{
	return a->type == b->type && slice_equal(a->value, b->value);
}

/* What time did, nobody wrote. */
static bool
is_written(const struct record *r)
{
	return r->type != RECORD_TOMB || !(r->flags & RECORD_EXPIRED);
}

enum rival
rival_look(const struct bucket *b, const struct record *in,
    const struct record *there, uint64_t own_inc)
{
	int order = stamp_compare(there->stamp, in->stamp);

	if (order == 0 || !rival_is_own(there, own_inc) || !is_written(there) ||
	    !is_written(in) || !bucket_shows(b, there->stamp) ||
	    is_alike(there, in))
		return RIVAL_NONE;
	if (order < 0)
		return in->marks & RECORD_PREV &&
			stamp_compare(in->prev, there->stamp) != 0
		    ? RIVAL_THERE
		    : RIVAL_NONE;
	/* What is as old as what our writer had seen was replaced by that. */
	return there->marks & RECORD_PREV &&
		stamp_compare(in->stamp, there->prev) > 0
	    ? RIVAL_IN
	    : RIVAL_NONE;
}
