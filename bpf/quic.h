/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Which backend a datagram of QUIC is for, by the connection ID in it (sluice/quic.h). No more is
 * read than what every version of QUIC has, and nothing is dropped: whatever names no backend goes
 * by its addresses and ports, as a client's first packets do, whose ID the client has made up.
 */
#ifndef BPF_QUIC_H
#define BPF_QUIC_H

#include "sluice/quic.h"

#include "balance.h"

#define QUIC_LONG      0x80
#define QUIC_LENGTH_AT 5  /* of a long header: how long its destination ID is */
#define QUIC_FOLLOWS   16 /* bytes at least behind an ID's first: packets end with a tag as long */

/* Where the destination ID begins, and how long it is said to be; 0: nowhere. */
static __always_inline __u64 quic_id_at(const struct packet *p, __u64 at, __u64 *length)
{
	const __u8 *first = packet_at(p, at, __u8), *said;

	*length = 255; /* a short header does not say */
	if (!first)
		return 0;
	if (!(*first & QUIC_LONG))
		return at + 1;
	said = packet_at(p, at + QUIC_LENGTH_AT, __u8);
	if (!said)
		return 0;
	*length = *said;
	return at + QUIC_LENGTH_AT + 1;
}

/* Its backend's id, or 0: of the datagram at that offset in a packet that ends there. Global, so
 * that the verifier walks it once. */
__noinline int quic_backend(struct xdp_md *ctx, __u32 at, __u32 end, __u32 service, __u32 lengths)
{
	const struct packet p = {.ctx = ctx};
	struct sluice_server_id key = {.service = service};
	const struct sluice_backend *to;
	const struct sluice_pin *pin;
	const __u8 *id;
	__u64 length, id_at = quic_id_at(&p, at, &length);

	id = id_at ? packet_span(&p, id_at, 1 + QUIC_FOLLOWS) : NULL;
	if (!id || id_at + 1 + QUIC_FOLLOWS > end)
		return 0;
	key.rotation = id[0] >> 5;
	key.length = sluice_server_id_length(lengths, key.rotation);
	if (!key.length || length <= key.length)
		return 0;
	__builtin_memcpy(key.id, id + 1, sizeof(key.id));
	sluice_server_id_cut(&key);
	pin = bpf_map_lookup_elem(&server_ids, &key);
	to = pin ? backend_find(pin->backend) : NULL;
	return to && to->generation == pin->generation ? (int)pin->backend : 0;
}

/* True: set p->backend and p->to. What an ICMP error quotes went the other way, with the client's
 * ID. */
static __always_inline bool quic_find(struct packet *p, const struct sluice_service *s)
{
	const struct sluice_backend *to;
	__u32 id;

	if (p->quoted)
		return false;
	id = quic_backend(p->ctx, p->l4 + 8, p->l3 + p->ip_bytes, s->id, s->server_ids);
	to = id ? backend_find(id) : NULL;
	notice(p, to ? SLUICE_N_quic_id : SLUICE_N_quic_unknown);
	if (!to)
		return false;
	p->backend = id;
	p->to = to;
	return true;
}

#endif
