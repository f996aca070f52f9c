/* SPDX-License-Identifier: ISC */
/* One line for the one who wrote the configuration. */

#include "conf/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ERROR_VALUE_MAX 64 /* of a strange value is shown */

int
error_set(struct conf_error *e, int rc, const char *fmt, ...)
{
	va_list ap;
	char *c;

	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	for (c = e->text; *c != '\0'; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	}
	return rc;
}

int
error_bad_value(struct conf_error *e, enum conf_id id, const char *value,
    const char *origin)
{
	char expected[256];

	options_expected(id, expected, sizeof(expected));
	if (options_get(id)->type == OPTION_SECRET)
		return error_set(e, KV_EINVAL,
		    "%s: (%s): expected %s, never the password itself",
		    options_get(id)->name, origin, expected);
	return error_set(e, KV_EINVAL, "%s: \"%.*s%s\" (%s): expected %s",
	    options_get(id)->name, ERROR_VALUE_MAX, value,
	    strlen(value) > ERROR_VALUE_MAX ? "..." : "", origin, expected);
}

int
error_unknown(struct conf_error *e, const char *name, const char *origin)
{
	const char *near = options_nearest(name);

	if (near == NULL)
		return error_set(e, KV_EINVAL,
		    "unknown option \"%.*s\" (%s), see kvd --help",
		    ERROR_VALUE_MAX, name, origin);
	return error_set(e, KV_EINVAL,
	    "unknown option \"%.*s\" (%s), did you mean \"%s\"?",
	    ERROR_VALUE_MAX, name, origin, near);
}
