// SPDX-License-Identifier: BSD-2-Clause
/*
 * Addresses, endpoints and prefixes: text in, the gate's own layout out. `::ffff:a.b.c.d`
 * typed by a person means the IPv4 address, because the maps cannot tell them apart.
 */
#include "base/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static const uint8_t v4_mapped[12] = {[10] = 0xff, [11] = 0xff};

bool addr_is_v4(const struct sluice_addr *addr)
{
	return memcmp(addr->b, v4_mapped, sizeof(v4_mapped)) == 0;
}

bool addr_equal(const struct sluice_addr *a, const struct sluice_addr *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

bool addr_is_any(const struct sluice_addr *addr)
{
	static const uint8_t zero[16];

	return addr_is_v4(addr) ? memcmp(addr->b + 12, zero, 4) == 0
				: memcmp(addr->b, zero, 16) == 0;
}

/* inet_pton is strict already: no leading zeros, no zone, no junk. */
bool addr_parse(struct sluice_addr *out, const char *text)
{
	if (inet_pton(AF_INET6, text, out->b) == 1)
		return true;
	memcpy(out->b, v4_mapped, sizeof(v4_mapped));
	return inet_pton(AF_INET, text, out->b + 12) == 1;
}

const char *addr_format(const struct sluice_addr *addr, char *buf)
{
	/* inet_ntop prints IPv6 as RFC 5952 wants it. */
	if (addr_is_v4(addr))
		inet_ntop(AF_INET, addr->b + 12, buf, ADDR_TEXT);
	else
		inet_ntop(AF_INET6, addr->b, buf, ADDR_TEXT);
	return buf;
}

static bool port_parse(uint16_t *out, const char *text)
{
	unsigned n = 0;

	if (strcmp(text, "*") == 0) {
		*out = 0;
		return true;
	}
	if (text[0] < '1' || text[0] > '9')
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		n = n * 10 + (unsigned)(*text - '0');
		if (n > 65535)
			return false;
	}
	*out = (uint16_t)n;
	return true;
}

/* Splits text into address and port; *port is NULL when there is none. */
static bool endpoint_split(const char *text, char address[ADDR_TEXT], const char **port)
{
	const char *end, *colon;
	size_t len;

	*port = NULL;
	if (text[0] == '[') {
		text++;
		end = strchr(text, ']');
		if (!end || !memchr(text, ':', (size_t)(end - text)))
			return false;
		if (end[1] == ':')
			*port = end + 2;
		else if (end[1] != '\0')
			return false;
	} else {
		colon = strchr(text, ':');
		end = text + strlen(text);
		/* More than one colon: a bare IPv6 address, which has no port. */
		if (colon && !strchr(colon + 1, ':')) {
			end = colon;
			*port = colon + 1;
		}
	}
	len = (size_t)(end - text);
	if (len >= ADDR_TEXT)
		return false;
	memcpy(address, text, len);
	address[len] = '\0';
	return true;
}

bool endpoint_parse(struct endpoint *out, const char *text)
{
	char address[ADDR_TEXT];
	const char *port;

	return endpoint_split(text, address, &port) && port && addr_parse(&out->addr, address) &&
	       port_parse(&out->port, port);
}

bool endpoint_parse_default(struct endpoint *out, const char *text, uint16_t default_port)
{
	char address[ADDR_TEXT];
	const char *port;

	if (!endpoint_split(text, address, &port) || !addr_parse(&out->addr, address))
		return false;
	out->port = default_port;
	return !port || port_parse(&out->port, port);
}

const char *endpoint_format(const struct endpoint *ep, char *buf)
{
	char address[ADDR_TEXT], port[8] = "*";
	bool v4 = addr_is_v4(&ep->addr);

	if (ep->port)
		snprintf(port, sizeof(port), "%u", ep->port);
	addr_format(&ep->addr, address);
	snprintf(buf, ENDPOINT_TEXT, "%s%s%s:%s", v4 ? "" : "[", address, v4 ? "" : "]", port);
	return buf;
}

socklen_t endpoint_to_sockaddr(const struct endpoint *ep, struct sockaddr_storage *ss)
{
	memset(ss, 0, sizeof(*ss));
	if (addr_is_v4(&ep->addr)) {
		struct sockaddr_in *in = (struct sockaddr_in *)ss;

		in->sin_family = AF_INET;
		in->sin_port = htons(ep->port);
		memcpy(&in->sin_addr, ep->addr.b + 12, 4);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ss;

	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(ep->port);
	memcpy(&in6->sin6_addr, ep->addr.b, 16);
	return sizeof(*in6);
}

bool endpoint_from_sockaddr(struct endpoint *out, const struct sockaddr *sa)
{
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)sa;

		memcpy(out->addr.b, v4_mapped, sizeof(v4_mapped));
		memcpy(out->addr.b + 12, &in->sin_addr, 4);
		out->port = ntohs(in->sin_port);
		return true;
	}
	if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;

		memcpy(out->addr.b, &in6->sin6_addr, 16);
		out->port = ntohs(in6->sin6_port);
		return true;
	}
	return false;
}

