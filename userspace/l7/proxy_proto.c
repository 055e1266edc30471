// SPDX-License-Identifier: BSD-2-Clause
#include "l7/proxy_proto.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define V1_MOST 107 /* with its CRLF */
#define V2_HEAD 16

static const char mark1[6] = {'P', 'R', 'O', 'X', 'Y', ' '};
static const char mark2[12] = {'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};

/* ---- version 1: a line of text -------------------------------------------------------- */

/* The next word, up to `end` or a space; it is not empty. */
static bool word(const char **p, const char *end, char out[INET6_ADDRSTRLEN])
{
	size_t len = 0;

	while (*p + len < end && (*p)[len] != ' ')
		len++;
	if (len == 0 || len >= INET6_ADDRSTRLEN || memchr(*p, '\0', len))
		return false;
	memcpy(out, *p, len);
	out[len] = '\0';
	*p += len;
	return true;
}

static bool space(const char **p, const char *end)
{
	return *p < end && *(*p)++ == ' ';
}

static bool address(const char **p, const char *end, int family, struct sluice_addr *addr)
{
	char text[INET6_ADDRSTRLEN];
	unsigned char raw[16];

	if (!word(p, end, text) || inet_pton(family, text, raw) != 1)
		return false;
	memset(addr, 0, sizeof(*addr));
	if (family == AF_INET) {
		addr->b[10] = addr->b[11] = 0xff;
		memcpy(addr->b + 12, raw, 4);
	} else {
		memcpy(addr->b, raw, 16);
	}
	return true;
}

/* Digits, without zeros in front. */
static bool port(const char **p, const char *end, uint16_t *out)
{
	char text[INET6_ADDRSTRLEN];
	unsigned n = 0;

	if (!word(p, end, text) || strlen(text) > 5 || (text[0] == '0' && text[1]))
		return false;
	for (const char *c = text; *c; c++) {
		if (*c < '0' || *c > '9')
			return false;
		n = n * 10 + (unsigned)(*c - '0');
	}
	*out = (uint16_t)n;
	return n <= UINT16_MAX;
}

static bool parse_line(const char *p, const char *end, struct proxy_head *head)
{
	char protocol[INET6_ADDRSTRLEN];
	int family;

	if (!word(&p, end, protocol))
		return false;
	if (strcmp(protocol, "UNKNOWN") == 0)
		return true; /* whatever else is there is not to be looked at */
	family = strcmp(protocol, "TCP4") == 0   ? AF_INET
		 : strcmp(protocol, "TCP6") == 0 ? AF_INET6
						 : AF_UNSPEC;
	head->known = family != AF_UNSPEC && space(&p, end) &&
		      address(&p, end, family, &head->client.addr) && space(&p, end) &&
		      address(&p, end, family, &head->local.addr) && space(&p, end) &&
		      port(&p, end, &head->client.port) && space(&p, end) &&
		      port(&p, end, &head->local.port) && p == end;
	return head->known;
}

static int parse1(const char *buf, size_t len, struct proxy_head *head)
{
	const char *cr = memchr(buf, '\r', len < V1_MOST ? len : V1_MOST);

	if (!cr)
		return len < V1_MOST ? 0 : -1;
	if (cr + 1 == buf + len)
		return len < V1_MOST ? 0 : -1;
	if (cr[1] != '\n' || cr + 2 > buf + V1_MOST)
		return -1;
	return parse_line(buf + sizeof(mark1), cr, head) ? (int)(cr + 2 - buf) : -1;
}

/* ---- version 2: binary ---------------------------------------------------------------- */

static unsigned be16(const char *p)
{
	return (unsigned)(unsigned char)p[0] << 8 | (unsigned char)p[1];
}

/* Type, length and value, one behind another, up to the end. */
static bool tlvs_fit(const char *p, const char *end)
{
	while (p < end) {
		if (end - p < 3 || (size_t)(end - p - 3) < be16(p + 1))
			return false;
		p += 3 + be16(p + 1);
	}
	return true;
}

static void from4(const char *p, struct proxy_head *head)
{
	for (unsigned i = 0; i < 2; i++) {
		struct endpoint *e = i ? &head->local : &head->client;

		e->addr.b[10] = e->addr.b[11] = 0xff;
		memcpy(e->addr.b + 12, p + 4 * i, 4);
		e->port = (uint16_t)be16(p + 8 + 2 * i);
	}
	head->known = true;
}

static void from6(const char *p, struct proxy_head *head)
{
	for (unsigned i = 0; i < 2; i++) {
		struct endpoint *e = i ? &head->local : &head->client;

		memcpy(e->addr.b, p + 16 * i, 16);
		e->port = (uint16_t)be16(p + 32 + 2 * i);
	}
	head->known = true;
}

static int parse2(const char *buf, size_t len, struct proxy_head *head)
{
	/* Of each family: what its addresses take. Unspecified, IPv4, IPv6, UNIX. */
	static const unsigned sizes[] = {0, 12, 36, 216};
	unsigned char command, family;
	unsigned body, size;

	if (len < V2_HEAD)
		return 0;
	command = (unsigned char)buf[12];
	family = (unsigned char)buf[13];
	body = be16(buf + 14);
	if ((command != 0x20 && command != 0x21) || family >> 4 > 3 || body > PROXY_MOST - V2_HEAD)
		return -1;
	if (len < V2_HEAD + body)
		return 0;
	/* The proxy's own connection, as for a check: the rest says nothing. */
	if (command == 0x20)
		return (int)(V2_HEAD + body);
	size = sizes[family >> 4];
	/* A stream, unless nothing is told. */
	if (body < size || (family && (family & 15) != 1) ||
	    (family >> 4 && !tlvs_fit(buf + V2_HEAD + size, buf + V2_HEAD + body)))
		return -1;
	if (family >> 4 == 1)
		from4(buf + V2_HEAD, head);
	else if (family >> 4 == 2)
		from6(buf + V2_HEAD, head);
	return (int)(V2_HEAD + body);
}

/* ---- both ----------------------------------------------------------------------------- */

static bool begins(const char *buf, size_t len, const char *mark, size_t mark_len)
{
	return memcmp(buf, mark, len < mark_len ? len : mark_len) == 0;
}

int proxy_parse(const char *buf, size_t len, struct proxy_head *head)
{
	*head = (struct proxy_head){0};
	if (begins(buf, len, mark1, sizeof(mark1)))
		return len < sizeof(mark1) ? 0 : parse1(buf, len, head);
	if (begins(buf, len, mark2, sizeof(mark2)))
		return parse2(buf, len, head);
	return -1;
}

static size_t write1(char out[PROXY_WRITE], const struct endpoint *client,
		     const struct endpoint *local)
{
	char from[ADDR_TEXT], to[ADDR_TEXT];
	bool v4 = addr_is_v4(&client->addr);

	if (v4 != addr_is_v4(&local->addr))
		return (size_t)snprintf(out, PROXY_WRITE, "PROXY UNKNOWN\r\n");
	return (size_t)snprintf(out, PROXY_WRITE, "PROXY TCP%c %s %s %u %u\r\n", v4 ? '4' : '6',
				addr_format(&client->addr, from), addr_format(&local->addr, to),
				client->port, local->port);
}

static size_t write2(char out[PROXY_WRITE], const struct endpoint *client,
		     const struct endpoint *local)
{
	bool v4 = addr_is_v4(&client->addr) && addr_is_v4(&local->addr);
	unsigned size = v4 ? 4 : 16;
	char *p = out + V2_HEAD;

	memcpy(out, mark2, sizeof(mark2));
	out[12] = 0x21;
	out[13] = v4 ? 0x11 : 0x21;
	out[14] = 0;
	out[15] = (char)(2 * size + 4);
	/* Of two families, IPv4 goes as a mapped IPv6 address. */
	memcpy(p, client->addr.b + 16 - size, size);
	memcpy(p + size, local->addr.b + 16 - size, size);
	p += 2 * size;
	*p++ = (char)(client->port >> 8);
	*p++ = (char)client->port;
	*p++ = (char)(local->port >> 8);
	*p++ = (char)local->port;
	return (size_t)(p - out);
}

size_t proxy_write(char out[PROXY_WRITE], unsigned version, const struct endpoint *client,
		   const struct endpoint *local)
{
	return version == 1 ? write1(out, client, local) : write2(out, client, local);
}
