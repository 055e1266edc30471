// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: neighbour entries of protocol 83; no other is ever removed.
 * Cost: a question for each backend, one dump of the neighbours, a message for each change.
 */
#include "l4/neighbour.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "l4/route.h"

struct hop {
	struct sluice_addr addr;
	unsigned ifindex;
	bool there; /* ours already, or somebody's for good */
};

struct keeper {
	struct mnl_socket *nl;
	unsigned seq;
	struct hop *wanted, *gone;
	size_t n_wanted, n_gone, room_gone;
};

static int talk(struct keeper *k, struct nlmsghdr *msg, mnl_cb_t each, void *arg)
{
	char buf[16384];
	unsigned port = mnl_socket_get_portid(k->nl);
	int more = MNL_CB_OK;

	msg->nlmsg_seq = ++k->seq;
	if (mnl_socket_sendto(k->nl, msg, msg->nlmsg_len) < 0)
		return -errno;
	while (more > MNL_CB_STOP) {
		ssize_t len = mnl_socket_recvfrom(k->nl, buf, sizeof(buf));

		if (len < 0)
			return -errno;
		more = mnl_cb_run(buf, (size_t)len, k->seq, port, each, arg);
		/* The answer to a question that is no dump is one message. */
		if (!(msg->nlmsg_flags & (NLM_F_DUMP | NLM_F_ACK)) && more == MNL_CB_OK)
			break;
	}
	return more < 0 ? -errno : 0;
}

static size_t addr_bytes(const struct sluice_addr *a)
{
	return addr_is_v4(a) ? 4 : 16;
}

static const void *addr_start(const struct sluice_addr *a)
{
	return a->b + 16 - addr_bytes(a);
}

/* False: not of that family's length. */
static bool addr_take(struct sluice_addr *a, const struct nlattr *attr)
{
	size_t n = mnl_attr_get_payload_len(attr);

	if (n != 4 && n != 16)
		return false;
	memset(a, 0, sizeof(*a));
	if (n == 4)
		a->b[10] = a->b[11] = 0xff;
	memcpy(a->b + 16 - n, mnl_attr_get_payload(attr), n);
	return true;
}

/* ---- the way -------------------------------------------------------------------------- */

/* A router of either family, or the destination itself. */
static int on_way(const struct nlmsghdr *msg, void *arg)
{
	const struct nlattr *attr;
	struct hop *h = arg;

	mnl_attr_for_each(attr, msg, sizeof(struct rtmsg))
	{
		const struct rtvia *via = mnl_attr_get_payload(attr);
		size_t n = mnl_attr_get_payload_len(attr);

		switch (mnl_attr_get_type(attr)) {
		case RTA_OIF:
			h->ifindex = mnl_attr_get_u32(attr);
			break;
		case RTA_GATEWAY:
			if (!addr_take(&h->addr, attr))
				h->ifindex = 0;
			break;
		case RTA_VIA:
			if (n == sizeof(*via) + 16 && via->rtvia_family == AF_INET6)
				memcpy(h->addr.b, via->rtvia_addr, 16);
			break;
		}
	}
	return MNL_CB_OK;
}

/* False: there is no way, or none with a next hop. */
static bool way_to(struct keeper *k, const struct sluice_addr *to, struct hop *h)
{
	char buf[256];
	struct nlmsghdr *msg = mnl_nlmsg_put_header(buf);
	struct rtmsg *rt;

	*h = (struct hop){.addr = *to};
	msg->nlmsg_type = RTM_GETROUTE;
	msg->nlmsg_flags = NLM_F_REQUEST;
	rt = mnl_nlmsg_put_extra_header(msg, sizeof(*rt));
	rt->rtm_family = addr_is_v4(to) ? AF_INET : AF_INET6;
	rt->rtm_dst_len = (unsigned char)(addr_bytes(to) * 8);
	mnl_attr_put(msg, RTA_DST, addr_bytes(to), addr_start(to));
	return talk(k, msg, on_way, h) == 0 && h->ifindex;
}

static struct hop *hop_find(struct hop *hops, size_t n, const struct hop *h)
{
	for (size_t i = 0; i < n; i++)
		if (hops[i].ifindex == h->ifindex && addr_equal(&hops[i].addr, &h->addr))
			return &hops[i];
	return NULL;
}

/* Backends behind one router share it. */
static int ways_find(struct keeper *k, const struct sluice_addr *to, size_t n)
{
	k->wanted = calloc(n + 1, sizeof(*k->wanted));
	if (!k->wanted)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct hop h;

		if (way_to(k, &to[i], &h) && !hop_find(k->wanted, k->n_wanted, &h))
			k->wanted[k->n_wanted++] = h;
	}
	return 0;
}

/* ---- entries -------------------------------------------------------------------------- */

