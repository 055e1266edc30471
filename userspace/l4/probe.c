// SPDX-License-Identifier: BSD-2-Clause
#include "l4/probe.h"

#include <errno.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "l4/chatter.h"
#include "l4/route.h"
#include "probe.skel.h"

#define PLACES   64 /* interfaces that lead to backends */
#define HANDLE   0x5c
#define PRIORITY 0x5c

/* Linux 6.6; in no header of Debian 12. */
#define TCX_INGRESS 46
#define TCX_EGRESS  47

struct place {
	int ifindex;
	int links[2]; /* in, out; -1: by clsact */
};

struct probe {
	struct probe_bpf *skel;
	struct place places[PLACES];
	unsigned n_places;
	__u32 n;
};

struct probe *probe_open(struct err *e)
{
	struct probe *p = calloc(1, sizeof(*p));
	int rc;

	if (!p) {
		err_set(e, ENOMEM, "out of memory");
		return NULL;
	}
	chatter_catch();
	p->skel = probe_bpf__open();
	rc = p->skel ? probe_bpf__load(p->skel) : -errno;
	if (rc == 0)
		return p;
	probe_close(p);
	err_set(e, -rc, "cannot load the program for it: %s", strerror(-rc));
	return NULL;
}

/* ---- attaching ------------------------------------------------------------------------- */

static int hook_of(int ifindex, int egress, struct bpf_tc_hook *hook)
{
	*hook = (struct bpf_tc_hook){.sz = sizeof(*hook),
				     .ifindex = ifindex,
				     .attach_point = egress ? BPF_TC_EGRESS : BPF_TC_INGRESS};
	return 0;
}

/* Beside whatever else is there, and in the place of what a killed daemon left. */
static int clsact_attach(int ifindex, int egress, int prog)
{
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog, .handle = HANDLE, .priority = PRIORITY,
		    .flags = BPF_TC_F_REPLACE);
	struct bpf_tc_hook hook;
	int rc;

	hook_of(ifindex, egress, &hook);
	rc = bpf_tc_hook_create(&hook);
	return rc && rc != -EEXIST ? rc : bpf_tc_attach(&hook, &opts);
}

static void clsact_detach(int ifindex, int egress)
{
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = HANDLE, .priority = PRIORITY);
	struct bpf_tc_hook hook;

	hook_of(ifindex, egress, &hook);
	bpf_tc_detach(&hook, &opts);
}

static int attach_one(struct place *at, int egress, int prog)
{
	int link = bpf_link_create(prog, at->ifindex, egress ? TCX_EGRESS : TCX_INGRESS, NULL);

	at->links[egress] = link >= 0 ? link : -1;
	return link >= 0 ? 0 : clsact_attach(at->ifindex, egress, prog);
}

/* The gate's tunnels and MAC addresses are Ethernet's. */
static bool is_ethernet(int ifindex)
{
	struct ifreq r = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool yes = fd >= 0 && if_indextoname((unsigned)ifindex, r.ifr_name) &&
		   ioctl(fd, SIOCGIFHWADDR, &r) == 0 && r.ifr_hwaddr.sa_family == ARPHRD_ETHER;

	if (fd >= 0)
		close(fd);
	return yes;
}

static int place_make(struct probe *p, int ifindex, struct err *e)
{
	struct place *at = &p->places[p->n_places];
	int rc;

	for (unsigned i = 0; i < p->n_places; i++)
		if (p->places[i].ifindex == ifindex)
			return 0;
	if (p->n_places == PLACES)
		return err_set(e, E2BIG, "more than %d interfaces lead to backends", PLACES);
	if (!is_ethernet(ifindex))
		return err_set(e, EAFNOSUPPORT, "the way to them is no Ethernet interface");
	*at = (struct place){.ifindex = ifindex, .links = {-1, -1}};
	rc = attach_one(at, 0, bpf_program__fd(p->skel->progs.probe_in));
	rc = rc ? rc : attach_one(at, 1, bpf_program__fd(p->skel->progs.probe_out));
	p->n_places++; /* to be taken off again, also what is half there */
	return rc ? err_set(e, -rc, "cannot attach the program for it: %s", strerror(-rc)) : 0;
}

void probe_close(struct probe *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < p->n_places; i++)
		for (int egress = 0; egress < 2; egress++) {
			if (p->places[i].links[egress] >= 0)
				close(p->places[i].links[egress]);
			else
				clsact_detach(p->places[i].ifindex, egress);
		}
	probe_bpf__destroy(p->skel);
	free(p);
}

/* ---- backends -------------------------------------------------------------------------- */

int probe_add(struct probe *p, const struct sluice_probe *what, struct err *e)
{
	struct sluice_probe probe = *what;
	__u32 bit = sluice_probe_bit(&probe.vip), number = p->n;
	int ifindex, rc = 0;

	if (number == SLUICE_PROBES)
		return err_set(e, E2BIG, "more than %u backends", SLUICE_PROBES);
	if (addr_is_any(&probe.src))
		rc = route_source(&probe.backend, &probe.src, e);
	ifindex = rc ? rc : route_interface(&probe.backend, e);
	rc = ifindex < 0 ? ifindex : place_make(p, ifindex, e);
	if (rc)
		return rc;
	if (bpf_map_update_elem(bpf_map__fd(p->skel->maps.probes), &number, &probe, BPF_ANY) != 0)
		return err_set(e, errno, "cannot write the map probes: %s", strerror(errno));
	p->skel->bss->vips[bit / 64] |= 1ULL << bit % 64;
	p->n++;
	return (int)number;
}

int probe_mark(int fd, int number)
{
	__u32 mark = SLUICE_PROBE_MARK | (__u32)number;

	return setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) == 0 ? 0 : -errno;
}
