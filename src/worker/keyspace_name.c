/* SPDX-License-Identifier: ISC */
/* What the buckets of databases and hashes are called. */

#include "base/num.h"
#include "worker/keyspace.h"

bool
keyspace_is_database(const struct worker *w, struct kv_slice name, uint32_t *n)
{
	uint64_t number;

	if (name.len <= 2 || memcmp(name.data, "db", 2) != 0 ||
	    num_parse_u64((struct kv_slice){ name.data + 2, name.len - 2 },
		&number) < 0 ||
	    number >= w->databases)
		return false;
	*n = (uint32_t)number;
	return true;
}

uint32_t
keyspace_options(struct worker *w, struct kv_slice name)
{
	uint32_t n;

	return keyspace_is_database(w, name, &n) ? BUCKET_DATABASE : 0;
}

struct kv_slice
keyspace_hash_prefix(struct call *c, char to[16])
{
	size_t n;

	if (c->session->database == 0)
		return (struct kv_slice){ to, 0 };
	n = num_format_u64(to, c->session->database);
	to[n++] = '/';
	return (struct kv_slice){ to, n };
}

int
keyspace_hash_name(struct call *c, struct kv_slice key,
    char to[KEYSPACE_NAME_MAX], struct kv_slice *out)
{
	struct kv_slice prefix = keyspace_hash_prefix(c, to);

	*out = key;
	if (prefix.len + key.len > KV_BUCKET_MAX || key.len == 0)
		return call_blame(c, "bucket name", prefix.len + key.len,
		    KV_BUCKET_MAX);
	if (prefix.len > 0) {
		memcpy(to + prefix.len, key.data, key.len);
		*out = (struct kv_slice){ to, prefix.len + key.len };
	}
	return KV_OK;
}

uint32_t
keyspace_database_of(const struct worker *w, struct kv_slice name,
    struct kv_slice *key)
{
	const char *slash = memchr(name.data, '/', name.len < 5 ? name.len : 5);
	uint64_t n;

	*key = name;
	if (slash == NULL ||
	    num_parse_u64((struct kv_slice){ name.data,
			      (size_t)(slash - name.data) },
		&n) < 0 ||
	    n == 0 || n >= w->databases)
		return 0;
	key->data = slash + 1;
	key->len = name.len - (size_t)(slash + 1 - name.data);
	return (uint32_t)n;
}
