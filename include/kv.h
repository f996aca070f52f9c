/* SPDX-License-Identifier: ISC */
#ifndef KV_H
#define KV_H

/* libkv: buckets of keys and values, inside your own program.
 *
 * There are two ways in.  A program on the same host opens the store itself
 * (kv_open): it reads the buckets straight from memory that all processes
 * share, and appends to the same log as the daemon's workers do, with a daemon
 * or without one.  Any program can also be a client over TCP or a unix socket
 * (kv_client_connect).
 *
 *	struct kv *kv;
 *	struct kv_slice value;
 *
 *	if ((rc = kv_open("/var/lib/kv/shop", NULL, &kv)) < 0)
 *		errx(1, "%s", kv_error(rc));
 *	rc = kv_create(kv, kv_text("shopping"));
 *	rc = kv_put(kv, kv_text("shopping"), kv_text("milk"), kv_text("1"), 0);
 *	rc = kv_get(kv, kv_text("shopping"), kv_text("milk"), &value);
 *	kv_close(kv);
 *
 * Conventions.  What can fail returns int: KV_OK (0) or one of the negative
 * codes of <kv_types.h>.  KV_ENOTFOUND is an answer, not a failure.  Keys,
 * values and names are bytes of any kind; a struct kv_slice borrows them, and
 * each function says for how long.  Keys have up to KV_KEY_MAX bytes, bucket
 * names 1 to KV_BUCKET_MAX.  Times are milliseconds; deadlines and stamps are
 * since 1970 (CLOCK_REALTIME).  Freeing and closing accept NULL.
 *
 * A handle is used by one thread at a time.  After fork the child must not use
 * it, not even to close it: it opens its own.  libkv installs no signal
 * handlers and starts no threads. */

#include <stdbool.h>
#include <string.h>

#include <kv_types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- in general ------------------------------------------------------- */

/* Text of a result code: static, never NULL. */
KV_API const char *kv_error(int rc);

/* "0.1.0" */
KV_API const char *kv_version(void);

/* What system calls say when they fail goes to stderr as lines of the form
 * "name: level: verb key=value".  level 0: errors (the default), 1: also
 * warnings, 2: also the life of the process, 3: all.  name is kept. */
KV_API void kv_log(const char *name, int level);

static inline struct kv_slice
kv_text(const char *text)
{
	struct kv_slice s = { text, strlen(text) };

	return s;
}

static inline struct kv_slice
kv_bytes(const void *data, size_t len)
{
	struct kv_slice s = { (const char *)data, len };

	return s;
}

/* ---- the store -------------------------------------------------------- */

struct kv;

enum kv_durability {
	KV_DURABILITY_STORE,	/* as the daemon on the store has it */
	KV_DURABILITY_ALWAYS,	/* a write returns when it is on the disk */
	KV_DURABILITY_EVERYSEC, /* at once; a power cut costs a second */
	KV_DURABILITY_OS,	/* at once; the kernel writes when it likes */
};

/* What is zero is as kvd would have it: from its configuration file, the
 * environment (KV_SHM_DIR and so on), or its defaults.  The sizes of a store
 * that exists stay what they are. */
struct kv_options {
	const char *shm_dir;   /* parent of the shared memory's folder */
	uint64_t segment_size; /* of the log, 1 MiB to 512 MiB */
	uint64_t map_size;     /* most bytes of the tree */
	uint64_t retention_ms; /* how long deletions are remembered */
	uint64_t timeout_ms;   /* wait so long for room in the log; 0: 30,000 */
	enum kv_durability durability; /* of writes through this handle */
	bool must_exist;      /* KV_ENOTFOUND where there is no store */
	uint64_t reserved[8]; /* zero, else KV_EINVAL */
};

/* Open the store in a folder, making it when there is none.  options may be
 * NULL.  Errors: KV_ENOTFOUND (must_exist), KV_EACCESS, KV_EVERSION (made by a
 * newer kv), KV_ENOSPC (too little shared memory), KV_ECORRUPT; stderr says
 * more.
 *
 * With no daemon on the store its jobs (log to disk, log to tree, expiry) are
 * done within the calls below, by whoever needs them done. */
KV_API KV_CHECKED int kv_open(const char *dir, const struct kv_options *options,
    struct kv **out);

/* Ends the turn, closes cursors and watches, and closes. */
KV_API void kv_close(struct kv *kv);

