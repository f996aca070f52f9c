/* SPDX-License-Identifier: ISC */
/* Commands by what they can do, and the list of those that are allowed.  The
 * names are those of the workers' tables (COMMAND LIST, and the line verbs);
 * a test compares them. */

#include "syncd/allow.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"

#define ALLOW_MAX 256	  /* names in the list */
#define ALLOW_NAME_MAX 64 /* see conf/value.c */

/* Names with a blank before and behind each. */
static const char allow_data[] =
    " get set setnx setex psetex getset getdel getex mget mset msetnx append"
    " strlen getrange substr setrange incr decr incrby decrby incrbyfloat"
    " delifeq del unlink exists touch type keys scan randomkey rename renamenx"
    " copy move expire pexpire expireat pexpireat ttl pttl expiretime"
    " pexpiretime persist hset hmset hsetnx hget hmget hdel hlen hexists"
    " hstrlen hincrby hincrbyfloat hgetall hkeys hvals hrandfield hscan hexpire"
    " hpexpire hexpireat hpexpireat httl hpttl hexpiretime hpexpiretime"
    " hpersist hgetex hgetdel hsetex dbsize publish subscribe psubscribe"
    " kv.create kv.drop kv.bucket kv.buckets kv.changes kv.conflicts kv.digest"
    " put delete create drop buckets count ";

static const char allow_diagnostics[] =
    " ping echo time info lolwut command memory object pubsub lastsave"
    " kv.nodes nodes client|list client|info client|id slowlog|get slowlog|len"
    " latency|latest latency|history ";

/* Only when they are named. */
static const char allow_others[] =
    " client slowlog latency flushdb flushall swapdb save bgsave bgrewriteaof"
    " unsubscribe punsubscribe wait waitaof acl module function script cluster"
    " debug replicaof slaveof sync psync hello select reset multi exec discard"
    " watch unwatch monitor kv.clients clients ";

/* Not even then: what would go round in circles, end the node, or change what
 * only its own host decides. */
static const char allow_never[] =
    " call kv.call barrier kv.barrier kv.kick shutdown config auth quit ";

struct allow {
	bool data, diagnostics;
	size_t count;
	struct {
		size_t len;
		char name[ALLOW_NAME_MAX];
	} names[ALLOW_MAX];
};

static bool
allow_has(const char *names, const char *name, size_t len)
{
	const char *at = names;

	while ((at = strchr(at, ' ')) != NULL && at[1] != '\0') {
		at++;
		if (strncmp(at, name, len) == 0 && at[len] == ' ')
			return true;
	}
	return false;
}

/* The name up to its '|'. */
static size_t
allow_word(const char *name, size_t len)
{
	const char *bar = memchr(name, '|', len);

	return bar == NULL ? len : (size_t)(bar - name);
}

static bool
allow_is_known(const char *name, size_t len)
{
	size_t word = allow_word(name, len);

	return allow_has(allow_data, name, word) ||
	    allow_has(allow_diagnostics, name, word) ||
	    allow_has(allow_others, name, word);
}

static size_t
allow_fold(struct kv_slice text, char *to, size_t size)
{
	size_t i;

	for (i = 0; i < text.len && i < size; i++)
		to[i] = (char)(text.data[i] >= 'A' && text.data[i] <= 'Z'
			? text.data[i] + ('a' - 'A')
			: text.data[i]);
	return i;
}

static void
allow_add(struct allow *a, struct kv_slice item)
{
	char *name = a->names[a->count].name;
	size_t len = allow_fold(item, name, ALLOW_NAME_MAX);

	if (slice_is_word(item, "data")) {
		a->data = true;
	} else if (slice_is_word(item, "diagnostics")) {
		a->diagnostics = true;
	} else if (slice_is_word(item, "none")) {
		return;
	} else if (!allow_is_known(name, len)) {
		log_warn("remote_commands ignored name=%.*s reason=\"%s\"",
		    (int)len, name,
		    allow_has(allow_never, name, allow_word(name, len))
			? "never for other nodes"
			: "no such command");
	} else if (a->count + 1 < ALLOW_MAX) {
		a->names[a->count++].len = len;
	}
}

int
allow_new(const char *list, struct allow **out)
{
	struct allow *a = calloc(1, sizeof(*a));
	size_t n;

	if (a == NULL)
		return KV_ENOMEM;
	for (; *list != '\0'; list += n + (list[n] == ',')) {
		n = strcspn(list, ",");
		if (n > 0 && n < ALLOW_NAME_MAX)
			allow_add(a, (struct kv_slice){ list, n });
	}
	*out = a;
	return KV_OK;
}

void
allow_free(struct allow *a)
{
	free(a);
}

static bool
allow_permits(const struct allow *a, const char *name, size_t len)
{
	size_t i;

	if ((a->data && allow_has(allow_data, name, len)) ||
	    (a->diagnostics && allow_has(allow_diagnostics, name, len)))
		return true;
	for (i = 0; i < a->count; i++)
		if (a->names[i].len == len &&
		    memcmp(a->names[i].name, name, len) == 0)
			return true;
	return false;
}

enum allow_answer
allow_look(const struct allow *a, const struct kv_slice *argv, size_t argc)
{
	char name[2 * ALLOW_NAME_MAX + 2];
	size_t len, whole;

	if (argv[0].len == 0 || argv[0].len >= ALLOW_NAME_MAX ||
	    memchr(argv[0].data, '|', argv[0].len) != NULL ||
	    memchr(argv[0].data, ' ', argv[0].len) != NULL)
		return ALLOW_UNKNOWN;
	len = allow_fold(argv[0], name, ALLOW_NAME_MAX);
	if (allow_has(allow_never, name, len))
		return ALLOW_NO;
	/* The names with a subcommand know the word, too. */
	if (!allow_is_known(name, len))
		return ALLOW_UNKNOWN;
	if (allow_permits(a, name, len))
		return ALLOW_YES;
	if (argc < 2 || argv[1].len >= ALLOW_NAME_MAX)
		return ALLOW_NO;
	name[len] = '|';
	whole = len + 1 + allow_fold(argv[1], name + len + 1, ALLOW_NAME_MAX);
	return allow_permits(a, name, whole) ? ALLOW_YES : ALLOW_NO;
}
