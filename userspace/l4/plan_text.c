// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: the two ends of a plan that people see: the wanted state as a file tells it, and
 * the edits as lines.
 */
#include "l4/plan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "l4/rates.h"
#include "sluice/quic.h"

/* ---- wanted --------------------------------------------------------------------------- */

static void copy_name(char out[SLUICE_NAME], const char *name)
{
	/* conf_load has checked the length. */
	memset(out, 0, SLUICE_NAME);
	memcpy(out, name, strnlen(name, SLUICE_NAME - 1));
}

struct sizes {
	size_t backends, listens, pins;
};

static void measure(const struct conf *c, struct sizes *n)
{
	memset(n, 0, sizeof(*n));
	for (unsigned i = 0; i < c->n_services; i++) {
		const struct conf_service *s = &c->services[i];

		n->listens += s->n_listens;
		n->backends += s->kind == SLUICE_L4 ? s->n_backends : 0;
		for (unsigned k = 0; s->kind == SLUICE_L4 && k < s->n_backends; k++)
			n->pins += s->backends[k].n_pins + s->backends[k].n_server_ids;
	}
}

static int check_sizes(const struct conf *c, const struct sizes *n, struct err *e)
{
	if (c->n_services >= SLUICE_MAX_SERVICES)
		return err_set(e, E2BIG, "%s has %u services and the gate holds %u", c->path,
			       c->n_services, SLUICE_MAX_SERVICES - 1);
	if (n->backends >= SLUICE_MAX_BACKENDS)
		return err_set(e, E2BIG, "%s has %zu l4 backends and the gate holds %u", c->path,
			       n->backends, SLUICE_MAX_BACKENDS - 1);
	if (n->pins > SLUICE_MAX_PINS + SLUICE_MAX_SERVER_IDS)
		return err_set(e, E2BIG, "%s has %zu pinned sources and the gate holds %u", c->path,
			       n->pins, SLUICE_MAX_PINS);
	if (c->n_decap_from > SLUICE_MAX_DECAP)
		return err_set(e, E2BIG, "%s has %u addresses in decap_from and the gate holds %u",
			       c->path, c->n_decap_from, SLUICE_MAX_DECAP);
	return 0;
}

/* The VIP's own entry, which gathers the kinds of its services. */
static void want_marker(struct plan_state *want, const struct sluice_addr *addr, __u32 kind)
{
	__u8 proto = addr_is_v4(addr) ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	struct plan_vip *vip;

	for (size_t i = 0; i < want->n_vips; i++) {
		vip = &want->vips[i];
		if (vip->service == PLAN_MARKER && addr_equal(&vip->key.addr, addr)) {
			vip->value.kind |= kind;
			return;
		}
	}
	vip = &want->vips[want->n_vips++];
	vip->key = (struct sluice_vip){.addr = *addr, .proto = proto};
	vip->value.kind = kind;
	vip->service = PLAN_MARKER;
}

/* The entry of the service's fragments; one for each address and protocol. */
static void want_fragments(struct plan_state *want, const struct conf_listen *l, __u32 service)
{
	const struct sluice_vip key = {
		.addr = l->endpoint.addr, .port = htons(l->proto), .proto = SLUICE_FRAGMENT};

	for (size_t i = 0; i < want->n_vips; i++)
		if (memcmp(&want->vips[i].key, &key, sizeof(key)) == 0)
			return;
	want->vips[want->n_vips++] = (struct plan_vip){.key = key, .service = service};
}

/* Of the backend that was added last. */
static void want_pins(struct plan_state *want, const struct conf_backend *b,
		      struct plan_service *service)
{
	for (unsigned i = 0; i < b->n_pins; i++)
		want->pins[want->n_pins++] =
			(struct plan_pin){.net = b->pins[i].net,
					  .service = (__u32)(service - want->services),
					  .backend = (__u32)want->n_backends - 1};
	service->entry.pins |= b->n_pins > 0;
}

