// SPDX-License-Identifier: BSD-2-Clause
#include "l4/cookies.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "l4/attach.h"

#define SCALE_MOST 14    /* RFC 7323 section 2.3 */
#define UNSCALED   65535 /* bytes of a window */
#define HEADERS4   40    /* of IP and TCP */
#define HEADERS6   60
#define MSS_LEAST  536
#define RMEM_DEFAULT                                                                               \
	212992 /* of net.core.rmem_max, which older kernels show the first namespace alone */

bool cookies_possible(void)
{
	static const enum bpf_func_id helpers[] = {
		BPF_FUNC_skc_lookup_tcp,
		BPF_FUNC_tcp_gen_syncookie,
		BPF_FUNC_tcp_check_syncookie,
	};

	for (size_t i = 0; i < sizeof(helpers) / sizeof(helpers[0]); i++)
		if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_XDP, helpers[i], NULL) != 1)
			return false;
	return true;
}

/* ---- the host ------------------------------------------------------------------------- */

/* The nth number of a file, or what it is taken for without one. */
static long number_at(const char *path, unsigned nth, long otherwise)
{
	FILE *f = fopen(path, "re");
	long n = otherwise;

	for (unsigned i = 0; f && i <= nth; i++)
		if (fscanf(f, "%ld", &n) != 1)
			n = otherwise;
	if (f)
		fclose(f);
	return n;
}

static long least_mtu(void)
{
	struct attach_place *places;
	struct err ignored;
	long least = 0;
	unsigned n;

	if (attach_list(&places, &n, &ignored) != 0)
		return 0;
	for (unsigned i = 0; i < n; i++) {
		char path[64];
		long mtu;

		snprintf(path, sizeof(path), "/sys/class/net/%s/mtu", places[i].ifname);
		mtu = number_at(path, 0, 0);
		if (mtu && (!least || mtu < least))
			least = mtu;
	}
	free(places);
	return least;
}

#define TCP(name) "/proc/sys/net/ipv4/tcp_" name

void cookies_look(struct cookies_host *h)
{
	*h = (struct cookies_host){
		.syncookies = number_at(TCP("syncookies"), 0, 0),
		.timestamps = number_at(TCP("timestamps"), 0, 0),
		.sack = number_at(TCP("sack"), 0, 0),
		.window_scaling = number_at(TCP("window_scaling"), 0, 0),
		.rmem_most = number_at(TCP("rmem"), 2, UNSCALED),
		.rmem_max = number_at("/proc/sys/net/core/rmem_max", 0, RMEM_DEFAULT),
		.mtu = least_mtu(),
	};
}

/* ---- the answer ----------------------------------------------------------------------- */

/* The shift that the kernel takes for a listener of the default buffers,
 * tcp_select_initial_window(): it is not told which one the answer had. */
static __u8 shift_of(const struct cookies_host *h)
{
	long most = h->rmem_most > h->rmem_max ? h->rmem_most : h->rmem_max;
	__u8 shift = 0;

	while (shift < SCALE_MOST && (most >> shift) > UNSCALED)
		shift++;
	return shift;
}

static __u16 mss_of(long mtu, long headers)
{
	long mss = mtu - headers;

	return (__u16)(mss < MSS_LEAST ? MSS_LEAST : mss > UNSCALED ? UNSCALED : mss);
}

struct sluice_cookies cookies_of(const struct cookies_host *h)
{
	struct sluice_cookies c = {.timestamp = h->timestamps == 2};

	if (h->syncookies == 0 || h->mtu == 0)
		return (struct sluice_cookies){0};
	c.mss[0] = mss_of(h->mtu, HEADERS4);
	c.mss[1] = mss_of(h->mtu, HEADERS6);
	c.sack = c.timestamp && h->sack;
	c.scale = c.timestamp && h->window_scaling ? shift_of(h) + 1 : 0;
	return c;
}

int cookies_write(const struct gate *g, const struct sluice_cookies *c, struct err *e)
{
	const __u32 zero = 0;

	if (bpf_map_update_elem(g->cookies, &zero, c, BPF_ANY) == 0)
		return 0;
	return err_set(e, errno, "cannot write %s/cookies: %s", SLUICE_PIN_DIR, strerror(errno));
}

const char *cookies_caution(const struct cookies_host *h, bool possible)
{
	if (!possible)
		return "this kernel makes no SYN cookies for the gate (CONFIG_SYN_COOKIES), so "
		       "that its own TCP stack alone answers SYNs";
	if (h->syncookies != 2)
		return "the kernel makes SYN cookies for the gate only with "
		       "net.ipv4.tcp_syncookies = 2, and its own TCP stack answers SYNs until "
		       "then; `sysctl -w net.ipv4.tcp_syncookies=2`";
	if (h->timestamps != 2)
		return "SYN cookies hold neither window scaling nor SACK while the kernel adds "
		       "secret offsets to TCP timestamps, which makes large transfers slow; "
		       "`sysctl -w net.ipv4.tcp_timestamps=2`, then apply again";
	return NULL;
}