/* The folder that kvd uses when nobody names one, heeding its configuration,
 * KV_DIR and the rest of the environment.  KV_ETOOBIG: size is too small. */
KV_API KV_CHECKED int kv_default_dir(char *to, size_t size);

/* ---- reading ---------------------------------------------------------- */

/* A turn: what is read between begin and end is one snapshot, and slices
 * borrow from the store, without a copy, until end.  Short: a turn that lasts
 * keeps the log from being recycled, and writers of the whole host wait when
 * it is full.  Turns do not nest (KV_EBUSY).
 *
 * Outside a turn each call is one by itself; its slices are copies that live
 * until the next call with the same handle, and a NUL stands behind a value.
 *
 * Reads show the newest there is, which may not be on disk yet; kv_sync() waits
 * for what was read, too. */
KV_API KV_CHECKED int kv_begin(struct kv *kv);
KV_API void kv_end(struct kv *kv);

struct kv_entry {
	struct kv_slice key;
	struct kv_slice value;
	uint64_t seq;	      /* grows with every change on this host */
	uint64_t written_ms;  /* when it was written, on the host that did */
	uint64_t deadline_ms; /* when it goes by itself; 0: never */
};

/* The value, or the entry, of a key.  KV_ENOTFOUND: no such key or bucket. */
KV_API KV_CHECKED int kv_get(struct kv *kv, struct kv_slice bucket,
    struct kv_slice key, struct kv_slice *value);
KV_API KV_CHECKED int kv_get_entry(struct kv *kv, struct kv_slice bucket,
    struct kv_slice key, struct kv_entry *out);

/* How many keys a bucket has; O(1).  KV_ENOTFOUND: no such bucket.  Keys past
 * their deadline count until they are swept, seconds later. */
KV_API KV_CHECKED int kv_count(struct kv *kv, struct kv_slice bucket,
    uint64_t *keys);

struct kv_bucket_info {
	uint64_t keys;
	uint64_t bytes;	    /* of keys and values */
	uint64_t digest[2]; /* equal on hosts that hold the same */
	uint64_t created_ms;
	bool stays;	     /* made by create: lives on when empty */
	bool local;	     /* never leaves this host */
	bool shadows;	     /* and hides one of all hosts, called alike */
	bool database;	     /* holds the keys of a Redis database */
	uint64_t ttl_max_ms; /* 0: none */
	bool conflict_log;
};

KV_API KV_CHECKED int kv_bucket_info(struct kv *kv, struct kv_slice bucket,
    struct kv_bucket_info *out);

/* Walking in the order of the bytes.  What is zero does not restrict. */
struct kv_range {
	struct kv_slice prefix;
	struct kv_slice from; /* the first one, included */
	struct kv_slice to;   /* the end, not included */
};

struct kv_cursor;

/* A cursor over a bucket; range may be NULL and is copied.  Opened in a turn
 * it shows that turn's snapshot and ends with it (KV_ECLOSED).  Opened outside
 * one it reads ahead in pieces: every key that is there from open to the end is
 * shown, the store is never held up, and other calls may be made between
 * steps; but it cannot read on in a turn (KV_EBUSY).  KV_ENOTFOUND: no such
 * bucket. */
KV_API KV_CHECKED int kv_cursor_open(struct kv *kv, struct kv_slice bucket,
    const struct kv_range *range, struct kv_cursor **out);

/* A cursor over the buckets: key is the name, value is empty. */
KV_API KV_CHECKED int kv_buckets(struct kv *kv, const struct kv_range *range,
    struct kv_cursor **out);

/* The next entry, KV_ENOTFOUND at the end.  Slices: until the next step, or in
 * a turn until its end. */
KV_API KV_CHECKED int kv_cursor_next(struct kv_cursor *c, struct kv_entry *out);
KV_API void kv_cursor_close(struct kv_cursor *c);

/* ---- writing ---------------------------------------------------------- */

/* All of these stand outside turns (KV_EINVAL in one) and return when the
 * change is as safe as the handle's durability says.  KV_ENOTFOUND: no such
 * bucket; KV_ETOOBIG: key, value or name over its limit; KV_EAGAIN: the log
 * stayed full for options.timeout_ms; KV_ENOSPC: disk or memory is full, see
 * kv_status. */

/* deadline_ms: when the entry goes by itself, since 1970; 0: never. */
KV_API KV_CHECKED int kv_put(struct kv *kv, struct kv_slice bucket,
    struct kv_slice key, struct kv_slice value, uint64_t deadline_ms);

