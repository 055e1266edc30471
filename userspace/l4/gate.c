// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: opening the pins of a running gate, and every way in which that can go wrong.
 * Promises: all of struct gate's descriptors or none; nothing on the system changes.
 */
#include "l4/gate.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/bpf.h>

static const struct pin {
	const char *path;
	size_t offset; /* of its descriptor in struct gate */
} pins[] = {
#define X(name) {SLUICE_PIN_DIR "/" #name, offsetof(struct gate, name)},
	GATE_MAPS(X)
#undef X
};

#define N_PINS (sizeof(pins) / sizeof(pins[0]))

static int *gate_fd(struct gate *g, const struct pin *pin)
{
	return (int *)((char *)g + pin->offset);
}

static int check_bpffs(struct err *e)
{
	struct statfs fs;

	if (statfs("/sys/fs/bpf", &fs) != 0 || fs.f_type != BPF_FS_MAGIC)
		return err_set(e, ENODEV,
			       "no bpffs is mounted at /sys/fs/bpf, so no gate is attached here; "
			       "`sluice attach IFACE` mounts it");
	return 0;
}

static int open_failed(const struct pin *pin, int errnum, struct err *e)
{
	switch (errnum) {
	case EPERM:
	case EACCES:
		return err_set(e, errnum,
			       "no permission to open %s; run as root (sudo), or with CAP_BPF and "
			       "CAP_NET_ADMIN",
			       pin->path);
	case ENOENT:
		if (access(SLUICE_PIN_DIR "/meta", F_OK) != 0)
			return err_set(e, ENOENT,
				       "no gate is attached on this host; `sluice attach IFACE` "
				       "attaches one");
		return err_set(e, EPROTO,
			       "%s is missing: the pins were left by another version or damaged; "
			       "`sluice detach --all` removes them, then attach again",
			       pin->path);
	default:
		return err_set(e, errnum, "cannot open %s: %s", pin->path, strerror(errnum));
	}
}

/* Another ABI number means that nothing else in the maps may be trusted. */
static int check_meta(struct gate *g, struct err *e)
{
	__u32 zero = 0;

	if (bpf_map_lookup_elem(g->meta, &zero, &g->meta_seen) != 0)
		return err_set(e, errno, "cannot read %s/meta: %s", SLUICE_PIN_DIR,
			       strerror(errno));
	if (g->meta_seen.abi == SLUICE_ABI)
		return 0;
	return err_set(
		e, EPROTO,
		"the pins in %s have ABI %u and this program speaks %u; use the sluice that "
		"attached them, or `sluice detach --all` (which empties the lists) and attach "
		"again",
		SLUICE_PIN_DIR, g->meta_seen.abi, SLUICE_ABI);
}

int gate_open(struct gate *g, struct err *e)
{
	int rc;

	memset(g, 0, sizeof(*g));
	rc = check_bpffs(e);
	if (rc)
		return rc;
	/* meta first: with another ABI, maps may be missing that this one has. */
	g->meta = bpf_obj_get(SLUICE_PIN_DIR "/meta");
	if (g->meta < 0) {
		int errnum = errno;

		g->meta = 0;
		return open_failed(&(struct pin){.path = SLUICE_PIN_DIR "/meta"}, errnum, e);
	}
	rc = check_meta(g, e);
	for (size_t i = 0; rc == 0 && i < N_PINS; i++) {
		int *fd = gate_fd(g, &pins[i]);

		if (fd == &g->meta)
			continue;
		*fd = bpf_obj_get(pins[i].path);
		if (*fd < 0) {
			int errnum = errno;

			*fd = 0;
			rc = open_failed(&pins[i], errnum, e);
		}
	}
	if (rc)
		gate_close(g);
	return rc;
}

void gate_close(struct gate *g)
{
	/* libbpf never hands out descriptor 0, so 0 is "not open" in a zeroed struct. */
	for (size_t i = 0; i < N_PINS; i++) {
		int *fd = gate_fd(g, &pins[i]);

		if (*fd > 0)
			close(*fd);
		*fd = 0;
	}
}

int gate_lock(bool wait, struct err *e)
{
	int fd = open("/sys/fs/bpf", O_RDONLY | O_DIRECTORY | O_CLOEXEC), why;

	if (fd >= 0 && flock(fd, wait ? LOCK_EX : LOCK_EX | LOCK_NB) == 0)
		return fd;
	why = errno;
	if (fd >= 0)
		close(fd);
	return err_set(e, why, "cannot lock /sys/fs/bpf: %s%s", strerror(why),
		       why == EACCES ? "; run as root (sudo)" : "");
}
