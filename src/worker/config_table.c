/* SPDX-License-Identifier: ISC */
/* The parameters of CONFIG, as data, and the values they take. */

#include "worker/config_table.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/num.h"

#define ROW(kind, name, alias, value, flags)                                   \
	{                                                                      \
		name, alias, value, CONFIG_##kind, flags, 0, 0, NULL           \
	}
#define RANGE(kind, name, alias, value, flags, least, most)                    \
	{                                                                      \
		name, alias, value, CONFIG_##kind, flags, least, most, NULL    \
	}
#define CHOICE(name, value, flags, choices)                                    \
	{                                                                      \
		name, NULL, value, CONFIG_ENUM, flags, 0, 0, choices           \
	}

/* clang-format off */
static const struct config_row rows[] = {
	CHOICE("acl-pubsub-default", "resetchannels", 0, "allchannels resetchannels"),
	RANGE(INT, "acllog-max-len", NULL, "128", 0, 0, INT64_MAX),
	RANGE(INT, "active-defrag-cycle-max", NULL, "25", 0, 1, 99),
	RANGE(INT, "active-defrag-cycle-min", NULL, "1", 0, 1, 99),
	RANGE(MEMORY, "active-defrag-ignore-bytes", NULL, "104857600", 0, 1, INT64_MAX),
	RANGE(INT, "active-defrag-max-scan-fields", NULL, "1000", 0, 1, INT64_MAX),
	RANGE(INT, "active-defrag-threshold-lower", NULL, "10", 0, 0, 1000),
	RANGE(INT, "active-defrag-threshold-upper", NULL, "100", 0, 0, 1000),
	RANGE(INT, "active-expire-effort", NULL, "1", 0, 1, 10),
	ROW(BOOL, "activedefrag", NULL, "no", 0),
	ROW(BOOL, "activerehashing", NULL, "yes", 0),
	ROW(BOOL, "always-show-logo", NULL, "no", CONFIG_NEVER),
	ROW(BOOL, "aof-load-truncated", NULL, "yes", 0),
	ROW(BOOL, "aof-rewrite-incremental-fsync", NULL, "yes", 0),
	ROW(BOOL, "aof-timestamp-enabled", NULL, "no", 0),
	ROW(BOOL, "aof-use-rdb-preamble", NULL, "yes", 0),
	CHOICE("appendfsync", "always", CONFIG_FIXED, "everysec always no"),
	ROW(BOOL, "appendonly", NULL, "yes", CONFIG_FIXED),
	RANGE(MEMORY, "auto-aof-rewrite-min-size", NULL, "67108864", 0, 0, INT64_MAX),
	RANGE(INT, "auto-aof-rewrite-percentage", NULL, "100", 0, 0, INT32_MAX),
	ROW(TEXT, "bind", NULL, "127.0.0.1", CONFIG_FIXED),
	RANGE(INT, "busy-reply-threshold", "lua-time-limit", "5000", 0, 0, INT64_MAX),
	ROW(TEXT, "client-output-buffer-limit", NULL, "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60", CONFIG_FORGET),
	RANGE(MEMORY, "client-query-buffer-limit", NULL, "1073741824", 0, 1048576, INT64_MAX),
	ROW(BOOL, "cluster-enabled", NULL, "no", CONFIG_NEVER),
	ROW(BOOL, "crash-log-enabled", NULL, "yes", 0),
	ROW(BOOL, "crash-memcheck-enabled", NULL, "yes", 0),
	ROW(BOOL, "daemonize", NULL, "no", CONFIG_NEVER),
	RANGE(INT, "databases", NULL, NULL, CONFIG_NEVER, 0, INT32_MAX),
	ROW(TEXT, "dbfilename", NULL, "dump.rdb", CONFIG_FIXED),
	ROW(TEXT, "dir", NULL, ".", CONFIG_FIXED),
	ROW(BOOL, "disable-thp", NULL, "yes", CONFIG_NEVER),
	ROW(BOOL, "dynamic-hz", NULL, "yes", 0),
	CHOICE("enable-debug-command", "no", CONFIG_NEVER, "no yes local"),
	CHOICE("enable-module-command", "no", CONFIG_NEVER, "no yes local"),
	CHOICE("enable-protected-configs", "no", CONFIG_NEVER, "no yes local"),
	RANGE(INT, "hash-max-listpack-entries", "hash-max-ziplist-entries", "512", 0, 0, INT64_MAX),
	RANGE(MEMORY, "hash-max-listpack-value", "hash-max-ziplist-value", "64", 0, 0, INT64_MAX),
	RANGE(MEMORY, "hll-sparse-max-bytes", NULL, "3000", 0, 0, INT64_MAX),
	RANGE(INT, "hz", NULL, "10", 0, 0, INT32_MAX),
	RANGE(INT, "io-threads", NULL, "1", CONFIG_NEVER, 1, 128),
	ROW(BOOL, "jemalloc-bg-thread", NULL, "yes", 0),
	RANGE(INT, "key-load-delay", NULL, "0", CONFIG_HIDDEN, INT32_MIN, INT32_MAX),
	RANGE(INT, "latency-monitor-threshold", NULL, NULL, 0, 0, INT64_MAX),
	ROW(BOOL, "latency-tracking", NULL, "yes", 0),
	ROW(TEXT, "latency-tracking-info-percentiles", NULL, "50 99 99.9", 0),
	ROW(BOOL, "lazyfree-lazy-eviction", NULL, "no", 0),
	ROW(BOOL, "lazyfree-lazy-expire", NULL, "yes", 0),
	ROW(BOOL, "lazyfree-lazy-server-del", NULL, "no", 0),
	ROW(BOOL, "lazyfree-lazy-user-del", NULL, "no", 0),
	ROW(BOOL, "lazyfree-lazy-user-flush", NULL, "no", 0),
	RANGE(INT, "lfu-decay-time", NULL, "1", 0, 0, INT32_MAX),
	RANGE(INT, "lfu-log-factor", NULL, "10", 0, 0, INT32_MAX),
	RANGE(INT, "list-compress-depth", NULL, "0", 0, 0, INT32_MAX),
	RANGE(INT, "list-max-listpack-size", "list-max-ziplist-size", "-2", 0, INT32_MIN, INT32_MAX),
	ROW(TEXT, "logfile", NULL, "", CONFIG_NEVER),
	CHOICE("loglevel", "notice", 0, "debug verbose notice warning nothing"),
	RANGE(INT, "maxclients", NULL, NULL, CONFIG_FIXED, 1, INT32_MAX),
	RANGE(MEMORY, "maxmemory", NULL, "0", 0, 0, INT64_MAX),
	ROW(PERCENT, "maxmemory-clients", NULL, "0", 0),
	RANGE(INT, "maxmemory-eviction-tenacity", NULL, "10", 0, 0, 100),
	CHOICE("maxmemory-policy", "noeviction", 0, "volatile-lru volatile-lfu volatile-random volatile-ttl allkeys-lru allkeys-lfu allkeys-random noeviction"),
	RANGE(INT, "maxmemory-samples", NULL, "5", 0, 1, 64),
	RANGE(INT, "min-replicas-max-lag", "min-slaves-max-lag", "10", 0, 0, INT32_MAX),
	RANGE(INT, "min-replicas-to-write", "min-slaves-to-write", "0", 0, 0, INT32_MAX),
	ROW(BOOL, "no-appendfsync-on-rewrite", NULL, "no", 0),
	ROW(TEXT, "notify-keyspace-events", NULL, NULL, 0),
	CHOICE("oom-score-adj", "no", 0, "no yes relative absolute"),
	ROW(TEXT, "oom-score-adj-values", NULL, "0 200 800", 0),
	ROW(TEXT, "pidfile", NULL, "", CONFIG_NEVER),
	RANGE(INT, "port", NULL, NULL, CONFIG_FIXED, 0, 65535),
	ROW(TEXT, "proc-title-template", NULL, "{title} {listen-addr} {server-mode}", 0),
	CHOICE("propagation-error-behavior", "ignore", 0, "ignore panic panic-on-replicas"),
	ROW(BOOL, "protected-mode", NULL, "yes", 0),
	RANGE(MEMORY, "proto-max-bulk-len", NULL, NULL, CONFIG_FIXED, 0, INT64_MAX),
	ROW(BOOL, "rdb-del-sync-files", NULL, "no", 0),
	RANGE(INT, "rdb-key-save-delay", NULL, "0", CONFIG_HIDDEN, INT32_MIN, INT32_MAX),
	ROW(BOOL, "rdb-save-incremental-fsync", NULL, "yes", 0),
	ROW(BOOL, "rdbchecksum", NULL, "yes", CONFIG_NEVER),
	ROW(BOOL, "rdbcompression", NULL, "yes", 0),
	RANGE(MEMORY, "repl-backlog-size", NULL, "1048576", 0, 1, INT64_MAX),
	RANGE(INT, "repl-backlog-ttl", NULL, "3600", 0, 0, INT64_MAX),
	ROW(BOOL, "repl-disable-tcp-nodelay", NULL, "no", 0),
	CHOICE("repl-diskless-load", "disabled", 0, "disabled on-empty-db swapdb flush-before-load"),
	ROW(BOOL, "repl-diskless-sync", NULL, "yes", 0),
	RANGE(INT, "repl-diskless-sync-delay", NULL, "5", 0, 0, INT32_MAX),
	RANGE(INT, "repl-ping-replica-period", "repl-ping-slave-period", "10", 0, 1, INT32_MAX),
	RANGE(INT, "repl-timeout", NULL, "60", 0, 1, INT32_MAX),
	ROW(BOOL, "replica-lazy-flush", "slave-lazy-flush", "no", 0),
	RANGE(INT, "replica-priority", "slave-priority", "100", 0, 0, INT32_MAX),
	ROW(BOOL, "replica-read-only", "slave-read-only", "yes", 0),
	ROW(BOOL, "replica-serve-stale-data", "slave-serve-stale-data", "yes", 0),
	ROW(TEXT, "replicaof", "slaveof", "", CONFIG_NEVER),
	ROW(TEXT, "requirepass", NULL, "", CONFIG_FIXED),
	CHOICE("sanitize-dump-payload", "no", 0, "no yes clients"),
	ROW(SAVE, "save", NULL, "", 0),
	RANGE(INT, "set-max-intset-entries", NULL, "512", 0, 0, INT64_MAX),
	RANGE(INT, "set-max-listpack-entries", NULL, "128", 0, 0, INT64_MAX),
	RANGE(INT, "set-max-listpack-value", NULL, "64", 0, 0, INT64_MAX),
	ROW(BOOL, "set-proc-title", NULL, "yes", CONFIG_NEVER),
	ROW(TEXT, "shutdown-on-sigint", NULL, "default", 0),
	ROW(TEXT, "shutdown-on-sigterm", NULL, "default", 0),
	RANGE(INT, "shutdown-timeout", NULL, "10", 0, 0, INT32_MAX),
	RANGE(INT, "slowlog-log-slower-than", NULL, NULL, 0, -1, INT64_MAX),
	RANGE(INT, "slowlog-max-len", NULL, NULL, 0, 0, INT64_MAX),
	ROW(BOOL, "stop-writes-on-bgsave-error", NULL, "yes", 0),
	RANGE(MEMORY, "stream-node-max-bytes", NULL, "4096", 0, 0, INT64_MAX),
	RANGE(INT, "stream-node-max-entries", NULL, "100", 0, 0, INT64_MAX),
	CHOICE("supervised", "no", CONFIG_NEVER, "upstart systemd auto no"),
	RANGE(INT, "tcp-backlog", NULL, "511", CONFIG_NEVER, 0, INT32_MAX),
	RANGE(INT, "tcp-keepalive", NULL, "0", 0, 0, INT32_MAX),
	RANGE(INT, "timeout", NULL, NULL, CONFIG_FIXED, 0, INT32_MAX),
	RANGE(INT, "tracking-table-max-keys", NULL, "1000000", 0, 0, INT64_MAX),
	RANGE(INT, "zset-max-listpack-entries", "zset-max-ziplist-entries", "128", 0, 0, INT64_MAX),
	RANGE(MEMORY, "zset-max-listpack-value", "zset-max-ziplist-value", "64", 0, 0, INT64_MAX),
};
/* clang-format on */