/* KV_ENOTFOUND also when there was no such key. */
KV_API KV_CHECKED int kv_delete(struct kv *kv, struct kv_slice bucket,
    struct kv_slice key);

/* KV_OK also when the bucket is there already.  Names that begin with byte 1
 * are the server's own: KV_EACCESS. */
KV_API KV_CHECKED int kv_create(struct kv *kv, struct kv_slice bucket);

/* What is zero is not asked for; what a bucket that is there has already it
 * keeps. */
struct kv_bucket_options {
	/* Every entry goes by itself after so long at the latest: one without a
	 * deadline gets this one, a later one is cut to it.  Whole seconds up
	 * to 194 days, else KV_EINVAL.  KV_EEXIST: the bucket has keys and
	 * another limit, or none. */
	uint64_t ttl_max_ms;
	/* Of this host alone.  Hosts may share another one of that name: here
	 * the name means this one until it is dropped. */
	bool local;
	/* What is lost when two hosts write a key without knowing of each
	 * other is kept (kv(1), conflicts). */
	bool conflict_log;
	uint64_t reserved[6]; /* zero, else KV_EINVAL */
};

/* options NULL: none, as kv_create(). */
KV_API KV_CHECKED int kv_create_with(struct kv *kv, struct kv_slice bucket,
    const struct kv_bucket_options *options);

/* The bucket and all that is in it, at once. */
KV_API KV_CHECKED int kv_drop(struct kv *kv, struct kv_slice bucket);

/* A batch is a list of changes that are made together: after any crash all or
 * none of them are there, and no reader sees a part.  Its memory is its own;
 * it can be written again, or cleared and filled anew.  Adding fails with
 * KV_ENOMEM, KV_ETOOBIG or KV_EINVAL and then leaves the batch as it was. */
struct kv_batch;

KV_API KV_CHECKED int kv_batch_new(struct kv_batch **out);
KV_API void kv_batch_free(struct kv_batch *b);
KV_API void kv_batch_clear(struct kv_batch *b);
KV_API KV_CHECKED int kv_batch_put(struct kv_batch *b, struct kv_slice bucket,
    struct kv_slice key, struct kv_slice value, uint64_t deadline_ms);
/* Unlike kv_delete it does not mind that there is no such key. */
KV_API KV_CHECKED int kv_batch_delete(struct kv_batch *b,
    struct kv_slice bucket, struct kv_slice key);
KV_API KV_CHECKED int kv_batch_create(struct kv_batch *b,
    struct kv_slice bucket);
KV_API KV_CHECKED int kv_batch_create_with(struct kv_batch *b,
    struct kv_slice bucket, const struct kv_bucket_options *options);
KV_API KV_CHECKED int kv_batch_drop(struct kv_batch *b, struct kv_slice bucket);

/* Only if: the key has this seq (kv_entry.seq) when the batch is written; 0:
 * there is no such key.  Read, add expectations and changes, write, and begin
 * again on KV_ESTALE: that is how a value is changed without a lock. */
KV_API KV_CHECKED int kv_batch_expect(struct kv_batch *b,
    struct kv_slice bucket, struct kv_slice key, uint64_t seq);

/* Write a batch.  KV_ESTALE: an expectation does not hold, nothing was
 * written.  KV_ENOTFOUND: a bucket in it does not exist. */
KV_API KV_CHECKED int kv_write(struct kv *kv, const struct kv_batch *b);

/* Wait until all that this handle wrote or read is on the disk, whatever the
 * durability.  timeout_ms -1: no limit.  KV_ETIMEOUT. */
KV_API KV_CHECKED int kv_sync(struct kv *kv, int timeout_ms);

/* ---- watching --------------------------------------------------------- */

enum kv_change_type {
	KV_CHANGE_PUT,
	KV_CHANGE_DELETE,
	KV_CHANGE_EXPIRE, /* a delete by deadline */
	KV_CHANGE_CREATE, /* of the bucket; the key is empty */
	KV_CHANGE_DROP,
};

struct kv_change {
	enum kv_change_type type;
	struct kv_slice key;
	struct kv_slice value;
	uint64_t seq; /* resume behind it; 0 over a connection */
	uint64_t written_ms;
	uint64_t deadline_ms;
};

#define KV_FROM_NOW UINT64_MAX

struct kv_watch;

