/* SPDX-License-Identifier: ISC */
/* THE table of commands; finding and running one. */

#include "worker/commands.h"

#include <ctype.h>
#include <stdio.h>

#include "worker/cmd.h"
#include "worker/monitor.h"
#include "worker/multi.h"
#include "worker/pause.h"
#include "worker/round.h"
#include "worker/run.h"
#include "worker/tell.h"

#define A CALL_ATOMIC | CALL_WRITES
#define AS CALL_ATOMIC | CALL_WRITES | CALL_SETTLED
#define W CALL_WRITES
#define S CALL_SETTLED
#define SES CALL_SESSION
#define SP CALL_SESSION | CALL_PUSHES
#define RD COMMAND_READONLY
#define RF COMMAND_READONLY | COMMAND_FAST
#define WR COMMAND_WRITE
#define WF COMMAND_WRITE | COMMAND_FAST
#define WO COMMAND_WRITE | COMMAND_DENYOOM
#define WOF COMMAND_WRITE | COMMAND_DENYOOM | COMMAND_FAST
#define CN COMMAND_NOSCRIPT | COMMAND_LOADING | COMMAND_STALE
#define CNF CN | COMMAND_FAST
#define AD COMMAND_ADMIN | CN
#define PS COMMAND_PUBSUB | CN

/* clang-format off */
#define COMMANDS(X) \
/* name, handler, arity, first, last, step, flags, needs, group, since, args,
 * summary */ \
