// SPDX-License-Identifier: BSD-2-Clause
#include "l4/host.h"

#include <errno.h>
#include <netinet/in.h>
#include <linux/capability.h>
#include <linux/ethtool.h>
#include <linux/magic.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

/* ---- the host ------------------------------------------------------------------------- */

static bool has_capability(int cap)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long long effective = 0;
	char line[128];

	if (!f)
		return geteuid() == 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "CapEff: %llx", &effective) == 1)
			break;
	fclose(f);
	return effective >> cap & 1;
}

/* libxdp finds programs by id, which takes CAP_SYS_ADMIN; it includes CAP_BPF. */
int host_permitted(struct err *e)
{
	if (has_capability(CAP_SYS_ADMIN) && has_capability(CAP_NET_ADMIN))
		return 0;
	return err_set(e, EPERM,
		       "this takes CAP_BPF, CAP_NET_ADMIN and CAP_SYS_ADMIN, which this user "
		       "lacks; run it as root (sudo sluice ...)");
}

static int check_kernel(struct err *e)
{
	struct utsname u;
	unsigned major = 0, minor = 0;

	if (uname(&u) != 0 || sscanf(u.release, "%u.%u", &major, &minor) != 2)
		return 0;
	if (major < 5 || (major == 5 && minor < 10))
		return err_set(e, ENOSYS,
			       "this kernel is %s and the gate needs 5.10 or newer (hash tables of "
			       "different lengths in one map); boot a newer one",
			       u.release);
	if (access("/sys/kernel/btf/vmlinux", R_OK) != 0)
		return err_set(
			e, ENOSYS,
			"this kernel has no BTF (/sys/kernel/btf/vmlinux); boot one built with "
			"CONFIG_DEBUG_INFO_BTF=y, as the distributions' kernels are, and see "
			"that /sys is mounted");
	return 0;
}

static int check_bpffs(struct err *e)
{
	struct statfs fs;

	if (statfs("/sys/fs/bpf", &fs) == 0 && fs.f_type == BPF_FS_MAGIC)
		return 0;
	if (mount("bpf", "/sys/fs/bpf", "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") == 0)
		return 0;
	return err_set(e, errno,
		       "no bpffs at /sys/fs/bpf, and mounting it failed (%s); try "
		       "`mount -t bpf bpf /sys/fs/bpf`",
		       strerror(errno));
}

int host_ready(struct err *e)
{
	int rc = host_permitted(e);

	rc = rc ? rc : check_kernel(e);
	return rc ? rc : check_bpffs(e);
}

/* ---- interfaces ----------------------------------------------------------------------- */

/* Edit distance of two interface names (IFNAMSIZ at most, or they differ anyway). */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[IF_NAMESIZE + 1];
	size_t la = strnlen(a, IF_NAMESIZE), lb = strnlen(b, IF_NAMESIZE);

	for (unsigned j = 0; j <= lb; j++)
		row[j] = j;
	for (unsigned i = 1; i <= la; i++) {
		unsigned diagonal = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= lb; j++) {
			unsigned best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[lb];
}

#define NAMES_LISTED 8

static int no_interface(const char *name, struct err *e)
{
	struct if_nameindex *all = if_nameindex();
	char list[NAMES_LISTED * (IF_NAMESIZE + 2) + 8] = "";
	const char *near = NULL;
	unsigned best = 3; /* further away is no typing mistake */
	size_t len = 0;

	for (int i = 0; all && all[i].if_name; i++) {
		unsigned d = distance(name, all[i].if_name);

		if (d < best) {
			best = d;
			near = all[i].if_name;
		}
		if (i < NAMES_LISTED)
			len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s",
						i ? ", " : "", all[i].if_name);
		else if (i == NAMES_LISTED)
			snprintf(list + len, sizeof(list) - len, ", ...");
	}
	if (near)
		err_set(e, ENODEV, "there is no interface %s; did you mean %s? (here are: %s)",
			name, near, list);
	else
		err_set(e, ENODEV, "there is no interface %s; here are: %s", name, list);
	if_freenameindex(all);
	return -ENODEV;
}

int host_ifindex(const char *name, struct err *e)
{
	unsigned index = if_nametoindex(name);

	return index ? (int)index : no_interface(name, e);
}

static bool ethtool(const char *ifname, void *request)
{
	struct ifreq ifr = {.ifr_data = request};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool ok;

	if (fd < 0)
		return false;
	memcpy(ifr.ifr_name, ifname, strnlen(ifname, IF_NAMESIZE - 1));
	ok = ioctl(fd, SIOCETHTOOL, &ifr) == 0;
	close(fd);
	return ok;
}

