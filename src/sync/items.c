/* SPDX-License-Identifier: ISC */
/* Rows, arguments, entries: put and take. */

#include "sync/items.h"

#include "sync/wire.h"

/* Undo what was appended when it did not work out. */
static int
finish(struct wire_out *w, size_t before)
{
	if (w->rc < 0)
		w->to->len = before;
	return w->rc;
}

int
item_put_row(struct buf *out, struct item_row row)
{
	struct wire_out w = { out, KV_OK };
	size_t before = out->len;

	wire_put(&w, row.inc, 8);
	wire_put(&w, row.tick, 8);
	return finish(&w, before);
}

bool
item_take_row(struct kv_slice *rows, struct item_row *row)
{
	struct wire_in w = wire_read(*rows);

	row->inc = wire_get(&w, 8);
	row->tick = wire_get(&w, 8);
	*rows = (struct kv_slice){ w.at, w.left };
	return !w.bad;
}

int
item_put_digest(struct buf *out, const struct item_digest *d)
{
	struct wire_out w = { out, KV_OK };
	size_t before = out->len;

	wire_put(&w, d->bid, 8);
	wire_put(&w, d->sum[0], 8);
	wire_put(&w, d->sum[1], 8);
	wire_put(&w, d->records, 8);
	return finish(&w, before);
}

bool
item_take_digest(struct kv_slice *rows, struct item_digest *d)
{
	struct wire_in w = wire_read(*rows);

	d->bid = wire_get(&w, 8);
	d->sum[0] = wire_get(&w, 8);
	d->sum[1] = wire_get(&w, 8);
	d->records = wire_get(&w, 8);
	*rows = (struct kv_slice){ w.at, w.left };
	return !w.bad;
}

int
item_put_args(struct buf *out, const struct kv_slice *argv, size_t argc)
{
	struct wire_out w = { out, KV_OK };
	size_t before = out->len, bytes = 0, i;

	if (argc == 0)
		return KV_EINVAL;
	for (i = 0; i < argc && bytes <= ITEM_ARGS_BYTES; i++)
		bytes += argv[i].len;
	if (argc > ITEM_ARGS_MAX || bytes > ITEM_ARGS_BYTES)
		return KV_ETOOBIG;
	wire_put(&w, argc, 2);
	for (i = 0; i < argc; i++) {
		wire_put(&w, argv[i].len, 4);
		wire_add(&w, argv[i]);
	}
	return finish(&w, before);
}

int
item_get_args(struct kv_slice bytes, struct kv_slice *argv, size_t *argc)
{
	struct wire_in w = wire_read(bytes);
	size_t n = (size_t)wire_get(&w, 2), i;

	if (w.bad || n == 0)
		return KV_EPROTO;
	if (n > *argc)
		return KV_ETOOBIG;
	for (i = 0; i < n; i++)
		argv[i] = wire_take(&w, (size_t)wire_get(&w, 4));
	if (w.bad || w.left > 0)
		return KV_EPROTO;
	*argc = n;
	return KV_OK;
}

static bool
is_client_name(struct kv_slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if ((unsigned char)s.data[i] < ' ' || s.data[i] == 0x7f)
			return false;
	return s.len <= ITEM_CLIENT_MAX;
}

int
item_put_client(struct buf *out, const struct item_client *c)
{
	struct wire_out w = { out, KV_OK };
	size_t before = out->len;

	if (!is_client_name(c->name))
		return KV_EINVAL;
	wire_put(&w, c->is_gone, 1);
	wire_put(&w, c->id, 8);
	wire_put(&w, c->tick, 8);
	wire_put(&w, c->name.len, 1);
	wire_add(&w, c->name);
	return finish(&w, before);
}

int
item_take_client(struct kv_slice *entries, struct item_client *c)
{
	struct wire_in w = wire_read(*entries);
	uint64_t gone;

	if (w.left == 0)
		return KV_ENOTFOUND;
	gone = wire_get(&w, 1);
	c->is_gone = gone != 0;
	c->id = wire_get(&w, 8);
	c->tick = wire_get(&w, 8);
	c->name = wire_take(&w, (size_t)wire_get(&w, 1));
	if (w.bad || gone > 1 || !is_client_name(c->name))
		return KV_EPROTO;
	*entries = (struct kv_slice){ w.at, w.left };
	return KV_OK;
}