X("ping", cmd_ping, -1, 0,0,0, COMMAND_FAST, 0, CONNECTION, "1.0.0", "[message]", "Returns the server's liveliness response.") \
X("echo", cmd_echo, 2, 0,0,0, CNF, 0, CONNECTION, "1.0.0", "message", "Returns the given string.") \
X("auth", cmd_auth, -2, 0,0,0, CNF | COMMAND_NO_AUTH | COMMAND_ALLOW_BUSY | COMMAND_SKIP_SLOWLOG, SES, CONNECTION, "1.0.0", "[username] password", "Authenticates the connection.") \
X("hello", cmd_hello, -1, 0,0,0, CNF | COMMAND_NO_AUTH | COMMAND_ALLOW_BUSY | COMMAND_SKIP_SLOWLOG, SES, CONNECTION, "6.0.0", "[protover [AUTH username password] [SETNAME clientname]]", "Handshakes with the server.") \
X("select", cmd_select, 2, 0,0,0, CNF, SES, CONNECTION, "1.0.0", "index | bucket", "Changes the selected database, or makes a bucket's records the strings.") \
X("quit", cmd_quit, -1, 0,0,0, CNF | COMMAND_NO_AUTH | COMMAND_ALLOW_BUSY, SES, CONNECTION, "1.0.0", "", "Closes the connection.") \
X("reset", cmd_reset, 1, 0,0,0, CNF | COMMAND_NO_AUTH | COMMAND_ALLOW_BUSY, SES, CONNECTION, "6.2.0", "", "Resets the connection.") \
X("client", cmd_client, -2, 0,0,0, CN, SES, CONNECTION, "2.4.0", "subcommand [arg ...]", "A container for client connection commands.") \
X("command", cmd_command, -1, 0,0,0, COMMAND_LOADING | COMMAND_STALE, 0, SERVER, "2.8.13", "[subcommand [arg ...]]", "Returns detailed information about all commands.") \
X("config", cmd_config, -2, 0,0,0, AD, SES, SERVER, "2.0.0", "subcommand [arg ...]", "A container for server configuration commands.") \
X("info", cmd_info, -1, 0,0,0, COMMAND_LOADING | COMMAND_STALE, S, SERVER, "1.0.0", "[section [section ...]]", "Returns information and statistics about the server.") \
X("time", cmd_time, 1, 0,0,0, COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST, 0, SERVER, "2.6.0", "", "Returns the server time.") \
X("dbsize", cmd_dbsize, 1, 0,0,0, RF, S, SERVER, "1.0.0", "", "Returns the number of keys in the database.") \
X("flushdb", cmd_flushdb, -1, 0,0,0, WR, W | S, SERVER, "1.0.0", "[ASYNC | SYNC]", "Removes all keys from the current database.") \
X("flushall", cmd_flushall, -1, 0,0,0, WR, W | S, SERVER, "1.0.0", "[ASYNC | SYNC]", "Removes all keys from all databases.") \
X("get", cmd_get, 2, 1,1,1, RF, 0, STRING, "1.0.0", "key", "Returns the string value of a key.") \
X("set", cmd_set, -3, 1,1,1, WO, W | CALL_OPTIONS, STRING, "1.0.0", "key value [NX | XX | IFEQ value] [GLOBAL milliseconds [WITHDRAW]] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]", "Sets the string value of a key, ignoring its type.") \
X("setnx", cmd_setnx, 3, 1,1,1, WOF, A, STRING, "1.0.0", "key value", "Sets the string value of a key only when the key doesn't exist.") \
X("setex", cmd_setex, 4, 1,1,1, WO, W, STRING, "2.0.0", "key seconds value", "Sets the string value and expiration time of a key.") \
X("psetex", cmd_psetex, 4, 1,1,1, WO, W, STRING, "2.6.0", "key milliseconds value", "Sets both string value and expiration time in milliseconds of a key.") \
X("getset", cmd_getset, 3, 1,1,1, WOF, A, STRING, "1.0.0", "key value", "Returns the previous string value of a key after setting it to a new value.") \
X("getdel", cmd_getdel, 2, 1,1,1, WF, A, STRING, "6.2.0", "key", "Returns the string value of a key after deleting the key.") \
X("getex", cmd_getex, -2, 1,1,1, WF, A, STRING, "6.2.0", "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]", "Returns the string value of a key after setting its expiration time.") \
X("mget", cmd_mget, -2, 1,-1,1, RF, 0, STRING, "1.0.0", "key [key ...]", "Atomically returns the string values of one or more keys.") \
X("mset", cmd_mset, -3, 1,-1,2, WO, W, STRING, "1.0.1", "key value [key value ...]", "Atomically creates or modifies the string values of one or more keys.") \
X("msetnx", cmd_msetnx, -3, 1,-1,2, WO, A, STRING, "1.0.1", "key value [key value ...]", "Atomically modifies the string values of one or more keys only when all keys don't exist.") \
X("append", cmd_append, 3, 1,1,1, WOF, A, STRING, "2.0.0", "key value", "Appends a string to the value of a key.") \
X("strlen", cmd_strlen, 2, 1,1,1, RF, 0, STRING, "2.2.0", "key", "Returns the length of a string value.") \
X("getrange", cmd_getrange, 4, 1,1,1, RD, 0, STRING, "2.4.0", "key start end", "Returns a substring of the string stored at a key.") \
X("substr", cmd_getrange, 4, 1,1,1, RD, 0, STRING, "1.0.0", "key start end", "Returns a substring from a string value.") \
X("setrange", cmd_setrange, 4, 1,1,1, WO, A, STRING, "2.2.0", "key offset value", "Overwrites a part of a string value with another by an offset.") \
X("incr", cmd_incr, 2, 1,1,1, WOF, A, STRING, "1.0.0", "key", "Increments the integer value of a key by one.") \
X("decr", cmd_decr, 2, 1,1,1, WOF, A, STRING, "1.0.0", "key", "Decrements the integer value of a key by one.") \
X("incrby", cmd_incrby, 3, 1,1,1, WOF, A, STRING, "1.0.0", "key increment", "Increments the integer value of a key by a number.") \
X("decrby", cmd_decrby, 3, 1,1,1, WOF, A, STRING, "1.0.0", "key decrement", "Decrements a number from the integer value of a key.") \
X("incrbyfloat", cmd_incrbyfloat, 3, 1,1,1, WOF, A, STRING, "2.6.0", "key increment", "Increments the floating point value of a key by a number.") \
X("delifeq", cmd_delifeq, 3, 1,1,1, WF, A, STRING, "0.1.0", "key value", "Deletes a key whose value is this one.") \
X("del", cmd_del, -2, 1,-1,1, WR, A, GENERIC, "1.0.0", "key [key ...]", "Deletes one or more keys.") \
X("unlink", cmd_del, -2, 1,-1,1, WF, A, GENERIC, "4.0.0", "key [key ...]", "Deletes one or more keys.") \
X("exists", cmd_exists, -2, 1,-1,1, RF, 0, GENERIC, "1.0.0", "key [key ...]", "Determines whether one or more keys exist.") \
X("touch", cmd_touch, -2, 1,-1,1, RF, 0, GENERIC, "3.2.1", "key [key ...]", "Returns the number of existing keys out of those specified.") \
X("type", cmd_type, 2, 1,1,1, RF, 0, GENERIC, "1.0.0", "key", "Determines the type of value stored at a key.") \
X("keys", cmd_keys, 2, 0,0,0, RD, S, GENERIC, "1.0.0", "pattern", "Returns all key names that match a pattern.") \
X("scan", cmd_scan, -2, 0,0,0, RD, S, GENERIC, "2.8.0", "cursor [MATCH pattern] [COUNT count] [TYPE type]", "Iterates over the key names in the database.") \
X("randomkey", cmd_randomkey, 1, 0,0,0, RD, S, GENERIC, "1.0.0", "", "Returns a random key name from the database.") \
X("rename", cmd_rename, 3, 1,2,1, WR, AS, GENERIC, "1.0.0", "key newkey", "Renames a key and overwrites the destination.") \
X("renamenx", cmd_renamenx, 3, 1,2,1, WF, AS, GENERIC, "1.0.0", "key newkey", "Renames a key only when the target key name doesn't exist.") \
X("copy", cmd_copy, -3, 1,2,1, WO, AS, GENERIC, "6.2.0", "source destination [DB destination-db] [REPLACE]", "Copies the value of a key to a new key.") \
X("move", cmd_move, 3, 1,1,1, WF, AS, GENERIC, "1.0.0", "key db", "Moves a key to another database.") \
X("swapdb", cmd_swapdb, 3, 0,0,0, WF, AS, SERVER, "4.0.0", "index1 index2", "Swaps two databases.") \
X("expire", cmd_expire, -3, 1,1,1, WF, AS, GENERIC, "1.0.0", "key seconds [NX | XX | GT | LT]", "Sets the expiration time of a key in seconds.") \
X("pexpire", cmd_pexpire, -3, 1,1,1, WF, AS, GENERIC, "2.6.0", "key milliseconds [NX | XX | GT | LT]", "Sets the expiration time of a key in milliseconds.") \
X("expireat", cmd_expireat, -3, 1,1,1, WF, AS, GENERIC, "1.2.0", "key unix-time-seconds [NX | XX | GT | LT]", "Sets the expiration time of a key to a Unix timestamp.") \
X("pexpireat", cmd_pexpireat, -3, 1,1,1, WF, AS, GENERIC, "2.6.0", "key unix-time-milliseconds [NX | XX | GT | LT]", "Sets the expiration time of a key to a Unix milliseconds timestamp.") \
X("ttl", cmd_ttl, 2, 1,1,1, RF, S, GENERIC, "1.0.0", "key", "Returns the expiration time in seconds of a key.") \
X("pttl", cmd_pttl, 2, 1,1,1, RF, S, GENERIC, "2.6.0", "key", "Returns the expiration time in milliseconds of a key.") \
X("expiretime", cmd_expiretime, 2, 1,1,1, RF, S, GENERIC, "7.0.0", "key", "Returns the expiration time of a key as a Unix timestamp.") \
X("pexpiretime", cmd_pexpiretime, 2, 1,1,1, RF, S, GENERIC, "7.0.0", "key", "Returns the expiration time of a key as a Unix milliseconds timestamp.") \
X("persist", cmd_persist, 2, 1,1,1, WF, AS, GENERIC, "2.2.0", "key", "Removes the expiration time of a key.") \
X("hset", cmd_hset, -4, 1,1,1, WOF, A, HASH, "2.0.0", "key field value [field value ...]", "Creates or modifies the value of a field in a hash.") \
X("hmset", cmd_hmset, -4, 1,1,1, WOF, A, HASH, "2.0.0", "key field value [field value ...]", "Sets the values of multiple fields.") \
X("hsetnx", cmd_hsetnx, 4, 1,1,1, WOF, A, HASH, "2.0.0", "key field value", "Sets the value of a field in a hash only when the field doesn't exist.") \
X("hget", cmd_hget, 3, 1,1,1, RF, 0, HASH, "2.0.0", "key field", "Returns the value of a field in a hash.") \
X("hmget", cmd_hmget, -3, 1,1,1, RF, 0, HASH, "2.0.0", "key field [field ...]", "Returns the values of all fields in a hash.") \
X("hdel", cmd_hdel, -3, 1,1,1, WF, AS, HASH, "2.0.0", "key field [field ...]", "Deletes one or more fields and their values from a hash.") \
X("hlen", cmd_hlen, 2, 1,1,1, RF, S, HASH, "2.0.0", "key", "Returns the number of fields in a hash.") \
X("hexists", cmd_hexists, 3, 1,1,1, RF, 0, HASH, "2.0.0", "key field", "Determines whether a field exists in a hash.") \
X("hstrlen", cmd_hstrlen, 3, 1,1,1, RF, 0, HASH, "3.2.0", "key field", "Returns the length of the value of a field.") \
X("hincrby", cmd_hincrby, 4, 1,1,1, WOF, A, HASH, "2.0.0", "key field increment", "Increments the integer value of a field in a hash by a number.") \
X("hincrbyfloat", cmd_hincrbyfloat, 4, 1,1,1, WOF, A, HASH, "2.6.0", "key field increment", "Increments the floating point value of a field by a number.") \
X("hgetall", cmd_hgetall, 2, 1,1,1, RD, S, HASH, "2.0.0", "key", "Returns all fields and values in a hash.") \
X("hkeys", cmd_hkeys, 2, 1,1,1, RD, S, HASH, "2.0.0", "key", "Returns all fields in a hash.") \
X("hvals", cmd_hvals, 2, 1,1,1, RD, S, HASH, "2.0.0", "key", "Returns all values in a hash.") \
X("hrandfield", cmd_hrandfield, -2, 1,1,1, RD, S, HASH, "6.2.0", "key [count [WITHVALUES]]", "Returns one or more random fields from a hash.") \
X("hscan", cmd_hscan, -3, 1,1,1, RD, S, HASH, "2.8.0", "key cursor [MATCH pattern] [COUNT count] [NOVALUES]", "Iterates over fields and values of a hash.") \
X("save", cmd_save, 1, 0,0,0, AD | COMMAND_NO_MULTI, SES, SERVER, "1.0.0", "", "Moves all that was written from the log into the tree, and waits for it.") \
X("bgsave", cmd_bgsave, -1, 0,0,0, AD, 0, SERVER, "1.0.0", "[SCHEDULE]", "Moves all that was written from the log into the tree, in the background.") \
X("bgrewriteaof", cmd_bgrewriteaof, 1, 0,0,0, AD, 0, SERVER, "1.0.0", "", "Shortens the log in the background.") \
X("lastsave", cmd_lastsave, 1, 0,0,0, COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST, 0, SERVER, "1.0.0", "", "Returns the Unix timestamp since when the tree has had all that was written.") \
X("shutdown", cmd_shutdown, -1, 0,0,0, AD | COMMAND_NO_MULTI | COMMAND_ALLOW_BUSY, SES, SERVER, "1.0.0", "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]", "Ends kvd with all of its ports.") \
X("slowlog", cmd_slowlog, -2, 0,0,0, COMMAND_ADMIN | COMMAND_LOADING | COMMAND_STALE, 0, SERVER, "2.2.12", "subcommand [arg ...]", "A container for slow log commands.") \
X("latency", cmd_latency, -2, 0,0,0, AD, 0, SERVER, "2.8.13", "subcommand [arg ...]", "A container for latency diagnostics commands.") \
X("memory", cmd_memory, -2, 2,2,1, RD, S, SERVER, "4.0.0", "subcommand [arg ...]", "A container for memory diagnostics commands.") \
X("object", cmd_object, -2, 2,2,1, RD, S, GENERIC, "2.2.3", "subcommand [arg ...]", "A container for object introspection commands.") \
X("wait", cmd_wait, 3, 0,0,0, COMMAND_BLOCKING, SES, GENERIC, "3.0.0", "numreplicas timeout", "Waits until so many other hosts have what this client wrote on their disks; returns how many have.") \
X("waitaof", cmd_waitaof, 4, 0,0,0, COMMAND_BLOCKING, SES, GENERIC, "7.2.0", "numlocal numreplicas timeout", "Returns whether what was written is on this host's disk, and on how many others.") \
X("acl", cmd_acl, -2, 0,0,0, CN, 0, SERVER, "6.0.0", "subcommand [arg ...]", "A container for access list commands.") \
X("module", cmd_module, -2, 0,0,0, AD, 0, SERVER, "4.0.0", "subcommand [arg ...]", "A container for module commands.") \
X("function", cmd_function, -2, 0,0,0, COMMAND_NOSCRIPT, 0, SERVER, "7.0.0", "subcommand [arg ...]", "A container for function commands.") \
X("script", cmd_script, -2, 0,0,0, COMMAND_NOSCRIPT, 0, SERVER, "2.6.0", "subcommand [arg ...]", "A container for script commands.") \
X("cluster", cmd_cluster, -2, 0,0,0, COMMAND_LOADING | COMMAND_STALE, 0, SERVER, "3.0.0", "subcommand [arg ...]", "Refused: hosts share buckets by kv-syncd.") \
X("debug", cmd_debug, -2, 0,0,0, AD, 0, SERVER, "1.0.0", "subcommand [arg ...]", "Refused.") \
X("replicaof", cmd_replicaof, 3, 0,0,0, AD, 0, SERVER, "5.0.0", "host port | NO ONE", "Refused: hosts share buckets by kv-syncd.") \
X("slaveof", cmd_replicaof, 3, 0,0,0, AD, 0, SERVER, "1.0.0", "host port | NO ONE", "Refused: hosts share buckets by kv-syncd.") \
X("sync", cmd_sync, 1, 0,0,0, AD | COMMAND_NO_MULTI, 0, SERVER, "1.0.0", "", "Refused: hosts share buckets by kv-syncd.") \
X("psync", cmd_sync, -3, 0,0,0, AD | COMMAND_NO_MULTI, 0, SERVER, "2.8.0", "replicationid offset", "Refused: hosts share buckets by kv-syncd.") \
X("lolwut", cmd_lolwut, -1, 0,0,0, RF, 0, SERVER, "5.0.0", "[VERSION version]", "Displays a line of our own and the version.") \
X("monitor", cmd_monitor, 1, 0,0,0, AD, SES, SERVER, "1.0.0", "", "Listens for the commands of all clients of the host as they are carried out.") \
X("subscribe", cmd_subscribe, -2, 0,0,0, PS, SP, PUBSUB, "2.0.0", "channel [channel ...]", "Listens for messages published to channels.") \
X("unsubscribe", cmd_unsubscribe, -1, 0,0,0, PS, SP, PUBSUB, "2.0.0", "[channel [channel ...]]", "Stops listening to messages posted to channels.") \
X("psubscribe", cmd_psubscribe, -2, 0,0,0, PS, SP, PUBSUB, "2.0.0", "pattern [pattern ...]", "Listens for messages published to channels that match one or more patterns.") \
X("punsubscribe", cmd_punsubscribe, -1, 0,0,0, PS, SP, PUBSUB, "2.0.0", "[pattern [pattern ...]]", "Stops listening to messages published to channels that match one or more patterns.") \
X("publish", cmd_publish, 3, 0,0,0, COMMAND_PUBSUB | COMMAND_LOADING | COMMAND_STALE | COMMAND_FAST, W, PUBSUB, "2.0.0", "channel message", "Posts a message to a channel.") \
X("pubsub", cmd_pubsub, -2, 0,0,0, COMMAND_PUBSUB | COMMAND_LOADING | COMMAND_STALE, S, PUBSUB, "2.8.0", "subcommand [arg ...]", "A container for Pub/Sub commands.") \
X("hexpire", cmd_hexpire, -6, 1,1,1, WOF, AS, HASH, "7.4.0", "key seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]", "Sets the expiration time of fields in seconds.") \
X("hpexpire", cmd_hpexpire, -6, 1,1,1, WOF, AS, HASH, "7.4.0", "key milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]", "Sets the expiration time of fields in milliseconds.") \
X("hexpireat", cmd_hexpireat, -6, 1,1,1, WOF, AS, HASH, "7.4.0", "key unix-time-seconds [NX | XX | GT | LT] FIELDS numfields field [field ...]", "Sets the expiration time of fields to a Unix timestamp.") \
X("hpexpireat", cmd_hpexpireat, -6, 1,1,1, WOF, AS, HASH, "7.4.0", "key unix-time-milliseconds [NX | XX | GT | LT] FIELDS numfields field [field ...]", "Sets the expiration time of fields to a Unix milliseconds timestamp.") \
X("httl", cmd_httl, -5, 1,1,1, RF, S, HASH, "7.4.0", "key FIELDS numfields field [field ...]", "Returns the expiration time of fields in seconds.") \
X("hpttl", cmd_hpttl, -5, 1,1,1, RF, S, HASH, "7.4.0", "key FIELDS numfields field [field ...]", "Returns the expiration time of fields in milliseconds.") \
X("hexpiretime", cmd_hexpiretime, -5, 1,1,1, RF, S, HASH, "7.4.0", "key FIELDS numfields field [field ...]", "Returns the expiration time of fields as a Unix timestamp.") \
X("hpexpiretime", cmd_hpexpiretime, -5, 1,1,1, RF, S, HASH, "7.4.0", "key FIELDS numfields field [field ...]", "Returns the expiration time of fields as a Unix milliseconds timestamp.") \
X("hpersist", cmd_hpersist, -5, 1,1,1, WF, AS, HASH, "7.4.0", "key FIELDS numfields field [field ...]", "Removes the expiration time of fields.") \
X("hgetex", cmd_hgetex, -5, 1,1,1, WF, AS, HASH, "8.0.0", "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST] FIELDS numfields field [field ...]", "Returns the values of fields after setting their expiration time.") \
X("hgetdel", cmd_hgetdel, -5, 1,1,1, WF, AS, HASH, "8.0.0", "key FIELDS numfields field [field ...]", "Returns the values of fields after deleting them.") \
X("hsetex", cmd_hsetex, -6, 1,1,1, WOF, AS, HASH, "8.0.0", "key [FNX | FXX] [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL] FIELDS numfields field value [field value ...]", "Sets fields and their expiration time.") \
X("multi", cmd_multi, 1, 0,0,0, CNF | COMMAND_ALLOW_BUSY, SES, TRANSACTIONS, "1.2.0", "", "Starts a transaction.") \
X("exec", cmd_exec, 1, 0,0,0, CN | COMMAND_SKIP_SLOWLOG, SES, TRANSACTIONS, "1.2.0", "", "Executes all commands in a transaction.") \
X("discard", cmd_discard, 1, 0,0,0, CNF | COMMAND_ALLOW_BUSY, SES, TRANSACTIONS, "2.0.0", "", "Discards a transaction.") \
X("watch", cmd_watch, -2, 1,-1,1, CNF | COMMAND_ALLOW_BUSY, SES, TRANSACTIONS, "2.2.0", "key [key ...]", "Monitors changes to keys to determine the execution of a transaction.") \
X("unwatch", cmd_unwatch, 1, 0,0,0, CNF | COMMAND_ALLOW_BUSY, SES, TRANSACTIONS, "2.2.0", "", "Forgets about watched keys of a transaction.") \
X("kv.create", cmd_kv_create, -2, 1,1,1, WF, W | CALL_OPTIONS, KV, "0.1.0", "bucket [LOCAL | ALL [milliseconds]] [TTLMAX milliseconds] [CONFLICTS]", "Makes a bucket that stays when it is empty; ALL: when all nodes have it.") \
X("kv.drop", cmd_kv_drop, 2, 1,1,1, WF, W, KV, "0.1.0", "bucket", "Drops a bucket with all that is in it.") \
X("kv.bucket", cmd_kv_bucket, 2, 1,1,1, RF, S, KV, "0.1.0", "bucket", "Returns what a bucket is: keys, bytes, options.") \
X("kv.buckets", cmd_kv_buckets, 1, 0,0,0, RD, S, KV, "0.1.0", "", "Returns the names of all buckets.") \
X("kv.conflicts", cmd_kv_conflicts, -1, 0,0,0, WR, S | CALL_OPTIONS, KV, "0.1.0", "[bucket [CLEAR]]", "Returns what was lost to writes of other nodes that did not know of it, or removes it from the list.") \
X("kv.nodes", cmd_kv_nodes, 1, 0,0,0, COMMAND_READONLY, 0, KV, "0.1.0", "", "Returns the nodes that are known, and how each is reached.") \
X("kv.barrier", cmd_kv_barrier, 2, 0,0,0, COMMAND_BLOCKING | COMMAND_NO_MULTI | COMMAND_NOSCRIPT, SES, KV, "0.1.0", "timeout", "Waits until every other node has what this client wrote on its disk, and this one has all that they had.") \
X("kv.call", cmd_kv_call, -3, 0,0,0, COMMAND_BLOCKING | COMMAND_NO_MULTI | COMMAND_NOSCRIPT | COMMAND_ADMIN, SES, KV, "0.1.0", "node [TIMEOUT milliseconds] command [arg ...]", "Runs a command on another node and returns its answer.") \
X("kv.kick", cmd_kv_kick, -1, 0,0,0, COMMAND_NO_MULTI | COMMAND_NOSCRIPT | COMMAND_ADMIN, SES, KV, "0.1.0", "[node]", "Ends the links to a node, or all, so that they are made anew; returns how many.") \
X("kv.clients", cmd_kv_clients, -1, 0,0,0, COMMAND_READONLY | COMMAND_NO_MULTI | COMMAND_NOSCRIPT, SES, KV, "0.1.0", "[name]", "Returns who is connected to which node, or whose a name is.") \
X("kv.digest", cmd_kv_digest, -1, 1,1,1, RD, S, KV, "0.1.0", "[bucket]", "Returns the digest of a bucket, or of all: equal on hosts that hold the same.") \
X("kv.changes", cmd_kv_changes, -4, 1,1,1, RD, S, KV, "0.1.0", "bucket FROM seq [COUNT count]", "Returns the changes of a bucket after a sequence number.")

