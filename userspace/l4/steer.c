// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: the steering program's life in a network namespace, and the slots of `workers`.
 * Promises: replacing the program loses no connection, since the link stays; a link that
 * steers another namespace is never replaced.
 */
#include "l4/steer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "steer.skel.h"

#define PIN_PROG SLUICE_PIN_DIR "/steer"
#define PIN_LINK SLUICE_PIN_DIR "/steer_link"

/* ---- the program ---------------------------------------------------------------------- */

/* maps.h defines every map of the gate; steering uses three, and all of them are pinned by
 * the gate. Nothing is made here. */
static bool map_used(const char *name)
{
	return strcmp(name, "vips") == 0 || strcmp(name, "meta") == 0 ||
	       strcmp(name, "workers") == 0;
}

static struct steer_bpf *steer_load(struct err *e)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .pin_root_path = SLUICE_PIN_DIR);
	struct steer_bpf *skel = steer_bpf__open_opts(&opts);
	struct bpf_map *map;
	int rc = skel ? 0 : -errno;

	if (rc == 0) {
		bpf_object__for_each_map(map, skel->obj)
		{
			bpf_map__set_autocreate(map, map_used(bpf_map__name(map)));
		}
		rc = bpf_object__load(skel->obj);
	}
	if (rc == 0)
		return skel;
	steer_bpf__destroy(skel);
	err_set(e, -rc, "cannot load the steering program: %s%s", strerror(-rc),
		rc == -EPERM    ? "; run as root (sudo), or with CAP_BPF and CAP_NET_ADMIN"
		: rc == -EINVAL ? "; it needs Linux 5.10 or later"
				: "");
	errno = -rc;
	return NULL;
}

/* ---- the link ------------------------------------------------------------------------- */

enum link_state { LINK_NONE, LINK_HERE, LINK_ELSEWHERE, LINK_DEAD };

/* A link outlives its namespace as an empty shell, which cannot be attached again. */
static int link_look(int fd, int netns, enum link_state *state)
{
	struct bpf_link_info info = {0};
	__u32 len = sizeof(info);
	struct stat here;

	if (bpf_obj_get_info_by_fd(fd, &info, &len) != 0 || fstat(netns, &here) != 0)
		return -errno;
	if (info.type != BPF_LINK_TYPE_NETNS || info.netns.netns_ino == 0)
		*state = LINK_DEAD;
	else
		*state = info.netns.netns_ino == here.st_ino ? LINK_HERE : LINK_ELSEWHERE;
	return 0;
}

/* *fd is open when the state is not LINK_NONE. */
static int link_find(int netns, int *fd, enum link_state *state)
{
	int rc;

	*state = LINK_NONE;
	*fd = bpf_obj_get(PIN_LINK);
	if (*fd < 0)
		return errno == ENOENT ? 0 : -errno;
	rc = link_look(*fd, netns, state);
	if (rc) {
		close(*fd);
		*fd = -1;
	}
	return rc;
}

static int link_make(struct steer_bpf *skel, int netns, struct err *e)
{
	struct bpf_link *link = bpf_program__attach_netns(skel->progs.steer, netns);
	int rc = link ? 0 : -errno;

	if (rc)
		return err_set(e, -rc, "cannot attach the steering program: %s", strerror(-rc));
	rc = bpf_link__pin(link, PIN_LINK);
	if (rc)
		err_set(e, -rc, "cannot pin %s: %s", PIN_LINK, strerror(-rc));
	bpf_link__destroy(link); /* a pinned one stays attached */
	return rc;
}

/* The program's own pin is for people and bpftool: it holds nothing alive. */
static int pin_program(struct steer_bpf *skel, struct err *e)
{
	if ((unlink(PIN_PROG) != 0 && errno != ENOENT) ||
	    bpf_obj_pin(bpf_program__fd(skel->progs.steer), PIN_PROG) != 0)
		return err_set(e, errno, "cannot pin %s: %s", PIN_PROG, strerror(errno));
	return 0;
}

