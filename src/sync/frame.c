/* SPDX-License-Identifier: ISC */
/* Frames: one table of fields, walked in both directions. */

#include "sync/frame.h"

#include <stddef.h>

#include "sync/wire.h"

enum field_kind {
	FIELD_NUMBER, /* of width bytes, from min to max */
	FIELD_FLAGS,  /* u8, no bits but those of max */
	FIELD_NAME,   /* u8 n, n visible ASCII bytes, min to max of them */
	FIELD_KEY,    /* u16 n, n bytes, up to max */
	FIELD_ROWS,   /* u16 k, k rows, up to max rows */
	FIELD_TAIL,   /* all that is left: whole rows of width bytes, from min
		       * to max bytes */
	FIELD_TEXT,   /* all that is left, printable */
};

struct field {
	uint8_t kind;
	uint8_t width;
	uint16_t at; /* offset in struct frame */
	uint64_t min, max;
};

#define FIELD(kind, width, member, lo, hi)                                     \
	{                                                                      \
		FIELD_##kind, width, offsetof(struct frame, u.member), lo, hi  \
	}
#define U8(m, lo, hi) FIELD(NUMBER, 1, m, lo, hi)
#define U16(m) FIELD(NUMBER, 2, m, 0, UINT16_MAX)
#define U32(m) FIELD(NUMBER, 4, m, 0, UINT32_MAX)
#define U64(m) FIELD(NUMBER, 8, m, 0, UINT64_MAX)
#define FLAGS(m, bits) FIELD(FLAGS, 1, m, 0, bits)
#define NAME(m, lo) FIELD(NAME, 1, m, lo, FRAME_NAME_MAX)
#define KEY(m) FIELD(KEY, 2, m, 0, KV_KEY_MAX)
#define ROWS(m, most) FIELD(ROWS, FRAME_ROW, m, 0, most)
#define TAIL(m, unit, lo) FIELD(TAIL, unit, m, lo, FRAME_MAX)
#define TEXT(m) FIELD(TEXT, 1, m, 0, FRAME_TEXT_MAX)
#define FIELDS(name, ...) static const struct field name[] = { __VA_ARGS__ }

FIELDS(hello_fields, U64(hello.wall_ms), U64(hello.uid), U64(hello.inc),
    U64(hello.start_tick), U64(hello.head_tick), U16(hello.port),
    NAME(hello.name, 1), NAME(hello.dialled, 0),
    ROWS(hello.lineage, FRAME_LINEAGE_MAX), U32(hello.features),
    U32(hello.timeout_ms));
FIELDS(vv_fields, FLAGS(rows.flags, FRAME_MORE | FRAME_FIRST), U64(rows.cursor),
    TAIL(rows.rows, FRAME_ROW, 0));
FIELDS(rows_fields, FLAGS(rows.flags, FRAME_MORE), U64(rows.cursor),
    TAIL(rows.rows, FRAME_ROW, 0));
FIELDS(resync_fields, U8(stream, STREAM_OWN, STREAM_RANGE));
FIELDS(data_fields, TAIL(data, 1, 1));
FIELDS(range_fields, U64(range.id),
    U8(range.purpose, RANGE_BOOTSTRAP, RANGE_REPAIR), U64(range.lo_bid),
    KEY(range.lo_key), U64(range.hi_bid), KEY(range.hi_key));
FIELDS(ack_fields, U8(ack.stream, STREAM_OWN, STREAM_RANGE),
    FLAGS(ack.flags, FRAME_DURABLE), U64(ack.cursor), U32(ack.credit));
FIELDS(digest_fields, FLAGS(digest.flags, FRAME_MORE), U64(digest.vv_hash[0]),
    U64(digest.vv_hash[1]), TAIL(digest.rows, FRAME_DIGEST_ROW, 0));
FIELDS(leaves_fields, U64(leaves.id),
    U8(leaves.what, LEAVES_FIRST, LEAVES_RECORDS),
    FIELD(TAIL, 1, leaves.bytes, FRAME_LEAF_MASKS, FRAME_LEAF_MASKS));
FIELDS(sums_fields, U64(leaves.id), TAIL(leaves.bytes, 16, 16));
FIELDS(barrier_fields, U64(barrier.id), U64(barrier.tick));
FIELDS(barrier_ok_fields, U64(barrier_ok.id),
    FLAGS(barrier_ok.flags, FRAME_MORE), TAIL(barrier_ok.rows, FRAME_ROW, 0));
FIELDS(ping_fields, U64(ping.token), U64(ping.wall_ms));
FIELDS(redirect_fields, U16(port));
FIELDS(call_fields, U64(call.id), FLAGS(call.flags, FRAME_MORE),
    U32(call.deadline_ms), TAIL(call.bytes, 1, 0));