static const struct command commands[] = {
#define X(name, run, arity, first, last, step, flags, needs, group, since,     \
    args, summary)                                                             \
	{ { name, arity, first, last, step, flags, COMMAND_GROUP_##group,      \
	    since, summary, args }, run, needs },
	COMMANDS(X)
#undef X
};
/* clang-format on */

#define COMMANDS_COUNT (sizeof(commands) / sizeof(*commands))

/* Filled once by commands_init, read-only after: the sniffer asks for names
 * without a context. */
static struct command_table commands_table;

int
commands_init(void)
{
	return command_table_init(&commands_table, commands, COMMANDS_COUNT,
	    sizeof(*commands));
}

const struct command *
commands_find(struct kv_slice name)
{
	return (const struct command *)command_find(&commands_table, name);
}

bool
commands_known(struct kv_slice name)
{
	return command_find(&commands_table, name) != NULL;
}

const struct command *
commands_all(size_t *count)
{
	*count = COMMANDS_COUNT;
	return commands;
}

unsigned
commands_needs(const struct call *c)
{
	unsigned needs = c->command->needs;

	if (needs & CALL_OPTIONS && c->command->run == cmd_set)
		needs |= cmd_set_needs(c->args, c->argc);
	else if (needs & CALL_OPTIONS && c->command->run == cmd_kv_create)
		needs |= cmd_kv_create_needs(c->args, c->argc);
	else if (needs & CALL_OPTIONS)
		needs |= cmd_kv_conflicts_needs(c->argc);
	if (c->command->run == cmd_exec)
		needs |= multi_needs(c->session);
	return needs;
}

