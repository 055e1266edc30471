/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * Why a packet left the gate. Each exit is one row: the row feeds the verdict, the
 * counter, `sluice why`, the metric and the manual. The order is ABI: append only.
 *
 *   SLUICE_REASON(name, action, sentence)   action: PASS | DROP | TX
 *
 * TX rows leave by XDP_TX, or by redirect when the next hop is on another interface.
 */
#ifndef SLUICE_REASONS_H
#define SLUICE_REASONS_H

#define SLUICE_REASONS(SLUICE_REASON)                                                              \
	SLUICE_REASON(no_service, PASS, "no service listens there; the host's own stack takes it") \
	SLUICE_REASON(l7, PASS, "an l7 service listens there; the daemon takes it")                \
	SLUICE_REASON(not_ip, PASS, "neither IPv4 nor IPv6 (ARP, LLDP, ...)")                      \
	SLUICE_REASON(truncated, PASS, "the frame ends inside a header; the host's stack judges")  \
	SLUICE_REASON(malformed, PASS, "an IP header contradicts itself; the host's stack judges") \
	SLUICE_REASON(vlan_depth, PASS, "more than two VLAN tags; not looked into")                \
	SLUICE_REASON(tunnel_foreign, PASS, "a tunnel packet from no configured balancer")         \
	SLUICE_REASON(decap, PASS, "unwrapped from a configured balancer's tunnel")                \
	SLUICE_REASON(forward, TX, "sent to a backend")                                            \
	SLUICE_REASON(icmp_forward, TX, "an ICMP error sent to the backend that owns the flow")    \
	SLUICE_REASON(echo, TX, "a ping of an l4 VIP, answered by the gate")                       \
	SLUICE_REASON(block, DROP, "the source address is on the blocklist")                       \
	SLUICE_REASON(land, DROP, "source and destination are the same address")                   \
	SLUICE_REASON(martian, DROP, "a source address that cannot be on a network")               \
	SLUICE_REASON(fragment, DROP, "a fragment for an l4 service; it names no port")            \
	SLUICE_REASON(ext_headers, DROP, "more IPv6 extension headers than the gate walks")        \
	SLUICE_REASON(ttl, DROP, "the TTL or hop limit ran out")                                   \
	SLUICE_REASON(icmp_quote, DROP, "an ICMP error for a VIP that quotes none of its flows")   \
	SLUICE_REASON(icmp_other, DROP, "an ICMP message that an l4 VIP does not take")            \
	SLUICE_REASON(no_backend, DROP, "the service has no backend that takes traffic")           \
	SLUICE_REASON(no_route, DROP, "the host has no route to the backend")                      \
	SLUICE_REASON(no_neighbor, DROP, "the next hop's MAC address is not known yet")            \
	SLUICE_REASON(too_big, DROP, "does not fit the path's MTU once it is encapsulated")        \
	SLUICE_REASON(no_headroom, DROP, "the driver left no room for the outer header")           \
	SLUICE_REASON(decap_bad, DROP, "a balancer's tunnel packet that holds no whole packet")    \
	SLUICE_REASON(no_forwarding, DROP, "IP forwarding is off on the interface (sysctl)")       \
	SLUICE_REASON(too_big_told, TX,                                                            \
		      "answered with the ICMP error that names a size that fits")                  \
	SLUICE_REASON(not_on_link, DROP, "an l2 backend that is behind a router")                  \
	SLUICE_REASON(feed, DROP, "the source address is named by an imported feed")               \
	SLUICE_REASON(nat_reply, TX, "a backend's answer through nat, sent to its client")         \
	SLUICE_REASON(nat_unknown, DROP, "amid a TCP connection that nat has no entry for")        \
	SLUICE_REASON(nat_full, DROP, "nat has no source port left towards the backend")           \
	SLUICE_REASON(rate_packets, DROP, "the source sends the service more than its limit")      \
	SLUICE_REASON(rate_connections, DROP,                                                      \
		      "the source opens more connections to the service than its limit")           \
	SLUICE_REASON(syncookie, TX, "a SYN answered with a cookie, of which nothing is kept")     \
	SLUICE_REASON(syncookie_bad, DROP,                                                         \
		      "amid a flood of SYNs, of no connection and without a valid cookie")

