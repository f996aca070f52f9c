/* SPDX-License-Identifier: ISC */
/* The table of hot rows. */

#include "tree/hot.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "tree/schema.h"

#define HOT_ENTRIES ((size_t)1 << 21) /* of 16 bytes, in pairs: 32 MiB */
#define HOT_NODE_HEAD 8		      /* size 4, flags 2, key size 2 */
/* Larger rows lie in pages of their own, without their key before them. */
#define HOT_ROW_MAX 1500

struct hot_entry {
	uint64_t mark; /* hash, mixed with the snapshot */
	const char *row;
};

struct tree_hot {
	struct hot_entry *entries;
};

int
tree_hot_new(struct tree_hot **out)
{
	struct tree_hot *h;
	void *memory;

	if ((h = calloc(1, sizeof(*h))) == NULL)
		return KV_ENOMEM;
	memory = mmap(NULL, HOT_ENTRIES * sizeof(*h->entries),
	    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
	    -1, 0);
	if (memory == MAP_FAILED) {
		free(h);
		return KV_ENOMEM;
	}
	madvise(memory, HOT_ENTRIES * sizeof(*h->entries), MADV_HUGEPAGE);
	h->entries = memory;
	*out = h;
	return KV_OK;
}

void
tree_hot_free(struct tree_hot *h)
{
	if (h == NULL)
		return;
	munmap(h->entries, HOT_ENTRIES * sizeof(*h->entries));
	free(h);
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

static void
hot_enter(struct hot_entry *e, uint64_t mark, uint64_t bid, struct kv_slice key,
    const struct record *r)
{
	size_t head = schema_row_head(r);
	const char *row = r->value.data - head;

	if (key.len + head + r->value.len > HOT_ROW_MAX ||
	    hot_row_size(row, bid, key) != head + r->value.len)
		return;
	e[1] = e[0]; /* the older of the pair goes */
	e[0] = (struct hot_entry){ mark, row };
}

/* The pair of entries of a hash: by its top bits, the log's index probes by the
 * low ones. */
static struct hot_entry *
hot_pair(const struct tree_hot *h, uint64_t hash)
{
	return &h->entries[(hash >> 40) & (HOT_ENTRIES - 2)];
}

static uint64_t
hot_mark(const struct tree *t, uint64_t hash)
{
	return hash ^ hash_u64(tree_snapshot(t));
}

void
tree_hot_prefetch(const struct tree_hot *h, uint64_t hash)
{
	__builtin_prefetch(hot_pair(h, hash), 0, 1);
}

void
tree_hot_prefetch_row(const struct tree_hot *h, const struct tree *t,
    uint64_t hash, size_t key_len)
{
	const struct hot_entry *e = hot_pair(h, hash);
	uint64_t mark = hot_mark(t, hash);
	int i;

	for (i = 0; i < 2; i++)
		if (e[i].mark == mark && e[i].row != NULL) {
			__builtin_prefetch(e[i].row - key_len, 0, 1);
			__builtin_prefetch(e[i].row + 64, 0, 1);
		}
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
	if (rc == KV_OK)
		hot_enter(e, mark, bid, key, out);
	return rc;
}
