/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Connection IDs of QUIC that say which server they are of: the plaintext algorithm of
 * draft-ietf-quic-load-balancers-21. A server makes its IDs like this, of 20 bytes at most:
 *
 *   rotation:3 | length or random:5     which of seven configurations it is of; 7: of none
 *   server ID (1 to 15 bytes)           its length is the configuration's
 *   nonce (4 bytes or more)
 *
 * And a client puts them into every packet after the server's first, wherever it sends from
 * (RFC 8999: what all versions have):
 *
 *   0 | version's own:7 | destination ID                            short header
 *   1 | version's own:7 | version (4) | length (1) | destination ID ...   long header
 */
#ifndef SLUICE_QUIC_H
#define SLUICE_QUIC_H

#include "sluice/abi.h"

#define SLUICE_MAX_SERVER_IDS 8192 /* of all backends */
#define SLUICE_QUIC_ROTATIONS 7
#define SLUICE_MAX_SERVER_ID  15 /* bytes */

/* The key of the map server_ids. */
struct sluice_server_id {
	__be64 id[2]; /* as on the wire, and zeroes */
	__u16 service;
	__u8 rotation, length;
	__u32 pad;
};

/* Length of server IDs of a rotation, 0 = the configuration is not in use; four bits of each are in
 * sluice_service.server_ids. */
static inline __attribute__((always_inline)) __u32 sluice_server_id_length(__u32 lengths,
									   __u32 rotation)
{
	return lengths >> (4 * rotation) & SLUICE_MAX_SERVER_ID;
}

/* What is beyond its length becomes zero. */
static inline __attribute__((always_inline)) void sluice_server_id_cut(struct sluice_server_id *key)
{
	__u32 bits = 8 * key->length;

	key->id[0] &= bits < 64 ? __builtin_bswap64(~(~0ULL >> bits)) : ~0ULL;
	key->id[1] &= bits > 64 ? __builtin_bswap64(~(~0ULL >> (bits - 64))) : 0;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "sluice_server_id_cut");
SLUICE_SIZE(struct sluice_server_id, 24);

#endif