const struct config_row *
config_table(size_t *count)
{
	*count = sizeof(rows) / sizeof(*rows);
	return rows;
}

const struct config_row *
config_find(struct kv_slice name)
{
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (slice_is_word(name, rows[i].name) ||
		    (rows[i].alias != NULL &&
			slice_is_word(name, rows[i].alias)))
			return &rows[i];
	return NULL;
}

/* ---- values ---- */

static const char *
config_bool(struct kv_slice text, char *to)
{
	if (!slice_is_word(text, "yes") && !slice_is_word(text, "no"))
		return "argument must be 'yes' or 'no'";
	snprintf(to, CONFIG_VALUE_MAX, "%s",
	    slice_is_word(text, "yes") ? "yes" : "no");
	return NULL;
}

static const char *
config_choice(const struct config_row *row, struct kv_slice text, char *to,
    char why[CONFIG_WHY_MAX])
{
	const char *at = row->choices;
	size_t n = 0;

	while (*at != '\0') {
		size_t len = strcspn(at, " ");

		if (len == text.len && strncasecmp(at, text.data, len) == 0) {
			memcpy(to, at, len);
			to[len] = '\0';
			return NULL;
		}
		n += (size_t)snprintf(why + n, CONFIG_WHY_MAX - n, "%s%.*s",
		    n == 0 ? "argument(s) must be one of the following: "
			   : ", ",
		    (int)len, at);
		at += len + (at[len] == ' ');
	}
	return why;
}