/* Every change of a bucket by anyone, in the one order in which they were
 * made, once it is as safe as the handle's durability says: those with a higher
 * seq than from, or with KV_FROM_NOW those that are still to come.  Where the
 * log was recycled since then the last change of each key stands for all.  A
 * watch holds nothing up: who is too slow misses changes and is told so.
 * KV_ENOTFOUND: no such bucket; KV_ESTALE: the log does not reach back to
 * from. */
KV_API KV_CHECKED int kv_watch_open(struct kv *kv, struct kv_slice bucket,
    uint64_t from, struct kv_watch **out);

/* The next change; slices live until the next call with this watch.  KV_EAGAIN:
 * none yet.  KV_ESTALE: changes were missed; read the bucket and open anew. */
KV_API KV_CHECKED int kv_watch_next(struct kv_watch *w, struct kv_change *out);

/* Sleep until there may be a next one.  KV_ETIMEOUT; -1: no limit.  KV_EAGAIN:
 * a signal came. */
KV_API KV_CHECKED int kv_watch_wait(struct kv_watch *w, int timeout_ms);

/* To poll(2) for reading, once kv_watch_next has said KV_EAGAIN.  One
 * descriptor for all watches of a handle: when it is readable ask each of them
 * until it says KV_EAGAIN again.  Not to be read or closed. */
KV_API int kv_watch_fd(const struct kv_watch *w);
KV_API void kv_watch_close(struct kv_watch *w);

/* ---- looking in ------------------------------------------------------- */

/* Positions are bytes of the log; they only grow. */
struct kv_status {
	uint64_t store_id;
	uint64_t segment_size;
	uint64_t opened_ms;    /* since when it is open without a break */
	uint64_t appended;     /* the log's end */
	uint64_t durable;      /* on disk before it */
	uint64_t checkpointed; /* in the tree before it */
	uint64_t segments;     /* in memory */
	uint64_t buckets;      /* about */
	uint64_t seq;	       /* of the last change, about */
	uint64_t appends, records, rolls, stalls, stall_ns;
	uint64_t syncs, sync_bytes, sync_ns;
	uint64_t checkpoints, checkpoint_records, checkpoint_ns;
	uint64_t expired, purged, owner_deaths, repaired;
	enum kv_durability durability;
	const char *trouble; /* why writes fail now; NULL: they do not */
};

KV_API void kv_status(struct kv *kv, struct kv_status *out);

struct kv_process {
	uint32_t pid;
	const char *role; /* worker walwriter checkpointer syncd library */
	uint16_t port;	  /* of a worker */
	uint32_t clients;
	uint64_t requests;
	uint64_t started_ms;
};

/* The processes that have the store open: the first room of them; returns how
 * many there are. */
KV_API size_t kv_processes(struct kv *kv, struct kv_process *to, size_t room);

/* Check that log, tree, sums and digests agree.  report gets one line for each
 * finding; progress may be NULL.  Returns how many findings, or a code. */
KV_API KV_CHECKED int kv_verify(struct kv *kv,
    void (*report)(void *user, const char *line),
    void (*progress)(void *user, uint64_t done, uint64_t of), void *user);

/* kv(1), repair-clock: on a folder that nobody has open. */
struct kv_clock_repair {
	bool dry;   /* only say what would be done */
	bool force; /* although other hosts wrote later than now, too */
	void (*progress)(void *user, uint64_t done, uint64_t of); /* or NULL */
	void *user;
};
struct kv_clock_repaired {
	bool was_due;
	uint64_t now_ms, newest_ms; /* the latest that the store had seen */
	uint64_t records, buckets;  /* written again */
	uint64_t moved;		    /* other records that only got a new seq */
	char why[160];		    /* not, with KV_EBUSY and KV_EINVAL */
};
/* KV_ENOTFOUND: no store there; KV_EBUSY: it is open; KV_EINVAL: rather the
 * clock of now is wrong; KV_ENOSPC: no room for a second tree. */
KV_API KV_CHECKED int kv_repair_clock(const char *dir,
    const struct kv_options *options, const struct kv_clock_repair *how,
    struct kv_clock_repaired *out);

/* ---- a client --------------------------------------------------------- */

/* One connection to a worker, or to any server that speaks Redis' protocol,
 * version 2 or 3.  Calls block, up to the client's timeout.  After a failure
 * the connection is of no more use: close it.  But KV_EINVAL changes nothing,
 * and after KV_ETIMEOUT of kv_client_receive and kv_client_next_change the same
 * call goes on with what has come so far. */
