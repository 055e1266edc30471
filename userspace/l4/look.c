// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: telling the gate from everybody else's programs.
 * A program is the gate when it is named so and uses maps with the gate's names; it is
 * adopted when those are the pinned ones.
 * Cost: some dozen system calls for each interface that runs XDP, one for each other.
 */
#include "l4/look.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <xdp/libxdp.h>

#include "l4/attach.h"
#include "l4/gate.h"
#include "l4/host.h"

#define LOOK_MAPS      64 /* of one program that are looked at; the gate has fewer */
#define LOOK_GATE_MAPS 4  /* with names of ours: no accident */

struct program {
	struct bpf_prog_info info;
	__u32 map_ids[LOOK_MAPS];
	__u32 n_maps;
};

static int read_program(int fd, struct program *p)
{
	__u32 len = sizeof(p->info);

	memset(p, 0, sizeof(*p));
	p->info.nr_map_ids = LOOK_MAPS;
	p->info.map_ids = (__u64)(uintptr_t)p->map_ids;
	if (bpf_obj_get_info_by_fd(fd, &p->info, &len) != 0)
		return -errno;
	p->n_maps = p->info.nr_map_ids < LOOK_MAPS ? p->info.nr_map_ids : LOOK_MAPS;
	return 0;
}

/* Opens one of a program's maps; -1 when it is gone. */
static int open_map(__u32 id, struct bpf_map_info *info)
{
	__u32 len = sizeof(*info);
	int fd = bpf_map_get_fd_by_id(id);

	memset(info, 0, sizeof(*info));
	if (fd >= 0 && bpf_obj_get_info_by_fd(fd, info, &len) != 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static void format_tag(const struct bpf_prog_info *info, char *tag)
{
	for (int i = 0; i < BPF_TAG_SIZE; i++)
		sprintf(tag + 2 * i, "%02x", info->tag[i]);
}

int look_tag(int prog_fd, char *tag)
{
	struct program p;
	int rc = read_program(prog_fd, &p);

	if (rc == 0)
		format_tag(&p.info, tag);
	return rc;
}

int look_rodata(uint32_t prog_id, void *out, size_t size)
{
	int fd = bpf_prog_get_fd_by_id(prog_id), rc;
	struct bpf_map_info info;
	struct program p;
	__u32 zero = 0;

	if (fd < 0)
		return -errno;
	rc = read_program(fd, &p);
	close(fd);
	for (__u32 i = 0; rc == 0 && i < p.n_maps; i++) {
		fd = open_map(p.map_ids[i], &info);
		if (fd < 0)
			continue;
		if (strstr(info.name, ".rodata") && info.value_size == size)
			rc = bpf_map_lookup_elem(fd, &zero, out) == 0 ? 1 : -errno;
		close(fd);
	}
	return rc == 1 ? 0 : rc ? rc : -ENOENT;
}

/* ---- the gate among others ------------------------------------------------------------ */

static const char *const gate_maps[] = {
#define X(name) #name,
	GATE_MAPS(X)
#undef X
};

static bool is_gate_map(const char *name)
{
	for (size_t i = 0; i < sizeof(gate_maps) / sizeof(gate_maps[0]); i++)
		if (strcmp(gate_maps[i], name) == 0)
			return true;
	return false;
}

/* Id of the map that is pinned by this name; 0 = none. */
static __u32 pinned_id(const char *name)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", SLUICE_PIN_DIR, name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		return 0;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) != 0)
		info.id = 0;
	close(fd);
	return info.id;
}

static bool is_gate(const struct program *p, bool *adopted)
{
	unsigned known = 0, pinned = 0;

	if (strcmp(p->info.name, "gate") != 0)
		return false;
	for (__u32 i = 0; i < p->n_maps; i++) {
		struct bpf_map_info info;
		int fd = open_map(p->map_ids[i], &info);

		if (fd < 0)
			continue;
		close(fd);
		if (!is_gate_map(info.name))
			continue;
		known++;
		pinned += pinned_id(info.name) == info.id;
	}
	*adopted = pinned == known;
	return known >= LOOK_GATE_MAPS;
}

/* True when prog is the gate; then the place is told so. */
static bool note_gate(struct attach_place *place, const struct xdp_program *prog)
{
	struct program p;

	if (read_program(xdp_program__fd(prog), &p) != 0 || !is_gate(&p, &place->adopted))
		return false;
	place->prog_id = p.info.id;
	format_tag(&p.info, place->tag);
	return true;
}

static void look_chain(struct attach_place *place, const struct xdp_multiprog *mp)
{
	struct xdp_program *prog = NULL;

	while (place->chain < ATTACH_CHAIN && (prog = xdp_multiprog__next_prog(prog, mp)) != NULL) {
		struct attach_link *link = &place->links[place->chain++];
		const char *name = xdp_program__name(prog);

		snprintf(link->name, sizeof(link->name), "%s", name ? name : "");
		link->prog_id = xdp_program__id(prog);
		link->priority = xdp_program__run_prio(prog);
		if (!place->prog_id && note_gate(place, prog)) {
			place->position = place->chain;
			place->priority = link->priority;
		}
	}
}

static void look_single(struct attach_place *place, const struct xdp_multiprog *mp)
{
	struct xdp_program *prog = xdp_multiprog__main_prog(mp);
	const char *name = xdp_program__name(prog);

	if (note_gate(place, prog))
		return;
	place->other_id = xdp_program__id(prog);
	snprintf(place->other_name, sizeof(place->other_name), "%s",
		 name && name[0] ? name : "without a name");
}

int attach_look(const char *ifname, struct attach_place *place, struct err *e)
{
	int ifindex = host_ifindex(ifname, e);
	struct xdp_multiprog *mp;
	__u32 id = 0;
	int rc;

	memset(place, 0, sizeof(*place));
	if (ifindex < 0)
		return ifindex;
	snprintf(place->ifname, sizeof(place->ifname), "%s", ifname);
	place->ifindex = ifindex;
	/* Most interfaces run no XDP; libxdp would be long about it. */
	rc = bpf_xdp_query_id(ifindex, 0, &id);
	if (rc == 0 && id == 0)
		return 0;
	mp = xdp_multiprog__get_from_ifindex(ifindex);
	rc = (int)libxdp_get_error(mp);
	if (rc == -ENOENT)
		return 0;
	if (rc)
		return err_set(e, -rc, "cannot see what XDP program runs on %s: %s%s", ifname,
			       strerror(-rc), rc == -EPERM ? "; run as root (sudo)" : "");
	place->native = xdp_multiprog__attach_mode(mp) == XDP_MODE_NATIVE;
	if (xdp_multiprog__is_legacy(mp))
		look_single(place, mp);
	else
		look_chain(place, mp);
	xdp_multiprog__close(mp);
	return 0;
}

int attach_list(struct attach_place **places, unsigned *n, struct err *e)
{
	struct if_nameindex *all = if_nameindex();
	unsigned count = 0;
	struct err ignored;

	*n = 0;
	*places = NULL;
	if (!all)
		return err_set(e, errno, "cannot list the network interfaces: %s", strerror(errno));
	while (all[count].if_name)
		count++;
	*places = calloc(count + 1, sizeof(**places));
	/* An interface that vanishes meanwhile has no gate. */
	for (unsigned i = 0; *places && i < count; i++)
		if (attach_look(all[i].if_name, &(*places)[*n], &ignored) == 0 &&
		    (*places)[*n].prog_id)
			(*n)++;
	if_freenameindex(all);
	return *places ? 0 : err_set(e, ENOMEM, "out of memory");
}
