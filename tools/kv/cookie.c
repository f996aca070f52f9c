/* SPDX-License-Identifier: ISC */

/* Cookies: making the secret that hosts share, and telling what is in one.
 * What is typed wrong here may be a secret, so it is not said back. */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "print.h"
#include "tool.h"

static int
usage(void)
{
	tool_say("usage: kv [...] cookie new [-o FILE] [--generation N] "
		 "[--force] | show [--fingerprint] [FILE]");
	return EXIT_USAGE;
}

/* given, or the default. */
static bool
choose_file(const char *given, const char **path, char to[PATH_MAX])
{
	int rc = KV_OK;

	if ((*path = given) == NULL) {
		*path = to;
		rc = kv_cookie_default_file(to, PATH_MAX);
	}
	if (rc < 0)
		tool_say("cookie: no HOME to find ~/.kv.cookie by: expected "
			 "the name of a file");
	return rc == KV_OK;
}

static int
failed(const char *path, int rc, const struct kv_cookie_error *e)
{
	tool_say("%s: %s%s", path, e->text,
	    rc == KV_EEXIST ? ": expected no file there (--force replaces it)"
			    : "");
	return EXIT_TROUBLE;
}

/* ---- new ---- */

static bool
read_generation(const char *text, uint8_t *out)
{
	const char *number = text == NULL ? "1" : text;
	size_t digits = strspn(number, "0123456789");
	unsigned long n = strtoul(number, NULL, 10);

	*out = (uint8_t)n;
	if (digits > 0 && number[digits] == '\0' && n <= UINT8_MAX)
		return true;
	tool_say("--generation: expected a number from 0 to 255");
	return false;
}

static int
print_secret(const struct tool *t, uint8_t generation)
{
	struct kv_cookie_error e;
	int rc;

	if (t->json) {
		tool_say("cookie new: -o - prints the file, not JSON");
		return EXIT_USAGE;
	}
	rc = kv_cookie_write(STDOUT_FILENO, generation, &e);
	return rc < 0 ? failed("-", rc, &e) : EXIT_FINE;
}

static int
cookie_new(const struct tool *t)
{
	struct kv_cookie_error e;
	uint8_t generation;
	char home[PATH_MAX];
	const char *path;
	int rc;

	if (t->argc != 1 || t->fingerprint)
		return usage();
	if (!read_generation(t->generation, &generation))
		return EXIT_USAGE;
	if (t->out != NULL && strcmp(t->out, "-") == 0)
		return print_secret(t, generation);
	if (!choose_file(t->out, &path, home))
		return EXIT_USAGE;
	if ((rc = kv_cookie_new(path, generation, t->force, &e)) < 0)
		return failed(path, rc, &e);
	if (t->json)
		print_json(json_pack("{s:o, s:i}", "file",
		    print_to_json(kv_text(path)), "generation", generation));
	else
		printf("%s: generation %d; copy it to the other hosts\n", path,
		    generation);
	return EXIT_FINE;
}

/* ---- show ---- */

static json_t *
line_to_json(const struct kv_cookie_line *l, bool dials)
{
	json_t *o = json_pack("{s:i, s:b, s:b}", "generation", l->generation,
	    "dials", dials, "weak", l->weak);

	if (o != NULL && l->fingerprint[0] != '\0')
		json_object_set_new(o, "fingerprint",
		    json_string(l->fingerprint));
	return o;
}

static void
print_cookie_json(const char *path, const struct kv_cookie *c)
{
	json_t *lines = json_array();
	size_t i;

	for (i = 0; i < c->count; i++)
		json_array_append_new(lines,
		    line_to_json(&c->lines[i], i == 0));
	print_json(json_pack("{s:o, s:o}", "file", print_to_json(kv_text(path)),
	    "generations", lines));
}

static void
print_cookie(const struct kv_cookie *c)
{
	size_t i;

	for (i = 0; i < c->count; i++) {
		const struct kv_cookie_line *l = &c->lines[i];

		printf("generation %d", l->generation);
		if (l->fingerprint[0] != '\0')
			printf("  fingerprint %s", l->fingerprint);
		printf("  %s%s\n", i == 0 ? "dials and accepts" : "accepts",
		    l->weak ? "  weak: below 16 bytes" : "");
	}
}

static int
cookie_show(const struct tool *t)
{
	struct kv_cookie_error e;
	struct kv_cookie cookie;
	char home[PATH_MAX];
	const char *path;
	int rc;

	if (t->argc > 2 || t->out != NULL || t->generation != NULL || t->force)
		return usage();
	if (!choose_file(t->argc == 2 ? t->argv[1] : NULL, &path, home))
		return EXIT_USAGE;
	rc = kv_cookie_show(path, t->fingerprint ? "" : NULL, &cookie, &e);
	if (rc < 0) {
		int code = failed(path, rc, &e);

		return rc == KV_ENOTFOUND ? EXIT_ABSENT : code;
	}
	if (t->json)
		print_cookie_json(path, &cookie);
	else
		print_cookie(&cookie);
	return EXIT_FINE;
}

static int
cookie_alone(struct tool *t)
{
	tool_hide();
	if (strcmp(t->argv[0], "new") == 0)
		return cookie_new(t);
	if (strcmp(t->argv[0], "show") == 0)
		return cookie_show(t);
	return usage();
}

static const struct verb verbs[] = {
	{
	    .name = "cookie",
	    .args = "new | show [FILE]",
	    .summary = "make or look at the secret that hosts share",
	    .help =
		"new [-o FILE] [--generation N] [--force]\n"
		"    makes FILE, ~/.kv.cookie by default, with a random secret\n"
		"    that only you can read. N is 0 to 255, 1 by default. A file\n"
		"    that is there stays, unless --force is given. The secret is\n"
		"    shown only when FILE is \"-\", on stdout.\n"
		"show [--fingerprint] [FILE]\n"
		"    prints the generations in FILE, the one used to dial first,\n"
		"    and with --fingerprint eight digits that are equal where the\n"
		"    secrets are. They help to guess a weak secret: do not\n"
		"    publish them. Never prints the secret, and refuses a FILE\n"
		"    that others own or have rights to.\n"
		"\n"
		"show exits with 1 when there is no such file.\n"
		"\n"
		"To change the secret: append a line with a new generation on\n"
		"every host, move it to the top on every host, then remove the\n"
		"old one on every host; kvd reads it again on SIGHUP.\n"
		"\n"
		"  kv cookie new\n"
		"  kv cookie show --fingerprint\n"
		"  kv cookie new -o - --generation 2 | tail -n 1 >>~/.kv.cookie\n",
	    .least = 1,
	    .most = 2,
	    .alone = cookie_alone,
	},
	{ .name = NULL },
};

const struct verb *
cookie_verbs(void)
{
	return verbs;
}
