// SPDX-License-Identifier: BSD-2-Clause
#include "ctl/sample.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>

#include "base/addr.h"
#include "l4/block.h"

struct status_name sample_reason(__u32 reason)
{
	static const struct status_name unknown = {"unknown", "?", ""};

	return reason < SLUICE_R_COUNT ? status_reasons[reason] : unknown;
}

__u64 sample_wall_ns(__u64 boot_ns)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (__u64)now.tv_sec * 1000000000 + (__u64)now.tv_nsec - block_now() + boot_ns;
}

static void time_text(__u64 boot_ns, bool utc, char *buf, size_t size)
{
	__u64 ns = sample_wall_ns(boot_ns);
	time_t s = (time_t)(ns / 1000000000);
	struct tm tm;
	size_t len;

	if (utc)
		gmtime_r(&s, &tm);
	else
		localtime_r(&s, &tm);
	len = strftime(buf, size, utc ? "%Y-%m-%dT%H:%M:%S" : "%H:%M:%S", &tm);
	snprintf(buf + len, size - len, ".%06u%s", (unsigned)(ns % 1000000000 / 1000),
		 utc ? "Z" : "");
}

static const char *proto_text(__u8 proto, char buf[8])
{
	if (proto_name(proto))
		return proto_name(proto);
	if (proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6)
		return proto == IPPROTO_ICMP ? "icmp" : "icmp6";
	snprintf(buf, 8, "%u", proto);
	return buf;
}

const char *sample_interface(__u32 ifindex, char buf[IF_NAMESIZE])
{
	if (!if_indextoname(ifindex, buf))
		snprintf(buf, IF_NAMESIZE, "if%u", ifindex);
	return buf;
}

const char *sample_backend(const struct gate *g, __u32 id, struct sluice_label *buf)
{
	*buf = (struct sluice_label){0};
	if (id)
		bpf_map_lookup_elem(g->backend_labels, &id, buf);
	buf->name[SLUICE_NAME - 1] = '\0';
	return buf->name;
}

/* What a packet was dropped before: without a port there is no ":0". */
static const char *end_text(const struct sluice_addr *addr, __be16 port, char buf[ENDPOINT_TEXT])
{
	struct endpoint ep = {*addr, ntohs(port)};

	return port ? endpoint_format(&ep, buf) : addr_format(addr, buf);
}

void sample_print(const struct gate *g, const struct sluice_event *ev, FILE *out)
{
	char time[48], from[ENDPOINT_TEXT], to[ENDPOINT_TEXT], proto[8], ifname[IF_NAMESIZE];
	struct status_name reason = sample_reason(ev->reason);
	struct sluice_label label;

	time_text(ev->time_ns, false, time, sizeof(time));
	fprintf(out, "%s %s %s %s %s -> %s", time, sample_interface(ev->ifindex, ifname),
		reason.action, reason.name, end_text(&ev->flow.src, ev->flow.sport, from),
		end_text(&ev->flow.dst, ev->flow.dport, to));
	if (ev->flow.proto)
		fprintf(out, "/%s", proto_text(ev->flow.proto, proto));
	fprintf(out, " %u bytes%s%s", ev->bytes, ev->backend ? " backend " : "",
		sample_backend(g, ev->backend, &label));
}

json_t *sample_json(const struct gate *g, const struct sluice_event *ev)
{
	char time[48], from[ADDR_TEXT], to[ADDR_TEXT], proto[8], ifname[IF_NAMESIZE];
	struct status_name reason = sample_reason(ev->reason);
	struct sluice_label label;

	time_text(ev->time_ns, true, time, sizeof(time));
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:i, s:s, s:i, s:s, s:i}", "time",
			 time, "interface", sample_interface(ev->ifindex, ifname), "action",
			 reason.action, "reason", reason.name, "source",
			 addr_format(&ev->flow.src, from), "source_port", ntohs(ev->flow.sport),
			 "destination", addr_format(&ev->flow.dst, to), "destination_port",
			 ntohs(ev->flow.dport), "proto", proto_text(ev->flow.proto, proto), "bytes",
			 (int)ev->bytes, "backend", sample_backend(g, ev->backend, &label),
			 "backend_id", (int)ev->backend);
}