enum sluice_reason {
#define SLUICE_REASON(name, action, sentence) SLUICE_R_##name,
	SLUICE_REASONS(SLUICE_REASON)
#undef SLUICE_REASON
		SLUICE_R_COUNT,
};

/*
 * What the gate noticed on the way; these are counted beside the reasons and do not
 * decide a verdict. Append only.
 */
#define SLUICE_NOTICES(SLUICE_NOTICE)                                                              \
	SLUICE_NOTICE(conn_hit, "packets that found their flow in the connection table")           \
	SLUICE_NOTICE(conn_miss, "packets that did not, and were hashed")                          \
	SLUICE_NOTICE(conn_new, "flows entered into the connection table")                         \
	SLUICE_NOTICE(conn_skipped, "flows left out of it to shield it from a flood")              \
	SLUICE_NOTICE(conn_stale, "entries whose backend is gone; the flow was hashed anew")       \
	SLUICE_NOTICE(allowed, "packets of a blocked or limited source let through by the "        \
			       "allow list")                                                       \
	SLUICE_NOTICE(expired, "packets that met a block whose time is over")                      \
	SLUICE_NOTICE(events_lost, "sampled events that found the event ring full")                \
	SLUICE_NOTICE(conn_evicted, "flows that gave their place in the connection table to "      \
				    "others")                                                      \
	SLUICE_NOTICE(conn_expired, "UDP flows that were silent for too long; hashed anew")        \
	SLUICE_NOTICE(conn_untracked, "packets of services with track = never, which were hashed") \
	SLUICE_NOTICE(conn_previous, "packets of flows that are older than a change of the "       \
				     "table, sent where it had them before")                       \
	SLUICE_NOTICE(pinned, "packets of new flows sent to the backend that their source is "     \
			      "pinned to")                                                         \
	SLUICE_NOTICE(pin_unused, "the same, hashed because that backend takes no new flows")      \
	SLUICE_NOTICE(rate_forgotten, "sources forgotten to count others, within their limits "    \
				      "again from then on")                                        \
	SLUICE_NOTICE(syncookie_good, "packets that opened a connection by its cookie, amid a "    \
				      "flood of SYNs")                                             \
	SLUICE_NOTICE(syncookie_refused, "SYNs that the kernel made no cookie for; its own stack " \
					 "takes them")                                             \
	SLUICE_NOTICE(quic_id, "datagrams sent to the backend that their QUIC connection ID "      \
			       "names")                                                            \
	SLUICE_NOTICE(quic_unknown, "datagrams of such services whose ID names none")

enum sluice_notice {
#define SLUICE_NOTICE(name, sentence) SLUICE_N_##name,
	SLUICE_NOTICES(SLUICE_NOTICE)
#undef SLUICE_NOTICE
		SLUICE_N_COUNT,
};

/* Why an address was put on a list: what `--reason` takes and block values carry. */
#define SLUICE_LISTINGS(SLUICE_LISTING)                                                            \
	SLUICE_LISTING(manual, "typed by a person")                                                \
	SLUICE_LISTING(abuse, "misbehaved toward a service")                                       \
	SLUICE_LISTING(scan, "probed for weaknesses")                                              \
	SLUICE_LISTING(flood, "sent too much")                                                     \
	SLUICE_LISTING(feed, "named by an imported list")                                          \
	SLUICE_LISTING(daemon, "banned by sluiced")

enum sluice_listing {
#define SLUICE_LISTING(name, sentence) SLUICE_L_##name,
	SLUICE_LISTINGS(SLUICE_LISTING)
#undef SLUICE_LISTING
		SLUICE_L_COUNT,
};

#endif
