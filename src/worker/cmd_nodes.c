/* SPDX-License-Identifier: ISC */
/* Other hosts, and whether they hold the same. */

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/num.h"
#include "engine/host.h"
#include "engine/note.h"
#include "engine/scan.h"
#include "tree/schema.h"
#include "worker/cmd.h"
#include "worker/keyspace.h"

/* What kv-syncd has written (syncd/report.h). */
#define NODES_HEAD "kv-nodes 4 "
#define NODES_FIELDS 13
#define NODES_OLD_MS 20000 /* it hangs: it writes every five seconds */

enum { NODE_NAME, NODE_STATE, NODE_BEHIND = 5, NODE_REASON = NODES_FIELDS - 1 };

static const char *const node_fields[NODES_FIELDS] = { "name", "state",
	"address", "since_ms", "behind_ms", "behind_records", "unacked_bytes",
	"rtt_us", "offset_ms", "sent_bytes", "received_bytes", "tries",
	"reason" };

static bool
nodes_line(struct kv_slice *rest, struct kv_slice *line)
{
	const char *end = memchr(rest->data, '\n', rest->len);

	if (end == NULL)
		return false;
	*line = (struct kv_slice){ rest->data, (size_t)(end - rest->data) };
	rest->data = end + 1;
	rest->len -= line->len + 1;
	return true;
}

static bool
nodes_split(struct kv_slice line, struct kv_slice to[NODES_FIELDS])
{
	size_t i;

	for (i = 0; i < NODES_FIELDS; i++) {
		const char *tab = memchr(line.data, '\t', line.len);
		size_t len = tab == NULL ? line.len : (size_t)(tab - line.data);

		if ((tab == NULL) != (i == NODES_FIELDS - 1))
			return false;
		to[i] = (struct kv_slice){ line.data, len };
		if (tab != NULL) {
			line.data += len + 1;
			line.len -= len + 1;
		}
	}
	return true;
}

/* Its head: since 1970, and messages. */
struct nodes_head {
	uint64_t written_ms, lost;
};

static bool
nodes_begin(struct kv_slice *rest, struct nodes_head *head)
{
	size_t skip = sizeof(NODES_HEAD) - 1, n;
	struct kv_slice line;
	const char *blank;

	if (!nodes_line(rest, &line) || line.len < skip ||
	    memcmp(line.data, NODES_HEAD, skip) != 0 ||
	    (blank = memchr(line.data + skip, ' ', line.len - skip)) == NULL)
		return false;
	n = (size_t)(blank - line.data);
	return num_parse_u64((struct kv_slice){ line.data + skip, n - skip },
		   &head->written_ms) == KV_OK &&
	    num_parse_u64((struct kv_slice){ blank + 1, line.len - n - 1 },
		&head->lost) == KV_OK;
}

uint64_t
cmd_nodes_lost(const struct call *c)
{
	struct nodes_head head = { 0, 0 };
	struct kv_slice rest;
	struct buf note;

	buf_init(&note);
	if (note_read(c->engine, NOTE_NODES, &note) == KV_OK) {
		rest = buf_slice(&note);
		(void)nodes_begin(&rest, &head);
	}
	buf_fini(&note);
	return head.lost;
}

/* name state [N behind] [(why)] */
static int
nodes_write_line(struct buf *to, const struct kv_slice node[NODES_FIELDS])
{
	struct kv_slice state = node[NODE_STATE], behind = node[NODE_BEHIND],
			why = node[NODE_REASON];
	int rc;

	rc = buf_printf(to, "%.*s %.*s", (int)node[NODE_NAME].len,
	    node[NODE_NAME].data, (int)state.len, state.data);
	if (rc == KV_OK && slice_equal(state, slice_of("catching up")) &&
	    !slice_equal(behind, slice_of("0")))
		rc = buf_printf(to, " %.*s behind", (int)behind.len,
		    behind.data);
	if (rc == KV_OK && !slice_equal(why, slice_of("-")))
		rc = buf_printf(to, " (%.*s)", (int)why.len, why.data);
	return rc;
}

static void
nodes_put(struct call *c, const struct kv_slice node[NODES_FIELDS])
{
	struct buf *text = &c->worker->scratch;
	size_t i;

	if (c->command == NULL) {
		text->len = 0;
		if (nodes_write_line(text, node) == KV_OK)
			line_item(c->reply, buf_slice(text));
		return;
	}
	reply_array(c->reply, 2 * NODES_FIELDS - 2);
	for (i = 0; i < NODES_FIELDS; i++) {
		if (i > NODE_STATE)
			reply_text(c->reply, node_fields[i]);
		reply_bulk(c->reply, node[i]);
	}
}

