/* SPDX-License-Identifier: ISC */
/* INFO: what monitors read. */

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/num.h"
#include "engine/conflict.h"
#include "engine/scan.h"
#include "tree/schema.h"
#include "worker/cmd.h"
#include "worker/commands.h"
#include "worker/deadline.h"
#include "worker/keyspace.h"
#include "worker/measure.h"
#include "worker/memory.h"
#include "worker/subscribe.h"

#define INFO_SAMPLE 1000    /* strings looked at for deadlines */
#define INFO_BUCKETS 100000 /* at most, to tell hashes from others */

#define ULL(x) ((unsigned long long)(x))

typedef int info_section(struct call *c, struct buf *b);

static int
info_server(struct call *c, struct buf *b)
{
	const struct worker *w = c->worker;
	uint64_t now = clock_wall_ms(), up = (now - w->started_ms) / 1000;
	struct utsname host;

	uname(&host);
	return buf_printf(b,
	    "# Server\r\nserver_name:kv\r\nkv_version:%s\r\n"
	    "redis_version:7.2.4\r\nredis_git_sha1:00000000\r\n"
	    "redis_git_dirty:0\r\nredis_build_id:0\r\n"
	    "redis_mode:standalone\r\nos:%s %s %s\r\narch_bits:64\r\n"
	    "multiplexing_api:epoll\r\nprocess_id:%ld\r\n"
	    "process_supervised:no\r\nrun_id:%016llx%016llx%08x\r\n"
	    "tcp_port:%u\r\nserver_time_usec:%llu\r\n"
	    "uptime_in_seconds:%llu\r\nuptime_in_days:%llu\r\nhz:10\r\n"
	    "executable:kv-worker\r\nconfig_file:\r\n\r\n",
	    KV_VERSION, host.sysname, host.release, host.machine,
	    (long)getpid(), ULL(engine_control(c->engine)->store_id),
	    ULL(engine_control(c->engine)->inc), (unsigned)getpid(), w->port,
	    ULL(now * 1000), ULL(up), ULL(up / 86400));
}

/* Those that wait for room in the log, or for CLIENT UNPAUSE. */
static size_t
info_blocked(const struct worker *w)
{
	struct conn *c;
	size_t n = w->paused;

	DL_FOREACH(w->serve.conns, c)
		n += (session_of(c)->flags & SESSION_PAUSED) != 0;
	return n;
}

static int
info_clients(struct call *c, struct buf *b)
{
	const struct serve *s = &c->worker->serve;

	return buf_printf(b,
	    "# Clients\r\nconnected_clients:%zu\r\ncluster_connections:0\r\n"
	    "maxclients:%zu\r\nclient_recent_max_input_buffer:0\r\n"
	    "client_recent_max_output_buffer:0\r\nblocked_clients:%zu\r\n"
	    "tracking_clients:0\r\nclients_in_timeout_table:0\r\n"
	    "subscribers:%zu\r\n\r\n",
	    s->count - c->worker->presence.watchers, s->limits.connections,
	    info_blocked(c->worker), subscribe_total(c->worker->feeds));
}

static int
info_memory(struct call *c, struct buf *b)
{
	uint64_t used = memory_use().resident;
	struct rusage ru;

	(void)c;
	getrusage(RUSAGE_SELF, &ru);
	return buf_printf(b,
	    "# Memory\r\nused_memory:%llu\r\nused_memory_human:%.2fM\r\n"
	    "used_memory_rss:%llu\r\nused_memory_rss_human:%.2fM\r\n"
	    "used_memory_peak:%llu\r\nused_memory_peak_human:%.2fM\r\n"
	    "used_memory_lua:0\r\nmaxmemory:0\r\nmaxmemory_human:0B\r\n"
	    "maxmemory_policy:noeviction\r\nmem_fragmentation_ratio:1.00\r\n"
	    "mem_allocator:libc\r\n\r\n",
	    ULL(used), (double)used / 1048576, ULL(used),
	    (double)used / 1048576, ULL(ru.ru_maxrss) * 1024,
	    (double)ru.ru_maxrss / 1024);
}

