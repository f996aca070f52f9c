/* SPDX-License-Identifier: ISC */
#ifndef KV_CONF_FLAGS_H
#define KV_CONF_FLAGS_H

/* The command line of kvd.  Every option of the table is a flag too:
 * value_max is --value-max SIZE, and `--set value_max=SIZE`. */

#include "conf/error.h"

struct flags_setting {
	enum conf_id id;
	const char *value; /* of argv */
	char origin[48];
};

struct flags {
	const char *config; /* -c FILE, NULL: look in the usual places */
	bool check;	    /* -n */
	bool print_config;
	bool json;	   /* --print-config as JSON */
	unsigned versions; /* how often -v or --version; twice: settings too */
	bool help;
	bool help_mdoc; /* --help-options-mdoc: the table of kvd.conf(5) */
	struct flags_setting *settings; /* in order */
	size_t setting_count;
};

/* Borrows from argv, which it may permute.  Free in both cases. */
KV_CHECKED int flags_parse(int argc, char **argv, struct flags *out,
    struct conf_error *e);
void flags_free(struct flags *f);

#endif