/* Likewise. */
static void want_server_ids(struct plan_state *want, const struct conf_backend *b,
			    struct plan_service *service)
{
	for (unsigned i = 0; i < b->n_server_ids; i++) {
		const struct conf_server_id *id = &b->server_ids[i];
		struct plan_pin *pin = &want->pins[want->n_pins++];

		*pin = (struct plan_pin){.net.prefix = (uint8_t)(8 * id->length),
					 .server_id = (__u8)(id->rotation + 1),
					 .service = (__u32)(service - want->services),
					 .backend = (__u32)want->n_backends - 1};
		memcpy(pin->net.addr.b, id->id, sizeof(pin->net.addr.b));
		service->entry.server_ids |= (__u32)id->length << (4 * id->rotation);
	}
}

static void want_nat(struct plan_state *want, const struct conf *c)
{
	for (unsigned i = 0; i < c->n_nat_sources; i++)
		want->sources[want->n_sources++].addr = c->nat_sources[i].addr;
	want->nat.sources = c->n_nat_sources;
	want->nat.first = c->nat_first;
	want->nat.ports = c->nat_last - c->nat_first + 1;
}

/* The outer source of a tunnel; of nat, for the kernel's choice of a route. */
static struct sluice_addr want_source(const struct conf *c, const struct plan_backend *b)
{
	bool v4 = addr_is_v4(&b->addr);

	for (unsigned i = 0; b->mode == SLUICE_MODE_nat && i < c->n_nat_sources; i++)
		if (addr_is_v4(&c->nat_sources[i].addr) == v4)
			return c->nat_sources[i].addr;
	return v4 ? c->source4 : c->source6;
}

static void want_service(struct plan_state *want, const struct conf_service *s,
			 const struct conf *c)
{
	__u32 index = (__u32)want->n_services++;
	struct plan_service *out = &want->services[index];

	copy_name(out->name, s->name);
	out->kind = s->kind;
	out->mode = s->forward;
	out->entry.hash = (__u8)s->hash;
	out->entry.fragments = s->fragments;
	out->entry.track = (__u8)s->track;
	out->entry.syncookie = (__u8)s->syncookie;
	out->entry.syn_rate = s->syncookie ? s->syncookie_rate : 0;
	out->limit = rates_limit(s);
	out->entry.limited = out->limit.burst_ms != 0;
	out->previous_ms = s->kind == SLUICE_L4 ? s->previous_ms : 0;
	out->ring_size = s->kind == SLUICE_L4 ? s->ring_size : 0;
	for (unsigned i = 0; i < s->n_listens; i++) {
		const struct conf_listen *l = &s->listens[i];

		if (addr_is_any(&l->endpoint.addr))
			continue;
		want->vips[want->n_vips++] = (struct plan_vip){
			.key = {.addr = l->endpoint.addr,
				.port = htons(l->endpoint.port),
				.proto = l->proto},
			.service = index,
		};
		if (s->fragments)
			want_fragments(want, l, index);
		want_marker(want, &l->endpoint.addr,
			    s->forward == SLUICE_MODE_nat ? SLUICE_NAT : s->kind);
	}
	for (unsigned i = 0; s->kind == SLUICE_L4 && i < s->n_backends; i++) {
		struct plan_backend *b = &want->backends[want->n_backends++];

		copy_name(b->name, s->backends[i].name);
		b->service = index;
		b->weight = b->configured = s->backends[i].weight;
		b->keep_down = s->health != NULL;
		b->mode = s->forward;
		b->udp_timeout_ms = s->udp_timeout_ms;
		b->mss = (__u16)s->mss;
		b->addr = s->backends[i].endpoint.addr;
		b->port = htons(s->backends[i].endpoint.port);
		b->src = want_source(c, b);
		want_pins(want, &s->backends[i], out);
		want_server_ids(want, &s->backends[i], out);
	}
}

int plan_want(struct plan_state *want, const struct conf *c, struct err *e)
{
	struct sizes n;
	int rc;

	measure(c, &n);
	rc = check_sizes(c, &n, e);
	memset(want, 0, sizeof(*want));
	if (rc)
		return rc;
	want->services = calloc(c->n_services + 1, sizeof(*want->services));
	want->backends = calloc(n.backends + 1, sizeof(*want->backends));
	want->vips = calloc(3 * n.listens + 1, sizeof(*want->vips)); /* with markers, fragments */
	want->pins = calloc(n.pins + 1, sizeof(*want->pins));
	want->decap = calloc(c->n_decap_from + 1, sizeof(*want->decap));
	if (!want->services || !want->backends || !want->vips || !want->pins || !want->decap) {
		plan_state_fini(want);
		return err_set(e, ENOMEM, "out of memory");
	}
	for (unsigned i = 0; i < c->n_services; i++)
		want_service(want, &c->services[i], c);
	want_nat(want, c);
	for (unsigned i = 0; i < c->n_decap_from; i++)
		want->decap[want->n_decap++] = c->decap_from[i];
	if (want->n_vips > SLUICE_MAX_VIPS) {
		rc = err_set(
			e, E2BIG,
			"%s asks for %zu entries (each address, port and protocol, and one for "
			"each VIP) and the gate holds %u",
			c->path, want->n_vips, SLUICE_MAX_VIPS);
		plan_state_fini(want);
	}
	return rc;
}

