/* SPDX-License-Identifier: ISC */
#ifndef KV_CONF_JSON_H
#define KV_CONF_JSON_H

#include "base/buf.h"

/* Append text as a JSON string (RFC 8259) with its quotes.  Bytes that are not
 * ASCII pass as they are. */
KV_CHECKED int json_string(struct buf *out, const char *text);

#endif