static int note_gone(struct keeper *k, const struct hop *h)
{
	if (k->n_gone == k->room_gone) {
		size_t room = k->room_gone ? k->room_gone * 2 : 32;
		struct hop *more = realloc(k->gone, room * sizeof(*more));

		if (!more)
			return MNL_CB_ERROR; /* errno is ENOMEM */
		k->gone = more;
		k->room_gone = room;
	}
	k->gone[k->n_gone++] = *h;
	return MNL_CB_OK;
}

static int on_entry(const struct nlmsghdr *msg, void *arg)
{
	const struct ndmsg *nd = mnl_nlmsg_get_payload(msg);
	struct hop h = {.ifindex = (unsigned)nd->ndm_ifindex}, *wanted;
	const struct nlattr *attr;
	struct keeper *k = arg;
	bool ours = false, known = false;

	mnl_attr_for_each(attr, msg, sizeof(*nd))
	{
		if (mnl_attr_get_type(attr) == NDA_DST)
			known = addr_take(&h.addr, attr);
		else if (mnl_attr_get_type(attr) == NDA_PROTOCOL)
			ours = mnl_attr_get_u8(attr) == NEIGHBOUR_PROTOCOL;
	}
	if (!known)
		return MNL_CB_OK;
	wanted = hop_find(k->wanted, k->n_wanted, &h);
	if (wanted)
		wanted->there = ours || nd->ndm_state & (NUD_PERMANENT | NUD_NOARP);
	return ours && !wanted ? note_gone(k, &h) : MNL_CB_OK;
}

static int entries_read(struct keeper *k, int family)
{
	char buf[256];
	struct nlmsghdr *msg = mnl_nlmsg_put_header(buf);
	struct ndmsg *nd;

	msg->nlmsg_type = RTM_GETNEIGH;
	msg->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nd = mnl_nlmsg_put_extra_header(msg, sizeof(*nd));
	nd->ndm_family = (unsigned char)family;
	return talk(k, msg, on_entry, k);
}

static int entry_change(struct keeper *k, const struct hop *h, bool add)
{
	char buf[256];
	struct nlmsghdr *msg = mnl_nlmsg_put_header(buf);
	struct ndmsg *nd;
	int rc;

	msg->nlmsg_type = add ? RTM_NEWNEIGH : RTM_DELNEIGH;
	msg->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | (add ? NLM_F_CREATE | NLM_F_REPLACE : 0);
	nd = mnl_nlmsg_put_extra_header(msg, sizeof(*nd));
	nd->ndm_family = addr_is_v4(&h->addr) ? AF_INET : AF_INET6;
	nd->ndm_ifindex = (int)h->ifindex;
	mnl_attr_put(msg, NDA_DST, addr_bytes(&h->addr), addr_start(&h->addr));
	if (add) {
		mnl_attr_put_u8(msg, NDA_PROTOCOL, NEIGHBOUR_PROTOCOL);
		mnl_attr_put_u32(msg, NDA_FLAGS_EXT, NTF_EXT_MANAGED);
	}
	rc = talk(k, msg, NULL, NULL);
	/* Interfaces without addresses of their own kind (lo, tunnels) have no neighbours. */
	if (add && (rc == -EINVAL || rc == -EOPNOTSUPP))
		return 0;
	return !add && rc == -ENOENT ? 0 : rc;
}

/* An older one takes the flag for none, and the message for "forget what you know". */
static bool kernel_manages(void)
{
	struct utsname u;
	unsigned major = 0, minor = 0;

	return uname(&u) == 0 && sscanf(u.release, "%u.%u", &major, &minor) == 2 &&
	       (major > 5 || (major == 5 && minor >= 16));
}

static int entries_change(struct keeper *k)
{
	int rc = entries_read(k, AF_INET);

	rc = rc ? rc : entries_read(k, AF_INET6);
	for (size_t i = 0; rc == 0 && i < k->n_wanted; i++)
		if (!k->wanted[i].there)
			rc = entry_change(k, &k->wanted[i], true);
	for (size_t i = 0; rc == 0 && i < k->n_gone; i++)
		rc = entry_change(k, &k->gone[i], false);
	return rc;
}

int neighbour_sync(const struct sluice_addr *to, size_t n, struct err *e)
{
	struct keeper k = {.seq = (unsigned)time(NULL)};
	int rc;

	for (size_t i = 0; i < n; i++)
		route_prime(&to[i]);
	if (!kernel_manages())
		return 0;
	k.nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!k.nl || mnl_socket_bind(k.nl, 0, MNL_SOCKET_AUTOPID) < 0)
		rc = -errno;
	else
		rc = ways_find(&k, to, n);
	rc = rc ? rc : entries_change(&k);
	if (k.nl)
		mnl_socket_close(k.nl);
	free(k.wanted);
	free(k.gone);
	return rc ? err_set(e, -rc, "cannot have the kernel keep the neighbours of backends: %s",
			    strerror(-rc))
		  : 0;
}
