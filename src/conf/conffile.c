/* SPDX-License-Identifier: ISC */
/* The configuration file: inih for the syntax, our table for the rest. */

#include "conf/conffile.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>

#define CONFFILE_SIZE_MAX (1 << 20)
#define CONFFILE_ORIGIN_MAX 256

struct conffile {
	struct conf *conf;
	struct conf_error *error;
	struct kv_slice rest; /* of the text */
	const char *name;
	int line; /* the one inih is at */
	int rc;	  /* of the first error */
};

static void
conffile_origin(const struct conffile *f, char to[CONFFILE_ORIGIN_MAX])
{
	snprintf(to, CONFFILE_ORIGIN_MAX, "%.200s:%d", f->name, f->line);
}

static int
conffile_fail(struct conffile *f, const char *what)
{
	char origin[CONFFILE_ORIGIN_MAX];

	conffile_origin(f, origin);
	f->rc = error_set(f->error, KV_EINVAL, "%s: %s", origin, what);
	return f->rc;
}

/* Give inih its next line, as fgets does.  A line that it would cut in two, or
 * see only a part of, ends the file with an error. */
static char *
conffile_next_line(char *to, int size, void *arg)
{
	struct conffile *f = arg;
	const char *end = memchr(f->rest.data, '\n', f->rest.len);
	size_t len =
	    end == NULL ? f->rest.len : (size_t)(end - f->rest.data) + 1;

	if (f->rest.len == 0 || f->rc < 0)
		return NULL;
	f->line++;
	if (len > CONFFILE_LINE_MAX || len >= (size_t)size) {
		conffile_fail(f,
		    "the line is too long, expected at most 197 characters (a "
		    "list may go on in the next line, indented)");
		return NULL;
	}
	if (memchr(f->rest.data, '\0', len) != NULL) {
		conffile_fail(f, "not a text file");
		return NULL;
	}
	memcpy(to, f->rest.data, len);
	to[len] = '\0';
	f->rest.data += len;
	f->rest.len -= len;
	return to;
}

/* inih's callback: 1 good, 0 bad. */
static int
conffile_take(void *arg, const char *section, const char *name,
    const char *value)
{
	struct conffile *f = arg;
	char origin[CONFFILE_ORIGIN_MAX];
	enum conf_id id = options_find(name);

	if (f->rc < 0)
		return 0;
	conffile_origin(f, origin);
	if (section[0] != '\0' && strcmp(section, "kvd") != 0)
		conffile_fail(f, "unknown section, expected [kvd] or none");
	else if (id == CONF_COUNT)
		f->rc = error_unknown(f->error, name, origin);
	else
		f->rc = conf_add(f->conf, id, value, CONF_BY_FILE, origin,
		    f->error);
	return f->rc == KV_OK;
}

int
conffile_parse(struct conf *c, struct kv_slice text, const char *name,
    struct conf_error *e)
{
	struct conffile f = {
		.conf = c,
		.error = e,
		.rest = text,
		.name = name,
	};
	int bad;

	if (text.len == 0)
		return KV_OK;
	bad = ini_parse_stream(conffile_next_line, &f, conffile_take, &f);
	/* Our own error stops the reading, so a line that inih refused and
	 * that comes earlier is the first one. */
	if (bad > 0 && (f.rc == KV_OK || bad < f.line)) {
		f.line = bad;
		conffile_fail(&f, "expected name = value");
	}
	return f.rc;
}

static int
conffile_read(FILE *file, struct buf *text)
{
	size_t n;
	int rc;

	do {
		if ((rc = buf_reserve(text, 4096)) < 0)
			return rc;
		n = fread(text->data + text->len, 1, 4096, file);
		text->len += n;
		if (text->len > CONFFILE_SIZE_MAX)
			return KV_ETOOBIG;
	} while (n > 0);
	return ferror(file) ? KV_ESYSTEM : KV_OK;
}

int
conffile_load(struct conf *c, const char *path, struct conf_error *e)
{
	struct buf text;
	FILE *file;
	int rc;

	if ((file = fopen(path, "re")) == NULL)
		return error_set(e, errno == ENOENT ? KV_ENOTFOUND : KV_ESYSTEM,
		    "config: \"%s\": %s", path, strerror(errno));
	buf_init(&text);
	errno = EFBIG;
	if ((rc = conffile_read(file, &text)) < 0)
		error_set(e, rc, "config: \"%s\": %s", path, strerror(errno));
	else
		rc = conffile_parse(c, buf_slice(&text), path, e);
	buf_fini(&text);
	fclose(file);
	return rc;
}