FIELDS(reply_fields, U64(reply.id), FLAGS(reply.flags, FRAME_MORE),
    U8(reply.class, REPLY_OK, REPLY_TIMEOUT), TAIL(reply.bytes, 1, 0));
FIELDS(presence_fields, FLAGS(presence.flags, FRAME_MORE | FRAME_FIRST),
    TAIL(presence.entries, 1, 0));
FIELDS(message_fields, U64(message.inc), U64(message.tick),
    KEY(message.channel), TAIL(message.payload, 1, 0));
FIELDS(part_fields, U64(part.inc), U64(part.tick), U32(part.size), U32(part.at),
    KEY(part.channel), TAIL(part.bytes, 1, 1));
FIELDS(left_fields, U64(left));
FIELDS(flow_fields, U64(flow.id), U32(flow.credit));
FIELDS(bye_fields, U8(bye.code, 0, UINT8_MAX), TEXT(bye.text));

struct layout {
	const char *name;
	const struct field *fields;
	size_t count;
};

#define LAYOUT(name, fields)                                                   \
	{                                                                      \
		name, fields, sizeof(fields) / sizeof(*(fields))               \
	}

static const struct layout layouts[] = {
	[FRAME_HELLO] = LAYOUT("HELLO", hello_fields),
	[FRAME_VV] = LAYOUT("VV", vv_fields),
	[FRAME_SUB] = LAYOUT("SUB", rows_fields),
	[FRAME_RESYNC] = LAYOUT("RESYNC", resync_fields),
	[FRAME_PULL] = LAYOUT("PULL", rows_fields),
	[FRAME_DATA_OWN] = LAYOUT("DATA_OWN", data_fields),
	[FRAME_DATA_FULL] = LAYOUT("DATA_FULL", data_fields),
	[FRAME_RANGE] = LAYOUT("RANGE", range_fields),
	[FRAME_DATA_RANGE] = LAYOUT("DATA_RANGE", data_fields),
	[FRAME_ACK] = LAYOUT("ACK", ack_fields),
	[FRAME_DIGEST] = LAYOUT("DIGEST", digest_fields),
	[FRAME_BARRIER] = LAYOUT("BARRIER", barrier_fields),
	[FRAME_BARRIER_OK] = LAYOUT("BARRIER_OK", barrier_ok_fields),
	[FRAME_PING] = LAYOUT("PING", ping_fields),
	[FRAME_PONG] = LAYOUT("PONG", ping_fields),
	[FRAME_REDIRECT] = LAYOUT("REDIRECT", redirect_fields),
	[FRAME_CALL] = LAYOUT("CALL", call_fields),
	[FRAME_REPLY] = LAYOUT("REPLY", reply_fields),
	[FRAME_PRESENCE] = LAYOUT("PRESENCE", presence_fields),
	[FRAME_MESSAGE] = LAYOUT("MESSAGE", message_fields),
	[FRAME_FLOW] = LAYOUT("FLOW", flow_fields),
	[FRAME_BYE] = LAYOUT("BYE", bye_fields),
	[FRAME_PART] = LAYOUT("PART", part_fields),
	[FRAME_LEFT] = LAYOUT("LEFT", left_fields),
	[FRAME_LEAVES] = LAYOUT("LEAVES", leaves_fields),
	[FRAME_SUMS] = LAYOUT("SUMS", sums_fields),
};

static const struct layout *
layout_of(unsigned type)
{
	if (type >= sizeof(layouts) / sizeof(*layouts) ||
	    layouts[type].name == NULL)
		return NULL;
	return &layouts[type];
}

/* A number's place in the struct has the width it has on the wire. */
static uint64_t
load_number(const char *from, size_t width)
{
	uint64_t x64;
	uint32_t x32;
	uint16_t x16;

	switch (width) {
	case 8:
		memcpy(&x64, from, 8);
		return x64;
	case 4:
		memcpy(&x32, from, 4);
		return x32;
	case 2:
		memcpy(&x16, from, 2);
		return x16;
	default:
		return (uint8_t)*from;
	}
}

static void
store_number(char *to, size_t width, uint64_t x)
{
	uint32_t x32 = (uint32_t)x;
	uint16_t x16 = (uint16_t)x;

	switch (width) {
	case 8:
		memcpy(to, &x, 8);
		break;
	case 4:
		memcpy(to, &x32, 4);
		break;
	case 2:
		memcpy(to, &x16, 2);
		break;
	default:
		*to = (char)x;
	}
}

/* Text from a peer may end in a log: no control characters, and a name has no
 * spaces either. */
static bool
is_printable(struct kv_slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if ((unsigned char)s.data[i] < ' ' || s.data[i] == 0x7f)
			return false;
	return true;
}

