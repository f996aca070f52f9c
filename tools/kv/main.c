/* SPDX-License-Identifier: ISC */

/* kv: the command line.  A table of verbs; what one does stands in the file of
 * its noun. */

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "help.h"
#include "passwd.h"
#include "print.h"
#include "reach.h"
#include "tool.h"

static const struct verb *(*const nouns[])(void) = { bucket_verbs, key_verbs,
	list_verbs, watch_verbs, status_verbs, verify_verbs, repair_clock_verbs,
	raw_verbs, passwd_verbs, cookie_verbs, nodes_verbs, conflicts_verbs };

#define NOUNS (sizeof(nouns) / sizeof(nouns[0]))

/* ---- options ---- */

struct option_row {
	const char *letter, *name;
	const char *verb; /* only after this verb; "": also after any */
	/* False after saying what is wrong. */
	bool (*take)(struct tool *t, const struct option_row *o,
	    const char *value);
	size_t what; /* offset in struct tool, or one of enum end */
};

/* Options after which nothing else counts: the negative of them in argc. */
enum end {
	END_HELP = 1,
	END_VERSION,
	END_WORDS,
};

static bool
take_text(struct tool *t, const struct option_row *o, const char *value)
{
	*(const char **)(void *)((char *)t + o->what) = value;
	return true;
}

static bool
take_flag(struct tool *t, const struct option_row *o, const char *value)
{
	(void)value;
	*(bool *)((char *)t + o->what) = true;
	return true;
}

static bool
take_end(struct tool *t, const struct option_row *o, const char *value)
{
	(void)value;
	t->argc = -(int)o->what;
	return true;
}

static bool
take_port(struct tool *t, const struct option_row *o, const char *text)
{
	uint64_t port;

	(void)o;
	if (!tool_number("-p", text, &port))
		return false;
	if (port < 1 || port > 65535) {
		tool_say("-p: \"%s\": expected a port from 1 to 65535", text);
		return false;
	}
	t->port = (long)port;
	return true;
}

static bool
take_timeout(struct tool *t, const struct option_row *o, const char *text)
{
	uint64_t ms;

	(void)o;
	if (!tool_duration("-t", text, &ms))
		return false;
	t->timeout_ms = ms > INT32_MAX ? INT32_MAX : (int)ms;
	return true;
}

#define TEXT(field) take_text, offsetof(struct tool, field)
#define FLAG(field) take_flag, offsetof(struct tool, field)

static const struct option_row options[] = {
	{ "-d", "--dir", NULL, TEXT(dir) },
	{ "-h", "--host", NULL, TEXT(host) },
	{ "-s", "--socket", NULL, TEXT(socket) },
	{ "-p", "--port", NULL, take_port, 0 },
	{ "-t", "--timeout", NULL, take_timeout, 0 },
	{ "-j", "--json", "", FLAG(json) },
	{ NULL, "--help", "", take_end, END_HELP },
	{ "-v", "--version", NULL, take_end, END_VERSION },
	{ NULL, "--words", NULL, take_end, END_WORDS },
	{ NULL, "--secret-file", NULL, TEXT(secret) },
	{ NULL, "-o", "passwd", TEXT(out) },
	{ NULL, "-o", "cookie", TEXT(out) },
	{ NULL, "--generation", "cookie", TEXT(generation) },
	{ NULL, "--force", "cookie", FLAG(force) },
	{ NULL, "--fingerprint", "cookie", FLAG(fingerprint) },
	{ NULL, "--wait", "nodes", FLAG(wait) },
	{ NULL, "--peers", "verify", FLAG(peers) },
	{ NULL, "--all", "kick", FLAG(all) },
	{ NULL, "--dry-run", "repair-clock", FLAG(dry) },
	{ NULL, "--force", "repair-clock", FLAG(force) },
	{ NULL, "--values", "ls", FLAG(values) },
	{ NULL, "--values", "buckets", FLAG(values) },
	{ NULL, "--from", "watch", TEXT(from) },
	{ NULL, "--count", "watch", TEXT(count) },
	{ NULL, "--ttl", "put", TEXT(ttl) },
	{ NULL, "--ttl-max", "create", TEXT(ttl_max) },
	{ NULL, "--local", "create", FLAG(local) },
	{ NULL, "--conflict-log", "create", FLAG(conflict_log) },
	{ NULL, "--clear", "conflicts", FLAG(clear) },
};

#define OPTIONS (sizeof(options) / sizeof(options[0]))

