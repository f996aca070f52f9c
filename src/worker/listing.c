/* SPDX-License-Identifier: ISC */
/* Lists of clients put together. */

#include "worker/listing.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"

struct listing_line {
	uint64_t id;
	struct kv_slice text;
};

static int
listing_compare(const void *a, const void *b)
{
	uint64_t x, y;

	/* A line begins with its id: one function for both kinds. */
	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

/* The next whole line with its end; false: no more. */
static bool
listing_next(struct kv_slice *rest, struct kv_slice *line)
{
	const char *end =
	    rest->len == 0 ? NULL : memchr(rest->data, '\n', rest->len);

	if (end == NULL)
		return false;
	*line = (struct kv_slice){ rest->data, (size_t)(end - rest->data) + 1 };
	rest->data += line->len;
	rest->len -= line->len;
	return true;
}

static bool
listing_id(struct kv_slice line, uint64_t *id)
{
	const char *end;

	if (line.len < 5 || memcmp(line.data, "id=", 3) != 0 ||
	    (end = memchr(line.data, ' ', line.len)) == NULL)
		return false;
	return num_parse_u64((struct kv_slice){ line.data + 3,
				 (size_t)(end - line.data) - 3 },
		   id) == KV_OK;
}

int
listing_merge(struct kv_slice text, uint64_t *ids, size_t count, struct buf *to)
{
	struct listing_line *lines;
	struct kv_slice rest = text, line;
	size_t n = 0, i;
	int rc;

	while (listing_next(&rest, &line))
		n++;
	/* One more: none is no failure. */
	if ((lines = calloc(n + 1, sizeof(*lines))) == NULL)
		return KV_ENOMEM;
	for (n = 0, rest = text; listing_next(&rest, &line);)
		if (listing_id(line, &lines[n].id))
			lines[n++].text = line;
	qsort(lines, n, sizeof(*lines), listing_compare);
	if (count > 0)
		qsort(ids, count, sizeof(*ids), listing_compare);
	rc = buf_reserve(to, text.len);
	for (i = 0; rc == KV_OK && i < n; i++)
		if ((i == 0 || lines[i].id != lines[i - 1].id) &&
		    (count == 0 ||
			bsearch(&lines[i].id, ids, count, sizeof(*ids),
			    listing_compare) != NULL))
			rc = buf_append(to, lines[i].text.data,
			    lines[i].text.len);
	free(lines);
	return rc;
}
