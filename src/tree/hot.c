/* SPDX-License-Identifier: ISC */
/* The table of hot rows. */

#include "tree/hot.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bytes.h"
#include "base/fetch.h"
#include "base/hash.h"
#include "tree/schema.h"

/* Entries there are: 8 KiB at first, 32 MiB at most. */
#define HOT_MIN ((size_t)1 << 9)
#define HOT_MAX ((size_t)1 << 21)
#define HOT_STEP 4
#define HOT_NODE_HEAD 8 /* size 4, flags 2, key size 2 */
/* Larger rows lie in pages of their own, without their key before them. */
#define HOT_ROW_MAX 1500

struct hot_entry {
	uint64_t mark; /* hash, mixed with the snapshot */
	const char *row;
};

struct tree_hot {
	struct hot_entry *entries; /* in pairs */
	size_t size;		   /* a power of two */
	size_t entered;		   /* under this snapshot and in this size */
	uint64_t snapshot;	   /* of the last entry */
};

static struct hot_entry *
hot_map(size_t size)
{
	size_t bytes = size * sizeof(struct hot_entry);
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	madvise(memory, bytes, MADV_HUGEPAGE);
	return memory;
}

/* An empty table of another size; no memory for it: as it was. */
static void
hot_resize(struct tree_hot *h, size_t size)
{
	struct hot_entry *entries = hot_map(size);

	if (entries == NULL)
		return;
	munmap(h->entries, h->size * sizeof(*h->entries));
	h->entries = entries;
	h->size = size;
	h->entered = 0;
}

/* One more lookup had to go to the tree. */
static void
hot_fit(struct tree_hot *h, uint64_t snapshot)
{
	if (h->snapshot != snapshot) {
		if (h->size > HOT_MIN && h->entered < h->size / 16)
			hot_resize(h, h->size / HOT_STEP);
		h->snapshot = snapshot;
		h->entered = 0;
	}
	if (++h->entered > h->size / 2 && h->size < HOT_MAX)
		hot_resize(h, h->size * HOT_STEP);
}

int
tree_hot_new(struct tree_hot **out)
{
	struct tree_hot *h;

	if ((h = calloc(1, sizeof(*h))) == NULL)
		return KV_ENOMEM;
	h->size = HOT_MIN;
	if ((h->entries = hot_map(h->size)) == NULL) {
		free(h);
		return KV_ENOMEM;
	}
	*out = h;
	return KV_OK;
}

void
tree_hot_free(struct tree_hot *h)
{
	if (h == NULL)
		return;
	munmap(h->entries, h->size * sizeof(*h->entries));
	free(h);
}

size_t
tree_hot_bytes(const struct tree_hot *h)
{
	return h->size * sizeof(*h->entries);
}

/* The row's size if the node in front of it is that of this key, else 0. */
static size_t
hot_row_size(const char *row, uint64_t bid, struct kv_slice key)
{
	const char *node = row - key.len - sizeof(bid) - HOT_NODE_HEAD;
	uint16_t low, high, key_size;

	memcpy(&low, node, sizeof(low));
	memcpy(&high, node + 2, sizeof(high));
	memcpy(&key_size, node + 6, sizeof(key_size));
	if (key_size != key.len + sizeof(bid) ||
	    bytes_get_be64(node + HOT_NODE_HEAD) != bid ||
	    memcmp(row - key.len, key.data, key.len) != 0)
		return 0;
	return low | (size_t)high << 16;
}

/* The pair of entries of a hash: by its top bits, the log's index probes by the
 * low ones. */
static struct hot_entry *
hot_pair(const struct tree_hot *h, uint64_t hash)
{
	return &h->entries[(hash >> 40) & (h->size - 2)];
}

static uint64_t
hot_mark(const struct tree *t, uint64_t hash)
{
	return hash ^ hash_u64(tree_snapshot(t));
}

void
tree_hot_enter(struct tree_hot *h, const struct tree *t, uint64_t hash,
    uint64_t bid, struct kv_slice key, const char *row)
{
	size_t size = hot_row_size(row, bid, key);
	struct hot_entry *e;

	if (size == 0 || key.len + size > HOT_ROW_MAX)
		return;
	hot_fit(h, tree_snapshot(t));
	e = hot_pair(h, hash);
	e[1] = e[0]; /* the older of the pair goes */
	e[0] = (struct hot_entry){ hot_mark(t, hash), row };
}

void
tree_hot_prefetch(const struct tree_hot *h, uint64_t hash)
{
	fetch(hot_pair(h, hash));
}

bool
tree_hot_prefetch_row(const struct tree_hot *h, const struct tree *t,
    uint64_t hash, size_t key_len)
{
	const struct hot_entry *e = hot_pair(h, hash);
	uint64_t mark = hot_mark(t, hash);
	bool has = false;
	int i;

	for (i = 0; i < 2; i++)
		if (e[i].mark == mark && e[i].row != NULL) {
			fetch(e[i].row - key_len);
			fetch(e[i].row + 64);
			has = true;
		}
	return has;
}

int
tree_hot_get(struct tree_hot *h, struct tree *t, uint64_t hash, uint64_t bid,
    struct kv_slice key, struct record *out)
{
	uint64_t mark = hot_mark(t, hash);
	struct hot_entry *e = hot_pair(h, hash);
	int i, rc;

	for (i = 0; i < 2; i++) {
		size_t size;

		if (e[i].mark != mark || e[i].row == NULL)
			continue;
		if ((size = hot_row_size(e[i].row, bid, key)) == 0)
			continue;
		rc = schema_get_row((struct kv_slice){ e[i].row, size }, out);
		out->bid = bid;
		out->key = key;
		return rc;
	}
	rc = tree_get(t, bid, key, out);
	if (rc == KV_OK && out->value.len <= HOT_ROW_MAX)
		tree_hot_enter(h, t, hash, bid, key,
		    out->value.data - schema_row_head(out));
	return rc;
}