/* ---- names ---------------------------------------------------------------------------- */

#define NAME(name, sentence) #name,
static const char *const modes[] = {SLUICE_MODES(NAME)};
static const char *const hashes[] = {SLUICE_HASHES(NAME)};
static const char *const tracks[] = {SLUICE_TRACKS(NAME)};
static const char *const syncookies[] = {SLUICE_SYNCOOKIES(NAME)};
#undef NAME

const char *plan_mode_name(__u32 mode)
{
	return mode < SLUICE_MODE_COUNT ? modes[mode] : "?";
}

const char *plan_hash_name(__u32 hash)
{
	return hash < SLUICE_HASH_COUNT ? hashes[hash] : "?";
}

const char *plan_track_name(__u32 track)
{
	return track < SLUICE_TRACK_COUNT ? tracks[track] : "?";
}

const char *plan_syncookie_name(__u32 syncookie)
{
	return syncookie < SLUICE_SYNCOOKIE_COUNT ? syncookies[syncookie] : "?";
}

const char *plan_backend_text(const struct plan_backend *b, char buf[ENDPOINT_TEXT])
{
	struct endpoint ep = {.addr = b->addr, .port = ntohs(b->port)};

	return b->port ? endpoint_format(&ep, buf) : addr_format(&b->addr, buf);
}

/* ---- lines ---------------------------------------------------------------------------- */

static const char *kind_name(__u32 kind)
{
	return kind == SLUICE_L7 ? "l7" : "l4";
}

static const char *vip_text(const struct plan_vip *vip, char *buf, size_t size)
{
	struct endpoint ep = {.addr = vip->key.addr, .port = ntohs(vip->key.port)};
	char text[ENDPOINT_TEXT];
	const char *proto = proto_name(vip->key.proto);

	snprintf(buf, size, "%s/%s", endpoint_format(&ep, text), proto ? proto : "?");
	return buf;
}

static const char *service_name(const struct plan_service *s)
{
	return s && s->name[0] ? s->name : "?";
}

static const char *mss_text(__u16 mss, char buf[8])
{
	if (mss <= SLUICE_MSS_AUTO)
		return mss ? "auto" : "off";
	snprintf(buf, 8, "%u", mss);
	return buf;
}

static void print_backend_change(const struct plan_edit *x, FILE *out)
{
	const struct plan_backend *b = x->backend, *old = x->old_backend;
	char from[ADDR_TEXT], to[ADDR_TEXT], old_time[UNITS_MS], time[UNITS_MS];
	char old_mss[8], mss[8];

	fprintf(out, "~ backend %s/%s", x->service->name, b->name);
	if (strcmp(b->name, old->name) != 0)
		fprintf(out, " was %s", old->name[0] ? old->name : "without a name");
	if (b->mode != old->mode)
		fprintf(out, " forward %s -> %s", plan_mode_name(old->mode),
			plan_mode_name(b->mode));
	if (b->udp_timeout_ms != old->udp_timeout_ms)
		fprintf(out, " udp_timeout %s -> %s",
			units_format_ms(old->udp_timeout_ms, old_time),
			units_format_ms(b->udp_timeout_ms, time));
	if (b->mss != old->mss)
		fprintf(out, " mss %s -> %s", mss_text(old->mss, old_mss), mss_text(b->mss, mss));
	if (b->weight != old->weight)
		fprintf(out, " weight %u -> %u", old->weight, b->weight);
	if (b->down != old->down)
		fputs(b->down ? " down by checks" : " not down by checks any more", out);
	if (b->weight == old->weight && b->configured != old->configured)
		fprintf(out, " weight by the file %u -> %u", old->configured, b->configured);
	if (!addr_equal(&b->src, &old->src))
		fprintf(out, " source %s -> %s", addr_format(&old->src, from),
			addr_format(&b->src, to));
	fputc('\n', out);
}