struct kv_client;

/* host: a name or an address; NULL: 127.0.0.1.  timeout_ms is how long
 * connecting takes at most, and how long each later call waits for the server
 * to send or take more; 0: does not wait, -1: for ever.  KV_ENOTFOUND: no such
 * host or path; KV_ECLOSED: nobody listens there; KV_ETIMEOUT. */
KV_API KV_CHECKED int kv_client_connect(const char *host, uint16_t port,
    int timeout_ms, struct kv_client **out);
KV_API KV_CHECKED int kv_client_connect_unix(const char *path, int timeout_ms,
    struct kv_client **out);
KV_API void kv_client_close(struct kv_client *c);
KV_API void kv_client_set_timeout(struct kv_client *c, int timeout_ms);

/* To poll(2) for reading, in a loop of one's own: with timeout 0 and once
 * kv_client_receive, or kv_client_next_change, has said KV_ETIMEOUT.  What was
 * received and not handed out does not show there.  Not to be read or
 * closed. */
KV_API int kv_client_fd(const struct kv_client *c);

enum kv_value_type {
	KV_SIMPLE,  /* text, such as OK */
	KV_FAILURE, /* an error: text */
	KV_STRING,  /* text */
	KV_INTEGER,
	KV_NULL,
	KV_BOOL,   /* integer 0 or 1 */
	KV_DOUBLE, /* text, and kv_value_double */
	KV_BIG,	   /* text: a number of any length */
	KV_ARRAY,
	KV_SET,
	KV_MAP,	 /* key, value, key, value ... */
	KV_PUSH, /* came without being asked for */
};

/* A reply: a value, or a tree of them.  Lives until the next call with the
 * client that gave it. */
struct kv_value;

KV_API enum kv_value_type kv_value_type(const struct kv_value *v);
KV_API struct kv_slice kv_value_text(const struct kv_value *v);
KV_API int64_t kv_value_integer(const struct kv_value *v);
KV_API double kv_value_double(const struct kv_value *v);

/* Children of KV_ARRAY, KV_SET, KV_MAP, KV_PUSH; first and next give NULL when
 * there is none. */
KV_API size_t kv_value_count(const struct kv_value *v);
KV_API const struct kv_value *kv_value_first(const struct kv_value *v);
KV_API const struct kv_value *kv_value_next(const struct kv_value *parent,
    const struct kv_value *child);

/* Send one command and wait for its reply, which may well be a KV_FAILURE:
 *
 *	kv_client_call(c, KV_ARGS(kv_text("GET"), key), &reply) */
KV_API KV_CHECKED int kv_client_call(struct kv_client *c, size_t count,
    const struct kv_slice *args, const struct kv_value **reply);

#define KV_ARGS(...)                                                           \
	sizeof((struct kv_slice[]){ __VA_ARGS__ }) / sizeof(struct kv_slice),  \
	    (struct kv_slice[])                                                \
	{                                                                      \
		__VA_ARGS__                                                    \
	}

/* Pipelining: queue commands, then receive as many replies, in order.  receive
 * sends what is queued.  Pushes come out between replies. */
KV_API KV_CHECKED int kv_client_send(struct kv_client *c, size_t count,
    const struct kv_slice *args);
KV_API KV_CHECKED int kv_client_flush(struct kv_client *c);
KV_API KV_CHECKED int kv_client_receive(struct kv_client *c,
    const struct kv_value **reply);

/* Watch a bucket over a new connection, in the line protocol; nothing else can
 * be done with the connection then.  from as in kv_watch_open. */
KV_API KV_CHECKED int kv_client_watch(struct kv_client *c,
    struct kv_slice bucket, uint64_t from);

/* The next change; slices live until the next call.  Keys and values with line
 * ends cannot be told apart here.  KV_ENOTFOUND: no such bucket; KV_ESTALE:
 * the log does not reach back that far; KV_EPROTO: something else was said,
 * see kv_client_said; KV_ETIMEOUT: none came. */
KV_API KV_CHECKED int kv_client_next_change(struct kv_client *c,
    struct kv_change *out);

/* The last line that a watching client received. */
KV_API struct kv_slice kv_client_said(const struct kv_client *c);

#ifdef __cplusplus
}
#endif

#include <kv_cookie.h>
#include <kv_nodes.h>

#endif
