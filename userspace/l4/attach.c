// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: every change of what XDP program runs on an interface.
 * Promises: as attach.h says for each situation; nothing in between is left behind.
 * Excludes: maps and pins (load.c), looking (look.c).
 */
#include "l4/attach.h"

#include <errno.h>
#include <linux/if_link.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <xdp/libxdp.h>

#include "gate.skel.h"
#include "l4/chatter.h"
#include "l4/host.h"
#include "l4/look.h"

struct putter {
	const struct attach_options *options;
	struct attach_place seen; /* before */
	struct attach_result *result;
	struct err *err;
};

static __u32 mode_flag(bool native)
{
	return native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE;
}

static const char *mode_name(bool native)
{
	return native ? "native" : "generic";
}

/* Adds a sentence to what the operator is told. */
static void __attribute__((format(printf, 2, 3))) note(struct attach_result *r, const char *fmt,
						       ...)
{
	size_t len = strlen(r->note);
	va_list ap;

	if (len && len + 2 < sizeof(r->note)) {
		memcpy(r->note + len, "; ", 3);
		len += 2;
	}
	va_start(ap, fmt);
	vsnprintf(r->note + len, sizeof(r->note) - len, fmt, ap);
	va_end(ap);
}

/* ---- one attempt ---------------------------------------------------------------------- */

static struct gate_bpf *load_alone(struct putter *p)
{
	struct gate_bpf *skel = load_open(&p->options->tuning, p->err);
	int rc;

	if (!skel)
		return NULL;
	chatter_clear();
	rc = bpf_object__load(skel->obj);
	if (rc == 0)
		return skel;
	gate_bpf__destroy(skel);
	if (rc == -EPERM)
		err_set(p->err, EPERM,
			"no permission to load the gate; run as root (sudo), and see that the "
			"kernel is not locked down");
	else
		err_set(p->err, ENOEXEC,
			"the kernel's verifier refused the gate (%s); the end of its log follows, "
			"SLUICE_DEBUG=1 shows all of it",
			strerror(-rc));
	errno = rc == -EPERM ? EPERM : ENOEXEC;
	return NULL;
}

static int refused(struct putter *p, bool native, int rc)
{
	char said[256];

	return host_refused(p->seen.ifname, native, -rc,
			    chatter_after("Kernel error message: ", said, sizeof(said)), p->err);
}

/* Through libxdp: into its dispatcher, or by itself where the kernel has no freplace. The
 * object goes in unloaded, because the dispatcher wants it loaded as its extension. */
static int attach_chained(struct putter *p, bool native)
{
	struct gate_bpf *skel = load_open(&p->options->tuning, p->err);
	struct xdp_program *prog;
	int rc;

	if (!skel)
		return -EINVAL;
	DECLARE_LIBXDP_OPTS(xdp_program_opts, opts, .obj = skel->obj, .prog_name = "gate");
	prog = xdp_program__create(&opts);
	if (!prog) {
		rc = -errno;
		gate_bpf__destroy(skel);
		return rc;
	}
	chatter_clear();
	xdp_program__set_run_prio(prog, p->options->priority);
	xdp_program__set_chain_call_enabled(prog, XDP_PASS, true);
	rc = xdp_program__attach(prog, p->seen.ifindex, native ? XDP_MODE_NATIVE : XDP_MODE_SKB, 0);
	xdp_program__close(prog);
	gate_bpf__destroy(skel);
	return rc;
}

static int attach_alone(struct putter *p, bool native)
{
	struct gate_bpf *skel = load_alone(p);
	int rc;

	if (!skel)
		return -errno;
	chatter_clear();
	rc = bpf_xdp_attach(p->seen.ifindex, bpf_program__fd(skel->progs.gate),
			    mode_flag(native) | XDP_FLAGS_UPDATE_IF_NOEXIST, NULL);
	gate_bpf__destroy(skel);
	if (rc == -EBUSY || rc == -EEXIST)
		return err_set(p->err, EBUSY,
			       "%s got another XDP program at this very moment; try again",
			       p->seen.ifname);
	return rc ? refused(p, native, rc) : 0;
}

/* ---- nothing of ours is there --------------------------------------------------------- */

/* Kernels with the fix of December 2024 check that an extension changes packets only where
 * what it extends does, and libxdp before xdp-tools#509 does not mark its dispatcher so. */
static bool dispatcher_too_old(void)
{
	char said[8];

	return chatter_after("changes packet data", said, sizeof(said)) != NULL;
}

static int chain_refused(struct putter *p, bool native, int rc)
{
	if (dispatcher_too_old())
		return err_set(
			p->err, EBUSY,
			"%s runs %u XDP program(s) in libxdp's dispatcher, and there this "
			"kernel refuses programs that change packets, as the gate does; update "
			"libxdp, or take the others off and the gate attaches alone",
			p->seen.ifname, p->seen.chain);
	return refused(p, native, rc);
}