static void print_syncookie_change(const struct sluice_service *s, const struct sluice_service *old,
				   FILE *out)
{
	if (s->syncookie != old->syncookie)
		fprintf(out, " syncookie %s -> %s", plan_syncookie_name(old->syncookie),
			plan_syncookie_name(s->syncookie));
	if (s->syn_rate != old->syn_rate && s->syncookie && old->syncookie)
		fprintf(out, " syncookie_rate %u -> %u", old->syn_rate, s->syn_rate);
}

/* All that is changed of one, however much it is: in one line. */
static void print_vip_change(const struct plan_edit *x, FILE *out)
{
	const struct sluice_service *s = &x->vip->value, *old = &x->old_vip->value;
	char text[ENDPOINT_TEXT + 8];

	if (s->kind == old->kind && s->hash == old->hash && s->track == old->track &&
	    s->fragments == old->fragments && s->syncookie == old->syncookie &&
	    s->syn_rate == old->syn_rate && s->id == old->id)
		return; /* the line about the ring says it */
	fprintf(out, "~ service %s %s", x->service->name, vip_text(x->vip, text, sizeof(text)));
	if (strcmp(kind_name(s->kind), kind_name(old->kind)) != 0)
		fprintf(out, " %s -> %s", kind_name(old->kind), kind_name(s->kind));
	if (s->hash != old->hash)
		fprintf(out, " hash %s -> %s", plan_hash_name(old->hash), plan_hash_name(s->hash));
	if (s->track != old->track)
		fprintf(out, " track %s -> %s", plan_track_name(old->track),
			plan_track_name(s->track));
	print_syncookie_change(s, old, out);
	if (s->fragments != old->fragments)
		fputs(s->fragments ? " fragments no -> yes" : " fragments yes -> no", out);
	if (s->id != old->id)
		fputs(" now leads here", out);
	fputc('\n', out);
}

static void print_vip(const struct plan_edit *x, FILE *out)
{
	char text[ENDPOINT_TEXT + 8];

	if (!plan_is_listen(x->vip ? x->vip : x->old_vip))
		return;
	if (x->step == PLAN_ADD_VIP)
		fprintf(out, "+ service %s %s -> %s\n", x->service->name,
			vip_text(x->vip, text, sizeof(text)), kind_name(x->vip->value.kind));
	else if (x->step == PLAN_REMOVE_VIP)
		fprintf(out, "- service %s %s\n", service_name(x->old_service),
			vip_text(x->old_vip, text, sizeof(text)));
	else
		print_vip_change(x, out);
}

static void print_ring(const struct plan_edit *x, FILE *out)
{
	const struct plan_service *s = x->service, *old = x->old_service;

	if (!s || !s->ring || !old || !old->ring)
		return; /* the lines about its service and backends say it all */
	if (s->ring_size != old->ring_size)
		fprintf(out, "~ ring %s %u -> %u slots\n", s->name, old->ring_size, s->ring_size);
	else
		fprintf(out, "~ ring %s %.1f %% of %u slots change backend\n", s->name,
			100.0 * x->slots_moved / s->ring_size, s->ring_size);
}

/* "10000 packets, 100 connections, burst 1s, of each /32 and /64" or "none". */
static const char *limit_text(const struct sluice_limit *l, char *buf, size_t size)
{
	char burst[UNITS_MS];
	size_t len = 0;

	if (!l->burst_ms)
		return "none";
	for (unsigned i = 0; i < SLUICE_RATE_COUNT; i++)
		if (l->rate[i])
			len += (size_t)snprintf(buf + len, size - len, "%u %s, ", l->rate[i],
						rates_names[i]);
	snprintf(buf + len, size - len, "burst %s, of each /%u and /%u",
		 units_format_ms(l->burst_ms, burst), l->prefix4, l->prefix6);
	return buf;
}

static void print_limit_change(const struct plan_service *s, const struct plan_service *old,
			       FILE *out)
{
	char from[128], to[128];

	fprintf(out, "~ service %s limit %s -> %s\n", s->name,
		limit_text(&old->limit, from, sizeof(from)), limit_text(&s->limit, to, sizeof(to)));
}

