/* SPDX-License-Identifier: ISC */
/* Any bytes as a configuration file: no crash, one printable line for an
 * error, and what is accepted survives the way to a child. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conffile.h"
#include "conf/print.h"

#define MUST(condition)                                                        \
	do {                                                                   \
		if (!(condition))                                              \
			abort();                                               \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_line(const char *text)
{
	MUST(*text != '\0');
	for (; *text != '\0'; text++)
		MUST((unsigned char)*text >= ' ');
}

static void
check_round_trip(const struct conf *c)
{
	struct buf sent, again;
	struct conf *copy;
	enum conf_id id;

	buf_init(&sent);
	buf_init(&again);
	MUST(conf_write(c, &sent) == KV_OK);
	MUST(conf_read(buf_slice(&sent), &copy) == KV_OK);
	MUST(conf_write(copy, &again) == KV_OK);
	MUST(slice_equal(buf_slice(&sent), buf_slice(&again)));
	for (id = 0; id < CONF_COUNT; id++)
		MUST(strcmp(conf_text(c, id), conf_text(copy, id)) == 0);
	conf_free(copy);
	buf_fini(&sent);
	buf_fini(&again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct kv_slice text = { (const char *)data, size };
	struct conf_error e = { .text = "" };
	struct conf *c;

	if (size > 1 << 16)
		return 0;
	MUST(conf_new(&c) == KV_OK);
	if (conffile_parse(c, text, "fuzz", &e) < 0 || conf_complete(c, &e) < 0)
		check_line(e.text);
	else
		check_round_trip(c);
	conf_free(c);
	return 0;
}
