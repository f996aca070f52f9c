/* SPDX-License-Identifier: ISC */
/* Run a fuzz target over its committed seeds, without libFuzzer: every input
 * that once broke it is a test of `make check`.  The seeds are those of
 * tests/fuzz/seeds/<name of the program>; the empty input always runs. */

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An input's bytes in memory of exactly its size, so that a sanitizer sees a
 * read past the end. */
static uint8_t *
input_read(const char *path, size_t *size)
{
	uint8_t *data = NULL;
	long length;
	FILE *f;

	if ((f = fopen(path, "rb")) == NULL)
		return NULL;
	if (fseek(f, 0, SEEK_END) == 0 && (length = ftell(f)) >= 0 &&
	    fseek(f, 0, SEEK_SET) == 0) {
		*size = (size_t)length;
		data = malloc(*size > 0 ? *size : 1);
		if (data != NULL && fread(data, 1, *size, f) != *size) {
			free(data);
			data = NULL;
		}
	}
	fclose(f);
	return data;
}

static int
input_run(const char *path)
{
	uint8_t *data;
	size_t size;

	if ((data = input_read(path, &size)) == NULL) {
		printf("%s: %s\n", path, strerror(errno));
		return -1;
	}
	/* Seen only when the next line is the crash. */
	printf("%s\n", path);
	fflush(stdout);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	return 0;
}

int
main(int argc, char **argv)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	unsigned passed = 1, failed = 0;
	char folder[PATH_MAX / 2], path[PATH_MAX];
	struct dirent *entry;
	uint8_t none = 0;
	DIR *seeds;

	LLVMFuzzerTestOneInput(&none, 0);
	snprintf(folder, sizeof(folder), "tests/fuzz/seeds/%s",
	    slash != NULL ? slash + 1 : "");
	if ((seeds = opendir(folder)) != NULL) {
		while ((entry = readdir(seeds)) != NULL) {
			if (entry->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "%s/%s", folder,
			    entry->d_name);
			if (input_run(path) < 0)
				failed++;
			else
				passed++;
		}
		closedir(seeds);
	}
	printf("%u passed, %u failed\n", passed, failed);
	return failed > 0;
}