static int
info_persistence(struct call *c, struct buf *b)
{
	const struct control *k = engine_control(c->engine);
	const struct control_stats *s = &k->stats;
	uint64_t syncs = atomic_load(&s->syncs);

	const struct bucket *lost;
	struct totals kept = { 0 };
	int rc = conflict_bucket(c->engine, &lost);

	if (rc == KV_OK)
		rc = engine_totals(c->engine, lost, &kept);
	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	return buf_printf(b,
	    "# Persistence\r\nloading:0\r\nasync_loading:0\r\n"
	    "rdb_changes_since_last_save:%llu\r\nrdb_bgsave_in_progress:0\r\n"
	    "rdb_last_save_time:%llu\r\nrdb_last_bgsave_status:ok\r\n"
	    "aof_enabled:1\r\naof_rewrite_in_progress:0\r\n"
	    "aof_last_write_status:%s\r\nlog_end:%llu\r\nlog_durable:%llu\r\n"
	    "log_checkpointed:%llu\r\nlog_segment_size:%llu\r\n"
	    "log_segments:%llu\r\nlog_appends:%llu\r\nlog_records:%llu\r\n"
	    "log_syncs:%llu\r\nlog_sync_bytes:%llu\r\nlog_sync_usec_avg:%llu"
	    "\r\nlog_stalls:%llu\r\nlog_stall_usec:%llu\r\n"
	    "checkpoints:%llu\r\ncheckpoint_records:%llu\r\n"
	    "checkpoint_usec:%llu\r\ndurability:%u\r\nconflicts_kept:%llu\r\n"
	    "trouble:%s\r\n\r\n",
	    ULL(atomic_load(&k->wal_end) - atomic_load(&k->checkpointed)),
	    ULL(k->made_ms / 1000),
	    engine_trouble(c->engine) == 0 ? "ok" : "err",
	    ULL(atomic_load(&k->wal_end)), ULL(atomic_load(&k->durable)),
	    ULL(atomic_load(&k->checkpointed)), ULL(k->segment_size),
	    ULL(atomic_load(&k->segment_hi) - atomic_load(&k->segment_lo) + 1),
	    ULL(atomic_load(&s->appends)), ULL(atomic_load(&s->records)),
	    ULL(syncs), ULL(atomic_load(&s->sync_bytes)),
	    ULL(syncs ? atomic_load(&s->sync_ns) / syncs / 1000 : 0),
	    ULL(atomic_load(&s->stalls)), ULL(atomic_load(&s->stall_ns) / 1000),
	    ULL(atomic_load(&s->checkpoints)),
	    ULL(atomic_load(&s->checkpoint_records)),
	    ULL(atomic_load(&s->checkpoint_ns) / 1000),
	    atomic_load(&k->durability), ULL(kept.keys),
	    engine_trouble(c->engine) == 0
		? ""
		: engine_trouble_text(engine_trouble(c->engine)));
}

static int
info_stats(struct call *c, struct buf *b)
{
	const struct worker *w = c->worker;
	const struct control_stats *s = &engine_control(c->engine)->stats;

	return buf_printf(b,
	    "# Stats\r\ntotal_connections_received:%llu\r\n"
	    "total_commands_processed:%llu\r\ninstantaneous_ops_per_sec:0\r\n"
	    "total_net_input_bytes:0\r\ntotal_net_output_bytes:0\r\n"
	    "rejected_connections:%llu\r\nsync_full:0\r\n"
	    "expired_keys:%llu\r\nevicted_keys:0\r\nkeyspace_hits:%llu\r\n"
	    "keyspace_misses:%llu\r\npubsub_channels:0\r\n"
	    "pubsub_patterns:0\r\nlatest_fork_usec:0\r\n"
	    "total_error_replies:%llu\r\nsubscribers_lost:%llu\r\n"
	    "sync_messages_lost:%llu\r\n"
	    "log_owner_deaths:%llu\r\n\r\n",
	    ULL(w->serve.accepted), ULL(w->requests), ULL(w->serve.refused),
	    ULL(atomic_load(&s->expired)), ULL(w->hits), ULL(w->misses),
	    ULL(w->errors), ULL(w->subscribers_lost),
	    ULL(w->has_sync ? cmd_nodes_lost(c) : 0),
	    ULL(atomic_load(&s->owner_deaths)));
}

