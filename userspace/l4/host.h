/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is this host able to run a gate, which interfaces has it, and what do their drivers want?
 * Everything here answers in words that name the next thing to try.
 */
#ifndef L4_HOST_H
#define L4_HOST_H

#include <net/if.h>
#include <stdbool.h>

#include "base/addr.h"
#include "base/err.h"

/* Whether this process may change XDP programs and maps. 0 or -EPERM. */
int host_permitted(struct err *e);
/* That, kernel, BTF; mounts bpffs at /sys/fs/bpf when it is not there. 0 or -errno. */
int host_ready(struct err *e);

/* The interface's index, or -ENODEV with the names that come near. */
int host_ifindex(const char *name, struct err *e);

#define HOST_DRIVER 32
/* "virtio_net"; "unknown" when the kernel does not tell. Returns buf. */
const char *host_driver(const char *ifname, char buf[HOST_DRIVER]);

/* What mends it that a driver refuses XDP, with %s for the interface; NULL: nothing is known. said
 * is the kernel's own word, or NULL. */
const char *host_mend(const char *driver, const char *said);

/*
 * Fills e for a refused attachment: what the kernel said (NULL = nothing) about which
 * driver, and what mends it. Returns -errnum.
 */
int host_refused(const char *ifname, bool native, int errnum, const char *said, struct err *e);

/* Whether the kernel routes what comes in there, which the gate needs toward backends of
 * that family; true as well when the kernel does not tell. */
bool host_forwards(const char *ifname, bool v6);

/* Whether it is an address of this host, so that others find it there. */
bool host_owns(const struct sluice_addr *addr);

/* What to know about a driver on which native XDP works, or NULL: one sentence. */
const char *host_caution(const char *ifname, char *buf, size_t size);

#endif
