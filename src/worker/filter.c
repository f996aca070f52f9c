/* SPDX-License-Identifier: ISC */
/* Filters of CLIENT LIST and CLIENT KILL. */

#include "worker/filter.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/num.h"

bool
filter_type(struct kv_slice word, enum filter_type *out)
{
	static const struct {
		const char *name;
		enum filter_type type;
	} names[] = {
		{ "normal", FILTER_NORMAL },
		{ "pubsub", FILTER_PUBSUB },
		{ "replica", FILTER_NOBODY },
		{ "slave", FILTER_NOBODY },
		{ "master", FILTER_NOBODY },
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (slice_is_word(word, names[i].name)) {
			*out = names[i].type;
			return true;
		}
	return false;
}

/* ---- from words ---- */

/* One pair.  NULL: taken; or what is wrong, with the word for its "%.*s". */
typedef const char *filter_option(struct filter *f, struct kv_slice value);

static const char filter_syntax[] = "syntax error";

static const char *
filter_id(struct filter *f, struct kv_slice value)
{
	int64_t id;

	if (num_parse_i64(value, &id) < 0 || id < 1)
		return "client-id should be greater than 0";
	f->id = (uint64_t)id;
	return NULL;
}

static const char *
filter_age(struct filter *f, struct kv_slice value)
{
	int64_t age;

	if (num_parse_i64(value, &age) < 0)
		return "maxage is not an integer or out of range";
	if (age < 1)
		return "maxage should be greater than 0";
	f->age_s = (uint64_t)age;
	return NULL;
}

static const char *
filter_only(struct filter *f, struct kv_slice value)
{
	enum filter_type type;

	if (!filter_type(value, &type))
		return "Unknown client type '%.*s'";
	if (f->type != FILTER_NOBODY)
		f->type = type;
	return NULL;
}

static const char *
filter_user(struct filter *f, struct kv_slice value)
{
	(void)f;
	return slice_equal(value, slice_of("default")) ? NULL
						       : "No such user '%.*s'";
}

static void
filter_address(struct filter *f, char to[SOCK_TEXT_MAX], struct kv_slice value)
{
	if (value.len == 0 || value.len >= SOCK_TEXT_MAX ||
	    memchr(value.data, '\0', value.len) != NULL) {
		f->type = FILTER_NOBODY;
		return;
	}
	memcpy(to, value.data, value.len);
	to[value.len] = '\0';
}

static const char *
filter_peer(struct filter *f, struct kv_slice value)
{
	filter_address(f, f->peer, value);
	return NULL;
}

static const char *
filter_local(struct filter *f, struct kv_slice value)
{
	filter_address(f, f->local, value);
	return NULL;
}

static const char *
filter_me(struct filter *f, struct kv_slice value)
{
	f->spare_me = slice_is_word(value, "yes");
	return f->spare_me || slice_is_word(value, "no") ? NULL : filter_syntax;
}

int
filter_parse(const struct kv_slice *args, size_t count, struct filter *out,
    char why[FILTER_WHY_MAX])
{
	static const struct {
		const char *name;
		filter_option *take;
	} options[] = {
		{ "id", filter_id },
		{ "type", filter_only },
		{ "user", filter_user },
		{ "addr", filter_peer },
		{ "laddr", filter_local },
		{ "skipme", filter_me },
		{ "maxage", filter_age },
	};
	const char *wrong = NULL;
	size_t i, k, n = sizeof(options) / sizeof(*options);

	*out = (struct filter){ .spare_me = true };
	for (i = 0; wrong == NULL && i < count; i += 2) {
		for (k = 0; k < n && !slice_is_word(args[i], options[k].name);)
			k++;
		wrong = k < n && i + 1 < count
		    ? options[k].take(out, args[i + 1])
		    : filter_syntax;
		if (wrong != NULL && strchr(wrong, '%') == NULL)
			snprintf(why, FILTER_WHY_MAX, "ERR %s", wrong);
		else if (wrong != NULL)
			snprintf(why, FILTER_WHY_MAX, "ERR %.*s%.*s'",
			    (int)(strchr(wrong, '%') - wrong), wrong,
			    (int)(args[i + 1].len < 128 ? args[i + 1].len
							: 128),
			    args[i + 1].data);
	}
	return wrong == NULL ? KV_OK : KV_EINVAL;
}

void
filter_of_peer(struct kv_slice peer, struct filter *out)
{
	*out = (struct filter){ .type = FILTER_ANY };
	filter_address(out, out->peer, peer);
}

/* ---- as bytes ---- */

static size_t
filter_put_text(char *to, const char text[SOCK_TEXT_MAX])
{
	size_t len = strlen(text);

	to[0] = (char)len;
	memcpy(to + 1, text, len);
	return len + 1;
}

static bool
filter_get_text(struct kv_slice *from, char to[SOCK_TEXT_MAX])
{
	size_t len = from->len > 0 ? (unsigned char)from->data[0] : 0;

	if (from->len < len + 1 || len >= SOCK_TEXT_MAX)
		return false;
	memcpy(to, from->data + 1, len);
	to[len] = '\0';
	from->data += len + 1;
	from->len -= len + 1;
	return true;
}

size_t
filter_encode(const struct filter *f, char to[FILTER_BYTES_MAX])
{
	size_t n = 17;

	to[0] = (char)f->type;
	bytes_put_be64(to + 1, f->id);
	bytes_put_be64(to + 9, f->age_s);
	n += filter_put_text(to + n, f->peer);
	return n + filter_put_text(to + n, f->local);
}

int
filter_decode(struct kv_slice bytes, struct filter *out)
{
	if (bytes.len < 17 || (unsigned char)bytes.data[0] > FILTER_NOBODY)
		return KV_EPROTO;
	*out = (struct filter){
		.type = (enum filter_type)bytes.data[0],
		.id = bytes_get_be64(bytes.data + 1),
		.age_s = bytes_get_be64(bytes.data + 9),
	};
	bytes.data += 17;
	bytes.len -= 17;
	return filter_get_text(&bytes, out->peer) &&
		filter_get_text(&bytes, out->local) && bytes.len == 0
	    ? KV_OK
	    : KV_EPROTO;
}

bool
filter_matches(const struct filter *f, const struct filter_client *c)
{
	if (f->type != FILTER_ANY && f->type != c->type)
		return false;
	if ((f->id != 0 && f->id != c->id) || c->age_s < f->age_s)
		return false;
	if (f->peer[0] != '\0' && !slice_equal(slice_of(f->peer), c->peer))
		return false;
	return f->local[0] == '\0' || slice_equal(slice_of(f->local), c->local);
}
