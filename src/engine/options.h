/* SPDX-License-Identifier: ISC */
#ifndef KV_ENGINE_OPTIONS_H
#define KV_ENGINE_OPTIONS_H

/* The engine's options out of a configuration. */

#include "conf/conf.h"
#include "engine/engine.h"

/* Texts borrow from c. */
void engine_options_read(const struct conf *c, enum control_role role,
    struct engine_options *out);

#endif