/* Redis' units: k is 1000, kb is 1024. */
static bool
config_memory(struct kv_slice text, int64_t *out)
{
	static const struct {
		const char *unit;
		int64_t bytes;
	} units[] = {
		{ "b", 1 },
		{ "k", 1000 },
		{ "kb", 1024 },
		{ "m", 1000000 },
		{ "mb", 1048576 },
		{ "g", 1000000000 },
		{ "gb", 1073741824 },
	};
	struct kv_slice digits = text, unit;
	size_t i = 0;

	while (i < text.len &&
	    (text.data[i] == '-' ||
		(text.data[i] >= '0' && text.data[i] <= '9')))
		i++;
	digits.len = i;
	unit = (struct kv_slice){ text.data + i, text.len - i };
	if (num_parse_i64(digits, out) < 0)
		return false;
	if (unit.len == 0)
		return true;
	for (i = 0; i < sizeof(units) / sizeof(*units); i++)
		if (slice_is_word(unit, units[i].unit))
			return !__builtin_mul_overflow(*out, units[i].bytes,
			    out);
	return false;
}

static const char *
config_integer(const struct config_row *row, struct kv_slice text, char *to,
    char why[CONFIG_WHY_MAX])
{
	int64_t n;

	if (row->kind == CONFIG_INT && num_parse_i64(text, &n) < 0)
		return "argument couldn't be parsed into an integer";
	if (row->kind == CONFIG_MEMORY && (!config_memory(text, &n) || n < 0))
		return "argument must be a memory value";
	if (n < row->least || n > row->most) {
		snprintf(why, CONFIG_WHY_MAX,
		    "argument must be between %" PRId64 " and %" PRId64
		    " inclusive",
		    row->least, row->most);
		return why;
	}
	to[num_format_i64(to, n)] = '\0';
	return NULL;
}

