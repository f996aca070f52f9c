/* SPDX-License-Identifier: ISC */
/* Remembering other nodes beyond their links, and beyond our own life. */

#include "syncd/known.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"
#include "engine/nodes.h"
#include "engine/note.h"

#define KNOWN_MAX MEMBERS_MAX
#define KNOWN_GAP_NS 5000000000u       /* between two writes */
#define KNOWN_FIGURES_NS 600000000000u /* the same when only figures changed */

/* A node that was linked once: its line, whose name and time are looked at. */
struct known_node {
	struct buf line; /* ends in a newline */
	size_t name;	 /* its length, the line begins with it */
	struct known_who who;
	uint64_t told; /* in this report */
};

struct known {
	struct syncd *s;
	struct known_node nodes[KNOWN_MAX];
	size_t count;
	struct buf report; /* the last one */
	uint64_t reports;
	uint64_t kept; /* hash of what was written, but for its figures */
	uint64_t written_ns;
};

static const struct known_node *
known_find(const struct known *k, struct kv_slice name)
{
	size_t i;

	for (i = 0; i < k->count; i++) {
		const struct known_node *n = &k->nodes[i];

		if (slice_equal((struct kv_slice){ n->line.data, n->name },
			name))
			return n;
	}
	return NULL;
}

/* Its place, or a new one, or that of who was not seen for the longest time. */
static struct known_node *
known_place(struct known *k, struct kv_slice name)
{
	const struct known_node *there = known_find(k, name);
	struct known_node *oldest = &k->nodes[0];
	size_t i;

	if (there != NULL)
		return &k->nodes[there - k->nodes];
	if (k->count < KNOWN_MAX) {
		buf_init(&k->nodes[k->count].line);
		return &k->nodes[k->count++];
	}
	for (i = 1; i < k->count; i++)
		if (k->nodes[i].who.seen_ms < oldest->who.seen_ms)
			oldest = &k->nodes[i];
	return oldest;
}

/* Of those that were never linked nothing is to be remembered: they may be a
 * typing error. */
static int
known_note(struct known *k, const struct nodes_row *row)
{
	uint64_t seen = nodes_number(row, NODES_SEEN);
	struct kv_slice name = row->field[NODES_NAME],
			address = row->field[NODES_ADDRESS],
			last = row->field[NODES_FIELDS - 1];
	struct known_node *n;
	int rc;

	if (seen == 0)
		return KV_OK;
	n = known_place(k, name);
	n->line.len = 0;
	n->name = 0;
	/* Fields follow each other; the line's end is that of the last. */
	if ((rc = buf_append(&n->line, name.data,
		 (size_t)(last.data + last.len - name.data))) < 0 ||
	    (rc = buf_append(&n->line, "\n", 1)) < 0)
		return rc;
	n->name = name.len;
	n->who = (struct known_who){ seen, nodes_id(row, NODES_UID),
		nodes_id(row, NODES_INC), "" };
	if (!slice_equal(address, slice_of("-")))
		snprintf(n->who.address, sizeof(n->who.address), "%.*s",
		    (int)address.len, address.data);
	n->told = k->reports;
	return KV_OK;
}

/* All but this node; *hash: of what is worth a write. */
static int
known_note_all(struct known *k, struct nodes *all, uint64_t *hash)
{
	static const enum nodes_field news[] = { NODES_NAME, NODES_STATE,
		NODES_ADDRESS, NODES_UID, NODES_INC, NODES_REASON };
	struct nodes_row row;
	bool is_self = true;
	size_t i;
	int rc;

	*hash = 1;
	while (nodes_next(all, &row)) {
		for (i = 0; i < sizeof(news) / sizeof(news[0]); i++)
			*hash = hash_bytes(row.field[news[i]].data,
			    row.field[news[i]].len, *hash);
		if (!is_self && (rc = known_note(k, &row)) < 0)
			return rc;
		is_self = false;
	}
	return KV_OK;
}

/* ---- the file ---- */

/* The report, and who is not in it any more, as far as there is room. */
static int
known_put(const struct known *k, struct buf *to)
{
	size_t i;
	int rc;

	rc = buf_append(to, k->report.data, k->report.len);
	for (i = 0; rc == KV_OK && i < k->count; i++) {
		const struct known_node *n = &k->nodes[i];

		if (n->told != k->reports && to->len + n->line.len <= NOTE_MAX)
			rc = buf_append(to, n->line.data, n->line.len);
	}
	return rc;
}

static void
known_write(struct known *k, uint64_t hash)
{
	struct buf text;
	int rc;

	buf_init(&text);
	if ((rc = known_put(k, &text)) == KV_OK)
		rc = note_keep(k->s->engine, NOTE_NODES, buf_slice(&text));
	buf_fini(&text);
	if (rc < 0 && k->kept != hash)
		log_warn("nodes not kept error=\"%s\"", err_text(rc));
	k->kept = hash;
	k->written_ns = loop_now(k->s->loop);
}

static int
known_read(struct known *k)
{
	struct nodes all;
	uint64_t hash;
	int rc;

	rc = nodes_read_kept(k->s->engine, &all);
	if (rc == KV_OK)
		rc = known_note_all(k, &all, &hash);
	nodes_fini(&all);
	return rc == KV_ENOTFOUND ? KV_OK : rc;
}

/* ---- what others call ---- */

struct known_who
known_who(const struct known *k, const char *name)
{
	const struct known_node *n = known_find(k, slice_of(name));

	return n != NULL ? n->who : (struct known_who){ 0, 0, 0, "" };
}

void
known_take(struct known *k, struct kv_slice report)
{
	uint64_t hash = 0, gap, now = loop_now(k->s->loop);
	struct nodes all;
	int rc;

	/* When we end, it is not the others who are down. */
	if (k->s->stopping)
		return;
	k->reports++;
	k->report.len = 0;
	if ((rc = buf_append(&k->report, report.data, report.len)) == KV_OK &&
	    (rc = nodes_parse(report, &all)) == KV_OK)
		rc = known_note_all(k, &all, &hash);
	if (rc < 0) {
		k->report.len = 0;
		return;
	}
	gap = hash != k->kept ? KNOWN_GAP_NS : KNOWN_FIGURES_NS;
	if (k->written_ns == 0 || now >= k->written_ns + gap)
		known_write(k, hash);
}

int
known_open(struct syncd *s, struct known **out)
{
	struct known *k = calloc(1, sizeof(*k));
	int rc;

	if (k == NULL)
		return KV_ENOMEM;
	k->s = s;
	buf_init(&k->report);
	if ((rc = known_read(k)) < 0)
		log_warn("nodes forgotten error=\"%s\"", err_text(rc));
	*out = k;
	return KV_OK;
}

void
known_close(struct known *k)
{
	size_t i;

	if (k == NULL)
		return;
	if (k->report.len > 0)
		known_write(k, k->kept);
	for (i = 0; i < k->count; i++)
		buf_fini(&k->nodes[i].line);
	buf_fini(&k->report);
	free(k);
}
