/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_CMD_H
#define KV_WORKER_CMD_H

/* The handlers of commands, one function each; the files cmd_*.c. */

#include "worker/call.h"

/* cmd_connection.c */
call_handler cmd_ping, cmd_echo, cmd_hello, cmd_select, cmd_quit, cmd_reset;
/* cmd_auth.c */
call_handler cmd_auth;
/* May this user come in?  If not it is answered, or is asked again later. */
bool cmd_auth_user(struct call *c, struct kv_slice user,
    struct kv_slice password);
/* cmd_client.c */
call_handler cmd_client;
/* cmd_command.c */
call_handler cmd_command;
/* cmd_slowlog.c, cmd_latency.c, cmd_memory.c */
call_handler cmd_slowlog, cmd_latency, cmd_memory, cmd_object;
/* cmd_save.c */
call_handler cmd_save, cmd_bgsave, cmd_bgrewriteaof, cmd_lastsave, cmd_shutdown;
/* cmd_refuse.c */
call_handler cmd_acl, cmd_module, cmd_function, cmd_script, cmd_cluster;
call_handler cmd_debug, cmd_replicaof, cmd_sync, cmd_lolwut;
/* cmd_peers.c */
call_handler cmd_wait, cmd_waitaof, cmd_kv_barrier, cmd_kv_call, cmd_kv_clients;
call_handler cmd_kv_kick;
/* A time limit; false: it is answered. */
bool cmd_peers_limit(struct call *c, struct kv_slice text, uint64_t *ms);
/* cmd_nodes.c: messages of PUBLISH that this host's kv-syncd could not hand on,
 * as it told last. */
uint64_t cmd_nodes_lost(const struct call *c);
/* Hold the client until all nodes have what stands up to `until`; the answer
 * repeats seq (worker/peers.h). */
KV_CHECKED int cmd_peers_barrier(struct call *c, uint64_t until, uint64_t seq,
    uint64_t ms);
/* cmd_presence.c: where there are no other nodes. */
call_handler cmd_kv_clients_here;
/* A failure whose first word is its class. */
int cmd_peers_error(struct call *c, const char *text);
/* cmd_nodes.c */
call_handler cmd_kv_nodes, cmd_kv_digest;
/* cmd_config.c */
call_handler cmd_config;
/* What a parameter is set to that is a number. */
int64_t cmd_config_number(const struct worker *w, const char *name);
void cmd_config_fini(struct worker *w);
/* cmd_server.c */
call_handler cmd_time, cmd_dbsize, cmd_flushdb, cmd_flushall;
/* cmd_info.c */
call_handler cmd_info;
/* cmd_string.c */
call_handler cmd_get, cmd_getdel, cmd_getset, cmd_mget, cmd_mset, cmd_msetnx;
call_handler cmd_delifeq, cmd_append, cmd_strlen, cmd_getrange, cmd_setrange;
/* cmd_set.c */
call_handler cmd_set, cmd_setnx, cmd_setex, cmd_psetex, cmd_getex;
/* Of enum call_need, what the options of SET, KV.CREATE, KV.CONFLICTS add. */
unsigned cmd_set_needs(const struct kv_slice *args, size_t argc);
unsigned cmd_kv_create_needs(const struct kv_slice *args, size_t argc);
unsigned cmd_kv_conflicts_needs(size_t argc);
/* cmd_number.c */
call_handler cmd_incr, cmd_decr, cmd_incrby, cmd_decrby, cmd_incrbyfloat;
call_handler cmd_hincrby, cmd_hincrbyfloat;
/* cmd_key.c */
call_handler cmd_del, cmd_exists, cmd_type, cmd_touch, cmd_randomkey;
call_handler cmd_rename, cmd_renamenx, cmd_copy, cmd_move;
/* cmd_expire.c */
call_handler cmd_expire, cmd_pexpire, cmd_expireat, cmd_pexpireat;
call_handler cmd_ttl, cmd_pttl, cmd_expiretime, cmd_pexpiretime, cmd_persist;
/* cmd_swapdb.c */
call_handler cmd_swapdb;
/* cmd_scan.c */
call_handler cmd_keys, cmd_scan, cmd_hscan;
/* cmd_hash.c */
call_handler cmd_hset, cmd_hmset, cmd_hsetnx, cmd_hget, cmd_hmget, cmd_hdel;
call_handler cmd_hlen, cmd_hexists, cmd_hstrlen;
/* cmd_hash_all.c */
call_handler cmd_hgetall, cmd_hkeys, cmd_hvals, cmd_hrandfield;
/* monitor.c */
call_handler cmd_monitor;
/* cmd_pubsub.c */
call_handler cmd_subscribe, cmd_unsubscribe, cmd_psubscribe;
call_handler cmd_punsubscribe, cmd_publish, cmd_pubsub;
/* cmd_field.c */
call_handler cmd_hexpire, cmd_hpexpire, cmd_hexpireat, cmd_hpexpireat;
call_handler cmd_httl, cmd_hpttl, cmd_hexpiretime, cmd_hpexpiretime;
call_handler cmd_hpersist, cmd_hgetdel, cmd_hgetex;
/* cmd_field_set.c */
call_handler cmd_hsetex;
/* cmd_multi.c */
call_handler cmd_multi, cmd_exec, cmd_discard, cmd_watch, cmd_unwatch;
/* cmd_kv.c */
call_handler cmd_kv_create, cmd_kv_drop, cmd_kv_bucket, cmd_kv_buckets;
call_handler cmd_kv_changes, cmd_kv_conflicts;

/* A container's subcommands, up to name NULL; arity counts both words. */
struct cmd_sub {
	const char *name; /* lower case */
	int arity;	  /* negative: at least so many */
	call_handler *run;
};

int cmd_dispatch(struct call *c, const struct cmd_sub *subs);

/* Deadlines in arguments, shared by SET and EXPIRE. */
enum cmd_unit { UNIT_EX, UNIT_PX, UNIT_EXAT, UNIT_PXAT };

/* Milliseconds since 1970; negative ones are in the past.  False: the error
 * is answered.  positive: refuse zero and less. */
bool cmd_expire_time(struct call *c, struct kv_slice text, enum cmd_unit unit,
    bool positive, int64_t *out);

#endif
