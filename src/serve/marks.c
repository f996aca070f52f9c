/* SPDX-License-Identifier: ISC */
/* The ring of replies that wait for the disk. */

#include "serve/marks.h"

#include <stdlib.h>

#define MARKS_FIRST_CAP 1024

void
marks_fini(struct marks *m)
{
	free(m->ring);
	*m = (struct marks){ NULL, 0, 0, 0 };
}

static int
marks_grow(struct marks *m)
{
	size_t cap = m->cap == 0 ? MARKS_FIRST_CAP : m->cap * 2;
	struct mark *ring = calloc(cap, sizeof(*ring));
	size_t i;

	if (ring == NULL)
		return KV_ENOMEM;
	for (i = m->head; i != m->tail; i++)
		ring[i & (cap - 1)] = m->ring[i & (m->cap - 1)];
	free(m->ring);
	m->ring = ring;
	m->cap = cap;
	return KV_OK;
}

int
marks_push(struct marks *m, struct mark mark)
{
	int rc;

	if (m->tail - m->head == m->cap && (rc = marks_grow(m)) < 0)
		return rc;
	m->ring[m->tail++ & (m->cap - 1)] = mark;
	return KV_OK;
}

const struct mark *
marks_first(const struct marks *m)
{
	return m->head == m->tail ? NULL : &m->ring[m->head & (m->cap - 1)];
}

void
marks_pop(struct marks *m)
{
	m->head++;
}
