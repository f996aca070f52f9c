/* SPDX-License-Identifier: ISC */
#ifndef KV_SYNCD_KEYS_H
#define KV_SYNCD_KEYS_H

/* From the cookie file to the keys of handshakes. */

#include "conf/conf.h"
#include "sync/psk.h"

/* Read cookie_file and stretch what is in it.  On failure why is one line that
 * names file and option, without any of the secret. */
KV_CHECKED int keys_load(const struct conf *c, struct psk_ring **out, char *why,
    size_t size);

/* At the start: where there is no cookie and nobody chose another path, one is
 * made first, so that the nodes of one user just work.  A reload makes none: a
 * file that is gone then is a mistake, and a new secret would part this node
 * from all others. */
KV_CHECKED int keys_load_first(const struct conf *c, struct psk_ring **out,
    char *why, size_t size);

/* Would keys_load_first succeed?  Nothing is made; *missing: one would be. */
KV_CHECKED int keys_check(const struct conf *c, bool *missing, char *why,
    size_t size);

#endif
