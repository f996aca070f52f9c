/* SPDX-License-Identifier: ISC */
/* What a store holds, as a file for `check`.
 *
 *	state tcp PORT STATE	read all keys through a worker
 *	state dir DIR STATE	open the store itself: read, verify, write */

#include <kv.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "history.h"

static struct state found;
static uint64_t problems;

static void
problem(const char *what, unsigned bucket, unsigned key, uint64_t value,
    uint64_t when)
{
	if (problems++ < 10)
		printf("bucket=%u key=%u found=%" PRIu64 " at=%" PRIu64 " %s\n",
		    bucket, key, value, when, what);
}

static int
state_write(const char *path)
{
	FILE *f = fopen(path, "wb");

	found.magic = STATE_MAGIC;
	if (f == NULL || fwrite(&found, sizeof(found), 1, f) != 1 ||
	    fclose(f) != 0) {
		perror(path);
		return 1;
	}
	return 0;
}

/* ---- through a worker ---- */

static FILE *
tcp_open(const char *port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(port)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval limit = { 30, 0 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return NULL;
	return fdopen(fd, "r+");
}

/* A line without its end; NULL when none came. */
static char *
tcp_line(FILE *f, size_t *len)
{
	static char *line;
	static size_t room;
	ssize_t n = getline(&line, &room, f);

	if (n < 2)
		return NULL;
	*len = (size_t)n - 2;
	line[*len] = '\0';
	return line;
}

static int
tcp_send_all(const char *port, unsigned bucket)
{
	char name[16];
	unsigned key;
	FILE *f;
	int rc = 0;

	if ((f = tcp_open(port)) == NULL)
		return -1;
	bucket_name(bucket, name);
	for (key = 0; key < keys_of(bucket) && rc == 0; key++) {
		char *value;
		size_t len;

		fprintf(f, "GET %s k%u\r\n", name, key);
		if (key % 32 != 31 && key + 1 < keys_of(bucket))
			continue;
		fflush(f);
		for (key -= key % 32; rc == 0; key++) {
			if ((value = tcp_line(f, &len)) == NULL) {
				rc = -1;
				break;
			}
			if (strcmp(value, "NOT FOUND") == 0) {
				fclose(f);
				return 0;
			}
			found.exists[bucket] = 1;
			found.values[bucket][key] = len == 0
			    ? VALUE_ABSENT
			    : value_number(bucket, value, len);
			if (tcp_line(f, &len) == NULL)
				rc = -1;
			if (key % 32 == 31 || key + 1 == keys_of(bucket))
				break;
		}
	}
	fclose(f);
	return rc;
}

static int
tcp_counters(const char *port)
{
	FILE *f = tcp_open(port);
	unsigned i;
	size_t len;

	if (f == NULL)
		return -1;
	for (i = 0; i < COUNTERS; i++) {
		char *text;

		fprintf(f, "*2\r\n$3\r\nGET\r\n$2\r\nc%u\r\n", i);
		fflush(f);
		if ((text = tcp_line(f, &len)) == NULL)
			break;
		if (text[0] != '$' || text[1] == '-')
			continue;
		if ((text = tcp_line(f, &len)) == NULL)
			break;
		found.counters[i] = strtoull(text, NULL, 10);
	}
	fclose(f);
	return i == COUNTERS ? 0 : -1;
}

static int
do_tcp(const char *port, const char *path)
{
	unsigned b;

	for (b = 0; b < BUCKETS; b++)
		if (tcp_send_all(port, b) < 0) {
			printf("port=%s bucket=%u no answer\n", port, b);
			return 1;
		}
	if (tcp_counters(port) < 0) {
		printf("port=%s counters: no answer\n", port);
		return 1;
	}
	return state_write(path);
}

/* ---- through libkv ---- */

static void
on_finding(void *user, const char *line)
{
	(void)user;
	printf("verify: %s\n", line);
	problems++;
}

static int
dir_bucket(struct kv *kv, unsigned bucket)
{
	struct kv_slice value;
	char name[16], key[16];
	uint64_t count, seen = 0;
	unsigned i;
	int rc;

	bucket_name(bucket, name);
	rc = kv_count(kv, kv_text(name), &count);
	if (rc == KV_ENOTFOUND)
		return KV_OK;
	if (rc < 0)
		return rc;
	found.exists[bucket] = 1;
	for (i = 0; i < keys_of(bucket); i++) {
		snprintf(key, sizeof(key), "k%u", i);
		rc = kv_get(kv, kv_text(name), kv_text(key), &value);
		if (rc == KV_ENOTFOUND)
			continue;
		if (rc < 0)
			return rc;
		seen++;
		found.values[bucket][i] =
		    value_number(bucket, value.data, value.len);
	}
	if (seen != count)
		problem("keys counted; this many seen", bucket, 0, count, seen);
	return KV_OK;
}

static int
dir_counters(struct kv *kv)
{
	struct kv_slice value;
	char key[16], text[24];
	unsigned i;
	int rc;

	for (i = 0; i < COUNTERS; i++) {
		snprintf(key, sizeof(key), "c%u", i);
		rc = kv_get(kv, kv_text("db0"), kv_text(key), &value);
		if (rc == KV_ENOTFOUND)
			continue;
		if (rc < 0)
			return rc;
		snprintf(text, sizeof(text), "%.*s", (int)value.len,
		    value.data);
		found.counters[i] = strtoull(text, NULL, 10);
	}
	return KV_OK;
}

/* A store that was recovered must take writes, too. */
static int
dir_write(struct kv *kv)
{
	const struct kv_slice bucket = kv_text("probe"), key = kv_text("p");
	struct kv_slice value;
	int rc;

	if ((rc = kv_create(kv, bucket)) < 0 ||
	    (rc = kv_put(kv, bucket, key, kv_text("1"), 0)) < 0 ||
	    (rc = kv_get(kv, bucket, key, &value)) < 0)
		return rc;
	return value.len == 1 && value.data[0] == '1' ? KV_OK : KV_ECORRUPT;
}

static int
do_dir(const char *dir, const char *path)
{
	struct kv_options options = { .must_exist = true };
	struct kv *kv = NULL;
	unsigned b;
	int rc;

	kv_log("state", 1);
	if ((rc = kv_open(dir, &options, &kv)) < 0) {
		printf("kv_open: %s\n", kv_error(rc));
		return rc == KV_ENOTFOUND ? 3 : 1;
	}
	for (b = 0; rc == KV_OK && b < BUCKETS; b++)
		rc = dir_bucket(kv, b);
	if (rc == KV_OK)
		rc = dir_counters(kv);
	if (rc == KV_OK && (rc = kv_verify(kv, on_finding, NULL, NULL)) > 0)
		rc = KV_OK;
	if (rc == KV_OK)
		rc = dir_write(kv);
	if (rc == KV_OK && (rc = kv_verify(kv, on_finding, NULL, NULL)) > 0)
		rc = KV_OK;
	kv_close(kv);
	if (rc < 0)
		printf("reading the store: %s\n", kv_error(rc));
	return rc < 0 || problems > 0 ? 1 : state_write(path);
}

int
main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "tcp") == 0)
		return do_tcp(argv[2], argv[3]);
	if (argc == 4 && strcmp(argv[1], "dir") == 0)
		return do_dir(argv[2], argv[3]);
	fprintf(stderr, "state tcp PORT STATE | dir DIR STATE\n");
	return 2;
}