static bool
has_value(const struct option_row *o)
{
	return o->take != take_flag && o->take != take_end;
}

static const char usage_text[] =
    "usage: kv [-d DIR | -p PORT [-h HOST] | -s SOCKET] [--json] VERB ...\n"
    "\n";

static const char options_text[] =
    "\n"
    "options:\n"
    "  -d, --dir DIR       the store's folder, with or without a daemon on it\n"
    "  -p, --port PORT     a server's port\n"
    "  -h, --host HOST     and host (127.0.0.1)\n"
    "  -s, --socket FILE   a server's unix socket\n"
    "  -t, --timeout TIME  wait so long for a server (10s)\n"
    "  -j, --json          print JSON, one value a line\n"
    "      --secret-file FILE  whose first line is the server's password\n"
    "      --help          also after a verb\n"
    "  -v, --version\n"
    "\n"
    "KV_SECRET_FILE may name that file instead.\n"
    "\n"
    "With neither -d nor -p: port 4050 (or KV_PORT) if somebody answers there,\n"
    "else the store that kvd would use.\n"
    "\n"
    "Exits with 0, 1: no such key or bucket, or waited in vain, 2: bad usage,\n"
    "3: no server or no store there, 4: the store or the server says no, or\n"
    "verify found something.\n"
    "\n"
    "examples:\n"
    "  kv create shopping\n"
    "  kv put shopping milk 1\n"
    "  kv -d /var/lib/kv/shop get shopping milk\n"
    "  kv -p 4051 ls shopping --json\n"
    "  kv nodes --wait\n"
    "  kv verify --peers\n";

static void
print_help(void)
{
	const struct verb *v;
	char line[64];
	size_t i;

	fputs(usage_text, stdout);
	for (i = 0; i < NOUNS; i++) {
		for (v = nouns[i](); v->name != NULL; v++) {
			snprintf(line, sizeof(line), "%s %s", v->name, v->args);
			printf("  %-28s %s\n", line, v->summary);
		}
	}
	printf("  %-28s %s\n", "help [VERB | COMMAND]",
	    "more about a verb, or a server's command");
	fputs(options_text, stdout);
}

static void
print_verb_help(const struct verb *v)
{
	printf("usage: kv [...] %s %s\n\n%s: %s\n\n%s", v->name, v->args,
	    v->name, v->summary, v->help);
}

static const struct verb *
look_verb(const char *name)
{
	const struct verb *v;
	size_t i;

	for (i = 0; i < NOUNS; i++)
		for (v = nouns[i](); v->name != NULL; v++)
			if (strcmp(v->name, name) == 0)
				return v;
	return NULL;
}

static const struct verb *
find_verb(const char *name)
{
	const struct verb *v = look_verb(name);

	if (v == NULL)
		tool_say("no verb \"%s\"; kv help shows them", name);
	return v;
}

/* ---- reading the command line ---- */

/* The option that arg is, before any verb (v NULL) or after v. */
static const struct option_row *
find_option(const char *arg, const struct verb *v)
{
	size_t i, len = strcspn(arg, "=");

	for (i = 0; i < OPTIONS; i++) {
		const struct option_row *o = &options[i];
		bool here = v == NULL ? o->verb == NULL || o->verb[0] == '\0'
				      : o->verb != NULL &&
			(o->verb[0] == '\0' || strcmp(o->verb, v->name) == 0);

		if (!here)
			continue;
		if (strlen(o->name) == len && strncmp(o->name, arg, len) == 0)
			return o;
		/* After a verb "-j" could be a key. */
		if (v == NULL && o->letter != NULL &&
		    strncmp(o->letter, arg, 2) == 0 &&
		    (arg[2] == '\0' || has_value(o)))
			return o;
	}
	return NULL;
}

/* The value of an option: behind "=", behind the letter, or the next word. */
static const char *
value_of(const struct option_row *o, char ***at)
{
	char *arg = **at, *equals = strchr(arg, '=');

	if (!has_value(o))
		return "";
	if (arg[1] != '-' && arg[2] != '\0')
		return arg + 2;
	if (arg[1] == '-' && equals != NULL)
		return equals + 1;
	if ((*at)[1] == NULL) {
		tool_say("%s needs a value", arg);
		return NULL;
	}
	return *++*at;
}

/* One option at *at; moves on to its last word. */
static bool
read_option(struct tool *t, const struct option_row *o, char ***at)
{
	const char *value = value_of(o, at);

	return value != NULL && o->take(t, o, value);
}

