// SPDX-License-Identifier: BSD-2-Clause
#include "l4/conns.h"

#include <bpf/bpf.h>

#include "sluice/conn.h"

bool conns_find(const struct gate *g, const struct sluice_flow *flow, __u32 *backend,
		__u32 *generation)
{
	__u64 hash = sluice_conn_hash(flow, g->meta_seen.seed);
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(g->conns, &info, &len) != 0)
		return false;
	for (int second = 0; second < 2; second++) {
		__u32 index = sluice_conn_bucket(hash, second, info.max_entries);
		struct sluice_conns b;

		if (bpf_map_lookup_elem(g->conns, &index, &b) != 0)
			return false;
		for (int i = 0; i < SLUICE_CONN_WAYS; i++) {
			__u64 word = b.way[i].word;

			if (!word || sluice_conn_of(b.way[i].check, word) != hash)
				continue;
			*backend = sluice_conn_backend(word);
			*generation = sluice_conn_generation(word);
			return true;
		}
	}
	return false;
}
