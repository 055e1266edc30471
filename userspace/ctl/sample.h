/* SPDX-License-Identifier: BSD-2-Clause */
/* A sampled packet in words: what events and capture share. */
#ifndef CTL_SAMPLE_H
#define CTL_SAMPLE_H

#include <net/if.h>

#include <jansson.h>

#include "ctl/status.h"
#include "l4/gate.h"

/* A newer gate may have more reasons than this program knows. */
struct status_name sample_reason(__u32 reason);

/* From the time since boot to that since 1970. */
__u64 sample_wall_ns(__u64 boot_ns);

/* Its name, or "if7" when it is gone or in another network namespace. Returns buf. */
const char *sample_interface(__u32 ifindex, char buf[IF_NAMESIZE]);

/* "" for none. */
const char *sample_backend(const struct gate *g, __u32 id, struct sluice_label *buf);

/* One line, without its end. */
void sample_print(const struct gate *g, const struct sluice_event *event, FILE *out);
/* NULL: out of memory. */
json_t *sample_json(const struct gate *g, const struct sluice_event *event);

#endif