static void
nodes_put_all(struct call *c, struct kv_slice rest, bool is_old)
{
	struct kv_slice line, node[NODES_FIELDS];
	struct call_place place = { 0 };
	size_t n = 0;

	if (c->command != NULL)
		place = call_open(c);
	while (nodes_line(&rest, &line)) {
		if (!nodes_split(line, node))
			continue;
		if (is_old)
			node[NODE_REASON] =
			    slice_of("kv-syncd does not answer");
		if (is_old && n > 0)
			node[NODE_STATE] = slice_of("unknown");
		nodes_put(c, node);
		n++;
	}
	if (c->command != NULL)
		call_close_array(c, place, n);
}

/* A node by itself, or with a kv-syncd that has not written yet. */
static void
nodes_put_self(struct call *c)
{
	struct kv_slice none = slice_of("-"), zero = slice_of("0");
	struct kv_slice node[NODES_FIELDS] = { slice_of(c->worker->node),
		slice_of("self"), none, zero, zero, zero, zero, zero, zero,
		zero, zero, zero, none };

	if (c->worker->has_sync)
		node[NODE_REASON] = slice_of("kv-syncd does not answer");

	if (c->command != NULL)
		reply_array(c->reply, 1);
	nodes_put(c, node);
}

int
cmd_kv_nodes(struct call *c)
{
	struct nodes_head head;
	struct kv_slice rest;
	struct buf note;
	int rc;

	buf_init(&note);
	rc = note_read(c->engine, NOTE_NODES, &note);
	rest = buf_slice(&note);
	if (rc == KV_OK && nodes_begin(&rest, &head))
		nodes_put_all(c, rest,
		    clock_wall_ms() > head.written_ms + NODES_OLD_MS ||
			!host_has_role(c->engine, ROLE_SYNCD));
	else
		nodes_put_self(c);
	if (c->command == NULL)
		line_ok(c->reply);
	buf_fini(&note);
	return KV_OK;
}

static void
digest_reply(struct call *c, const struct totals *sums)
{
	char text[33];

	snprintf(text, sizeof(text), "%016" PRIx64 "%016" PRIx64,
	    sums->digest[0], sums->digest[1]);
	reply_text(c->reply, text);
}

static int
digest_of(struct call *c, struct kv_slice name)
{
	const struct bucket *b;
	struct totals sums;
	int rc;

	rc = keyspace_bucket(c, name, &b);
	if (rc == KV_ENOTFOUND) {
		reply_null(c->reply);
		return KV_OK;
	}
	if (rc == KV_OK && (rc = engine_totals(c->engine, b, &sums)) == KV_OK)
		digest_reply(c, &sums);
	return rc;
}

/* One of all buckets that other nodes have, too: name, digest, keys. */
static int
digest_item(struct call *c, const struct record *row, size_t *n)
{
	struct totals sums;
	struct bucket b;
	int rc;

	if ((rc = schema_get_bucket(row->value, &b)) < 0)
		return rc;
	if (b.options & BUCKET_LOCAL || bucket_is_hidden(row->key))
		return KV_OK;
	if ((rc = engine_totals(c->engine, &b, &sums)) < 0)
		return rc;
	reply_array(c->reply, 3);
	reply_bulk(c->reply, row->key);
	digest_reply(c, &sums);
	reply_integer(c->reply, (int64_t)sums.keys);
	(*n)++;
	return call_overflows(c) ? KV_ETOOBIG : KV_OK;
}

static int
digest_of_all(struct call *c)
{
	struct call_place place = call_open(c);
	struct scan *s;
	struct record r;
	size_t n = 0;
	int rc;

	if ((rc = scan_open_buckets(c->engine, &s)) < 0)
		return rc;
	scan_also_shadowed(s);
	while ((rc = scan_next(s, &r)) == KV_OK &&
	    (rc = digest_item(c, &r, &n)) == KV_OK)
		;
	scan_close(s);
	if (rc < 0 && rc != KV_ENOTFOUND)
		return rc;
	call_close_array(c, place, n);
	return KV_OK;
}

int
cmd_kv_digest(struct call *c)
{
	if (c->argc > 2)
		return call_error(c, "ERR syntax error");
	return c->argc == 2 ? digest_of(c, c->args[1]) : digest_of_all(c);
}