static const char *
config_percent(struct kv_slice text, char *to)
{
	bool percent = text.len > 0 && text.data[text.len - 1] == '%';
	int64_t n;

	text.len -= percent ? 1 : 0;
	if (percent ? num_parse_i64(text, &n) < 0 : !config_memory(text, &n))
		return "argument must be a memory or percent value";
	if (n < 0)
		return "argument must be a memory or percent value";
	if (percent && n > 100)
		return "percentage argument must be less or equal to 100";
	snprintf(to, CONFIG_VALUE_MAX, "%" PRId64 "%s", n, percent ? "%" : "");
	return NULL;
}

/* Pairs of seconds and changes. */
static const char *
config_save(struct kv_slice text, char *to)
{
	size_t i, words = 0, n = 0;

	for (i = 0; i < text.len;) {
		struct kv_slice word = { text.data + i, 0 };
		int64_t number;

		while (i < text.len && text.data[i] != ' ')
			i++;
		word.len = (size_t)(text.data + i - word.data);
		i += i < text.len;
		if (word.len == 0)
			continue;
		if (num_parse_i64(word, &number) < 0 ||
		    number < (words % 2 == 0))
			return "Invalid save parameters";
		n += (size_t)snprintf(to + n, CONFIG_VALUE_MAX - n,
		    "%s%" PRId64, words++ == 0 ? "" : " ", number);
		if (n >= CONFIG_VALUE_MAX)
			return "Invalid save parameters";
	}
	to[n] = '\0';
	return words % 2 == 0 ? NULL : "Invalid save parameters";
}

const char *
config_parse(const struct config_row *row, struct kv_slice text,
    char to[CONFIG_VALUE_MAX], char why[CONFIG_WHY_MAX])
{
	if (text.len >= CONFIG_VALUE_MAX)
		return "argument is too long";
	switch (row->kind) {
	case CONFIG_BOOL:
		return config_bool(text, to);
	case CONFIG_INT:
	case CONFIG_MEMORY:
		return config_integer(row, text, to, why);
	case CONFIG_PERCENT:
		return config_percent(text, to);
	case CONFIG_ENUM:
		return config_choice(row, text, to, why);
	case CONFIG_SAVE:
		return config_save(text, to);
	case CONFIG_TEXT:
		break;
	}
	memcpy(to, text.data, text.len);
	to[text.len] = '\0';
	return NULL;
}
