/* SPDX-License-Identifier: ISC */

#include "lib_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char base[64], dir[128], shm[128];

const char *
lib_folder_dir(void)
{
	return dir;
}

const struct kv_options *
lib_folder_options(void)
{
	static struct kv_options o;

	o = (struct kv_options){ .shm_dir = shm,
		.segment_size = 1u << 20,
		.map_size = 1u << 30,
		.durability = KV_DURABILITY_OS };
	return &o;
}

int
lib_folder_set_up(void **state)
{
	(void)state;
	snprintf(base, sizeof(base), "/var/tmp/kv-test-lib.XXXXXX");
	if (mkdtemp(base) == NULL)
		return -1;
	snprintf(dir, sizeof(dir), "%s/store", base);
	snprintf(shm, sizeof(shm), "/dev/shm/%s", base + strlen("/var/tmp/"));
	setenv("HOME", base, 1);
	return mkdir(shm, 0700);
}

int
lib_folder_tear_down(void **state)
{
	char command[512];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s %s", base, shm);
	return system(command);
}

struct kv *
lib_folder_open(void)
{
	struct kv *kv;

	assert_int_equal(kv_open(dir, lib_folder_options(), &kv), KV_OK);
	return kv;
}

struct kv *
lib_folder_open_bucket(void)
{
	struct kv *kv = lib_folder_open();

	assert_int_equal(kv_create(kv, B), KV_OK);
	return kv;
}

void
lib_folder_put(struct kv *kv, const char *key, const char *value)
{
	assert_int_equal(kv_put(kv, B, kv_text(key), kv_text(value), 0), KV_OK);
}

void
lib_folder_assert_value(struct kv *kv, const char *key, const char *value)
{
	struct kv_slice got;

	assert_int_equal(kv_get(kv, B, kv_text(key), &got), KV_OK);
	assert_int_equal(got.len, strlen(value));
	assert_memory_equal(got.data, value, got.len);
}

void
lib_folder_assert_absent(struct kv *kv, const char *key)
{
	struct kv_slice got;

	assert_int_equal(kv_get(kv, B, kv_text(key), &got), KV_ENOTFOUND);
}

void
lib_folder_in_child(void (*what)(struct kv *kv, int number), int number)
{
	struct kv *kv;
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (kv_open(dir, lib_folder_options(), &kv) < 0)
			_exit(9);
		what(kv, number);
		kv_close(kv);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

void
lib_folder_change_milk(struct kv *kv, int number)
{
	(void)number;
	if (kv_put(kv, B, kv_text("milk"), kv_text("2"), 0) < 0)
		_exit(8);
}