/* ---- prefixes ------------------------------------------------------------------------- */

static unsigned family_bits(const struct sluice_addr *addr)
{
	return addr_is_v4(addr) ? 32 : 128;
}

/* Where the family's own bits begin in the 16 bytes. */
static uint8_t *family_bytes(struct sluice_addr *addr)
{
	return addr_is_v4(addr) ? addr->b + 12 : addr->b;
}

static bool prefix_parse(uint8_t *out, const char *text, unsigned most)
{
	unsigned n = 0;

	if (text[0] == '\0' || (text[0] == '0' && text[1] != '\0'))
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		n = n * 10 + (unsigned)(*text - '0');
		if (n > most)
			return false;
	}
	*out = (uint8_t)n;
	return true;
}

static bool has_host_bits(struct sluice_addr addr, unsigned prefix)
{
	const uint8_t *bytes = family_bytes(&addr);
	unsigned bits = family_bits(&addr);

	for (unsigned i = prefix; i < bits; i++) {
		if (bytes[i / 8] & (0x80U >> (i % 8)))
			return true;
	}
	return false;
}

bool cidr_parse(struct cidr *out, const char *text, bool *host_bits)
{
	char address[ADDR_TEXT];
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);

	*host_bits = false;
	if (len >= sizeof(address))
		return false;
	memcpy(address, text, len);
	address[len] = '\0';
	if (!addr_parse(&out->addr, address))
		return false;
	out->prefix = (uint8_t)family_bits(&out->addr);
	if (slash) {
		/* ::ffff:10.0.0.0/104 is 10.0.0.0/8: the prefix counts what was typed. */
		bool mapped = addr_is_v4(&out->addr) && strchr(address, ':');

		if (!prefix_parse(&out->prefix, slash + 1, mapped ? 128 : out->prefix))
			return false;
		if (mapped && out->prefix < 96)
			return false;
		if (mapped)
			out->prefix -= 96;
	}
	*host_bits = has_host_bits(out->addr, out->prefix);
	return !*host_bits;
}

void cidr_mask(struct cidr *net)
{
	uint8_t *bytes = family_bytes(&net->addr);
	unsigned bits = family_bits(&net->addr); /* on the way it may look like the other family */

	for (unsigned i = net->prefix; i < bits; i++)
		bytes[i / 8] &= (uint8_t)~(0x80U >> (i % 8));
}

bool cidr_contains(const struct cidr *net, const struct sluice_addr *addr)
{
	unsigned skip = addr_is_v4(&net->addr) ? 96 : 0;
	unsigned bits = skip + net->prefix;
	unsigned rest = bits % 8;

	if (addr_is_v4(&net->addr) != addr_is_v4(addr) ||
	    memcmp(net->addr.b, addr->b, bits / 8) != 0)
		return false;
	return rest == 0 || ((net->addr.b[bits / 8] ^ addr->b[bits / 8]) >> (8 - rest)) == 0;
}

const char *cidr_format(const struct cidr *net, char *buf)
{
	addr_format(&net->addr, buf);
	if (net->prefix != family_bits(&net->addr))
		snprintf(buf + strlen(buf), 5, "/%u", net->prefix);
	return buf;
}

bool cidr_to_lpm4(const struct cidr *net, struct sluice_lpm4 *key)
{
	if (!addr_is_v4(&net->addr))
		return false;
	key->prefixlen = net->prefix;
	memcpy(key->addr, net->addr.b + 12, 4);
	return true;
}

bool cidr_to_lpm6(const struct cidr *net, struct sluice_lpm6 *key)
{
	if (addr_is_v4(&net->addr))
		return false;
	key->prefixlen = net->prefix;
	memcpy(key->addr, net->addr.b, 16);
	return true;
}

bool proto_parse(uint8_t *out, const char *text)
{
	if (strcmp(text, "tcp") == 0)
		*out = IPPROTO_TCP;
	else if (strcmp(text, "udp") == 0)
		*out = IPPROTO_UDP;
	else
		return false;
	return true;
}

const char *proto_name(uint8_t proto)
{
	return proto == IPPROTO_TCP ? "tcp" : proto == IPPROTO_UDP ? "udp" : NULL;
}
