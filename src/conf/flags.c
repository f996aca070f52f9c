/* SPDX-License-Identifier: ISC */
/* The command line: a table for getopt_long(3), made from the options. */

#include "conf/flags.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What getopt_long returns: a letter, or for an option its id above these. */
#define FLAGS_OPTION 1000

enum flags_action {
	FLAGS_SET = 500,
	FLAGS_PRINT_CONFIG,
	FLAGS_JSON,
	FLAGS_HELP_MDOC,
};

static const struct option flags_actions[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "check", no_argument, NULL, 'n' },
	{ "version", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "set", required_argument, NULL, FLAGS_SET },
	{ "print-config", no_argument, NULL, FLAGS_PRINT_CONFIG },
	{ "json", no_argument, NULL, FLAGS_JSON },
	{ "help-options-mdoc", no_argument, NULL, FLAGS_HELP_MDOC },
};

#define FLAGS_ACTIONS (sizeof(flags_actions) / sizeof(flags_actions[0]))
#define FLAGS_NAME_MAX 32

struct flags_table {
	struct option rows[FLAGS_ACTIONS + CONF_COUNT + 1];
	char names[CONF_COUNT][FLAGS_NAME_MAX];
	char letters[3 + 8 + 2 * CONF_COUNT];
};

static void
flags_make_name(const char *option, char to[FLAGS_NAME_MAX])
{
	size_t i;

	for (i = 0; option[i] != '\0' && i < FLAGS_NAME_MAX - 1; i++)
		to[i] = option[i] == '_' ? '-' : option[i];
	to[i] = '\0';
}

static void
flags_make_table(struct flags_table *t)
{
	size_t len;
	enum conf_id id;

	memset(t, 0, sizeof(*t));
	memcpy(t->rows, flags_actions, sizeof(flags_actions));
	len = (size_t)snprintf(t->letters, sizeof(t->letters), ":c:nvh");
	for (id = 0; id < CONF_COUNT; id++) {
		const struct conf_option *o = options_get(id);

		flags_make_name(o->name, t->names[id]);
		t->rows[FLAGS_ACTIONS + id] = (struct option){ t->names[id],
			required_argument, NULL, FLAGS_OPTION + (int)id };
		if (o->letter != '\0') {
			t->letters[len++] = o->letter;
			t->letters[len++] = ':';
		}
	}
}

static enum conf_id
flags_letter_option(int letter)
{
	enum conf_id id;

	for (id = 0; id < CONF_COUNT; id++) {
		if (letter != 0 && options_get(id)->letter == letter)
			break;
	}
	return id;
}

/* --set name=value */
static int
flags_set(struct flags *f, const char *text, struct conf_error *e)
{
	struct flags_setting *s = &f->settings[f->setting_count];
	const char *equals = strchr(text, '=');
	char name[64];

	if (equals == NULL)
		return error_set(e, KV_EINVAL,
		    "--set: \"%.64s\": expected name=value", text);
	snprintf(name, sizeof(name), "%.*s", (int)(equals - text), text);
	if ((s->id = options_find(name)) == CONF_COUNT)
		return error_unknown(e, name, "flag --set");
	s->value = equals + 1;
	snprintf(s->origin, sizeof(s->origin), "flag --set");
	f->setting_count++;
	return KV_OK;
}

static void
flags_option(struct flags *f, enum conf_id id, const char *value,
    bool is_letter)
{
	struct flags_setting *s = &f->settings[f->setting_count++];
	char name[FLAGS_NAME_MAX];

	s->id = id;
	s->value = value;
	flags_make_name(options_get(id)->name, name);
	if (is_letter)
		snprintf(s->origin, sizeof(s->origin), "flag -%c",
		    options_get(id)->letter);
	else
		snprintf(s->origin, sizeof(s->origin), "flag --%s", name);
}

static bool
flags_is_action(int value)
{
	size_t i;

	for (i = 0; i < FLAGS_ACTIONS; i++) {
		if (flags_actions[i].val == value)
			return true;
	}
	return false;
}

/* getopt_long stumbled: optopt is 0 for a long flag it does not know, its
 * value for one that got an argument too many, else an unknown letter. */
static int
flags_unknown(const char *word, struct conf_error *e)
{
	char name[64], right[FLAGS_NAME_MAX];
	const char *near;

	if (optopt != 0 && !flags_is_action(optopt))
		return error_set(e, KV_EINVAL,
		    "unknown flag -%c, see kvd --help", optopt);
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(word, "="), word);
	if (optopt != 0)
		return error_set(e, KV_EINVAL, "flag %s takes no value", name);
	if ((near = options_nearest(name + 2)) == NULL)
		return error_set(e, KV_EINVAL,
		    "unknown flag %s, see kvd --help", name);
	flags_make_name(near, right);
	return error_set(e, KV_EINVAL, "unknown flag %s, did you mean --%s?",
	    name, right);
}

static int
flags_take(struct flags *f, int found, char *word, struct conf_error *e)
{
	switch (found) {
	case 'c':
		f->config = optarg;
		return KV_OK;
	case 'n':
		f->check = true;
		return KV_OK;
	case 'v':
		f->versions++;
		return KV_OK;
	case 'h':
		f->help = true;
		return KV_OK;
	case FLAGS_SET:
		return flags_set(f, optarg, e);
	case FLAGS_PRINT_CONFIG:
		f->print_config = true;
		return KV_OK;
	case FLAGS_JSON:
		f->json = f->print_config = true;
		return KV_OK;
	case FLAGS_HELP_MDOC:
		f->help_mdoc = true;
		return KV_OK;
	case ':':
		return error_set(e, KV_EINVAL, "flag %.64s needs a value",
		    word);
	case '?':
		return flags_unknown(word, e);
	default:
		if (found >= FLAGS_OPTION)
			flags_option(f, (enum conf_id)(found - FLAGS_OPTION),
			    optarg, false);
		else
			flags_option(f, flags_letter_option(found), optarg,
			    true);
		return KV_OK;
	}
}

int
flags_parse(int argc, char **argv, struct flags *out, struct conf_error *e)
{
	struct flags_table table;
	int found, rc = KV_OK;

	*out = (struct flags){ .config = NULL };
	out->settings = calloc((size_t)argc + 1, sizeof(*out->settings));
	if (out->settings == NULL)
		return error_set(e, KV_ENOMEM, "out of memory");
	flags_make_table(&table);
	optind = 0; /* glibc: begin anew, also in a second call */
	opterr = 0;
	while (rc == KV_OK) {
		found =
		    getopt_long(argc, argv, table.letters, table.rows, NULL);
		if (found < 0)
			break;
		rc = flags_take(out, found, argv[optind - 1], e);
	}
	if (rc == KV_OK && optind < argc)
		rc = error_set(e, KV_EINVAL,
		    "unexpected argument \"%.64s\", see kvd --help",
		    argv[optind]);
	return rc;
}

void
flags_free(struct flags *f)
{
	free(f->settings);
	f->settings = NULL;
}