static int put_in_mode(struct putter *p, bool native)
{
	bool too_old;
	int rc = attach_chained(p, native);

	if (rc == 0)
		return 0;
	too_old = dispatcher_too_old();
	/* Whatever libxdp failed at: nobody else is there, so the dispatcher is not needed. */
	rc = attach_alone(p, native);
	if (rc == 0)
		note(p->result, "attached alone, so that no other XDP program can join: %s",
		     too_old ? "under libxdp's dispatcher this kernel refuses programs that change "
			       "packets (a newer libxdp mends that)"
			     : "libxdp's dispatcher did not work here");
	return rc;
}

/* All programs of an interface run in one mode. */
static int check_mode(const struct putter *p)
{
	enum conf_mode mode = p->options->mode;

	if (mode == CONF_MODE_AUTO || (mode == CONF_MODE_NATIVE) == p->seen.native)
		return 0;
	if (!p->seen.prog_id)
		return err_set(p->err, EBUSY,
			       "the XDP programs on %s run in %s mode, and so must the gate beside "
			       "them; --mode %s, or take them off",
			       p->seen.ifname, mode_name(p->seen.native),
			       mode_name(p->seen.native));
	return err_set(p->err, EBUSY,
		       "the gate is on %s in %s mode, and no interface can change the mode while a "
		       "program runs; `sluice detach --keep-maps %s` first",
		       p->seen.ifname, mode_name(p->seen.native), p->seen.ifname);
}

static int put_beside(struct putter *p)
{
	int rc = check_mode(p);

	if (rc)
		return rc;
	if (!p->seen.native)
		note(p->result, "GENERIC mode, as the programs that it joins; several times slower "
				"than native");
	rc = attach_chained(p, p->seen.native);
	return rc ? chain_refused(p, p->seen.native, rc) : 0;
}

static int put_new(struct putter *p)
{
	enum conf_mode mode = p->options->mode;
	int rc = put_in_mode(p, mode != CONF_MODE_GENERIC);

	if (rc == 0 || mode != CONF_MODE_AUTO || rc == -ENOEXEC || rc == -EPERM)
		return rc;
	rc = put_in_mode(p, false);
	if (rc == 0)
		/* The first clause of the refusal; the second advises what was just done. */
		note(p->result, "GENERIC mode, several times slower than native: %.*s",
		     (int)strcspn(p->err->text, ";"), p->err->text);
	return rc;
}

static int other_program(const struct putter *p)
{
	const struct attach_place *seen = &p->seen;

	return err_set(
		p->err, EBUSY,
		"%s runs another XDP program, %s (id %u), attached so that no other can join; "
		"take it off first (`ip link set dev %s %s off`), or attach it through "
		"libxdp (xdp-loader)",
		seen->ifname, seen->other_name, seen->other_id, seen->ifname,
		seen->native ? "xdp" : "xdpgeneric");
}

/* ---- a gate is there ------------------------------------------------------------------ */

/* The fixed tuning that a loaded program has: its map *.rodata. */
static bool same_tuning(const struct attach_place *seen, const struct gate_bpf *skel)
{
	size_t size;
	const void *mine = bpf_map__initial_value(skel->maps.rodata, &size);
	char theirs[4096];

	return size <= sizeof(theirs) && look_rodata(seen->prog_id, theirs, size) == 0 &&
	       memcmp(mine, theirs, size) == 0;
}

bool attach_spares_flows(const struct attach_place *place)
{
	static const struct load_tuning none;
	struct err ignored;
	struct gate_bpf *skel = load_open(&none, &ignored);
	char theirs[4096];
	size_t size = 0, at;
	bool spares = false;

	if (!skel)
		return false;
	bpf_map__initial_value(skel->maps.rodata, &size);
	at = (size_t)((const char *)&skel->rodata->rates_on - (const char *)skel->rodata);
	if (skel->rodata->rates_on && size <= sizeof(theirs))
		spares = look_rodata(place->prog_id, theirs, size) == 0 && !theirs[at];
	gate_bpf__destroy(skel);
	return spares;
}

static bool same_program(const struct putter *p, const struct gate_bpf *skel)
{
	char tag[sizeof(p->seen.tag)];

	if (!p->seen.adopted || look_tag(bpf_program__fd(skel->progs.gate), tag) != 0 ||
	    strcmp(tag, p->seen.tag) != 0)
		return false;
	return !p->options->tuning.given || same_tuning(&p->seen, skel);
}

