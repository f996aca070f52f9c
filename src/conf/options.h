/* SPDX-License-Identifier: ISC */
#ifndef KV_CONF_OPTIONS_H
#define KV_CONF_OPTIONS_H

/* THE table of options.  Flags, environment, file, --print-config, --help,
 * kvd.conf(5) and what children are told all come from it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* KV_BUILD_* are settings of the build: the Makefile writes them into
 * build_settings.h, which is included in front of every file. */
#define OPTIONS_DIGITS(x) OPTIONS_DIGITS_OF(x)
#define OPTIONS_DIGITS_OF(x) #x

enum option_type {
	OPTION_NUMBER,	  /* min to max */
	OPTION_SIZE,	  /* bytes, units k m g t */
	OPTION_TIME,	  /* milliseconds, units ms s m h d; bare: seconds */
	OPTION_CHOICE,	  /* one of choices; its number is its place there */
	OPTION_PATH,	  /* made absolute; may be empty */
	OPTION_PORTS,	  /* list of ports and ranges */
	OPTION_ADDRESSES, /* list of IPv4 and IPv6 addresses */
	OPTION_NAME,	  /* foo */
	OPTION_FULL_NAME, /* foo@host */
	OPTION_NODES,	  /* list of foo@host[:port] */
	OPTION_HOST,	  /* a.example */
	OPTION_COMMANDS,  /* list of get, client|list */
	OPTION_SECRET,	  /* an Argon2id hash; only in a file, never shown */
};

/* Which processes look at an option. */
enum option_user {
	USED_KVD = 1,
	USED_WORKER = 2,
	USED_WALWRITER = 4,
	USED_CHECKPOINTER = 8,
	USED_SYNCD = 16,
	USED_NODES = USED_WORKER | USED_SYNCD,
	USED_STORE =
	    USED_WORKER | USED_WALWRITER | USED_CHECKPOINTER | USED_SYNCD,
	USED_ALL = USED_KVD | USED_STORE,
};

#define CONF_K 1024ull
#define CONF_M (1024 * CONF_K)
#define CONF_G (1024 * CONF_M)
#define CONF_T (1024 * CONF_G)
#define CONF_DAY_MS 86400000ull

/* id, name, type, default ("": see its help), min, max, choices, who uses it,
 * whether SIGHUP changes it, flag letter, argument, help */
/* clang-format off */
#define CONF_OPTIONS(X)                                                        \
X(PORT, "port", PORTS, "4050", 0, 65535, NULL, KVD, true, 'p', "PORTS",        \
  "Ports to serve, one worker process each: a list of ports and ranges such "  \
  "as 4050,4060-4062. 0 takes a free port. Default 4040 when KV_ENV=test.")    \
X(BIND, "bind", ADDRESSES, "127.0.0.1", 0, 0, NULL, KVD, false, 0, "LIST",     \
  "Addresses to listen on, IPv4 or IPv6. Only of this host itself, as long "   \
  "as there is no password.")                                                  \
X(UNIX_SOCKET, "unix_socket", PATH, "", 0, 0, NULL, KVD, false, 0, "FILE",     \
  "Also serve clients on this unix socket.")                                   \
X(DIR, "dir", PATH, "", 0, 0, NULL, ALL, false, 'd', "DIR",                    \
  "The store's folder. Default: kv/NODE in $XDG_STATE_HOME or "                \
  "~/.local/state; /var/lib/kv/NODE for root.")                                \
X(SHM_DIR, "shm_dir", PATH, "/dev/shm", 0, 0, NULL, STORE, false, 0, "DIR",    \
  "Folder on a memory file system for the log that processes share.")          \
X(SNAME, "sname", NAME, "", 0, 0, NULL, ALL, false, 0, "NAME",                 \
  "Short name of this node; its full name is NAME@HOST with this host's "      \
  "short name.")                                                               \