const char *host_driver(const char *ifname, char buf[HOST_DRIVER])
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};

	snprintf(buf, HOST_DRIVER, "%s",
		 ethtool(ifname, &info) && info.driver[0] ? info.driver : "unknown");
	return buf;
}

bool host_owns(const struct sluice_addr *addr)
{
	struct sockaddr_in6 sa = {.sin6_family = AF_INET6};
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return true; /* nothing is known */
	memcpy(&sa.sin6_addr, addr, sizeof(sa.sin6_addr));
	rc = bind(fd, (struct sockaddr *)&sa, sizeof(sa));
	close(fd);
	return rc == 0;
}

bool host_forwards(const char *ifname, bool v6)
{
	char path[96];
	FILE *f;
	int c;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv%c/conf/%s/forwarding", v6 ? '6' : '4',
		 ifname);
	f = fopen(path, "re");
	if (!f)
		return true;
	c = fgetc(f);
	fclose(f);
	return c != '0';
}

/* ---- what drivers want ---------------------------------------------------------------- */

/* First row that fits. %s is the interface. A needle is part of the kernel's own words. */
static const struct mend {
	const char *driver; /* NULL = any */
	const char *needle;
	const char *text;
} mends[] = {
	{"virtio_net", "GRO_HW",
	 "`ethtool -K %s lro off rx-gro-hw off`, or start the guest with "
	 "guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off,guest_csum=off"},
	{"virtio_net", "LRO", "`ethtool -K %s lro off`"},
	{"veth", "Peer MTU", "lower the peer's MTU (ip link set dev PEER mtu 1500)"},
	{"veth", "rx queues",
	 "give %s as many receive queues as its peer has transmit queues (ethtool -L)"},
	{"ena", "channel count", "`ethtool -L %s combined N` with N half of its maximum or less"},
	{"bond", "bonding mode",
	 "bonds take native XDP only in modes balance-rr, active-backup, balance-xor and 802.3ad; "
	 "change the mode of %s, or attach to its slaves"},
	{"bond", "slave", "take XDP off the slaves of %s, or attach to each slave instead"},
	{NULL, "MTU", "`ip link set dev %s mtu 1500` (native XDP wants a frame in one page)"},
	{NULL, "header/data split", "`ethtool -G %s tcp-data-split off`"},
	{NULL, "LRO", "`ethtool -K %s lro off`"},
};

const char *host_mend(const char *driver, const char *said)
{
	for (size_t i = 0; said && i < sizeof(mends) / sizeof(mends[0]); i++) {
		if (mends[i].driver && strcmp(mends[i].driver, driver) != 0)
			continue;
		if (strcasestr(said, mends[i].needle))
			return mends[i].text;
	}
	return NULL;
}

int host_refused(const char *ifname, bool native, int errnum, const char *said, struct err *e)
{
	const char *mode = native ? "native" : "generic", *format;
	char driver[HOST_DRIVER], mend[256];

	host_driver(ifname, driver);
	format = host_mend(driver, said);
	if (format) {
		/* The formats are the rows above. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(mend, sizeof(mend), format, ifname);
#pragma GCC diagnostic pop
		return err_set(e, errnum, "%s refuses %s XDP (driver %s: %s); %s", ifname, mode,
			       driver, said, mend);
	}
	if (native && errnum == EOPNOTSUPP)
		return err_set(
			e, errnum,
			"%s has no native XDP (driver %s%s%s); --mode generic works with any "
			"driver, several times slower",
			ifname, driver, said ? ": " : "", said ? said : "");
	return err_set(e, errnum, "%s refuses %s XDP (driver %s: %s)%s", ifname, mode, driver,
		       said ? said : strerror(errnum),
		       native ? "; --mode generic works with any driver, several times slower"
			      : "");
}

const char *host_caution(const char *ifname, char *buf, size_t size)
{
	struct ethtool_channels ch = {.cmd = ETHTOOL_GCHANNELS};
	char driver[HOST_DRIVER];
	long cpus = sysconf(_SC_NPROCESSORS_CONF);

	host_driver(ifname, driver);
	if (strcmp(driver, "veth") == 0) {
		/* With GRO alone the peer gets it only when other traffic wakes it. */
		snprintf(
			buf, size,
			"%s is a veth: what the gate sends back through it is lost unless its peer "
			"runs an XDP program too (any that passes will do)",
			ifname);
		return buf;
	}
	if (strcmp(driver, "virtio_net") == 0 && ethtool(ifname, &ch) &&
	    ch.combined_count + cpus > ch.max_combined) {
		snprintf(
			buf, size,
			"%s (virtio_net) has too few queues for one of its own per CPU, so sending "
			"takes a lock; give the guest queues = %ld",
			ifname, 2 * cpus);
		return buf;
	}
	return NULL;
}