static int link_put(struct steer_bpf *skel, int netns, struct err *e)
{
	enum link_state state;
	int fd, rc = link_find(netns, &fd, &state);

	if (rc)
		return err_set(e, -rc, "cannot look at %s: %s", PIN_LINK, strerror(-rc));
	switch (state) {
	case LINK_HERE:
		if (bpf_link_update(fd, bpf_program__fd(skel->progs.steer), NULL) != 0)
			rc = err_set(e, errno, "cannot replace the steering program: %s",
				     strerror(errno));
		break;
	case LINK_ELSEWHERE:
		rc = err_set(e, EBUSY,
			     "%s steers another network namespace, which shares this bpffs; detach "
			     "there first (`sluice detach --all`), or give each its own bpffs",
			     PIN_LINK);
		break;
	case LINK_DEAD:
		unlink(PIN_LINK);
		/* fallthrough */
	case LINK_NONE:
		rc = link_make(skel, netns, e);
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

static int netns_open(struct err *e)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	return fd >= 0 ? fd
		       : err_set(e, errno, "cannot open /proc/self/ns/net: %s", strerror(errno));
}

int steer_attach(struct err *e)
{
	struct steer_bpf *skel = NULL;
	struct gate gate;
	int netns, rc = gate_open(&gate, e); /* the maps must be there, and ours */

	if (rc)
		return rc;
	gate_close(&gate);
	netns = netns_open(e);
	if (netns < 0)
		return netns;
	skel = steer_load(e);
	rc = skel ? link_put(skel, netns, e) : -errno;
	rc = rc ? rc : pin_program(skel, e);
	steer_bpf__destroy(skel);
	close(netns);
	return rc;
}

int steer_detach(struct err *e)
{
	static const char *const pins[] = {PIN_LINK, PIN_PROG};
	int link = bpf_obj_get(PIN_LINK);

	/* Removing the pin would do, but some kernels (5.10) take their time. */
	if (link >= 0) {
		bpf_link_detach(link);
		close(link);
	}
	for (size_t i = 0; i < sizeof(pins) / sizeof(pins[0]); i++)
		if (unlink(pins[i]) != 0 && errno != ENOENT)
			return err_set(e, errno, "cannot remove %s: %s", pins[i], strerror(errno));
	return 0;
}

bool steer_attached(void)
{
	enum link_state state = LINK_NONE;
	int netns = netns_open(NULL), fd = -1;

	if (netns < 0)
		return false;
	if (link_find(netns, &fd, &state) == 0 && fd >= 0)
		close(fd);
	close(netns);
	return state == LINK_HERE;
}

/* ---- the slots ------------------------------------------------------------------------ */

/* Read, change, write: `sluice attach` writes the other members, rarely, and keeps ours. */
static int meta_publish(const struct gate *g, __u32 n, struct err *e)
{
	struct sluice_meta m;
	__u32 zero = 0;

	if (bpf_map_lookup_elem(g->meta, &zero, &m) == 0) {
		m.workers = n;
		if (bpf_map_update_elem(g->meta, &zero, &m, BPF_EXIST) == 0)
			return 0;
	}
	return err_set(e, errno, "cannot write %s/meta: %s", SLUICE_PIN_DIR, strerror(errno));
}

int steer_publish(const struct gate *g, const int *listeners, unsigned n, struct err *e)
{
	int rc;

	if (n > SLUICE_MAX_WORKERS)
		return err_set(e, E2BIG, "%u listening sockets; steering spreads over %d at most",
			       n, SLUICE_MAX_WORKERS);
	for (__u32 i = 0; i < n; i++) {
		__u64 fd = (__u64)listeners[i];

		if (bpf_map_update_elem(g->workers, &i, &fd, BPF_ANY) != 0)
			return err_set(e, errno, "cannot put a socket into %s/workers: %s",
				       SLUICE_PIN_DIR, strerror(errno));
	}
	rc = meta_publish(g, n, e);
	if (rc)
		return rc;
	for (__u32 i = n; i < SLUICE_MAX_WORKERS; i++)
		if (bpf_map_delete_elem(g->workers, &i) != 0 && errno != EINVAL && errno != ENOENT)
			return err_set(e, errno, "cannot clear a slot of %s/workers: %s",
				       SLUICE_PIN_DIR, strerror(errno));
	return 0;
}

/* What userspace reads from a SOCKMAP is the socket's cookie; 0 = the slot is empty. */
static __u64 slot_cookie(const struct gate *g, __u32 slot)
{
	__u64 cookie = 0;

	return bpf_map_lookup_elem(g->workers, &slot, &cookie) == 0 ? cookie : 0;
}

static __u64 socket_cookie(int fd)
{
	__u64 cookie = 0;
	socklen_t len = sizeof(cookie);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0 ? cookie : 0;
}

bool steer_holds(const struct gate *g, const int *listeners, unsigned n)
{
	struct sluice_meta m;
	__u32 zero = 0;

	if (bpf_map_lookup_elem(g->meta, &zero, &m) != 0 || m.workers != n)
		return false;
	for (__u32 i = 0; i < n; i++) {
		__u64 cookie = slot_cookie(g, i);

		if (cookie == 0 || cookie != socket_cookie(listeners[i]))
			return false;
	}
	return true;
}

unsigned steer_taken(const struct gate *g)
{
	unsigned n = 0;

	for (__u32 i = 0; i < SLUICE_MAX_WORKERS; i++)
		n += slot_cookie(g, i) != 0;
	return n;
}
