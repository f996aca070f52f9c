/* SPDX-License-Identifier: ISC */
#ifndef KV_TOOL_H
#define KV_TOOL_H

/* One run of the command line: what was asked for, and how the store is
 * reached. */

#include <jansson.h>
#include <kv.h>

/* What kv exits with. */
enum tool_exit {
	EXIT_FINE = 0,
	EXIT_ABSENT = 1, /* no such key or bucket */
	EXIT_USAGE = 2,
	EXIT_NOBODY = 3,  /* no server, no store there, or it went away */
	EXIT_TROUBLE = 4, /* the store or the server says no */
};

struct tool {
	/* As given. */
	const char *dir, *host, *socket;
	long port; /* 0: not given */
	int timeout_ms;
	bool json, values;
	const char *from, *ttl, *ttl_max, *count, *out;
	const char *secret; /* file with the password to say */
	const char *generation;
	bool force, fingerprint, wait, peers, all, dry, local, conflict_log,
	    clear;
	int argc; /* of the verb */
	char **argv;
	char *input; /* what was read from stdin; main frees it */

	/* One of the two is there when a verb runs. */
	struct kv *store;
	struct kv_client *client;
	char where[4096]; /* "127.0.0.1:4050" or a folder, for messages */
};

struct verb {
	const char *name;
	const char *args;    /* "BUCKET KEY" */
	const char *summary; /* one line */
	const char *help;    /* more, and examples; ends in a newline */
	int least, most;     /* arguments; most -1: any number, as they are */
	int (*over_port)(struct tool *t);  /* NULL: only on a folder */
	int (*over_store)(struct tool *t); /* NULL: only over a port */
	int (*alone)(struct tool *t);	   /* needs neither */
	bool makes_store;
	const struct verb *with_peers; /* this one, with --peers */
};

/* The rows of each file of verbs; the last has no name. */
const struct verb *key_verbs(void);
const struct verb *bucket_verbs(void);
const struct verb *list_verbs(void);
const struct verb *watch_verbs(void);
const struct verb *status_verbs(void);
const struct verb *raw_verbs(void);
const struct verb *verify_verbs(void);
const struct verb *repair_clock_verbs(void);
const struct verb *passwd_verbs(void);
const struct verb *cookie_verbs(void);
const struct verb *nodes_verbs(void);
const struct verb *conflicts_verbs(void);

static inline struct kv_slice
tool_arg(const struct tool *t, int i)
{
	return kv_text(t->argv[i]);
}

/* verify --peers: peers.c */
int peers_verify(struct tool *t);

/* Say "kv: ..." on stderr. */
void tool_say(const char *fmt, ...) KV_PRINTF(1, 2);

/* Say what went wrong with what, and the exit code for it. */
int tool_failed(const struct tool *t, const char *what, int rc);

/* "no such bucket", with its name; EXIT_ABSENT. */
int tool_no_bucket(const struct tool *t);

/* There will be a secret in this process: no core file, no debugger of the same
 * user. */
void tool_hide(void);

/* Of a clock that only goes forward. */
int64_t tool_now_ms(void);

/* Numbers of options: false after saying what is wrong. */
bool tool_number(const char *option, const char *text, uint64_t *out);
/* With ms, s, m, h or d; seconds when bare. */
bool tool_duration(const char *option, const char *text, uint64_t *ms);

#endif