static int replace_alone(struct putter *p, const struct gate_bpf *skel)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts);
	int rc;

	opts.old_prog_fd = bpf_prog_get_fd_by_id(p->seen.prog_id);
	if (opts.old_prog_fd < 0)
		return err_set(p->err, errno, "the gate on %s vanished meanwhile; try again",
			       p->seen.ifname);
	chatter_clear();
	rc = bpf_xdp_attach(p->seen.ifindex, bpf_program__fd(skel->progs.gate),
			    mode_flag(p->seen.native), &opts);
	close(opts.old_prog_fd);
	return rc ? refused(p, p->seen.native, rc) : 0;
}

static int leave_chain(const struct attach_place *place)
{
	struct xdp_program *prog = xdp_program__from_id(place->prog_id);
	int rc = (int)libxdp_get_error(prog);

	if (rc)
		return rc;
	/* The mode must be named: libxdp rebuilds the chain in the mode that it is told. */
	rc = xdp_program__detach(prog, place->ifindex,
				 place->native ? XDP_MODE_NATIVE : XDP_MODE_SKB, 0);
	xdp_program__close(prog);
	return rc;
}

/* The new one joins, then the old one leaves: for a moment a passed packet meets both,
 * which changes no verdict. */
static int replace_chained(struct putter *p)
{
	int rc = attach_chained(p, p->seen.native);

	if (rc)
		return chain_refused(p, p->seen.native, rc);
	rc = leave_chain(&p->seen);
	if (rc)
		return err_set(
			p->err, -rc,
			"the new gate is in %s's chain, but the old one (id %u) did not leave "
			"it: %s; `sluice detach %s`, then attach again",
			p->seen.ifname, p->seen.prog_id, strerror(-rc), p->seen.ifname);
	return 0;
}

static int put_again(struct putter *p)
{
	struct gate_bpf *skel;
	int rc = check_mode(p);

	if (rc)
		return rc;
	if (p->seen.position && p->seen.priority != p->options->priority)
		note(p->result,
		     "it keeps its place in the chain (priority %u); detach first to change it",
		     p->seen.priority);
	skel = load_alone(p);
	if (!skel)
		return -errno;
	p->result->outcome = ATTACH_REPLACED;
	if (same_program(p, skel))
		p->result->outcome = ATTACH_ALREADY;
	else if (p->seen.position)
		rc = replace_chained(p);
	else
		rc = replace_alone(p, skel);
	gate_bpf__destroy(skel);
	if (rc == 0 && !p->seen.adopted)
		note(p->result, "the old one ran on maps that are no longer pinned; what they "
				"held is gone");
	return rc;
}

/* ---- the whole ------------------------------------------------------------------------ */

int attach_put(const char *ifname, const struct attach_options *o, struct attach_result *result,
	       struct err *e)
{
	struct putter p = {.options = o, .result = result, .err = e};
	const char *caution;
	char buf[256];
	int rc;

	memset(result, 0, sizeof(*result));
	rc = attach_look(ifname, &p.seen, e);
	if (rc)
		return rc;
	/* Asked before: drivers count their queues differently with XDP on. */
	caution = p.seen.chain ? NULL : host_caution(ifname, buf, sizeof(buf));
	if (p.seen.prog_id)
		rc = put_again(&p);
	else if (p.seen.other_id)
		rc = other_program(&p);
	else if (p.seen.chain)
		rc = put_beside(&p);
	else
		rc = put_new(&p);
	rc = rc ? rc : load_sign(e);
	rc = rc ? rc : attach_look(ifname, &result->place, e);
	if (rc == 0 && caution && result->outcome == ATTACH_NEW && result->place.native)
		note(result, "%s", caution);
	return rc;
}

static int take_one(const struct attach_place *seen)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts);
	int rc;

	if (seen->position)
		return leave_chain(seen);
	/* Named, so that nobody else's is taken off if it changed meanwhile. */
	opts.old_prog_fd = bpf_prog_get_fd_by_id(seen->prog_id);
	if (opts.old_prog_fd < 0)
		return -errno;
	rc = bpf_xdp_detach(seen->ifindex, mode_flag(seen->native), &opts);
	close(opts.old_prog_fd);
	return rc;
}

int attach_take(const char *ifname, struct err *e)
{
	int taken = 0;

	/* A replacement that was cut short leaves two in a chain. */
	for (int round = 0; round < 2; round++) {
		struct attach_place seen;
		int rc = attach_look(ifname, &seen, e);

		if (rc)
			return rc;
		if (!seen.prog_id)
			break;
		rc = take_one(&seen);
		if (rc)
			return err_set(e, -rc, "cannot take the gate off %s: %s", ifname,
				       strerror(-rc));
		taken = 1;
	}
	return taken;
}
