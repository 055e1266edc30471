// SPDX-License-Identifier: BSD-2-Clause
// Configurations: whatever the bytes, either complaints with lines of the file or a snapshot
// in which every bound holds and every listener is found again.
// needs: userspace/conf/*.c userspace/base/*.c
// links: -lconfuse -lpcre2-8
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/maglev.h"
#include "conf/conf.h"
#include "conf/read.h"

static unsigned lines_of(const unsigned char *data, size_t len)
{
	unsigned lines = 1;

	for (size_t i = 0; i < len; i++)
		lines += data[i] == '\n';
	return lines;
}

/* `path:line: what is wrong; what would be right`, in the order of lines. */
static void check_complaints(char *text, const char *path, unsigned lines)
{
	unsigned long last = 1;
	unsigned n = 0;

	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), n++) {
		char *at = line + strlen(path);

		assert(strncmp(line, path, strlen(path)) == 0 && at[0] == ':');
		assert(strstr(line, "; "));
		if (n == READ_MAX_COMPLAINTS) {
			assert(at[1] == ' ');
			continue;
		}
		assert(strtoul(at + 1, &at, 10) >= last && at[0] == ':');
		last = strtoul(line + strlen(path) + 1, NULL, 10);
		assert(last <= lines);
		assert(strcmp(at, ": " READ_IMPOSSIBLE) != 0);
	}
	assert(n > 0 && n <= READ_MAX_COMPLAINTS + 1);
}

static void check_backends(const struct conf_backend *backends, unsigned n, unsigned first,
			   unsigned last)
{
	assert(n <= CONF_MAX_BACKENDS);
	for (unsigned i = 0; i < n; i++) {
		const struct conf_backend *b = &backends[i];

		assert(b->name[0] && strlen(b->name) < SLUICE_NAME);
		assert(b->path ? b->path[0] == '/' : !addr_is_any(&b->endpoint.addr));
		assert(b->weight <= MAGLEV_MAX_WEIGHT);
		assert(b->line >= first && b->line <= last);
	}
}

static void check_routes(const struct conf_routes *routes, const struct conf_service *s,
			 unsigned lines)
{
	assert(routes->n <= CONF_MAX_ROUTES && (routes->n == 0 || s->kind == SLUICE_L7));
	assert((routes->fallback.action == ROUTE_POOL) == (s->pool && s->pool->n_backends));
	for (unsigned i = 0; i < routes->n; i++) {
		const struct conf_route *route = &routes->items[i];

		assert(route->name[0] && route->line >= s->line && route->line <= lines);
		assert(route->body_ms);
		if (route->action == ROUTE_POOL)
			assert(route->pool && route->connect_ms && route->response_ms);
		else
			assert(route->status >= 200 && route->status <= 599);
	}
}

static void check_service(const struct conf *c, const struct conf_service *s, unsigned lines)
{
	assert(s == &c->services[s->index]);
	assert(s->name[0] && strlen(s->name) < SLUICE_NAME);
	assert(s->kind == SLUICE_L4 || s->kind == SLUICE_L7);
	assert(s->n_listens > 0 && (s->n_backends > 0) == (s->kind == SLUICE_L4));
	assert((s->pool != NULL) == (s->kind == SLUICE_L7));
	assert(maglev_size_ok(s->ring_size));
	assert(s->idle_ms && s->max_head >= 1024 && s->max_fields);
	assert(s->line >= 1 && s->line <= lines);
	for (unsigned i = 0; i < s->n_listens; i++) {
		const struct conf_listen *l = &s->listens[i];

		assert(conf_find(c, &l->endpoint, l->proto) == s);
		assert(l->line >= s->line && l->line <= lines);
		assert(l->proto == IPPROTO_TCP ||
		       (l->proto == IPPROTO_UDP && s->kind == SLUICE_L4));
	}
	check_backends(s->backends, s->n_backends, s->line, lines);
	for (unsigned i = 0; i < s->n_backends; i++)
		assert(!s->backends[i].path);
	check_routes(&s->routes, s, lines);
}

static void check_pool(const struct conf *c, const struct conf_pool *p, unsigned lines)
{
	assert(p == &c->pools[p->index]);
	assert(p->name[0] && strlen(p->name) < SLUICE_NAME);
	assert(p->connect_ms && p->response_ms && p->upstream_idle_ms);
	assert(p->n_backends > 0 || p->index >= c->n_named_pools);
	check_backends(p->backends, p->n_backends, p->line, lines);
	for (unsigned i = 0; i < p->n_backends; i++) {
		const struct conf_backend *b = &p->backends[i];

		assert((b->path || b->endpoint.port) && !b->n_pins);
	}
}

static void check_conf(const struct conf *c, unsigned lines)
{
	assert(c->user[0] && c->hop_name[0]);
	assert(c->max_conns >= 1024 && c->threads <= CONF_MAX_THREADS);
	assert(c->n_decap_from <= SLUICE_MAX_DECAP);
	assert(c->n_services < SLUICE_MAX_SERVICES);
	for (unsigned i = 0; i < c->n_services; i++)
		check_service(c, &c->services[i], lines);
	assert(c->n_named_pools <= CONF_MAX_POOLS && c->n_named_pools <= c->n_pools);
	for (unsigned i = 0; i < c->n_pools; i++)
		check_pool(c, &c->pools[i], lines);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len)
{
	static char path[32], told[READ_MAX_COMPLAINTS * 700];
	static int fd = -1;
	FILE *out = fmemopen(told, sizeof(told), "w");
	struct conf *c;

	if (fd < 0) {
		fd = memfd_create("input", MFD_CLOEXEC);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	assert(out && ftruncate(fd, 0) == 0 && pwrite(fd, data, len, 0) == (ssize_t)len);
	told[0] = '\0';
	errno = 0;
	c = conf_load(path, out);
	assert(c || errno == EINVAL);
	fclose(out);
	if (c)
		check_conf(c, lines_of(data, len));
	else
		check_complaints(told, path, lines_of(data, len));
	conf_free(c);
	return 0;
}