/* Options before the verb; NULL in *at when there is no verb. */
static bool
read_options(struct tool *t, char ***at)
{
	const struct option_row *o;

	for (; **at != NULL && (**at)[0] == '-' && t->argc == 0; ++*at) {
		if ((o = find_option(**at, NULL)) == NULL) {
			tool_say("bad option \"%s\"; try --help", **at);
			return false;
		}
		if (!read_option(t, o, at))
			return false;
	}
	return true;
}

/* The wrong number of arguments: why, and what is expected.  An argument in the
 * wrong place may be a secret: none is repeated. */
static void
say_why(const struct tool *t, const struct verb *v)
{
	const char *what = v->name, *why = "an argument is missing";
	const struct option_row *o;
	int i;

	if (v->most >= 0 && t->argc > v->most)
		why = "an argument too many";
	for (i = t->argc - 1; i >= 0; i--) {
		if (t->argv[i][0] != '-')
			continue;
		if ((o = find_option(t->argv[i], NULL)) != NULL) {
			what = o->name;
			why = "stands before the verb";
		} else if (v->most == 0) {
			why = "no such option";
		}
	}
	tool_say("%s: %s; usage: kv [...] %s %s", what, why, v->name, v->args);
}

/* What follows the verb: its arguments stay in argv, options are taken out.
 * Whatever is no option of the verb is an argument, so that keys and values
 * may begin with "-"; and so is everything after "--". */
static bool
read_arguments(struct tool *t, const struct verb *v, char **from)
{
	const struct option_row *o;
	bool all = v->most < 0;
	int n = 0;

	t->argv = from;
	for (; *from != NULL; from++) {
		if (!all && strcmp(*from, "--") == 0) {
			all = true;
		} else if (!all && (o = find_option(*from, v)) != NULL) {
			if (!read_option(t, o, &from))
				return false;
			if (t->argc < 0)
				return true;
		} else {
			t->argv[n++] = *from;
		}
	}
	t->argc = n;
	if (n >= v->least && (v->most < 0 || n <= v->most))
		return true;
	say_why(t, v);
	return false;
}

/* ---- running ---- */

static int
help(struct tool *t, char **names)
{
	const struct verb *v;

	if (names[0] == NULL) {
		print_help();
		return EXIT_FINE;
	}
	if ((v = look_verb(names[0])) == NULL)
		return help_command(t, names);
	print_verb_help(v);
	return EXIT_FINE;
}

/* For completion: what may stand before or as a verb. */
static int
words(void)
{
	const struct verb *v;
	size_t i;

	for (i = 0; i < NOUNS; i++)
		for (v = nouns[i](); v->name != NULL; v++)
			puts(v->name);
	for (i = 0; i < OPTIONS; i++)
		if (options[i].verb == NULL || options[i].verb[0] == '\0')
			puts(options[i].name);
	puts("help");
	return EXIT_FINE;
}

static int
run(struct tool *t, const struct verb *v)
{
	int code;

	if (v->alone != NULL)
		return v->alone(t);
	if (t->peers)
		v = v->with_peers; /* the one that has the option */
	if ((code = reach_open(t, v)) == EXIT_FINE &&
	    (t->client == NULL || (code = passwd_say(t)) == EXIT_FINE))
		code = t->store != NULL ? v->over_store(t) : v->over_port(t);
	reach_close(t);
	free(t->input);
	return code;
}

int
main(int argc, char **argv)
{
	struct tool t = { .timeout_ms = 10000 };
	const struct verb *v;
	char **at = argv + (argc > 0);

	kv_log("kv", 0);
	if (!read_options(&t, &at))
		return EXIT_USAGE;
	if (t.argc == -END_VERSION)
		return print_end(printf("kv %s\n", kv_version()) < 0);
	if (t.argc == -END_WORDS)
		return print_end(words());
	if (t.argc == -END_HELP)
		return print_end(help(&t, (char *[]){ NULL }));
	if (*at == NULL) {
		tool_say("no verb; try --help");
		return EXIT_USAGE;
	}
	if (strcmp(*at, "help") == 0)
		return print_end(help(&t, at + 1));
	if ((v = find_verb(*at)) == NULL || !read_arguments(&t, v, at + 1))
		return EXIT_USAGE;
	if (t.argc < 0)
		return print_end(help(&t, (char *[]){ *at, NULL }));
	return print_end(run(&t, v));
}
