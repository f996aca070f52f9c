/* SPDX-License-Identifier: ISC */
/* Strings as JSON. */

#include "conf/json.h"

int
json_string(struct buf *out, const char *text)
{
	int rc = buf_append(out, "\"", 1);

	for (; *text != '\0' && rc == KV_OK; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < ' ')
			rc = buf_printf(out, "\\u%04x", c);
		else if (c == '"' || c == '\\')
			rc = buf_printf(out, "\\%c", c);
		else
			rc = buf_append(out, text, 1);
	}
	return rc < 0 ? rc : buf_append(out, "\"", 1);
}