/* Redis shows the first 128 bytes of name and arguments, C strings. */
static int
commands_unknown(struct call *c)
{
	char text[512];
	size_t i, len, n;

	len = (size_t)snprintf(text, sizeof(text),
	    "ERR unknown command '%.*s', with args beginning with: ",
	    (int)(c->args[0].len < 128 ? c->args[0].len : 128),
	    c->args[0].data);
	for (i = 1, n = 0; i < c->argc && n < 128; i++) {
		struct kv_slice a = c->args[i];
		size_t room = 128 - n;

		n += (size_t)snprintf(text + len + n, sizeof(text) - len - n,
		    "'%.*s' ", (int)(a.len < room ? a.len : room), a.data);
	}
	return call_error(c, text);
}

static int
commands_wrong_arity(struct call *c)
{
	return call_errorf(c, "ERR wrong number of arguments for '%s' command",
	    c->command->info.name);
}

static int
commands_guest(struct call *c)
{
	return call_error(c, "NOAUTH Authentication required.");
}

/* EXEC itself: Redis gives the transaction up. */
static int
commands_wrong_exec(struct call *c)
{
	multi_end(c->session);
	return call_error(c,
	    "EXECABORT Transaction discarded because of: wrong number of"
	    " arguments for 'exec' command");
}

