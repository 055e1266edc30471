// SPDX-License-Identifier: BSD-2-Clause
#include "l4/arrays.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <linux/bpf.h>

int array_read(int fd, void *out, __u32 n)
{
	__u32 *keys = calloc(n, sizeof(*keys)), next = 0, got = n;
	int rc = 0;

	if (!keys)
		return -ENOMEM;
	/* ENOENT says that the map has no more, which is what was asked for. */
	if (bpf_map_lookup_batch(fd, NULL, &next, keys, out, &got, NULL) != 0 && errno != ENOENT)
		rc = -errno;
	free(keys);
	return rc ? rc : got == n ? 0 : -ENODATA;
}

int array_swap_in(int outer, __u32 id, const __u32 *values, __u32 n)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_INNER_MAP);
	__u32 *keys = calloc(n, sizeof(*keys)), written = n;
	int fd, rc = 0;

	if (!keys)
		return -ENOMEM;
	for (__u32 i = 0; i < n; i++)
		keys[i] = i;
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "ring", sizeof(__u32), sizeof(__u32), n, &opts);
	if (fd < 0 || bpf_map_update_batch(fd, keys, values, &written, NULL) != 0 ||
	    bpf_map_update_elem(outer, &id, &fd, BPF_ANY) != 0)
		rc = -errno;
	if (fd >= 0)
		close(fd); /* outer holds it now */
	free(keys);
	return rc;
}

int array_inner(int outer, __u32 id, __u32 slot, __u32 *value)
{
	__u32 inner;
	int fd;

	*value = 0;
	if (bpf_map_lookup_elem(outer, &id, &inner) != 0)
		return 0;
	fd = bpf_map_get_fd_by_id(inner);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno; /* swapped this moment */
	bpf_map_lookup_elem(fd, &slot, value);
	close(fd);
	return 0;
}
