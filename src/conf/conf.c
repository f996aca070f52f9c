/* SPDX-License-Identifier: ISC */
/* The values of a configuration. */

#include "conf/conf.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "conf/derive.h"

struct conf_value {
	char *text;
	char *origin;
	uint64_t number;
	enum conf_rank rank;
};

struct conf {
	struct conf_value values[CONF_COUNT];
	char node[DERIVE_NODE_MAX];
};

int
conf_new(struct conf **out)
{
	struct conf_error e;
	struct conf *c;
	enum conf_id id;
	int rc = KV_OK;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		return KV_ENOMEM;
	for (id = 0; id < CONF_COUNT && rc == KV_OK; id++) {
		const char *preset = options_get(id)->preset;

		/* An empty default is no value: conf_text says "". */
		if (preset[0] != '\0')
			rc = conf_set(c, id, preset, CONF_BY_DEFAULT, "default",
			    &e);
	}
	assert(rc != KV_EINVAL); /* the table's defaults fit its ranges */
	if (rc < 0)
		conf_free(c);
	else
		*out = c;
	return rc;
}

static void
conf_value_fini(struct conf_value *v)
{
	free(v->text);
	free(v->origin);
}

void
conf_free(struct conf *c)
{
	enum conf_id id;

	if (c == NULL)
		return;
	for (id = 0; id < CONF_COUNT; id++)
		conf_value_fini(&c->values[id]);
	free(c);
}

static bool
conf_is_secret(enum conf_id id)
{
	return options_get(id)->type == OPTION_SECRET;
}

static int
conf_refuse(enum conf_id id, const char *value, const char *origin, int rc,
    struct conf_error *e)
{
	switch (rc) {
	case KV_ENOMEM:
		return error_set(e, rc, "out of memory");
	case KV_EACCESS:
		return error_set(e, KV_EINVAL,
		    "%s: (%s): expected in the configuration file only, as "
		    "others can see it here (or use password_file)",
		    options_get(id)->name, origin);
	case KV_ETOOBIG:
		return error_set(e, KV_EINVAL,
		    "%s: \"%.32s\" (%s): expected at most %d of them",
		    options_get(id)->name, value, origin, VALUE_PORTS_MAX);
	default:
		return error_bad_value(e, id, value, origin);
	}
}

int
conf_set(struct conf *c, enum conf_id id, const char *value,
    enum conf_rank rank, const char *origin, struct conf_error *e)
{
	struct conf_value v = { .rank = rank };
	struct buf normal;
	int rc;

	buf_init(&normal);
	rc = KV_EACCESS;
	if (!conf_is_secret(id) ||
	    (rank != CONF_BY_ENVIRONMENT && rank != CONF_BY_FLAG))
		rc = value_parse(options_get(id), value, &normal, &v.number);
	if (rc < 0) {
		buf_fini(&normal);
		return conf_refuse(id, value, origin, rc, e);
	}
	v.text = normal.data; /* ours now */
	if ((v.origin = strdup(origin)) == NULL) {
		conf_value_fini(&v);
		return error_set(e, KV_ENOMEM, "out of memory");
	}
	if (rank < c->values[id].rank) {
		conf_value_fini(&v);
		return KV_OK;
	}
	conf_value_fini(&c->values[id]);
	c->values[id] = v;
	return KV_OK;
}

int
conf_add(struct conf *c, enum conf_id id, const char *value,
    enum conf_rank rank, const char *origin, struct conf_error *e)
{
	const struct conf_value *v = &c->values[id];
	struct buf joined;
	int rc;

	if (v->rank != rank)
		return conf_set(c, id, value, rank, origin, e);
	if (!options_is_list(id))
		return error_set(e, KV_EINVAL,
		    "%s: given in %s and again in %s (an indented line goes on "
		    "with the one above)",
		    options_get(id)->name, v->origin, origin);
	buf_init(&joined);
	rc = buf_printf(&joined, "%s,%s", v->text, value);
	if (rc < 0)
		error_set(e, rc, "out of memory");
	else
		rc = conf_set(c, id, joined.data, rank, origin, e);
	buf_fini(&joined);
	return rc;
}

int
conf_copy(struct conf *c, enum conf_id id, const struct conf *from)
{
	struct conf_value v = from->values[id];

	v.text = v.text == NULL ? NULL : strdup(v.text);
	v.origin = v.origin == NULL ? NULL : strdup(v.origin);
	if ((v.text == NULL) != (from->values[id].text == NULL) ||
	    (v.origin == NULL) != (from->values[id].origin == NULL)) {
		conf_value_fini(&v);
		return KV_ENOMEM;
	}
	conf_value_fini(&c->values[id]);
	c->values[id] = v;
	return KV_OK;
}

uint64_t
conf_u64(const struct conf *c, enum conf_id id)
{
	enum option_type type = options_get(id)->type;

	assert(type <= OPTION_CHOICE || type == OPTION_PORTS);
	return c->values[id].number;
}

