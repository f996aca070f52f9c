/* SPDX-License-Identifier: ISC */
/* Sorting a checkpoint's records into the order of the tree's keys. */

#include "tree/order.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/scope.h"
#include "tree/rows.h"

#define SMALL_GROUP 64 /* records of a bucket that qsort(3) sorts as fast */

/* ---- checks ------------------------------------------------------------ */

static int
check_bucket(struct record *r)
{
	struct bucket b;
	int rc;

	if (r->key.len > SCOPE_NAME_MAX)
		return KV_EINVAL;
	if ((rc = schema_get_bucket(r->value, &b)) < 0)
		return rc;
	rows_fill_bucket(r, &b);
	return KV_OK;
}

static int
check_record(struct record *r)
{
	if ((r->key.len == 0 && !record_may_be_unnamed(r)) || r->seq == 0)
		return KV_EINVAL;
	switch (r->type) {
	case RECORD_TOMB:
		r->value.len = 0;
		return r->key.len <= KV_KEY_MAX ? KV_OK : KV_EINVAL;
	case RECORD_PUT:
		return r->key.len <= KV_KEY_MAX ? KV_OK : KV_EINVAL;
	case RECORD_BUCKET:
		return check_bucket(r);
	case RECORD_POSITION:
		return r->key.len <= SCHEMA_KEY_MAX ? KV_OK : KV_EINVAL;
	case RECORD_MESSAGE:
	case RECORD_END:
		break;
	}
	return KV_EINVAL;
}

static int
count_records(struct order *o, struct record *records, size_t count)
{
	size_t i;
	int rc;

	for (i = 0; i < count; i++) {
		if ((rc = check_record(&records[i])) < 0) {
			log_error("refuse record type=%d seq=%llu key_len=%zu",
			    (int)records[i].type,
			    (unsigned long long)records[i].seq,
			    records[i].key.len);
			return rc;
		}
		if (records[i].type == RECORD_BUCKET)
			o->buckets++;
		else if (records[i].type == RECORD_POSITION)
			o->positions++;
		else
			o->records++;
	}
	return KV_OK;
}

/* ---- one group: records that differ in their keys only ----------------- */

static int
compare_keys(const void *a, const void *b, void *user)
{
	const struct sort_item *x = a, *y = b;
	const struct record *records = user;

	return slice_compare(records[x->at].key, records[y->at].key);
}

/* How many bytes all keys of the group have in common. */
static size_t
common_prefix(const struct sort_item *items, size_t n,
    const struct record *records)
{
	struct kv_slice first = records[items[0].at].key;
	size_t common = first.len, i, j;

	for (i = 1; i < n && common > 0; i++) {
		struct kv_slice key = records[items[i].at].key;

		if (key.len < common)
			common = key.len;
		if (memcmp(first.data, key.data, common) == 0)
			continue;
		for (j = 0; first.data[j] == key.data[j]; j++)
			;
		common = j;
	}
	return common;
}

static uint64_t
eight_bytes(struct kv_slice key, size_t from)
{
	char bytes[8] = { 0 };
	size_t n = key.len - from;

	memcpy(bytes, key.data + from, n < 8 ? n : 8);
	return bytes_get_be64(bytes);
}

/* Sort n items by their keys compared in full; no two may be equal. */
static int
sort_few(struct sort_item *items, size_t n, struct record *records)
{
	size_t i;

	qsort_r(items, n, sizeof(*items), compare_keys, records);
	for (i = 1; i < n; i++) {
		const struct record *r = &records[items[i].at];

		if (!slice_equal(records[items[i - 1].at].key, r->key))
			continue;
		log_error("refuse record twice seq=%llu bid=%016llx",
		    (unsigned long long)r->seq, (unsigned long long)r->bid);
		return KV_EINVAL;
	}
	return KV_OK;
}

/* Eight bytes after the common prefix order most keys; what they leave equal
 * is compared in full. */
static int
sort_group(struct order *o, struct sort_item *items, size_t n,
    struct record *records)
{
	size_t common, i, end;
	int rc;

	if (n < SMALL_GROUP)
		return sort_few(items, n, records);
	common = common_prefix(items, n, records);
	for (i = 0; i < n; i++)
		items[i].key = eight_bytes(records[items[i].at].key, common);
	sort_items(items, o->spare, n);
	for (i = 0; i < n; i = end) {
		for (end = i + 1; end < n && items[end].key == items[i].key;)
			end++;
		if (end - i > 1 &&
		    (rc = sort_few(items + i, end - i, records)) < 0)
			return rc;
	}
	return KV_OK;
}

/* ---- all --------------------------------------------------------------- */

static uint64_t
class_rank(const struct record *r)
{
	return r->type == RECORD_POSITION ? 2 : r->type == RECORD_BUCKET;
}

/* Buckets are one group, and so are positions. */
static uint64_t
group_bid(const struct record *r)
{
	return class_rank(r) == 0 ? r->bid : 0;
}

static void
sort_groups(struct order *o, const struct record *records, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		o->items[i] = (struct sort_item){
			.key = group_bid(&records[i]),
			.at = (uint32_t)i,
		};
	sort_items(o->items, o->spare, count);
	if (o->buckets + o->positions == 0)
		return;
	for (i = 0; i < count; i++)
		o->items[i].key = class_rank(&records[o->items[i].at]);
	sort_items(o->items, o->spare, count);
}

int
order_init(struct order *o, struct record *records, size_t count)
{
	size_t i, end;
	int rc;

	*o = (struct order){ 0 };
	if (count > UINT32_MAX)
		return KV_EINVAL;
	if ((rc = count_records(o, records, count)) < 0)
		return rc;
	o->items = malloc((count + 1) * sizeof(*o->items));
	o->spare = malloc((count + 1) * sizeof(*o->spare));
	if (o->items == NULL || o->spare == NULL)
		return KV_ENOMEM;
	sort_groups(o, records, count);
	for (i = 0; i < count; i = end) {
		const struct record *r = &records[o->items[i].at];

		for (end = i + 1; end < count; end++) {
			const struct record *s = &records[o->items[end].at];

			if (group_bid(s) != group_bid(r) ||
			    class_rank(s) != class_rank(r))
				break;
		}
		rc = sort_group(o, o->items + i, end - i, records);
		if (rc < 0)
			return rc;
	}
	free(o->spare);
	o->spare = NULL;
	return KV_OK;
}

void
order_fini(struct order *o)
{
	free(o->items);
	free(o->spare);
	*o = (struct order){ 0 };
}
