// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: routes of protocol 83 in the table `local`; nothing else is ever removed.
 * Promises: running it twice changes nothing the second time.
 * Cost: one dump of the table `local` for each family, then one message per change.
 */
#include "l4/route.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct local {
	struct sluice_addr addr;
	bool ours;
};

struct router {
	struct mnl_socket *nl;
	unsigned seq;
	struct local *locals;
	size_t n, room;
	unsigned lo;
};

/* ---- the wire ------------------------------------------------------------------------- */

/* Sends and reads until the answer is complete. 0 or -errno as the kernel said. */
static int talk(struct router *r, struct nlmsghdr *msg, mnl_cb_t each, void *arg)
{
	char buf[16384];
	unsigned port = mnl_socket_get_portid(r->nl);
	ssize_t len;
	int more = MNL_CB_OK;

	msg->nlmsg_seq = ++r->seq;
	if (mnl_socket_sendto(r->nl, msg, msg->nlmsg_len) < 0)
		return -errno;
	while (more > MNL_CB_STOP) {
		len = mnl_socket_recvfrom(r->nl, buf, sizeof(buf));
		if (len < 0)
			return -errno;
		more = mnl_cb_run(buf, (size_t)len, r->seq, port, each, arg);
	}
	return more < 0 ? -errno : 0;
}

static struct rtmsg *route_message(struct nlmsghdr **msg, char *buf, int type, int family)
{
	struct rtmsg *rt;

	*msg = mnl_nlmsg_put_header(buf);
	(*msg)->nlmsg_type = (uint16_t)type;
	(*msg)->nlmsg_flags = NLM_F_REQUEST;
	rt = mnl_nlmsg_put_extra_header(*msg, sizeof(*rt));
	rt->rtm_family = (unsigned char)family;
	rt->rtm_table = RT_TABLE_LOCAL;
	rt->rtm_type = RTN_LOCAL;
	return rt;
}

/* ---- what is local already ------------------------------------------------------------ */

static int note_local(struct router *r, const struct sluice_addr *addr, bool ours)
{
	if (r->n == r->room) {
		size_t room = r->room ? r->room * 2 : 32;
		struct local *more = realloc(r->locals, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		r->locals = more;
		r->room = room;
	}
	r->locals[r->n++] = (struct local){.addr = *addr, .ours = ours};
	return 0;
}

static int on_route(const struct nlmsghdr *msg, void *arg)
{
	const struct rtmsg *rt = mnl_nlmsg_get_payload(msg);
	unsigned full = rt->rtm_family == AF_INET ? 32 : 128;
	const struct nlattr *attr;
	struct sluice_addr addr = {0};

	/* Kernels without strict checking send every table. */
	if (rt->rtm_table != RT_TABLE_LOCAL || rt->rtm_type != RTN_LOCAL || rt->rtm_dst_len != full)
		return MNL_CB_OK;
	mnl_attr_for_each(attr, msg, sizeof(*rt))
	{
		if (mnl_attr_get_type(attr) != RTA_DST ||
		    mnl_attr_get_payload_len(attr) != full / 8)
			continue;
		if (full == 32)
			addr.b[10] = addr.b[11] = 0xff;
		memcpy(addr.b + (full == 32 ? 12 : 0), mnl_attr_get_payload(attr), full / 8);
		if (note_local(arg, &addr, rt->rtm_protocol == ROUTE_PROTOCOL) != 0)
			return MNL_CB_ERROR; /* errno is ENOMEM */
	}
	return MNL_CB_OK;
}

static int read_locals(struct router *r, int family, struct err *e)
{
	char buf[256];
	struct nlmsghdr *msg;
	size_t before = r->n;
	int rc = 0;

	/* A table that changes meanwhile interrupts the dump. */
	for (int tries = 0; tries < 10; tries++) {
		r->n = before;
		route_message(&msg, buf, RTM_GETROUTE, family);
		msg->nlmsg_flags |= NLM_F_DUMP;
		rc = talk(r, msg, on_route, r);
		if (rc != -EINTR)
			break;
	}
	/* A host without IPv6 has no such routes. */
	if (rc == -EOPNOTSUPP || rc == -EAFNOSUPPORT)
		return 0;
	return rc ? err_set(e, -rc, "cannot read the routing table: %s", strerror(-rc)) : 0;
}

/* ---- changes -------------------------------------------------------------------------- */

static int change(struct router *r, const struct sluice_addr *addr, bool add, struct err *e)
{
	char buf[256], text[ADDR_TEXT];
	bool v4 = addr_is_v4(addr);
	struct nlmsghdr *msg;
	struct rtmsg *rt = route_message(&msg, buf, add ? RTM_NEWROUTE : RTM_DELROUTE,
					 v4 ? AF_INET : AF_INET6);
	int rc;

	msg->nlmsg_flags |= NLM_F_ACK | (add ? NLM_F_CREATE | NLM_F_EXCL : 0);
	rt->rtm_dst_len = v4 ? 32 : 128;
	rt->rtm_protocol = ROUTE_PROTOCOL;
	rt->rtm_scope = v4 ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
	mnl_attr_put(msg, RTA_DST, v4 ? 4 : 16, addr->b + (v4 ? 12 : 0));
	mnl_attr_put_u32(msg, RTA_OIF, r->lo);
	rc = talk(r, msg, NULL, NULL);
	if (rc == 0 || (add && rc == -EEXIST) || (!add && rc == -ESRCH))
		return 0;
	addr_format(addr, text);
	if (rc == -ENETDOWN)
		return err_set(e, -rc,
			       "cannot make %s local: lo is down; `ip link set lo up`, then again",
			       text);
	if (rc == -EPERM)
		return err_set(e, -rc, "no permission to change routes; run as root (sudo)");
	return err_set(e, -rc, "cannot %s the local route of %s: %s", add ? "add" : "remove", text,
		       strerror(-rc));
}

static bool wanted(const struct sluice_addr *vips, size_t n, const struct sluice_addr *addr)
{
	for (size_t i = 0; i < n; i++)
		if (addr_equal(&vips[i], addr))
			return true;
	return false;
}

static bool is_local(const struct router *r, const struct sluice_addr *addr)
{
	for (size_t i = 0; i < r->n; i++)
		if (addr_equal(&r->locals[i].addr, addr))
			return true;
	return false;
}

static int sync_one(struct router *r, const struct sluice_addr *addr, bool add, bool dry, FILE *out,
		    struct err *e)
{
	char text[ADDR_TEXT];

	if (out)
		fprintf(out, "%c route local %s\n", add ? '+' : '-', addr_format(addr, text));
	return dry ? 0 : change(r, addr, add, e);
}

static int open_router(struct router *r, struct err *e)
{
	int on = 1;

	r->seq = (unsigned)time(NULL);
	r->lo = if_nametoindex("lo");
	r->nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!r->nl || mnl_socket_bind(r->nl, 0, MNL_SOCKET_AUTOPID) < 0)
		return err_set(e, errno, "cannot talk to the kernel's routing: %s",
			       strerror(errno));
	/* So that a host with a full BGP table is not asked for all of it (Linux 4.20). */
	mnl_socket_setsockopt(r->nl, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	return 0;
}

int route_sync(const struct sluice_addr *vips, size_t n, bool dry, FILE *out, struct err *e)
{
	struct router r = {0};
	int rc = open_router(&r, e), changes = 0;

	rc = rc ? rc : read_locals(&r, AF_INET, e);
	rc = rc ? rc : read_locals(&r, AF_INET6, e);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (is_local(&r, &vips[i]))
			continue;
		rc = sync_one(&r, &vips[i], true, dry, out, e);
		changes++;
	}
	for (size_t i = 0; rc == 0 && i < r.n; i++) {
		if (!r.locals[i].ours || wanted(vips, n, &r.locals[i].addr))
			continue;
		rc = sync_one(&r, &r.locals[i].addr, false, dry, out, e);
		changes++;
	}
	if (r.nl)
		mnl_socket_close(r.nl);
	free(r.locals);
	return rc ? rc : changes;
}

