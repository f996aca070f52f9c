/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNC_REASON_H
#define KV_SYNC_REASON_H

/* How another node is, and why (sync/member.h). */

#define MEMBER_STATES(X)                                                       \
	X(MEMBER_DOWN, "down")                                                 \
	X(MEMBER_DIALLING, "connecting")                                       \
	X(MEMBER_UP, "up")                                                     \
	X(MEMBER_SELF, "self") /* our own address: not shown */

enum member_state {
#define X(name, text) name,
	MEMBER_STATES(X)
#undef X
};

/* Why it is down; what is known beyond that stands in detail. */
#define MEMBER_REASONS(X)                                                      \
	X(MEMBER_FINE, "")                                                     \
	X(MEMBER_UNTRIED, "not tried yet")                                     \
	X(MEMBER_NO_HOST, "no such host")                                      \
	X(MEMBER_REFUSED, "refused")                                           \
	X(MEMBER_NO_ROUTE, "no route")                                         \
	X(MEMBER_TIMEOUT, "timed out")                                         \
	X(MEMBER_TURNED_AWAY, "closed without an answer")                      \
	X(MEMBER_NOT_KV, "not a kv node")                                      \
	X(MEMBER_VERSION, "another version")                                   \
	X(MEMBER_COOKIE, "cookie rejected")                                    \
	X(MEMBER_NAME, "another name answered")                                \
	X(MEMBER_DUPLICATE, "duplicate")                                       \
	X(MEMBER_CLOCK, "clock off")                                           \
	X(MEMBER_FULL, "too many peers")                                       \
	X(MEMBER_STOPPED, "stopped")                                           \
	X(MEMBER_LOST, "connection lost")                                      \
	X(MEMBER_SILENT, "silent")                                             \
	X(MEMBER_PROTOCOL, "protocol error")                                   \
	X(MEMBER_NOT_THERE, "not running on that host")                        \
	X(MEMBER_ALIAS, "another link stays")                                  \
	X(MEMBER_TROUBLE, "trouble here")

enum member_reason {
#define X(name, text) name,
	MEMBER_REASONS(X)
#undef X
};

const char *reason_text(enum member_reason reason);
const char *reason_state_text(enum member_state state);

#endif