static void print_service_change(const struct plan_edit *x, FILE *out)
{
	const struct plan_service *s = x->service, *old = x->old_service;
	char from[UNITS_MS], to[UNITS_MS];

	if (s->previous_ms != old->previous_ms)
		fprintf(out, "~ service %s previous_table %s -> %s\n", s->name,
			units_format_ms(old->previous_ms, from),
			units_format_ms(s->previous_ms, to));
	if (memcmp(&s->limit, &old->limit, sizeof(s->limit)) != 0)
		print_limit_change(s, old, out);
	/* With a table, the line about it says the same. */
	if (s->ring_size != old->slots && s->ring_size && old->slots && !s->ring)
		fprintf(out, "~ service %s ring_size %u -> %u\n", s->name, old->slots,
			s->ring_size);
}

static void print_edit(const struct plan_edit *x, FILE *out)
{
	char text[ENDPOINT_TEXT];

	switch (x->step) {
	case PLAN_ADD_SERVICE:
	case PLAN_REMOVE_SERVICE:
		break; /* its VIP lines say it */
	case PLAN_CHANGE_SERVICE:
		print_service_change(x, out);
		break;
	case PLAN_ADD_PIN:
	case PLAN_REMOVE_PIN:
		break; /* print_pins: they may be many */
	case PLAN_ADD_BACKEND:
		fprintf(out, "+ backend %s/%s %s weight %u\n", x->service->name, x->backend->name,
			plan_backend_text(x->backend, text), x->backend->weight);
		break;
	case PLAN_CHANGE_BACKEND:
		print_backend_change(x, out);
		break;
	case PLAN_REMOVE_BACKEND:
		fprintf(out, "- backend %s/%s %s", service_name(x->old_service),
			x->old_backend->name[0] ? x->old_backend->name : "?",
			plan_backend_text(x->old_backend, text));
		if (x->old_backend->flows)
			fprintf(out, "; its %u flows go to others", x->old_backend->flows);
		fputc('\n', out);
		break;
	case PLAN_GROW_RING:
	case PLAN_SHRINK_RING:
	case PLAN_REMOVE_RING:
		print_ring(x, out);
		break;
	case PLAN_ADD_VIP:
	case PLAN_CHANGE_VIP:
	case PLAN_REMOVE_VIP:
		print_vip(x, out);
		break;
	case PLAN_ADD_SOURCE:
		fprintf(out, "+ nat_source %s\n", addr_format(&x->source->addr, text));
		break;
	case PLAN_REMOVE_SOURCE:
		fprintf(out, "- nat_source %s; its flows end\n",
			addr_format(&x->source->addr, text));
		break;
	case PLAN_SET_POOL:
		break; /* the lines about its sources say it */
	case PLAN_ADD_DECAP:
		fprintf(out, "+ decap_from %s\n", addr_format(x->decap, text));
		break;
	case PLAN_REMOVE_DECAP:
		fprintf(out, "- decap_from %s\n", addr_format(x->decap, text));
		break;
	}
}

/* Those that follow one another and lead to the same backend, or go: in one line. Returns how
 * many. */
static size_t print_pins(const struct plan_edit *x, size_t left, FILE *out)
{
	char text[PLAN_PIN_TEXT];
	size_t n = 1;

	while (n < left && x[n].step == x->step && x[n].backend == x->backend &&
	       x[n].old_service == x->old_service && !x[n].pin->server_id == !x->pin->server_id)
		n++;
	plan_pin_text(x->pin, text);
	fprintf(out, x->step == PLAN_ADD_PIN ? "+ %s" : "- %s", x->pin->server_id ? "" : "pin ");
	if (x->step == PLAN_ADD_PIN)
		fprintf(out, "%s/%s %s", x->service->name, x->backend->name, text);
	else
		fprintf(out, "%s %s", service_name(x->old_service), text);
	if (n > 1)
		fprintf(out, " and %zu more", n - 1);
	fputc('\n', out);
	return n;
}

void plan_print(const struct plan *p, FILE *out)
{
	for (size_t i = 0; i < p->n;) {
		const struct plan_edit *x = &p->edits[i];
		size_t n = x->pin ? print_pins(x, p->n - i, out) : 1;

		if (!x->pin)
			print_edit(x, out);
		i += n;
	}
}
