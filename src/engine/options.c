/* SPDX-License-Identifier: ISC */
/* Configuration to engine options. */

#include "engine/options.h"

void
engine_options_read(const struct conf *c, enum control_role role,
    struct engine_options *out)
{
	*out = (struct engine_options){ .dir = conf_text(c, CONF_DIR),
		.shm_dir = conf_text(c, CONF_SHM_DIR),
		.segment_size = conf_u64(c, CONF_SEGMENT_SIZE),
		.map_size = conf_u64(c, CONF_MAP_SIZE),
		.retention_ms = conf_u64(c, CONF_RETENTION),
		.durability =
		    (enum engine_durability)conf_u64(c, CONF_DURABILITY),
		.role = role };
}