/* ---- toward backends ------------------------------------------------------------------ */

static int connected_socket(const struct sluice_addr *to)
{
	struct endpoint discard = {.addr = *to, .port = 9};
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&discard, &ss);
	int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&ss, len) != 0) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

int route_source(const struct sluice_addr *to, struct sluice_addr *from, struct err *e)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct endpoint self;
	char text[ADDR_TEXT];
	int fd = connected_socket(to), rc = fd;

	if (fd >= 0) {
		rc = getsockname(fd, (struct sockaddr *)&ss, &len) ? -errno : 0;
		close(fd);
	}
	if (rc == 0 && !endpoint_from_sockaddr(&self, (struct sockaddr *)&ss))
		rc = -EAFNOSUPPORT;
	if (rc)
		return err_set(e, -rc,
			       "the host has no route to %s (%s); add one, or name the tunnel's "
			       "source in gate { tunnel_source = ... }",
			       addr_format(to, text), strerror(-rc));
	*from = self.addr;
	return 0;
}

static int on_interface(const struct nlmsghdr *msg, void *arg)
{
	const struct nlattr *attr;

	mnl_attr_for_each(attr, msg, sizeof(struct rtmsg))
	{
		if (mnl_attr_get_type(attr) == RTA_OIF)
			*(int *)arg = (int)mnl_attr_get_u32(attr);
	}
	return MNL_CB_STOP;
}

int route_interface(const struct sluice_addr *to, struct err *e)
{
	bool v4 = addr_is_v4(to);
	char buf[256], text[ADDR_TEXT];
	struct router r = {.nl = mnl_socket_open(NETLINK_ROUTE)};
	struct nlmsghdr *msg = mnl_nlmsg_put_header(buf);
	struct rtmsg *rt = mnl_nlmsg_put_extra_header(msg, sizeof(*rt));
	int ifindex = 0, rc = 0;

	if (!r.nl || mnl_socket_bind(r.nl, 0, MNL_SOCKET_AUTOPID) < 0)
		rc = -errno;
	msg->nlmsg_type = RTM_GETROUTE;
	msg->nlmsg_flags = NLM_F_REQUEST;
	rt->rtm_family = v4 ? AF_INET : AF_INET6;
	rt->rtm_dst_len = v4 ? 32 : 128;
	mnl_attr_put(msg, RTA_DST, v4 ? 4 : 16, to->b + (v4 ? 12 : 0));
	rc = rc ? rc : talk(&r, msg, on_interface, &ifindex);
	if (r.nl)
		mnl_socket_close(r.nl);
	if (rc == 0 && ifindex > 0)
		return ifindex;
	return err_set(e, rc ? -rc : ENETUNREACH, "no route leads to %s", addr_format(to, text));
}

void route_prime(const struct sluice_addr *to)
{
	int fd = connected_socket(to);

	if (fd < 0)
		return;
	(void)!send(fd, "", 1, MSG_NOSIGNAL);
	close(fd);
}
