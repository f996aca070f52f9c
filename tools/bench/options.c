/* SPDX-License-Identifier: ISC */

/* The command line of kv-bench. */

#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <kv.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "secret.h"

static const char usage_text[] =
    "usage: kv-bench [-h HOST] [-p PORT | -s SOCKET] [--server-pid PID] ...\n"
    "       kv-bench --compare NAME=PORT[:PID],NAME=PORT[:PID] ...\n"
    "       kv-bench --dir DIR ...\n"
    "\n"
    "Load a server and say how fast it answers and what that costs it. With\n"
    "--compare the rounds of the servers alternate, so that the ratios come\n"
    "from the same minutes of the same machine; the first is compared with\n"
    "each of the others. A name may also be NAME=/SOCKET:PID.\n"
    "\n"
    "  -t, --tests LIST        what to ask for (default set,get)\n"
    "  -c, --connections N     connections (50)\n"
    "  -P, --pipeline N        requests sent together on each (1)\n"
    "  -T, --seconds S         length of a round (3)\n"
    "  -n, --requests N        end a round after so many instead\n"
    "  -k, --keys N            key space (1000000)\n"
    "  -v, --value N           bytes of a value (64)\n"
    "  -r, --rounds N          rounds, of which the median counts (1; with\n"
    "                          --compare 3)\n"
    "  -b, --background TEST:N the same with N connections doing TEST meanwhile\n"
    "      --server-pid PID    count the CPU time of it and its children\n"
    "  -d, --dir DIR           read a store through libkv, without a server\n"
    "      --secret-file FILE  whose first line is the servers' password; or\n"
    "                          KV_SECRET_FILE names it\n"
    "      --seed N            of the random keys (1)\n"
    "      --json              the result as JSON\n"
    "      --help, --version\n"
    "\n"
    "tests:\n";

static const char examples_text[] =
    "\n"
    "examples:\n"
    "  kv-bench -p 4050 -t set,get -c 50 -P 16\n"
    "  kv-bench -p 4050 -t fill -n 1000000 -P 100 -k 1000000\n"
    "  kv-bench --compare kv=4050:812,redis=6379:901 -t get -P 16\n"
    "  kv-bench -p 4050 -t get -c 10 -b set:50     GET while 50 others SET\n"
    "\n"
    "Exits with 0, 1: there were error replies, 2: bad usage, 3: a server could\n"
    "not be reached or went away.\n";

static void
help(void)
{
	const struct work *w;
	size_t i;

	fputs(usage_text, stdout);
	for (i = 0; (w = work_at(i)) != NULL; i++)
		printf("  %-12s %s\n", w->name, w->summary);
	fputs(examples_text, stdout);
	exit(0);
}

static void __attribute__((noreturn, format(printf, 1, 2)))
refuse(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("kv-bench: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputs("; try --help\n", stderr);
	va_end(ap);
	exit(2);
}

static uint64_t
number(const char *option, const char *text, uint64_t low, uint64_t high)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 ||
	    n < low || n > high)
		refuse("%s: \"%s\": expected a number from %llu to %llu",
		    option, text, (unsigned long long)low,
		    (unsigned long long)high);
	return n;
}

static const struct work *
test_named(const char *name)
{
	const struct work *w = work_find(name);

	if (w == NULL)
		refuse("no test \"%s\"", name);
	return w;
}

static void
take_tests(struct options *o, char *list)
{
	char *name;

	o->test_count = 0;
	while ((name = strsep(&list, ",")) != NULL) {
		if (o->test_count == OPTIONS_TESTS_MAX)
			refuse("more than %d tests", OPTIONS_TESTS_MAX);
		o->tests[o->test_count++] = test_named(name);
	}
}

/* NAME=PORT[:PID] or NAME=/SOCKET[:PID] */
static void
take_target(struct target *t, char *text, const char *host)
{
	char *where = strchr(text, '='), *pid;

	if (where == NULL || where == text)
		refuse("--compare: \"%s\": expected NAME=PORT:PID", text);
	*where++ = '\0';
	t->name = text;
	if ((pid = strrchr(where, ':')) != NULL) {
		*pid++ = '\0';
		t->pid = (int)number("--compare", pid, 1, INT32_MAX);
	}
	if (where[0] == '/') {
		t->path = where;
		return;
	}
	t->host = host;
	t->port = (int)number("--compare", where, 1, 65535);
}

static void
take_targets(struct options *o, char *list, const char *host)
{
	char *one;

	while ((one = strsep(&list, ",")) != NULL) {
		if (o->target_count == OPTIONS_TARGETS_MAX)
			refuse("more than %d servers", OPTIONS_TARGETS_MAX);
		take_target(&o->targets[o->target_count++], one, host);
	}
}