X(NAME, "name", FULL_NAME, "", 0, 0, NULL, ALL, false, 0, "NAME@HOST",         \
  "Full name of this node; not together with sname.")                          \
X(NODES, "nodes", NODES, "", 0, 0, NULL, NODES, true, 0, "LIST",               \
  "Other nodes to share buckets with: NAME@HOST or NAME@HOST:PORT, with "      \
  "commas.")                                                                   \
X(COOKIE_FILE, "cookie_file", PATH, "", 0, 0, NULL, SYNCD, true, 0, "FILE",    \
  "File with the secret that nodes share. Default: ~/.kv.cookie, which is "    \
  "made if it is missing; without a home, /etc/kv/cookie.")                    \
X(WEAK_COOKIE, "weak_cookie", CHOICE, "no", 0, 0, "no\0yes\0", SYNCD, true,    \
  0, "YES",                                                                    \
  "Accept secrets of less than 16 bytes, which can be guessed.")               \
X(CLUSTER, "cluster", NAME, "kv", 0, 0, NULL, SYNCD, false, 0, "NAME",         \
  "Name that nodes which share buckets have in common; of another cluster's "  \
  "nodes the cookie is wrong.")                                                \
X(SYNC_PORT, "sync_port", NUMBER, "4069", 1, 65535, NULL, SYNCD, false, 0,     \
  "PORT",                                                                      \
  "Port on which nodes find each other where none is named. Of the nodes of "  \
  "a host one holds it and shows the way to the others, which listen on "      \
  "ports of their own.")                                                       \
X(SYNC_BIND, "sync_bind", ADDRESSES, "", 0, 0, NULL, NODES, true, 0, "LIST",  \
  "Addresses to listen on for other nodes. Default: all, when nodes, dns or "  \
  "beacon are set; else none.")                                                \
X(DNS, "dns", HOST, "", 0, 0, NULL, NODES, true, 0, "NAME",                    \
  "Name whose addresses are all nodes of this cluster; asked for again "       \
  "every five seconds.")                                                       \
X(BEACON, "beacon", CHOICE, "no", 0, 0, "no\0yes\0", NODES, true, 0, "YES",    \
  "Find nodes of the local network by multicast.")                             \
X(SYNC_TIMEOUT, "sync_timeout", TIME, "10s", 1000, 600000, NULL, SYNCD, false, \
  0, "TIME",                                                                   \
  "Silence after which another node is held to be down; of two nodes the "     \
  "larger one counts.")                                                        \
X(REMOTE_COMMANDS, "remote_commands", COMMANDS, "data,diagnostics", 0, 0,      \
  NULL, SYNCD, true, 0, "LIST",                                                \
  "What other nodes may have run here: names of commands such as flushdb or "  \
  "client|kill, data for all that read and write, diagnostics for those that " \
  "only look. none: nothing.")                                                 \
X(DURABILITY, "durability", CHOICE, "always", 0, 0, "always\0everysec\0os\0",  \
  STORE, false, 0, "MODE",                                                     \
  "When a reply may leave: always: once it is on disk; everysec: at once, "    \
  "a power cut costs at most a second; os: the kernel decides. The death of "  \
  "processes loses nothing in any mode.")                                      \
X(SEGMENT_SIZE, "segment_size", SIZE, OPTIONS_DIGITS(KV_BUILD_SEGMENT_SIZE),   \
  CONF_M, 512 * CONF_M, NULL, STORE, false, 0, "SIZE",                         \
  "Size of a log segment; up to five lie in shm_dir. A multiple of 4k.")       \
X(VALUE_MAX, "value_max", SIZE, OPTIONS_DIGITS(KV_BUILD_VALUE_MAX), 1,         \
  256 * CONF_M, NULL, WORKER, true, 0, "SIZE",                                 \
  "Largest value that is accepted; below half of segment_size.")               \
X(MAP_SIZE, "map_size", SIZE, "1t", CONF_M, 64 * CONF_T, NULL, STORE, false,   \
  0, "SIZE",                                                                   \
  "Largest size of the tree; address space, not memory.")                      \
