/* SPDX-License-Identifier: ISC */
/* The password file: who may have touched it, and what is in it. */

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "conf/value.h"
#include "worker/auth.h"

#define AUTH_FILE_MAX 4096

static const char *
auth_file_fault(const struct stat *st)
{
	if (!S_ISREG(st->st_mode))
		return "expected a regular file";
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return "expected its owner to be who runs this, or root";
	if ((st->st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return "expected no rights for group and others (chmod 600)";
	if (st->st_size > AUTH_FILE_MAX)
		return "expected at most 4096 bytes";
	return NULL;
}

static int
auth_file_refuse(const char *path, const char *why)
{
	log_error("password_file refused file=\"%s\" error=\"%s\"", path, why);
	return KV_EINVAL;
}

/* The one line, without white space around it. */
static int
auth_file_parse(const char *path, struct kv_slice text, char *to)
{
	struct conf_option hash = { .type = OPTION_SECRET, .preset = "" };
	char line[AUTH_FILE_MAX + 1];
	struct buf normal;
	uint64_t number;
	size_t i;
	int rc;

	while (text.len > 0 && strchr(" \t\r\n", text.data[text.len - 1]))
		text.len--;
	for (i = 0; i < text.len && strchr(" \t", text.data[i]) != NULL; i++)
		;
	memcpy(line, text.data + i, text.len - i);
	line[text.len - i] = '\0';
	buf_init(&normal);
	rc = value_parse(&hash, line, &normal, &number);
	if (rc == KV_OK && normal.len == 0)
		rc = KV_EINVAL;
	if (rc == KV_OK)
		memcpy(to, normal.data, normal.len + 1);
	buf_fini(&normal);
	return rc == KV_EINVAL
	    ? auth_file_refuse(path,
		  "expected one line, an Argon2id hash as kv passwd makes it")
	    : rc;
}

int
auth_read_file(const char *path, char to[AUTH_HASH_SIZE])
{
	char text[AUTH_FILE_MAX + 1];
	const char *why;
	struct stat st;
	ssize_t n;
	int fd, rc;

	static_assert(AUTH_HASH_SIZE == crypto_pwhash_STRBYTES &&
		AUTH_HASH_SIZE > VALUE_SECRET_MAX,
	    "a hash fits");
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return errno == ELOOP
		    ? auth_file_refuse(path, "expected no symbolic link")
		    : err_system("open", path);
	if (fstat(fd, &st) < 0)
		rc = err_system("fstat", path);
	else if ((why = auth_file_fault(&st)) != NULL)
		rc = auth_file_refuse(path, why);
	else if ((n = read(fd, text, AUTH_FILE_MAX)) < 0)
		rc = err_system("read", path);
	else
		rc = auth_file_parse(path, (struct kv_slice){ text, (size_t)n },
		    to);
	close(fd);
	sodium_memzero(text, sizeof(text));
	return rc;
}
