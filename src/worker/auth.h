/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_AUTH_H
#define KV_WORKER_AUTH_H

/* Who may give commands.
 *
 * The password is known as an Argon2id hash only, and to compare with one takes
 * some 70 ms and 64 MiB.  So a thread does it, one at a time, while the
 * connection that asks is held; its request runs again when the answer is
 * there.  A password that was right is remembered as a keyed BLAKE2b of a key
 * that lives as long as the process, so that the next one who knows it does not
 * wait.
 *
 * Wrong ones wait longer with each failure of their source (an address, or the
 * /64 of an IPv6 one), and no more than five a second are looked at; of those
 * who wait, the one whose source failed least is next. */

#include "worker/session.h"

struct auth;

enum auth_verdict {
	AUTH_RIGHT,
	AUTH_WRONG,
	AUTH_LATER,    /* held; ask again when it runs again */
	AUTH_TOO_MANY, /* wait already */
};

KV_CHECKED int auth_init(struct worker *w);
void auth_fini(struct worker *w);

/* Take the password from the configuration or its file.  What is wrong is
 * logged; then the old one stays. */
KV_CHECKED int auth_configure(struct worker *w, const struct conf *conf);

/* Is there a password? */
bool auth_is_needed(const struct worker *w);

enum auth_verdict auth_check(struct session *s, struct kv_slice password);

/* The session is closed. */
void auth_forget(struct session *s);

/* ---- parts ---- */

/* Read the hash out of a file that only its owner, we or root, can read.
 * Failures are logged. */
#define AUTH_HASH_SIZE 128 /* crypto_pwhash_STRBYTES */
KV_CHECKED int auth_read_file(const char *path, char to[AUTH_HASH_SIZE]);

/* Who failed how often lately. */
#define AUTH_SOURCES 128

struct auth_source {
	unsigned char address[16];
	unsigned failures;
	uint64_t failed_ns, logged_ns;
};

struct auth_sources {
	struct auth_source rows[AUTH_SOURCES];
};

/* The row of who is at the other end of fd; the stalest is given away. */
struct auth_source *auth_source_of(struct auth_sources *all, int fd,
    uint64_t now_ns);

/* Count a failure; returns how long its answer has to wait. */
uint64_t auth_source_failed(struct auth_source *source, uint64_t now_ns);

/* Log it, unless that was done within a minute. */
void auth_source_log(struct auth_source *source, int fd, uint64_t now_ns);

#endif