static bool
commands_sub_fits(const struct cmd_sub *sub, size_t argc)
{
	return sub->arity >= 0 ? argc == (size_t)sub->arity
			       : argc >= (size_t)-sub->arity;
}

/* What HELP of any container says. */
static int
commands_help(struct call *c, const struct cmd_sub *subs, const char *name)
{
	char text[128];
	size_t n = 0, i, k;

	while (subs[n].name != NULL)
		n++;
	reply_array(c->reply, n + 3);
	snprintf(text, sizeof(text),
	    "%s <subcommand> [<arg> ...]. Subcommands are:", name);
	reply_simple(c->reply, text);
	for (i = 0; i < n; i++) {
		for (k = 0; subs[i].name[k] != '\0'; k++)
			text[k] = (char)toupper((unsigned char)subs[i].name[k]);
		text[k] = '\0';
		reply_simple(c->reply, text);
	}
	reply_simple(c->reply, "HELP");
	reply_simple(c->reply, "    Prints this help.");
	return KV_OK;
}

/* The one at sub->at; HELP is the last of every container. */
static int
commands_tell_sub(struct call_sub *sub, const struct cmd_sub *subs)
{
	size_t n = 0;

	while (n < sub->at && subs[n].name != NULL)
		n++;
	sub->name = subs[n].name;
	sub->arity = subs[n].arity;
	if (sub->name == NULL && n == sub->at) {
		sub->name = "help";
		sub->arity = 2;
	}
	return KV_OK;
}