static bool
is_name(struct kv_slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++)
		if (s.data[i] <= ' ' || s.data[i] >= 0x7f)
			return false;
	return true;
}

static bool
number_fits(const struct field *f, uint64_t x)
{
	if (f->kind == FIELD_FLAGS)
		return (x & ~f->max) == 0;
	return x >= f->min && x <= f->max;
}

/* What both directions demand of bytes. */
static bool
bytes_fit(const struct field *f, struct kv_slice s)
{
	size_t n = f->kind == FIELD_ROWS ? s.len / f->width : s.len;

	if (n < f->min || n > f->max)
		return false;
	switch ((enum field_kind)f->kind) {
	case FIELD_ROWS:
	case FIELD_TAIL:
		return s.len % f->width == 0;
	case FIELD_NAME:
		return is_name(s);
	case FIELD_TEXT:
		return is_printable(s);
	case FIELD_KEY:
	case FIELD_NUMBER:
	case FIELD_FLAGS:
		break;
	}
	return true;
}

/* How long the length in front is, and what it counts. */
static size_t
length_width(const struct field *f)
{
	return f->kind == FIELD_NAME			    ? 1
	    : f->kind == FIELD_KEY || f->kind == FIELD_ROWS ? 2
							    : 0;
}

static bool
is_number(const struct field *f)
{
	return f->kind == FIELD_NUMBER || f->kind == FIELD_FLAGS;
}

static int
encode_field(const struct field *f, const char *from, struct wire_out *w)
{
	size_t unit = f->kind == FIELD_ROWS ? f->width : 1;
	struct kv_slice s;
	uint64_t x;

	if (is_number(f)) {
		x = load_number(from, f->width);
		wire_put(w, x, f->width);
		return number_fits(f, x) ? KV_OK : KV_EINVAL;
	}
	memcpy(&s, from, sizeof(s));
	if (!bytes_fit(f, s))
		return KV_EINVAL;
	wire_put(w, s.len / unit, length_width(f));
	wire_add(w, s);
	return KV_OK;
}

static int
decode_field(const struct field *f, char *to, struct wire_in *w)
{
	size_t unit = f->kind == FIELD_ROWS ? f->width : 1;
	struct kv_slice s;
	uint64_t x;

	if (is_number(f)) {
		x = wire_get(w, f->width);
		store_number(to, f->width, x);
		return !w->bad && number_fits(f, x) ? KV_OK : KV_EPROTO;
	}
	s = wire_take(w,
	    length_width(f) > 0 ? wire_get(w, length_width(f)) * unit
				: w->left);
	memcpy(to, &s, sizeof(s));
	return !w->bad && bytes_fit(f, s) ? KV_OK : KV_EPROTO;
}

int
frame_encode(const struct frame *f, struct buf *out)
{
	const struct layout *l = layout_of(f->type);
	struct wire_out w = { out, KV_OK };
	size_t i, before = out->len;
	int rc = KV_OK;

	if (l == NULL)
		return KV_EINVAL;
	wire_put(&w, f->type, 1);
	for (i = 0; i < l->count && rc == KV_OK; i++)
		rc = encode_field(&l->fields[i],
		    (const char *)f + l->fields[i].at, &w);
	if (rc == KV_OK)
		rc = w.rc;
	if (rc == KV_OK && out->len - before > FRAME_MAX)
		rc = KV_ETOOBIG;
	if (rc < 0)
		out->len = before;
	return rc;
}

int
frame_decode(struct kv_slice plain, struct frame *out)
{
	struct wire_in w = wire_read(plain);
	unsigned type = (unsigned)wire_get(&w, 1);
	const struct layout *l = layout_of(type);
	size_t i;

	memset(out, 0, sizeof(*out));
	if (w.bad || plain.len > FRAME_MAX)
		return KV_EPROTO;
	if (l == NULL)
		return type >= 0x80 ? KV_ENOTFOUND : KV_EPROTO;
	out->type = (enum frame_type)type;
	for (i = 0; i < l->count; i++)
		if (decode_field(&l->fields[i], (char *)out + l->fields[i].at,
			&w) < 0)
			return KV_EPROTO;
	return w.left == 0 ? KV_OK : KV_EPROTO;
}

const char *
frame_name(enum frame_type type)
{
	const struct layout *l = layout_of(type);

	return l == NULL ? "?" : l->name;
}

const char *
frame_bye_text(unsigned code)
{
	static const char *const texts[] = {
#define X(name, value, text) [name] = (text),
		FRAME_BYE_CODES(X)
#undef X
	};

	if (code >= sizeof(texts) / sizeof(*texts) || texts[code] == NULL)
		return "unknown reason";
	return texts[code];
}
