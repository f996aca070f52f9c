/* SPDX-License-Identifier: ISC */
#ifndef KV_WORKER_CONFIG_TABLE_H
#define KV_WORKER_CONFIG_TABLE_H

/* The parameters of Redis that CONFIG knows: what they are here, and what they
 * take.  Few of them do anything (see cmd_config.c); the others are kept for
 * whoever asks for them again. */

#include "kv_types.h"

enum config_kind {
	CONFIG_BOOL,
	CONFIG_INT,
	CONFIG_MEMORY,
	CONFIG_PERCENT, /* or memory */
	CONFIG_ENUM,
	CONFIG_SAVE,
	CONFIG_TEXT,
};

enum config_flag {
	CONFIG_NEVER = 1,  /* not even to what it is */
	CONFIG_FIXED = 2,  /* only to what it is */
	CONFIG_HIDDEN = 4, /* no pattern finds it */
	CONFIG_FORGET = 8, /* checked by nobody, kept by nobody */
};

struct config_row {
	const char *name;
	const char *alias; /* NULL: none */
	const char *value; /* NULL: known elsewhere */
	enum config_kind kind;
	unsigned flags;	     /* of enum config_flag */
	int64_t least, most; /* of INT and MEMORY */
	const char *choices; /* of ENUM: words with blanks between */
};

const struct config_row *config_table(size_t *count);

/* By name or alias; NULL: there is none. */
const struct config_row *config_find(struct kv_slice name);

/* The value as CONFIG GET would show it, in to.  NULL, or why not. */
#define CONFIG_VALUE_MAX 512
#define CONFIG_WHY_MAX 256
const char *config_parse(const struct config_row *row, struct kv_slice text,
    char to[CONFIG_VALUE_MAX], char why[CONFIG_WHY_MAX]);

#endif