int
cmd_dispatch(struct call *c, const struct cmd_sub *subs)
{
	const struct cmd_sub *sub = subs;
	const char *name = c->command->info.name;
	char upper[COMMAND_NAME_MAX + 1];
	size_t i;

	if (c->sub != NULL)
		return commands_tell_sub(c->sub, subs);
	while (sub->name != NULL && !slice_is_word(c->args[1], sub->name))
		sub++;
	if (c->session->last == c->command) /* and not EXEC */
		c->session->sub = sub->name;
	if (sub->name != NULL && commands_sub_fits(sub, c->argc))
		return sub->run(c);
	if (sub->name != NULL)
		return call_errorf(c,
		    "ERR wrong number of arguments for '%s|%s' command", name,
		    sub->name);
	for (i = 0; name[i] != '\0'; i++)
		upper[i] = (char)toupper((unsigned char)name[i]);
	upper[i] = '\0';
	if (slice_is_word(c->args[1], "help"))
		return c->argc == 2
		    ? commands_help(c, subs, upper)
		    : call_errorf(c,
			  "ERR wrong number of arguments for '%s|help' command",
			  name);
	return call_errorf(c, "ERR unknown subcommand '%.*s'. Try %s HELP.",
	    (int)(c->args[1].len < 128 ? c->args[1].len : 128), c->args[1].data,
	    upper);
}

