/* SPDX-License-Identifier: ISC */
/* Changes, rows and a note as one list for the log. */

#include "syncd/batch.h"

#include <stdlib.h>
#include <string.h>

#include "tree/schema.h"

#define VECTOR 'V'
#define VECTOR_BYTES (SCHEMA_INC_KEY + SCHEMA_VECTOR_ROW)

static int
batch_reserve(struct foreign_batch *f, size_t n, size_t bytes)
{
	struct foreign *items;

	if (n > f->cap) {
		items = realloc(f->items, n * sizeof(*items));
		if (items == NULL)
			return KV_ENOMEM;
		f->items = items;
		f->cap = n;
	}
	f->bytes.len = 0;
	return buf_reserve(&f->bytes, bytes);
}

/* Key and value of a note lie in f->bytes, which does not move. */
static void
batch_put_note(struct foreign_batch *f, struct foreign *to, size_t key_len,
    size_t value_len)
{
	char *at = f->bytes.data + f->bytes.len;

	*to = (struct foreign){ .how = FOREIGN_NOTE,
		.record = { .type = RECORD_POSITION,
		    .key = { at, key_len },
		    .value = { at + key_len, value_len } } };
	f->bytes.len += key_len + value_len;
}

static void
batch_put_row(struct foreign_batch *f, struct foreign *to,
    const struct sync_row *row)
{
	const struct schema_vector v = { .inc = row->inc,
		.vv = row->vv,
		.announced = row->announced,
		.purged = row->purged,
		.own = row->own,
		.full = row->full,
		.full_head = row->full_head,
		.uid = row->uid };
	char *at = f->bytes.data + f->bytes.len;

	schema_put_inc(at, VECTOR, row->inc);
	schema_put_vector(at + SCHEMA_INC_KEY, &v);
	batch_put_note(f, to, SCHEMA_INC_KEY, SCHEMA_VECTOR_ROW);
}

int
foreign_batch_fill(struct foreign_batch *f, const struct sync_batch *b)
{
	size_t i, n = 0;
	char *at;
	int rc;

	rc = batch_reserve(f, b->count + b->row_count + 1,
	    b->row_count * VECTOR_BYTES + 1 + b->note_name.len +
		b->note_value.len);
	if (rc < 0)
		return rc;
	for (i = 0; i < b->count; i++) {
		const struct sync_change *c = &b->changes[i];

		f->items[n++] = (struct foreign){
			.how = c->how == CHANGE_ERASE ? FOREIGN_ERASE
						      : FOREIGN_MERGE,
			.record = c->item.record,
			.bucket = c->item.bucket,
		};
	}
	for (i = 0; i < b->row_count; i++)
		batch_put_row(f, &f->items[n++], &b->rows[i]);
	if (b->note_name.len > 0) {
		at = f->bytes.data + f->bytes.len;
		*at = BATCH_NOTE;
		memcpy(at + 1, b->note_name.data, b->note_name.len);
		if (b->note_value.len > 0)
			memcpy(at + 1 + b->note_name.len, b->note_value.data,
			    b->note_value.len);
		batch_put_note(f, &f->items[n++], 1 + b->note_name.len,
		    b->note_value.len);
	}
	f->count = n;
	return KV_OK;
}

void
foreign_batch_fini(struct foreign_batch *f)
{
	buf_fini(&f->bytes);
	free(f->items);
	*f = (struct foreign_batch){ 0 };
}