static int
info_replication(struct call *c, struct buf *b)
{
	return buf_printf(b,
	    "# Replication\r\nrole:master\r\nconnected_slaves:0\r\n"
	    "master_failover_state:no-failover\r\n"
	    "master_replid:%016llx%016llx00000000\r\n"
	    "master_repl_offset:%llu\r\nrepl_backlog_active:0\r\n\r\n",
	    ULL(engine_control(c->engine)->store_id),
	    ULL(engine_control(c->engine)->inc),
	    ULL(atomic_load(&engine_control(c->engine)->wal_end)));
}

static int
info_cpu(struct call *c, struct buf *b)
{
	struct rusage ru;

	(void)c;
	getrusage(RUSAGE_SELF, &ru);
	return buf_printf(b,
	    "# CPU\r\nused_cpu_sys:%ld.%06ld\r\nused_cpu_user:%ld.%06ld\r\n"
	    "used_cpu_sys_children:0.000000\r\n"
	    "used_cpu_user_children:0.000000\r\n\r\n",
	    ru.ru_stime.tv_sec, ru.ru_stime.tv_usec, ru.ru_utime.tv_sec,
	    ru.ru_utime.tv_usec);
}

static int
info_cluster(struct call *c, struct buf *b)
{
	(void)c;
	return buf_printf(b, "# Cluster\r\ncluster_enabled:0\r\n\r\n");
}

/* What stands in the line of one database. */
struct info_database {
	uint64_t keys, expires, ttl_sum, timed;
};

/* Strings with a deadline: counted among the first ones, and what is found
 * there taken for the whole. */