const char *
conf_text(const struct conf *c, enum conf_id id)
{
	assert(id < CONF_COUNT);
	return c->values[id].text == NULL ? "" : c->values[id].text;
}

const char *
conf_shown(const struct conf *c, enum conf_id id)
{
	const char *text = conf_text(c, id);

	return conf_is_secret(id) && text[0] != '\0' ? "set" : text;
}

bool
conf_has_password(const struct conf *c)
{
	return conf_text(c, CONF_PASSWORD)[0] != '\0' ||
	    conf_text(c, CONF_PASSWORD_FILE)[0] != '\0';
}

const char *
conf_origin(const struct conf *c, enum conf_id id)
{
	assert(id < CONF_COUNT);
	return c->values[id].origin == NULL ? "default" : c->values[id].origin;
}

enum conf_rank
conf_rank(const struct conf *c, enum conf_id id)
{
	assert(id < CONF_COUNT);
	return c->values[id].rank;
}

bool
conf_has_nodes(const struct conf *c)
{
	return conf_text(c, CONF_NODES)[0] != '\0' ||
	    conf_text(c, CONF_DNS)[0] != '\0' || conf_u64(c, CONF_BEACON) != 0;
}

bool
conf_has_sync(const struct conf *c)
{
	return conf_text(c, CONF_SYNC_BIND)[0] != '\0' || conf_has_nodes(c);
}

const char *
conf_node(const struct conf *c)
{
	return c->node;
}

size_t
conf_ports(const struct conf *c, uint16_t to[VALUE_PORTS_MAX])
{
	size_t count;
	int rc =
	    value_ports(conf_text(c, CONF_PORT), to, VALUE_PORTS_MAX, &count);

	assert(rc == KV_OK); /* conf_set checked it */
	return count;
}

int
conf_complete(struct conf *c, struct conf_error *e)
{
	int rc;

	if ((rc = derive_node(c, c->node, e)) < 0)
		return rc;
	if ((rc = derive_defaults(c, e)) < 0)
		return rc;
	return derive_check(c, e);
}

int
conf_write(const struct conf *c, struct buf *out)
{
	enum conf_id id;
	int rc = KV_OK;

	for (id = 0; id < CONF_COUNT && rc == KV_OK; id++) {
		if (conf_text(c, id)[0] != '\0')
			rc = buf_printf(out, "%s = %s\n", options_get(id)->name,
			    conf_text(c, id));
	}
	return rc;
}

/* One line of conf_write; it is cut into strings in place. */
static int
conf_read_line(struct conf *c, char *line, struct conf_error *e)
{
	char *value = strstr(line, " = ");
	enum conf_id id;

	if (value == NULL)
		return error_set(e, KV_EINVAL, "not an option: \"%s\"", line);
	*value = '\0';
	if ((id = options_find(line)) == CONF_COUNT)
		return error_unknown(e, line, "kvd");
	return conf_set(c, id, value + 3, CONF_BY_PARENT, "kvd", e);
}

static int
conf_read_lines(struct conf *c, char *text, struct conf_error *e)
{
	char *line, *end;
	int rc = KV_OK;

	for (line = text; *line != '\0' && rc == KV_OK; line = end + 1) {
		if ((end = strchr(line, '\n')) == NULL)
			return error_set(e, KV_EINVAL, "line without an end");
		*end = '\0';
		rc = conf_read_line(c, line, e);
	}
	return rc < 0 ? rc : conf_complete(c, e);
}

int
conf_read(struct kv_slice text, struct conf **out)
{
	struct conf_error e = { .text = "out of memory" };
	struct conf *c = NULL;
	char *copy;
	int rc = KV_ENOMEM;

	if ((copy = strndup(text.data, text.len)) == NULL)
		goto out;
	if ((rc = conf_new(&c)) < 0)
		goto out;
	if ((rc = conf_read_lines(c, copy, &e)) < 0)
		goto out;
	*out = c;
	c = NULL;
out:
	if (rc < 0)
		log_error("configuration refused error=\"%s\"", e.text);
	conf_free(c);
	free(copy);
	return rc;
}

#define CONF_MESSAGE_MAX (160 * 1024)

int
conf_from_parent(int fd, struct conf **out)
{
	static const char verb[] = "config\n";
	size_t skip = sizeof(verb) - 1;
	struct buf message;
	ssize_t n;
	int rc;

	buf_init(&message);
	if ((rc = buf_reserve(&message, CONF_MESSAGE_MAX)) < 0)
		goto out;
	do
		n = recv(fd, message.data, CONF_MESSAGE_MAX, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EBADF || errno == ENOTSOCK)) {
		log_error("this program is started by kvd, not by hand");
		rc = KV_EINVAL;
	} else if (n < 0) {
		rc = err_system("recv", "configuration");
	} else if ((size_t)n < skip || memcmp(message.data, verb, skip) != 0) {
		log_error("no configuration came from kvd");
		rc = KV_EPROTO;
	} else {
		rc = conf_read((struct kv_slice){ message.data + skip,
				   (size_t)n - skip },
		    out);
	}
out:
	buf_fini(&message);
	return rc;
}
