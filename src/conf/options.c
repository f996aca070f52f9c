/* SPDX-License-Identifier: ISC */
/* Looking things up in the table of options. */

#include "conf/options.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "conf/value.h"

/* clang-format off */
static const struct conf_option options[CONF_COUNT] = {
#define X(id, name, type, preset, min, max, choices, users, reloads, letter,   \
    argument, help)                                                            \
	[CONF_##id] = { name, OPTION_##type, preset, min, max, choices,          \
	    USED_##users, reloads, letter, argument, help },
	CONF_OPTIONS(X)
#undef X
};
/* clang-format on */

const struct conf_option *
options_get(enum conf_id id)
{
	assert(id < CONF_COUNT);
	return &options[id];
}

/* Names of flags have '-', of the environment capitals. */
static char
options_fold(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	return c == '-' ? '_' : c;
}

static bool
options_same(const char *a, const char *b)
{
	while (*a != '\0' && options_fold(*a) == options_fold(*b)) {
		a++;
		b++;
	}
	return options_fold(*a) == options_fold(*b);
}

enum conf_id
options_find(const char *name)
{
	enum conf_id id;

	for (id = 0; id < CONF_COUNT; id++) {
		if (options_same(options[id].name, name))
			break;
	}
	return id;
}

#define OPTIONS_NAME_MAX 32

static size_t
least(size_t a, size_t b, size_t c)
{
	size_t ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* Edits from a to b (Levenshtein), one row of the matrix at a time. */
static size_t
options_distance(const char *a, const char *b)
{
	size_t row[OPTIONS_NAME_MAX + 1], i, j, n = strlen(b);

	if (n > OPTIONS_NAME_MAX)
		return OPTIONS_NAME_MAX;
	for (j = 0; j <= n; j++)
		row[j] = j;
	for (i = 0; a[i] != '\0'; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (j = 0; j < n; j++) {
			size_t above = row[j + 1];
			bool same = options_fold(a[i]) == options_fold(b[j]);

			row[j + 1] =
			    least(above + 1, row[j] + 1, diagonal + !same);
			diagonal = above;
		}
	}
	return row[n];
}

const char *
options_nearest(const char *name)
{
	size_t best = 1 + strlen(name) / 3;
	const char *nearest = NULL;
	enum conf_id id;

	for (id = 0; id < CONF_COUNT; id++) {
		size_t d = options_distance(options[id].name, name);

		if (d <= best && (nearest == NULL || d < best)) {
			best = d;
			nearest = options[id].name;
		}
	}
	return nearest;
}

const char *
options_misspelt(const char *name)
{
	const char *near = options_nearest(name);
	size_t d = near == NULL ? 0 : options_distance(near, name);

	return strlen(name) > 4 && (d == 1 || d == 2) ? near : NULL;
}

bool
options_is_list(enum conf_id id)
{
	enum option_type type = options_get(id)->type;

	return type == OPTION_PORTS || type == OPTION_ADDRESSES ||
	    type == OPTION_NODES || type == OPTION_COMMANDS;
}

static void
options_expect_choice(const char *choices, char *to, size_t size)
{
	size_t len = (size_t)snprintf(to, size, "one of");
	const char *c;

	for (c = choices; *c != '\0' && len < size; c += strlen(c) + 1)
		len += (size_t)snprintf(to + len, size - len, "%s %s",
		    c == choices ? "" : ",", c);
}

static void
options_expect_range(const struct conf_option *option, char *to, size_t size)
{
	static const char *const what[] = {
		[OPTION_NUMBER] = "a number",
		[OPTION_SIZE] = "a size",
		[OPTION_TIME] = "a time",
	};
	static const char *const units[] = {
		[OPTION_NUMBER] = "",
		[OPTION_SIZE] = " (units k, m, g, t)",
		[OPTION_TIME] = " (units ms, s, m, h, d)",
	};
	char low[VALUE_TEXT_MAX], high[VALUE_TEXT_MAX];

	value_format(option->type, option->min, low);
	value_format(option->type, option->max, high);
	snprintf(to, size, "%s from %s to %s%s", what[option->type], low, high,
	    units[option->type]);
}

void
options_expected(enum conf_id id, char *to, size_t size)
{
	static const char *const texts[] = {
		[OPTION_PATH] = "the path of a file or folder",
		[OPTION_PORTS] =
		    "ports from 0 to 65535, such as 4050 or 4050,4060-4062",
		[OPTION_ADDRESSES] =
		    "IPv4 or IPv6 addresses, such as 127.0.0.1",
		[OPTION_NAME] = "a name of letters, digits, - and _",
		[OPTION_FULL_NAME] = "a name and a host, such as foo@a.example",
		[OPTION_NODES] =
		    "nodes such as foo@a.example,bar@10.0.0.7:4071",
		[OPTION_HOST] = "the name of a host, such as app.internal",
		[OPTION_COMMANDS] =
		    "commands such as data,diagnostics,client|list",
		[OPTION_SECRET] = "an Argon2id hash as kv passwd prints it",
	};
	const struct conf_option *option = options_get(id);

	if (option->type == OPTION_CHOICE)
		options_expect_choice(option->choices, to, size);
	else if (option->type <= OPTION_TIME)
		options_expect_range(option, to, size);
	else
		snprintf(to, size, "%s", texts[option->type]);
}