/* What a browser can be made to send: as Redis does, close at once. */
static bool
commands_is_http(struct kv_slice word)
{
	return slice_is_word(word, "post") || slice_is_word(word, "host:");
}

/* What a RESP2 client may still ask for while it is subscribed. */
static bool
commands_subscriber_may(const struct command *command)
{
	call_handler *run = command->run;

	return run == cmd_ping || run == cmd_quit || run == cmd_reset ||
	    run == cmd_subscribe || run == cmd_unsubscribe ||
	    run == cmd_psubscribe || run == cmd_punsubscribe;
}

static bool
commands_is_container(const char *name)
{
	static const char *const names[] = { "acl", "client", "cluster",
		"command", "config", "function", "latency", "memory", "module",
		"object", "pubsub", "script", "slowlog" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

bool
commands_next_sub(const struct command *container, struct call_sub *sub)
{
	struct call c = { .argc = 2, .command = container, .sub = sub };

	sub->name = NULL;
	if (commands_is_container(container->info.name))
		(void)container->run(&c);
	sub->at++;
	return sub->name != NULL;
}

static int
commands_subscribed(struct call *c)
{
	char sub[COMMAND_NAME_MAX + 2] = "";
	size_t i;

	if (c->argc > 1 && c->args[1].len < COMMAND_NAME_MAX &&
	    commands_is_container(c->command->info.name)) {
		sub[0] = '|';
		for (i = 0; i < c->args[1].len; i++)
			sub[i + 1] =
			    (char)tolower((unsigned char)c->args[1].data[i]);
		sub[i + 1] = '\0';
	}
	return call_errorf(c,
	    "ERR Can't execute '%s%s': only (P|S)SUBSCRIBE /"
	    " (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this"
	    " context",
	    c->command->info.name, sub);
}

/* Who answers that it cannot be done, or NULL. */
static call_handler *
commands_refusal(const struct call *c)
{
	const struct session *s = c->session;

	if (c->command == NULL)
		return commands_unknown;
	if (!command_arity_fits(&c->command->info, c->argc))
		return c->command->run == cmd_exec ? commands_wrong_exec
						   : commands_wrong_arity;
	if (s->flags & SESSION_GUEST &&
	    !(c->command->info.flags & COMMAND_NO_AUTH))
		return commands_guest;
	if (s->pubsub != NULL && s->proto == 2 &&
	    !commands_subscriber_may(c->command))
		return commands_subscribed;
	return NULL;
}

/* CLIENT PAUSE; CLIENT UNPAUSE itself is never held. */
static bool
commands_wait(struct run *r, const struct call *c)
{
	return c->command->run != cmd_client &&
	    pause_holds(r, commands_needs(c) & CALL_WRITES);
}

void
commands_run(struct run *r, const struct request *req)
{
	static const struct command none = { .run = commands_unknown };
	struct worker *w = r->worker;
	struct call c = {
		.worker = w,
		.session = r->session,
		.engine = w->engine,
		.reply = &w->reply,
		.args = req->args,
		.argc = req->count,
		.command = commands_find(req->args[0]),
	};
	call_handler *refusal = commands_refusal(&c);

	w->requests++;
	w->reply.proto = r->session->proto;
	if (c.command != NULL) {
		r->session->last = c.command;
		r->session->sub = NULL;
	} else if (commands_is_http(c.args[0])) {
		r->stop = true;
		conn_close(&r->session->conn);
		return;
	} else {
		c.command = &none;
	}
	if (refusal != NULL) {
		multi_spoil(r->session);
		run_call(r, &c, 0, refusal);
	} else if (multi_takes(&c)) {
		run_call(r, &c, CALL_SESSION, multi_queue);
	} else if (!commands_wait(r, &c)) {
		multi_before(&c);
		round_begin(r->session);
		run_call(r, &c, commands_needs(&c) | tell_needs(&c),
		    c.command->run);
		if (r->at > r->start) {
			multi_after(&c);
			round_end(r->session);
		}
	}
}
