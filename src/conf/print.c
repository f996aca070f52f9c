/* SPDX-License-Identifier: ISC */
/* The configuration and its options for people. */

#include "conf/print.h"

#include <stdio.h>

#include "conf/json.h"

#define PRINT_COLUMN 26
#define PRINT_WIDTH 78

int
print_config(const struct conf *c, struct buf *out)
{
	enum conf_id id;
	int rc = KV_OK;

	for (id = 0; id < CONF_COUNT && rc == KV_OK; id++) {
		rc = buf_printf(out, "%s = %s ; %s\n", options_get(id)->name,
		    conf_shown(c, id), conf_origin(c, id));
	}
	return rc;
}

static int
print_json_value(const struct conf *c, enum conf_id id, struct buf *out)
{
	int rc;

	if ((rc = json_string(out, options_get(id)->name)) < 0 ||
	    (rc = buf_printf(out, ":{\"value\":")) < 0 ||
	    (rc = json_string(out, conf_shown(c, id))) < 0 ||
	    (rc = buf_printf(out, ",\"origin\":")) < 0 ||
	    (rc = json_string(out, conf_origin(c, id))) < 0)
		return rc;
	return buf_append(out, "}", 1);
}

int
print_config_json(const struct conf *c, struct buf *out)
{
	enum conf_id id;
	int rc = KV_OK;

	for (id = 0; id < CONF_COUNT && rc == KV_OK; id++) {
		if ((rc = buf_append(out, id == 0 ? "{" : ",", 1)) == KV_OK)
			rc = print_json_value(c, id, out);
	}
	return rc < 0 ? rc : buf_append(out, "}\n", 2);
}

/* Words of text from column PRINT_COLUMN on, the first line begun already. */
static int
print_wrapped(struct buf *out, const char *text)
{
	size_t at = PRINT_COLUMN;
	int rc = KV_OK;

	while (*text != '\0' && rc == KV_OK) {
		size_t len = strcspn(text, " ");

		if (at == PRINT_COLUMN) {
			rc = buf_append(out, text, len);
		} else if (at + 1 + len > PRINT_WIDTH) {
			at = PRINT_COLUMN;
			rc = buf_printf(out, "\n%*s%.*s", PRINT_COLUMN, "",
			    (int)len, text);
		} else {
			at++;
			rc = buf_printf(out, " %.*s", (int)len, text);
		}
		at += len;
		text += len + (text[len] == ' ');
	}
	return rc < 0 ? rc : buf_append(out, "\n", 1);
}

static int
print_help_option(struct buf *out, const struct conf_option *o)
{
	char flag[64], *c;
	int n, rc;

	n = snprintf(flag, sizeof(flag), "  %c%c --%s %s",
	    o->letter == '\0' ? ' ' : '-', o->letter == '\0' ? ' ' : o->letter,
	    o->name, o->argument);
	for (c = flag; c < flag + 7 + strlen(o->name); c++) {
		if (*c == '_')
			*c = '-';
	}
	rc = buf_printf(out, "%-*s", PRINT_COLUMN, flag);
	if (rc == KV_OK && n >= PRINT_COLUMN)
		rc = buf_printf(out, "\n%*s", PRINT_COLUMN, "");
	return rc < 0 ? rc : print_wrapped(out, o->help);
}

int
print_help(struct buf *out)
{
	enum conf_id id;
	int rc = KV_OK;

	for (id = 0; id < CONF_COUNT && rc == KV_OK; id++)
		rc = print_help_option(out, options_get(id));
	return rc;
}

/* New sentence, new line: mdoc spaces them by itself. */
static int
print_sentences(struct buf *out, const char *text)
{
	const char *end;
	int rc = KV_OK;

	while (rc == KV_OK && (end = strstr(text, ". ")) != NULL) {
		rc = buf_printf(out, "%.*s.\n", (int)(end - text), text);
		text = end + 2;
	}
	return rc < 0 ? rc : buf_printf(out, "%s\n", text);
}

static int
print_mdoc_option(struct buf *out, enum conf_id id, const struct conf *presets)
{
	const struct conf_option *o = options_get(id);
	const char *preset = conf_text(presets, id); /* 64m, not 67108864 */
	char expected[256];
	int rc;

	options_expected(id, expected, sizeof(expected));
	rc = buf_printf(out, ".It Cm %s No = Ar %s\n", o->name, o->argument);
	if (rc == KV_OK)
		rc = print_sentences(out, o->help);
	if (rc == KV_OK)
		rc = buf_printf(out, "Takes %s.\n", expected);
	if (rc == KV_OK && preset[0] != '\0')
		rc = buf_printf(out, "Default:\n.Cm %s .\n", preset);
	if (rc == KV_OK && o->reloads)
		rc = buf_printf(out, "A reload changes it.\n");
	return rc;
}

int
print_mdoc(struct buf *out)
{
	struct conf *presets;
	enum conf_id id;
	int rc;

	if ((rc = conf_new(&presets)) < 0)
		return rc;
	for (id = 0; id < CONF_COUNT && rc == KV_OK; id++)
		rc = print_mdoc_option(out, id, presets);
	conf_free(presets);
	return rc;
}
