/* SPDX-License-Identifier: ISC */
/* The folder of log files. */

#include "wal/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <dirent.h>
#include <unistd.h>

#include "base/rng.h"
#include "wal_image.h"

#define SIZE (256u << 10)
#define STORE 77 /* of wal_image */

static char dir[64];
static struct wal_image image;
static struct wal_files *files;
static char *back;

static int
set_up(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/kv-test-wal.XXXXXX");
	if (mkdtemp(dir) == NULL || (back = malloc(SIZE)) == NULL)
		return -1;
	wal_image_init(&image, SIZE, 5, 1234, 0);
	return wal_files_open(dir, STORE, SIZE, &files);
}

static int
tear_down(void **state)
{
	char command[128];

	(void)state;
	wal_files_close(files);
	wal_image_fini(&image);
	free(back);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static void
open_again(uint64_t store, uint64_t size)
{
	wal_files_close(files);
	files = NULL;
	assert_int_equal(wal_files_open(dir, store, size, &files), KV_OK);
}

static void
write_image(uint64_t number)
{
	uint64_t bytes = wal_files_written(files);

	assert_int_equal(wal_files_prepare(files, number), KV_OK);
	assert_int_equal(wal_files_write(files, number, image.segment.base, 0,
			     image.end, true),
	    KV_OK);
	bytes = wal_files_written(files) - bytes;
	assert_true(bytes >= image.end && bytes % WAL_BLOCK == 0);
}

static unsigned
count_files(void)
{
	const struct dirent *entry;
	DIR *d = opendir(dir);
	unsigned n = 0;

	assert_non_null(d);
	while ((entry = readdir(d)) != NULL)
		n += entry->d_name[0] != '.';
	closedir(d);
	return n;
}

static void
what_is_written_is_there_after_opening_again(void **state)
{
	struct segment_header h;

	(void)state;
	wal_image_put(&image, 1, "milk", "1", false);
	write_image(5);
	open_again(STORE, SIZE);
	assert_int_equal(wal_files_header(files, 5, &h), KV_OK);
	assert_int_equal(h.number, 5);
	assert_int_equal(wal_files_header(files, 6, &h), KV_ENOTFOUND);
	assert_int_equal(wal_files_read(files, 5, back), KV_OK);
	assert_memory_equal(back, image.segment.base, SIZE);
	assert_int_equal(wal_files_read(files, 6, back), KV_ENOTFOUND);
}

static void
pieces_of_any_length_add_up_to_the_image(void **state)
{
	uint64_t seed = rng_u64() | 1, at = 0, to;

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	while (wal_image_put(&image, 1, "some key", "some value", false) != 0)
		continue;
	wal_image_seal(&image);
	assert_int_equal(wal_files_prepare(files, 5), KV_OK);
	for (; at < SIZE; at = to) {
		to = at + 1 + rng_next(&seed) % 20000;
		if (to > SIZE)
			to = SIZE;
		assert_int_equal(wal_files_write(files, 5, image.segment.base,
				     at, to, rng_next(&seed) % 2),
		    KV_OK);
	}
	assert_int_equal(wal_files_sync(files, 5), KV_OK);
	assert_int_equal(wal_files_read(files, 5, back), KV_OK);
	assert_memory_equal(back, image.segment.base, SIZE);
}

static void
a_retired_file_serves_the_next_segment(void **state)
{
	struct segment_header h;

	(void)state;
	write_image(5);
	assert_int_equal(wal_files_prepare(files, 6), KV_OK);
	assert_int_equal(count_files(), 2);
	wal_files_retire(files, 6);
	assert_int_equal(wal_files_header(files, 5, &h), KV_ENOTFOUND);
	assert_int_equal(wal_files_prepare(files, 7), KV_OK);
	assert_int_equal(count_files(), 2);
	/* Nothing was written to it: it does not say that it is 7. */
	assert_int_equal(wal_files_header(files, 7, &h), KV_ENOTFOUND);
	wal_image_begin(&image, 7, 99, 0);
	write_image(7);
	open_again(STORE, SIZE);
	assert_int_equal(wal_files_header(files, 7, &h), KV_OK);
	assert_int_equal(wal_files_header(files, 5, &h), KV_ENOTFOUND);
}

static void
a_name_is_only_a_hint(void **state)
{
	struct segment_header h;
	char from[128], to[128];

	(void)state;
	write_image(5);
	snprintf(from, sizeof(from), "%s/5.wal", dir);
	snprintf(to, sizeof(to), "%s/9.wal", dir);
	assert_int_equal(rename(from, to), 0);
	open_again(STORE, SIZE);
	assert_int_equal(wal_files_header(files, 5, &h), KV_OK);
	assert_int_equal(wal_files_header(files, 9, &h), KV_ENOTFOUND);
	/* Its name is taken; the next 9 does not overwrite it. */
	assert_int_equal(wal_files_prepare(files, 9), KV_OK);
	assert_int_equal(wal_files_header(files, 5, &h), KV_OK);
}

static void
files_of_another_store_or_size_are_left_alone(void **state)
{
	struct segment_header h;

	(void)state;
	wal_image_put(&image, 1, "milk", "1", false);
	write_image(5);
	open_again(STORE + 1, SIZE);
	assert_int_equal(wal_files_header(files, 5, &h), KV_ENOTFOUND);
	assert_int_equal(wal_files_prepare(files, 6), KV_OK);
	open_again(STORE, SIZE * 2);
	assert_int_equal(wal_files_header(files, 5, &h), KV_ENOTFOUND);
	open_again(STORE, SIZE);
	assert_int_equal(wal_files_read(files, 5, back), KV_OK);
	assert_memory_equal(back, image.segment.base, image.end);
}

/* A file whose making was cut short would make writes wait for blocks. */
static void
a_file_that_is_not_whole_is_not_used(void **state)
{
	char path[128];

	(void)state;
	assert_int_equal(wal_files_prepare(files, 5), KV_OK);
	snprintf(path, sizeof(path), "%s/5.wal", dir);
	assert_int_equal(truncate(path, SIZE / 2), 0);
	open_again(STORE, SIZE);
	assert_int_equal(wal_files_prepare(files, 6), KV_OK);
	assert_int_equal(count_files(), 2);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(what_is_written_is_there_after_opening_again),
		TEST(pieces_of_any_length_add_up_to_the_image),
		TEST(a_retired_file_serves_the_next_segment),
		TEST(a_name_is_only_a_hint),
		TEST(files_of_another_store_or_size_are_left_alone),
		TEST(a_file_that_is_not_whole_is_not_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
