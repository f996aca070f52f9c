/* SPDX-License-Identifier: ISC */
/* Reading what kv-syncd wrote of all nodes. */

#include "engine/nodes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/num.h"
#include "engine/host.h"
#include "engine/note.h"

static const char *const nodes_names[NODES_FIELDS] = {
#define X(name, text) [name] = text,
	NODES_TABLE(X)
#undef X
};

const char *
nodes_field_text(enum nodes_field field)
{
	return nodes_names[field];
}

uint64_t
nodes_number(const struct nodes_row *row, enum nodes_field field)
{
	uint64_t n;

	return num_parse_u64(row->field[field], &n) == KV_OK ? n : 0;
}

void
nodes_put_id(char to[NODES_ID_TEXT], uint64_t id)
{
	if (id == 0)
		snprintf(to, NODES_ID_TEXT, "-");
	else
		snprintf(to, NODES_ID_TEXT, "%016" PRIx64, id);
}

uint64_t
nodes_id(const struct nodes_row *row, enum nodes_field field)
{
	struct kv_slice text = row->field[field];
	char digits[NODES_ID_TEXT];

	if (text.len != sizeof(digits) - 1)
		return 0;
	memcpy(digits, text.data, text.len);
	digits[text.len] = '\0';
	return strspn(digits, "0123456789abcdef") == text.len
	    ? strtoull(digits, NULL, 16)
	    : 0;
}

/* ---- lines ---- */

static bool
nodes_line(struct kv_slice *rest, struct kv_slice *line)
{
	const char *end =
	    rest->len == 0 ? NULL : memchr(rest->data, '\n', rest->len);

	if (end == NULL)
		return false;
	*line = (struct kv_slice){ rest->data, (size_t)(end - rest->data) };
	rest->data = end + 1;
	rest->len -= line->len + 1;
	return true;
}

static bool
nodes_split(struct kv_slice line, struct nodes_row *row)
{
	size_t i;

	for (i = 0; i < NODES_FIELDS; i++) {
		const char *tab = memchr(line.data, '\t', line.len);
		size_t len = tab == NULL ? line.len : (size_t)(tab - line.data);

		if ((tab == NULL) != (i == NODES_FIELDS - 1))
			return false;
		row->field[i] = (struct kv_slice){ line.data, len };
		if (tab != NULL) {
			line.data += len + 1;
			line.len -= len + 1;
		}
	}
	return true;
}

bool
nodes_next(struct nodes *n, struct nodes_row *row)
{
	struct kv_slice line;

	while (nodes_line(&n->rest, &line))
		if (nodes_split(line, row))
			return true;
	return false;
}

int
nodes_parse(struct kv_slice text, struct nodes *out)
{
	struct kv_slice line;
	const char *blank;
	char head[32];
	size_t skip;

	*out = (struct nodes){ .lost = 0 };
	skip =
	    (size_t)snprintf(head, sizeof(head), "kv-nodes %d ", NODES_VERSION);
	if (!nodes_line(&text, &line) || line.len < skip ||
	    memcmp(line.data, head, skip) != 0)
		return KV_ENOTFOUND;
	line.data += skip;
	line.len -= skip;
	if ((blank = memchr(line.data, ' ', line.len)) == NULL)
		return KV_ENOTFOUND;
	skip = (size_t)(blank - line.data);
	if (num_parse_u64((struct kv_slice){ line.data, skip },
		&out->written_ms) < 0 ||
	    num_parse_u64((struct kv_slice){ blank + 1, line.len - skip - 1 },
		&out->lost) < 0)
		return KV_ENOTFOUND;
	out->rest = text;
	return KV_OK;
}

/* ---- files ---- */

/* Takes the text, which was read with this result. */
static int
nodes_take(struct buf *text, int rc, struct nodes *out)
{
	struct kv_slice none = { "", 0 };

	rc = nodes_parse(rc == KV_OK ? buf_slice(text) : none, out);
	out->text = *text;
	return rc;
}

int
nodes_read(struct engine *e, struct nodes *out)
{
	struct buf text;
	int rc;

	buf_init(&text);
	rc = nodes_take(&text, note_read(e, NOTE_NODES, &text), out);
	out->is_old = clock_wall_ms() > out->written_ms + NODES_OLD_MS ||
	    !host_has_role(e, ROLE_SYNCD);
	return rc;
}

int
nodes_read_kept(struct engine *e, struct nodes *out)
{
	struct buf text;
	int rc;

	buf_init(&text);
	rc = nodes_take(&text, note_kept(e, NOTE_NODES, &text), out);
	out->is_old = true;
	return rc;
}

void
nodes_fini(struct nodes *n)
{
	buf_fini(&n->text);
}
