/* SPDX-License-Identifier: ISC */
/* MEMORY and OBJECT: what a key is and takes. */

#include <malloc.h>
#include <sys/resource.h>
#include <utlist.h>

#include "base/num.h"
#include "engine/scan.h"
#include "worker/cmd.h"
#include "worker/keyspace.h"

#define MEMORY_RECORD                                                          \
	48		   /* of a record in the log or the tree, and its entry
			    in the index, beside key and value */
#define OBJECT_EMBEDDED 44 /* Redis: longer strings are "raw" */

/* ---- MEMORY ---- */

static int
memory_usage(struct call *c)
{
	struct keyspace_item item;
	struct totals sums;
	int64_t samples;
	int rc;

	if (c->argc != 3 &&
	    (c->argc != 5 || !slice_is_word(c->args[3], "samples")))
		return call_error(c, "ERR syntax error");
	if (c->argc == 5 && !call_integer(c, c->args[4], &samples))
		return KV_OK;
	if ((rc = keyspace_look(c, c->args[2], &item)) < 0)
		return rc;
	switch (item.kind) {
	case KIND_NONE:
		reply_null(c->reply);
		return KV_OK;
	case KIND_STRING:
		reply_integer(c->reply,
		    (int64_t)(item.record.key.len + item.record.value.len +
			MEMORY_RECORD));
		return KV_OK;
	case KIND_HASH:
		break;
	}
	if ((rc = engine_totals(c->engine, item.bucket, &sums)) < 0)
		return rc;
	reply_integer(c->reply,
	    (int64_t)(sums.bytes + (sums.keys + 1) * MEMORY_RECORD +
		c->args[2].len));
	return KV_OK;
}

static void
memory_row(struct call *c, const char *name, uint64_t value)
{
	reply_text(c->reply, name);
	reply_integer(c->reply, (int64_t)value);
}

/* This process; the data itself lies in memory that all processes share. */
static int
memory_stats(struct call *c)
{
	struct mallinfo2 heap = mallinfo2();
	struct conn *conn;
	struct rusage ru;
	size_t clients = 0;

	getrusage(RUSAGE_SELF, &ru);
	DL_FOREACH(c->worker->serve.conns, conn)
		clients +=
		    sizeof(struct session) + conn->in.cap + conn->out.cap;
	reply_map(c->reply, 4);
	memory_row(c, "peak.allocated", (uint64_t)ru.ru_maxrss * 1024);
	memory_row(c, "total.allocated", heap.uordblks + heap.hblkhd);
	memory_row(c, "clients.normal", clients);
	memory_row(c, "allocator.resident", heap.arena + heap.hblkhd);
	return KV_OK;
}

static int
memory_doctor(struct call *c)
{
	reply_verbatim(c->reply, "txt",
	    slice_of("Keys and values lie in the log and in the tree, which"
		     " the kernel caches as it sees fit; this process holds"
		     " buffers of its clients only. See MEMORY STATS.\n"));
	return KV_OK;
}

static int
memory_purge(struct call *c)
{
	malloc_trim(0);
	reply_ok(c->reply);
	return KV_OK;
}

int
cmd_memory(struct call *c)
{
	static const struct cmd_sub subs[] = {
		{ "usage", -3, memory_usage },
		{ "stats", 2, memory_stats },
		{ "doctor", 2, memory_doctor },
		{ "purge", 2, memory_purge },
		{ NULL, 0, NULL },
	};

	return cmd_dispatch(c, subs);
}

/* ---- OBJECT ---- */

/* What is at the key; false: answered that there is nothing. */
static bool
object_look(struct call *c, struct keyspace_item *item, int *rc)
{
	*rc = keyspace_look(c, c->args[2], item);
	if (*rc == KV_OK && item->kind == KIND_NONE)
		reply_null(c->reply);
	return *rc == KV_OK && item->kind != KIND_NONE;
}

static const char *
object_string(const struct record *r)
{
	struct kv_slice value = r->value;
	int64_t n;

	if (r->flags & RECORD_BUILT)
		return "raw";
	if (value.len <= 20 && num_parse_i64(value, &n) == KV_OK)
		return "int";
	return value.len <= OBJECT_EMBEDDED ? "embstr" : "raw";
}

/* Redis keeps hashes of few and small fields in one piece. */
static int
object_hash(struct call *c, const struct bucket *b, const char **out)
{
	int64_t entries =
	    cmd_config_number(c->worker, "hash-max-listpack-entries");
	int64_t bytes = cmd_config_number(c->worker, "hash-max-listpack-value");
	bool small = true, timed = false;
	struct scan *s = NULL;
	struct record r;
	int rc;

	if ((rc = scan_open(c->engine, b, &s)) < 0)
		return rc;
	while (small && (rc = scan_next(s, &r)) == KV_OK) {
		small = entries-- > 0 && (int64_t)r.key.len <= bytes &&
		    (int64_t)r.value.len <= bytes;
		timed |= r.deadline != 0;
	}
	scan_close(s);
	*out = !small ? "hashtable" : timed ? "listpackex" : "listpack";
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

/* There is one encoding here; clients expect the name that Redis would use. */
static int
object_encoding(struct call *c)
{
	struct keyspace_item item;
	const char *name;
	int rc;

	if (!object_look(c, &item, &rc))
		return rc;
	if (item.kind == KIND_STRING) {
		reply_text(c->reply, object_string(&item.record));
		return KV_OK;
	}
	if ((rc = object_hash(c, item.bucket, &name)) < 0)
		return rc;
	reply_text(c->reply, name);
	return KV_OK;
}

static int
object_refcount(struct call *c)
{
	struct keyspace_item item;
	int rc;

	if (object_look(c, &item, &rc))
		reply_integer(c->reply, 1);
	return rc;
}

/* Reading leaves no trace: since when it is as it is. */
static int
object_idletime(struct call *c)
{
	uint64_t now = engine_now_ms(c->engine), since;
	struct keyspace_item item;
	int rc;

	if (!object_look(c, &item, &rc))
		return rc;
	since = stamp_ms(item.kind == KIND_STRING ? item.record.stamp
						  : item.bucket->created);
	reply_integer(c->reply,
	    since < now ? (int64_t)((now - since) / 1000) : 0);
	return KV_OK;
}

static int
object_freq(struct call *c)
{
	return call_error(c,
	    "ERR An LFU maxmemory policy is not selected, access frequency"
	    " not tracked. Please note that when switching between policies"
	    " at runtime LRU and LFU data will take some time to adjust.");
}

int
cmd_object(struct call *c)
{
	static const struct cmd_sub subs[] = {
		{ "encoding", 3, object_encoding },
		{ "refcount", 3, object_refcount },
		{ "idletime", 3, object_idletime },
		{ "freq", 3, object_freq },
		{ NULL, 0, NULL },
	};

	return cmd_dispatch(c, subs);
}