static void
take_background(struct options *o, char *text)
{
	char *count = strchr(text, ':');

	if (count == NULL)
		refuse("-b: \"%s\": expected TEST:CONNECTIONS", text);
	*count++ = '\0';
	o->background = test_named(text);
	o->background_connections = (unsigned)number("-b", count, 1, 60000);
}

enum {
	OPT_COMPARE = 256,
	OPT_PID,
	OPT_SECRET,
	OPT_SEED,
	OPT_JSON,
	OPT_HELP,
	OPT_VERSION
};

static const struct option longs[] = {
	{ "host", required_argument, NULL, 'h' },
	{ "port", required_argument, NULL, 'p' },
	{ "socket", required_argument, NULL, 's' },
	{ "tests", required_argument, NULL, 't' },
	{ "connections", required_argument, NULL, 'c' },
	{ "pipeline", required_argument, NULL, 'P' },
	{ "seconds", required_argument, NULL, 'T' },
	{ "requests", required_argument, NULL, 'n' },
	{ "keys", required_argument, NULL, 'k' },
	{ "value", required_argument, NULL, 'v' },
	{ "rounds", required_argument, NULL, 'r' },
	{ "background", required_argument, NULL, 'b' },
	{ "dir", required_argument, NULL, 'd' },
	{ "compare", required_argument, NULL, OPT_COMPARE },
	{ "server-pid", required_argument, NULL, OPT_PID },
	{ "secret-file", required_argument, NULL, OPT_SECRET },
	{ "seed", required_argument, NULL, OPT_SEED },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ NULL, 0, NULL, 0 },
};

struct where {
	const char *host, *path;
	char *compare;
	const char *secret;
	int port, pid;
};

/* Where the load goes. */
static bool
take_where(struct where *w, int option, char *arg)
{
	switch (option) {
	case 'h':
		w->host = arg;
		return true;
	case 'p':
		w->port = (int)number("-p", arg, 1, 65535);
		return true;
	case 's':
		w->path = arg;
		return true;
	case OPT_COMPARE:
		w->compare = arg;
		return true;
	case OPT_SECRET:
		w->secret = arg;
		return true;
	case OPT_PID:
		w->pid = (int)number("--server-pid", arg, 1, INT32_MAX);
		return true;
	default:
		return false;
	}
}

/* What it is. */
static void
take_what(struct options *o, int option, char *arg)
{
	switch (option) {
	case 't':
		take_tests(o, arg);
		break;
	case 'c':
		o->connections = (unsigned)number("-c", arg, 1, 60000);
		break;
	case 'P':
		o->depth = (unsigned)number("-P", arg, 1, 10000);
		break;
	case 'T':
		o->seconds = strtod(arg, NULL);
		if (!(o->seconds > 0 && o->seconds < 1e6))
			refuse("-T: \"%s\": expected seconds", arg);
		break;
	case 'n':
		o->requests = number("-n", arg, 1, UINT64_MAX);
		break;
	case 'k':
		o->keys = number("-k", arg, 1, UINT32_MAX);
		break;
	case 'v':
		o->value_size = (size_t)number("-v", arg, 0, 64u << 20);
		break;
	case 'r':
		o->rounds = (unsigned)number("-r", arg, 1, 99);
		break;
	case 'b':
		take_background(o, arg);
		break;
	case 'd':
		o->dir = arg;
		break;
	case OPT_SEED:
		o->seed = number("--seed", arg, 0, UINT64_MAX);
		break;
	case OPT_JSON:
		o->json = true;
		break;
	case OPT_HELP:
		help();
		break;
	case OPT_VERSION:
		printf("kv-bench %s\n", kv_version());
		exit(0);
	default:
		refuse("bad option");
	}
}

void
options_parse(struct options *o, int argc, char **argv)
{
	struct where w = { .host = "127.0.0.1",
		.port = 4050,
		.secret = getenv("KV_SECRET_FILE") };
	int option;

	*o = (struct options){ .tests = { work_find("set"), work_find("get") },
		.test_count = 2,
		.connections = 50,
		.depth = 1,
		.keys = 1000000,
		.value_size = 64,
		.seed = 1 };
	while ((option = getopt_long(argc, argv,
		    "h:p:s:t:c:P:T:n:k:v:r:b:d:", longs, NULL)) != -1)
		if (!take_where(&w, option, optarg))
			take_what(o, option, optarg);
	if (optind < argc)
		refuse("unexpected \"%s\"", argv[optind]);
	if (w.secret != NULL && w.secret[0] != '\0' && !secret_load(w.secret))
		exit(2);
	if (w.compare != NULL)
		take_targets(o, w.compare, w.host);
	else
		o->targets[o->target_count++] = (struct target){
			.name = "server",
			.host = w.host,
			.path = w.path,
			.port = w.port,
			.pid = w.pid,
		};
	if (o->rounds == 0)
		o->rounds = w.compare != NULL ? 3 : 1;
	if (o->requests == 0 && o->seconds == 0)
		o->seconds = 3;
}
