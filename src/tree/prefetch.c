/* SPDX-License-Identifier: ISC */
/* Descending to several rows in step. */

#include "tree/prefetch.h"

#include "base/bytes.h"
#include "base/fetch.h"
#include "tree/internal.h"

#define PAGE_HEAD 16 /* number 8, pad 2, flags 2, lower 2, upper 2 */
#define PAGE_BRANCH 1
#define PAGE_LEAF 2
#define NODE_HEAD 8   /* low 2, high 2, flags 2, key size 2 */
#define NODE_ALIKE 40 /* so far a comparison goes, often */
#define DB_ROOT_AT 40 /* in struct MDB_db, which has 48 bytes */
#define DB_BYTES 48
#define STEPS_MAX 32 /* of a binary search; more keys than a page has */

/* Where one key's walk is; page NULL: it is over. */
struct walk {
	const char *page;
	const char *row; /* of the key itself */
	size_t lo, hi;	 /* the node sought is in [lo, hi) */
};

struct search {
	const char *map;
	uint64_t last; /* the highest page in use */
	size_t page_size;
};

static uint16_t
get16(const char *from)
{
	uint16_t x;

	memcpy(&x, from, sizeof(x));
	return x;
}

static uint64_t
get64(const char *from)
{
	uint64_t x;

	memcpy(&x, from, sizeof(x));
	return x;
}

/* The row of the database of records in the one that has the others; by its
 * page the map is known. */
static const char *
find_root(struct tree *t, struct search *s)
{
	MDB_val name = tree_val(tree_db_names[DB_RECORDS],
	    strlen(tree_db_names[DB_RECORDS]));
	const char *page;
	MDB_envinfo info;
	MDB_stat stat;
	MDB_val row;

	if (mdb_get(t->txn, t->main, &name, &row) != 0 ||
	    row.mv_size != DB_BYTES || mdb_env_info(t->env, &info) != 0 ||
	    mdb_env_stat(t->env, &stat) != 0)
		return NULL;
	s->page_size = stat.ms_psize;
	s->last = info.me_last_pgno;
	page = (const char *)row.mv_data -
	    ((uintptr_t)row.mv_data & (s->page_size - 1));
	s->map = page - get64(page) * s->page_size;
	if (get64(page) > s->last ||
	    get64((const char *)row.mv_data + DB_ROOT_AT) > s->last)
		return NULL;
	return s->map +
	    get64((const char *)row.mv_data + DB_ROOT_AT) * s->page_size;
}

static size_t
page_nodes(const struct search *s, const char *page)
{
	uint16_t lower = get16(page + 12), upper = get16(page + 14);

	if (lower < PAGE_HEAD || lower > upper || upper > s->page_size)
		return 0;
	return (lower - PAGE_HEAD) / 2u;
}

/* NULL: not a node. */
static const char *
page_node(const struct search *s, const char *page, size_t i)
{
	size_t at = get16(page + PAGE_HEAD + 2 * i);

	if (at < PAGE_HEAD || at + NODE_HEAD > s->page_size ||
	    at + NODE_HEAD + get16(page + at + 6) > s->page_size)
		return NULL;
	return page + at;
}

static int
node_compare(const char *node, uint64_t bid, struct kv_slice key)
{
	size_t size = get16(node + 6), common;
	uint64_t other;
	int order;

	if (size < sizeof(bid))
		return -1;
	other = bytes_get_be64(node + NODE_HEAD);
	if (other != bid)
		return other < bid ? -1 : 1;
	size -= sizeof(bid);
	common = size < key.len ? size : key.len;
	order = memcmp(node + NODE_HEAD + sizeof(bid), key.data, common);
	if (order != 0)
		return order;
	return (size > key.len) - (size < key.len);
}

static void
prefetch_page(const char *page)
{
	fetch(page);
	fetch(page + 64);
}

/* The node that LMDB compares next: another one would be of no help. */
static size_t
walk_middle(const struct walk *w)
{
	return (w->lo + w->hi - 1) / 2;
}

static void
walk_ask(const struct walk *w)
{
	const char *node =
	    w->page + get16(w->page + PAGE_HEAD + 2 * walk_middle(w));

	fetch(node);
	fetch(node + NODE_ALIKE);
}

/* Begin to search a page whose head is in the cache by now. */
static void
walk_enter(const struct search *s, struct walk *w)
{
	unsigned flags = get16(w->page + 10);

	w->hi = page_nodes(s, w->page);
	/* The first key of a branch is not kept: it is below all. */
	w->lo = flags == PAGE_BRANCH ? 1 : 0;
	if ((flags != PAGE_BRANCH && flags != PAGE_LEAF) || w->hi == 0)
		w->page = NULL;
	else if (w->lo < w->hi)
		walk_ask(w);
}

/* One step of the binary search for the last node that is not above the key,
 * the one before lo in the end.  False: it has ended. */
static bool
walk_step(const struct search *s, struct walk *w, uint64_t bid,
    struct kv_slice key)
{
	const char *node;
	size_t mid;
	int order;

	if (w->page == NULL || w->lo >= w->hi)
		return false;
	mid = walk_middle(w);
	if ((node = page_node(s, w->page, mid)) == NULL) {
		w->page = NULL;
		return false;
	}
	order = node_compare(node, bid, key);
	if (order == 0 && get16(w->page + 10) == PAGE_LEAF)
		w->row = node + NODE_HEAD + get16(node + 6);
	if (order <= 0)
		w->lo = mid + 1;
	if (order >= 0)
		w->hi = order == 0 ? mid + 1 : mid;
	if (w->lo >= w->hi)
		return false;
	walk_ask(w);
	return true;
}

/* Down from a branch; false at a leaf. */
static bool
walk_down(const struct search *s, struct walk *w)
{
	const char *node;
	uint64_t number;

	if (w->page == NULL || w->lo == 0 ||
	    (node = page_node(s, w->page, w->lo - 1)) == NULL) {
		w->page = NULL;
		return false;
	}
	number = get16(node) | (uint64_t)get16(node + 2) << 16 |
	    (uint64_t)get16(node + 4) << 32;
	if (get16(w->page + 10) == PAGE_LEAF || number > s->last) {
		w->page = NULL;
		return false;
	}
	w->page = s->map + number * s->page_size;
	prefetch_page(w->page);
	return true;
}

void
tree_prefetch(struct tree *t, const uint64_t *bid, const struct kv_slice *key,
    size_t n, const char **row)
{
	struct walk walks[TREE_PREFETCH_MAX];
	struct search s;
	const char *root = t->held ? find_root(t, &s) : NULL;
	size_t i, steps;
	bool more = root != NULL;

	for (i = 0; i < n; i++)
		walks[i] = (struct walk){ .page = root };
	while (more) {
		for (i = 0; i < n; i++)
			if (walks[i].page != NULL)
				walk_enter(&s, &walks[i]);
		for (steps = 0; more && steps < STEPS_MAX; steps++)
			for (more = false, i = 0; i < n; i++)
				more |=
				    walk_step(&s, &walks[i], bid[i], key[i]);
		for (more = false, i = 0; i < n; i++)
			more |= walk_down(&s, &walks[i]);
	}
	for (i = 0; i < n; i++) {
		row[i] = walks[i].row;
		if (row[i] != NULL)
			fetch(row[i] + 64);
	}
}
