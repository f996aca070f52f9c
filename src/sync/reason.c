/* SPDX-License-Identifier: ISC */
/* States and reasons as text. */

#include "sync/reason.h"

const char *
reason_state_text(enum member_state state)
{
	static const char *const texts[] = {
#define X(name, text) [name] = text,
		MEMBER_STATES(X)
#undef X
	};

	return texts[state];
}

const char *
reason_text(enum member_reason reason)
{
	static const char *const texts[] = {
#define X(name, text) [name] = text,
		MEMBER_REASONS(X)
#undef X
	};

	return texts[reason];
}