static int
info_strings(struct call *c, unsigned n, struct info_database *d)
{
	char room[WORKER_DATABASE_NAME];
	uint64_t now = engine_now_ms(c->engine), looked = 0, found = 0;
	const struct bucket *b;
	struct totals sums;
	struct record r;
	struct scan *s;
	int rc;

	rc = engine_bucket(c->engine, worker_database_name(n, room), &b);
	if (rc < 0 || (rc = engine_totals(c->engine, b, &sums)) < 0 ||
	    (rc = scan_open(c->engine, b, &s)) < 0)
		return rc == KV_ENOTFOUND ? KV_OK : rc;
	while (looked < INFO_SAMPLE && (rc = scan_next(s, &r)) == KV_OK) {
		looked++;
		if (r.deadline > now) {
			found++;
			d->ttl_sum += r.deadline - now;
		}
	}
	scan_close(s);
	d->keys = sums.keys;
	d->expires = looked < INFO_SAMPLE ? found : found * sums.keys / looked;
	d->ttl_sum = found == 0 ? 0 : d->ttl_sum / found * d->expires;
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

/* Has a hash fields with deadlines, as far as one looks? */
static int
info_timed(struct call *c, struct kv_slice name, const struct bucket *b,
    bool *timed)
{
	struct scan *s;
	struct record r;
	size_t looked = 0;
	int rc = deadline_is_marked(c->engine, name, b, timed);

	if (rc < 0 || !*timed)
		return rc;
	if ((rc = scan_open(c->engine, b, &s)) < 0)
		return rc;
	*timed = false;
	while (!*timed && looked++ < INFO_SAMPLE &&
	    (rc = scan_next(s, &r)) == KV_OK)
		*timed = r.deadline != 0;
	scan_close(s);
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

/* Hashes of all databases, with one walk over as many buckets as may be. */
static int
info_hashes(struct call *c, struct info_database *all)
{
	uint32_t here = c->session->database, n;
	struct bucket b;
	struct kv_slice key;
	struct record r;
	struct scan *s;
	size_t looked = 0;
	bool timed;
	int rc;

	if ((rc = scan_open_buckets(c->engine, &s)) < 0)
		return rc;
	while (looked++ < INFO_BUCKETS && (rc = scan_next(s, &r)) == KV_OK) {
		rc = schema_get_bucket(r.value, &b);
		if (rc < 0)
			continue;
		n = keyspace_database_of(c->worker, r.key, &key);
		c->session->database = n;
		if (!keyspace_is_hash(c, &b, r.key, &key))
			continue;
		all[n].keys++;
		if ((rc = info_timed(c, r.key, &b, &timed)) < 0)
			break;
		all[n].timed += timed;
	}
	c->session->database = here;
	scan_close(s);
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

/* Only when it is asked for by name, or all is. */
static int
info_commandstats(struct call *c, struct buf *b)
{
	const struct command *all;
	const struct measure_command *m;
	size_t n, i;
	int rc;

	all = commands_all(&n);
	rc = buf_printf(b, "# Commandstats\r\n");
	for (i = 0; i < n && rc == KV_OK; i++) {
		m = &c->worker->measure->commands[i];
		if (m->calls > 0)
			rc = buf_printf(b,
			    "cmdstat_%s:calls=%llu,usec=%llu,usec_per_call="
			    "%.2f,rejected_calls=0,failed_calls=0\r\n",
			    all[i].info.name, ULL(m->calls), ULL(m->ns / 1000),
			    (double)m->ns / 1000 / (double)m->calls);
	}
	return rc < 0 ? rc : buf_printf(b, "\r\n");
}

static int
info_keyspace(struct call *c, struct buf *b)
{
	struct info_database *all, *d;
	unsigned n;
	int rc;

	all = calloc(c->worker->databases, sizeof(*all));
	if (all == NULL)
		return KV_ENOMEM;
	rc = buf_printf(b, "# Keyspace\r\n");
	for (n = 0; rc == KV_OK && n < c->worker->databases; n++)
		rc = info_strings(c, n, &all[n]);
	if (rc == KV_OK)
		rc = info_hashes(c, all);
	for (n = 0; rc == KV_OK && n < c->worker->databases; n++) {
		d = &all[n];
		if (d->keys > 0)
			rc = buf_printf(b,
			    "db%u:keys=%llu,expires=%llu,avg_ttl=%llu,"
			    "subexpiry=%llu\r\n",
			    n, ULL(d->keys), ULL(d->expires),
			    ULL(d->expires ? d->ttl_sum / d->expires : 0),
			    ULL(d->timed));
	}
	if (rc == KV_OK)
		rc = buf_printf(b, "\r\n");
	free(all);
	return rc;
}

static const struct {
	const char *name;
	info_section *write;
} info_sections[] = {
	{ "server", info_server },
	{ "clients", info_clients },
	{ "memory", info_memory },
	{ "persistence", info_persistence },
	{ "stats", info_stats },
	{ "replication", info_replication },
	{ "cpu", info_cpu },
	{ "commandstats", info_commandstats },
	{ "cluster", info_cluster },
	{ "keyspace", info_keyspace },
};

static bool
info_is_asked(struct call *c, const char *name)
{
	bool preset = strcmp(name, "commandstats") != 0;
	size_t i;

	for (i = 1; i < c->argc; i++) {
		if (slice_is_word(c->args[i], name) ||
		    slice_is_word(c->args[i], "all") ||
		    slice_is_word(c->args[i], "everything"))
			return true;
		if (preset && slice_is_word(c->args[i], "default"))
			return true;
	}
	return preset && c->argc == 1;
}

int
cmd_info(struct call *c)
{
	struct buf *b = &c->worker->scratch;
	size_t i;
	int rc;

	b->len = 0;
	for (i = 0; i < sizeof(info_sections) / sizeof(*info_sections); i++) {
		if (info_is_asked(c, info_sections[i].name) &&
		    (rc = info_sections[i].write(c, b)) < 0)
			return rc;
	}
	if (b->len >= 2)
		b->len -= 2; /* the blank line is between sections */
	reply_verbatim(c->reply, "txt", buf_slice(b));
	return KV_OK;
}
