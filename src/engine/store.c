/* SPDX-License-Identifier: ISC */
/* The file that says what a store folder is. */

#include "engine/store.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>

#include "base/log.h"
#include "base/rng.h"
#include "io/file.h"
#include "wal/segment.h"

#define STORE_FILE_MAX 4096

static void
store_path(char path[PATH_MAX], const char *dir)
{
	snprintf(path, PATH_MAX, "%.*s/store", PATH_MAX - 8, dir);
}

static int
store_parse(const char *text, const char *path, struct store *out)
{
	unsigned format;

	if (sscanf(text, "kv store\nformat %u\n", &format) != 1) {
		log_error("store file=%s error=\"not a store file of kv\"",
		    path);
		return KV_ECORRUPT;
	}
	if (format != STORE_FORMAT) {
		log_error("store file=%s found_format=%u expected_format=%d "
			  "hint=\"this store was made by another version of "
			  "kv; use that, or a new folder\"",
		    path, format, STORE_FORMAT);
		return KV_EVERSION;
	}
	if (sscanf(text,
		"kv store\nformat %u\nid %" SCNx64 "\nsegment_size %" SCNu64,
		&format, &out->id, &out->segment_size) != 3 ||
	    out->segment_size < (1u << 20) || out->segment_size > SEGMENT_MAX ||
	    out->segment_size % 4096 != 0) {
		log_error("store file=%s error=\"damaged\"", path);
		return KV_ECORRUPT;
	}
	return KV_OK;
}

int
store_read(const char *dir, struct store *out)
{
	char path[PATH_MAX];
	struct buf text;
	int rc;

	store_path(path, dir);
	buf_init(&text);
	rc = file_read(path, STORE_FILE_MAX, &text);
	if (rc == KV_OK)
		rc = buf_append(&text, "", 1);
	if (rc == KV_OK)
		rc = store_parse(text.data, path, out);
	else if (rc == KV_ETOOBIG) {
		log_error("store file=%s error=\"not a store file of kv\"",
		    path);
		rc = KV_ECORRUPT;
	}
	buf_fini(&text);
	return rc;
}

int
store_make(const char *dir, uint64_t segment_size, struct store *out)
{
	char path[PATH_MAX];
	struct buf text;
	int rc;

	out->id = rng_u64();
	out->segment_size = segment_size & ~(uint64_t)4095;
	store_path(path, dir);
	buf_init(&text);
	rc = buf_printf(&text,
	    "kv store\nformat %d\nid %016" PRIx64 "\nsegment_size %" PRIu64
	    "\n",
	    STORE_FORMAT, out->id, out->segment_size);
	if (rc == KV_OK)
		rc = file_write(path, buf_slice(&text), 0600);
	buf_fini(&text);
	return rc;
}