X(MAX_CLIENTS, "max_clients", NUMBER, "100000", 1, 1000000, NULL, WORKER,      \
  true, 0, "N",                                                                \
  "Most clients of one worker; less when the limit on open files is lower.")   \
X(IDLE_TIMEOUT, "idle_timeout", TIME, "0", 0, 365 * CONF_DAY_MS, NULL, WORKER, \
  true, 0, "TIME",                                                             \
  "Close a client that is silent for so long; 0: never.")                      \
X(OUTPUT_LIMIT, "output_limit", SIZE, "64m", 64 * CONF_K, CONF_T, NULL,        \
  WORKER, true, 0, "SIZE",                                                     \
  "Replies held for a client that does not read: from half of it on no more "  \
  "of its requests are read, and a single reply beyond it is refused. At "     \
  "least four times value_max.")                                               \
X(SUBSCRIBER_LIMIT, "subscriber_limit", SIZE, "16m", 64 * CONF_K, CONF_T,      \
  NULL, WORKER, true, 0, "SIZE",                                               \
  "Messages held for a subscriber that does not read; past it, it is closed "  \
  "with the reason.")                                                          \
X(RETENTION, "retention", TIME, "7d", 1000, 3650 * CONF_DAY_MS, NULL,          \
  STORE, false, 0, "TIME",                                                     \
  "How long a deletion is remembered for nodes that are away.")                \
X(WORKERS, "workers", NUMBER, "1", 1, 64, NULL, KVD, false, 0, "N",            \
  "Worker processes for each port.")                                           \
X(BACKLOG, "backlog", NUMBER, "4096", 1, 65535, NULL, KVD, false, 0, "N",      \
  "Connections that may wait to be accepted; the kernel's somaxconn bounds "   \
  "it.")                                                                       \
X(DATABASES, "databases", NUMBER, "16", 1, 1024, NULL, WORKER, false, 0, "N",  \
  "Databases that SELECT knows by number.")                                    \
X(PASSWORD, "password", SECRET, "", 0, 0, NULL, WORKER, true, 0, "HASH",       \
  "What clients have to know to be let in, as the hash that kv passwd "        \
  "prints. Only in the configuration file: others can see the command line "   \
  "and the environment.")                                                      \
X(PASSWORD_FILE, "password_file", PATH, "", 0, 0, NULL, WORKER, true, 0,       \
  "FILE",                                                                      \
  "File with such a hash in its one line, for its owner's eyes only; not "     \
  "together with password.")                                                   \
X(LOG_LEVEL, "log_level", CHOICE, "info", 0, 0, "error\0warn\0info\0debug\0",  \
  ALL, true, 0, "LEVEL", "Least urgent kind of line that is logged.")
/* clang-format on */

enum conf_id {
#define X(id, ...) CONF_##id,
	CONF_OPTIONS(X)
#undef X
	    CONF_COUNT
};

struct conf_option {
	const char *name;
	enum option_type type;
	const char *preset;
	uint64_t min, max;
	const char *choices; /* NUL after each, one more at the end */
	unsigned users;	     /* of enum option_user */
	bool reloads;
	char letter; /* 0: none */
	const char *argument;
	const char *help;
};

/* The row of an option; static. */
const struct conf_option *options_get(enum conf_id id);

/* The option of that name, where '-' counts as '_' and case does not matter;
 * CONF_COUNT if none. */
enum conf_id options_find(const char *name);

/* The known name that looks most like this one, NULL if none is near. */
const char *options_nearest(const char *name);

/* The option that this name, which is none and may belong to somebody else,
 * is surely meant to be; NULL if it is not that sure. */
const char *options_misspelt(const char *name);

/* "a size from 1m to 512m": what the option takes. */
void options_expected(enum conf_id id, char *to, size_t size);

/* May it hold several values with commas? */
bool options_is_list(enum conf_id id);

#endif
