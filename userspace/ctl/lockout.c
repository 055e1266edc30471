// SPDX-License-Identifier: BSD-2-Clause
/*
 * sudo removes SSH_CONNECTION from the environment; a parent process still has it. Gateways
 * are those of the main table as /proc shows it, which is where they are on an ordinary host.
 */
#include "ctl/lockout.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANCESTORS 16 /* processes between this one and the SSH session */

/* ---- the SSH client ------------------------------------------------------------------- */

/* "CLIENT PORT SERVER PORT", perhaps with a zone. */
static bool parse_connection(const char *text, struct sluice_addr *client)
{
	char address[ADDR_TEXT];
	size_t len = strcspn(text, " %");

	if (len == 0 || len >= sizeof(address))
		return false;
	memcpy(address, text, len);
	address[len] = '\0';
	return addr_parse(client, address);
}

static bool find_in_environ(long pid, struct sluice_addr *client)
{
	static const char name[] = "SSH_CONNECTION=";
	char path[64], *line = NULL;
	bool found = false;
	size_t room = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/environ", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (!found && getdelim(&line, &room, '\0', f) > 0)
		found = strncmp(line, name, sizeof(name) - 1) == 0 &&
			parse_connection(line + sizeof(name) - 1, client);
	free(line);
	fclose(f);
	return found;
}

/* 0 = there is none that can be seen. */
static long parent_of(long pid)
{
	char path[64], line[256];
	long parent = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/status", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f) && sscanf(line, "PPid: %ld", &parent) != 1)
		;
	fclose(f);
	return parent;
}

static bool find_ssh_client(struct sluice_addr *client)
{
	const char *own = getenv("SSH_CONNECTION");
	long pid = getppid();

	if (own)
		return parse_connection(own, client);
	for (int i = 0; i < ANCESTORS && pid > 1; i++, pid = parent_of(pid))
		if (find_in_environ(pid, client))
			return true;
	return false;
}

/* ---- default gateways ----------------------------------------------------------------- */

static void add(struct lockout *out, size_t *n, const struct sluice_addr *addr, const char *who)
{
	if (*n < LOCKOUT_MAX)
		out[(*n)++] = (struct lockout){*addr, who};
}

/* Columns: interface, destination, gateway, flags, three numbers, mask; as in memory. */
static void find_gateways4(struct lockout *out, size_t *n)
{
	FILE *f = fopen("/proc/self/net/route", "re");
	unsigned destination, gateway, mask;
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		struct sluice_addr addr = {.b = {[10] = 0xff, [11] = 0xff}};

		if (sscanf(line, "%*s %x %x %*s %*s %*s %*s %x", &destination, &gateway, &mask) !=
			    3 ||
		    destination || mask || !gateway)
			continue;
		addr.w[3] = gateway;
		add(out, n, &addr, "the default gateway");
	}
	if (f)
		fclose(f);
}

/* Columns: destination, its length, source, its length, next hop; as digits. */
static void find_gateways6(struct lockout *out, size_t *n)
{
	FILE *f = fopen("/proc/self/net/ipv6_route", "re");
	char line[256], hop[33];
	unsigned len;

	while (f && fgets(line, sizeof(line), f)) {
		struct sluice_addr addr = {0};

		if (sscanf(line, "%*32s %x %*32s %*x %32s", &len, hop) != 2 || len ||
		    strlen(hop) != 32)
			continue;
		for (int i = 0; i < 16; i++) {
			unsigned byte;

			if (sscanf(hop + i * 2, "%2x", &byte) != 1)
				break;
			addr.b[i] = (uint8_t)byte;
		}
		if (!addr_is_any(&addr))
			add(out, n, &addr, "the default gateway");
	}
	if (f)
		fclose(f);
}

size_t lockout_find(struct lockout out[LOCKOUT_MAX])
{
	struct sluice_addr client;
	size_t n = 0;

	if (find_ssh_client(&client))
		add(out, &n, &client, "the other end of your SSH session");
	find_gateways4(out, &n);
	find_gateways6(out, &n);
	return n;
}

/* ---- the check ------------------------------------------------------------------------ */

int lockout_check(const struct block_list *allow, const struct block_entry *nets, size_t n,
		  struct err *e)
{
	struct lockout found[LOCKOUT_MAX];
	size_t n_found = lockout_find(found);
	char net[ADDR_TEXT + 4], addr[ADDR_TEXT];
	__u64 now = block_now();

	for (size_t i = 0; i < n; i++)
		if (nets[i].net.prefix == 0)
			return err_set(e, EPERM,
				       "%s is every address there is, so nobody would reach this "
				       "host; --force if that is meant",
				       cidr_format(&nets[i].net, net));
	for (size_t k = 0; k < n_found; k++) {
		struct block_entry by;

		if (block_listed(allow, &found[k].addr, now, &by))
			continue;
		for (size_t i = 0; i < n; i++)
			if (cidr_contains(&nets[i].net, &found[k].addr))
				return err_set(e, EPERM,
					       "%s would block %s, %s; `sluice allow add %s` "
					       "first, or --force",
					       cidr_format(&nets[i].net, net),
					       addr_format(&found[k].addr, addr), found[k].who,
					       addr);
	}
	return 0;
}
