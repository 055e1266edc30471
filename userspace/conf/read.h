/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between the file's text and the snapshot. A file goes through four hands, and each goes
 * on after a mistake so that the next ones are found too:
 *
 *   clean.c     text -> the same text without what makes no sense (words.c: its words)
 *   grammar.c   -> libConfuse's tree of values, each with its line
 *   sections.c  values -> snapshot, by the row of each setting (settings.c)
 *   check.c     rules that join several settings
 *
 * Private to conf/, and to its tests.
 */
#ifndef CONF_READ_H
#define CONF_READ_H

#include <confuse.h>
#include <stdbool.h>
#include <stdio.h>

#include "conf/conf.h"

#define READ_MAX_WORD       255 /* bytes of one value; longer is a mistake, not a value */
#define READ_MAX_COMPLAINTS 100 /* that are printed; the others are only counted */

/* Said when libConfuse refuses a text that clean.c made, which tests take for a bug. */
#define READ_IMPOSSIBLE "this cannot be read; sluice.conf(5) has the grammar"

struct complaint {
	unsigned line;
	char text[600]; /* a value or two, and what would be right */
};

/* A file being read. */
struct reading {
	struct conf *conf;
	const char *path;
	unsigned mistakes;            /* all of them */
	struct complaint *complaints; /* in the order of lines; the first of them */
	unsigned n_routes;            /* of all services so far */
	bool oom;
};

/* Notes `what is wrong; what would be right` for a line, and counts it. */
void complain(struct reading *r, unsigned line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- grammar.c ------------------------------------------------------------------------ */

/* What one value of the file was, as typed. */
struct value {
	unsigned line;
	char text[];
};

/*
 * The name of a service or a backend is a value too, under a word that nobody can type: so it
 * has its line, and libConfuse, which looks each title up among all, has nothing to look up.
 */
#define GRAMMAR_NAME "@"

extern cfg_opt_t pool_opts[];
extern cfg_opt_t grammar[]; /* libConfuse copies it, though it does not say const */

/* libConfuse's tree of a text that text_clean made; NULL when memory ran out. The caller
 * frees it with cfg_free. libConfuse keeps state of its own: one text at a time. */
cfg_t *grammar_parse(char *text, size_t len);
/* The value of a setting that takes one, or NULL when it is not there. */
struct value *value_of(cfg_t *section, const char *name);

/* ---- clean.c -------------------------------------------------------------------------- */

/* A text that libConfuse accepts, every line where it was, or NULL when memory ran out. The
 * caller frees it. */
char *text_clean(struct reading *r, const char *text, size_t len, size_t *clean_len);

/* ---- settings.c: settings that are one number, yes and no among them ------------------- */

enum setting_kind { SETTING_MS, SETTING_BYTES, SETTING_COUNT, SETTING_YES };

struct setting {
	const char *section, *name;
	enum setting_kind kind;
	unsigned only;  /* SLUICE_L4 or SLUICE_L7: means nothing to the other kind; 0 = both */
	size_t offset;  /* of the field in what the section becomes */
	unsigned width; /* bytes of the field: 4 or 8; 1 = a bool */
	uint64_t initial, least, most;
};

extern const struct setting settings[];
extern const unsigned n_settings;

#define SETTING_TEXT 24
/* "1h", "64k", "256", "yes": as a person would type it; returns buf. */
const char *setting_format(enum setting_kind kind, uint64_t n, char buf[SETTING_TEXT]);
/* All settings of a section into base; a section that is not there (NULL) has the defaults.
 * service_kind is 0 where there is none, or none is known. */
void settings_read(struct reading *r, const char *section, cfg_t *from, unsigned service_kind,
		   void *base);

/* Those of a section that stand in `from`, which is another one, into base; the others are left. */
void settings_override(struct reading *r, const char *section, cfg_t *from, void *base);

/* Which of n words it is; the first one if it is not there. */
uint32_t choice_word(struct reading *r, const struct value *v, const char *const words[],
		     unsigned n, const char *name);

/* ---- sections.c ----------------------------------------------------------------------- */

void sections_read(struct reading *r, cfg_t *file);

/* What the readers of single sections share. Memory is the snapshot's; NULL sets r->oom. */
void *reading_alloc(struct reading *r, size_t count, size_t size);
const char *text_keep(struct reading *r, const char *text);
struct value *value_at(cfg_t *sec, const char *name, unsigned i);
/* How many values a list has; more than most are a mistake, and left out. */
unsigned values_count(struct reading *r, cfg_t *sec, const char *name, unsigned most);
/* The name of a section. Without one, that has been complained about. */
const char *name_read(struct reading *r, cfg_t *sec, const char *what, unsigned *line);

/* A prefix of addresses; complains and returns false if it is none. */
bool cidr_read(struct reading *r, const struct value *v, const char *name, struct cidr *net);

/* ---- backend.c ------------------------------------------------------------------------ */

/* Whose backends are read. */
struct backends_of {
	const char *what, *name; /* service "shop" */
	unsigned line;
	uint32_t kind, forward; /* as in conf_service; a pool is of kind l7 */
	bool outgoing;          /* the service is of kind forward */
	bool may_be_empty;      /* the service has routes, which may do without */
};

/* All backends of a section, complaining about none and about too many. Returns how many. */
unsigned backends_read(struct reading *r, cfg_t *sec, const struct backends_of *of,
		       struct conf_backend **backends);

/* ---- resolver.c ----------------------------------------------------------------------- */

void resolver_read(struct reading *r, cfg_t *sec); /* NULL: there is no such section */
/* "NAME:PORT", with the families of `resolve` (NULL: both). NULL: complained. */
const struct conf_name *host_name_read(struct reading *r, const struct value *v,
				       const struct value *resolve, uint16_t *port);

/* ---- outgoing.c ----------------------------------------------------------------------- */

/* Of a service of kind forward; NULL: no memory. */
const struct conf_outgoing *outgoing_read(struct reading *r, cfg_t *sec, struct conf_service *s);
/* Complains about what of it stands in another service. */
void outgoing_refuse(struct reading *r, cfg_t *sec);
/* The one backend that stands for all of its destinations. Returns how many. */
unsigned outgoing_backend(struct reading *r, cfg_t *sec, struct conf_backend **backends);

/* ---- trusted.c ------------------------------------------------------------------------ */

/* Who may say that a connection is another one's. */
void trusted_read(struct reading *r, cfg_t *sec, struct conf_service *s);

/* ---- pool.c --------------------------------------------------------------------------- */

/* All named pools, with room behind them for those of n services. */
void pools_read(struct reading *r, cfg_t *file, unsigned n_services);
/* Complains about what of a pool stands in an l4 service, but for backends and health. */
void pool_refuse(struct reading *r, cfg_t *l4);
/* An l7 service's own one. */
const struct conf_pool *pool_of_service(struct reading *r, cfg_t *sec,
					const struct conf_service *s);

/* ---- cache.c -------------------------------------------------------------------------- */

void caches_read(struct reading *r, cfg_t *file);
/* The cache section of an l7 service. */
void caching_read(struct reading *r, cfg_t *sec, struct conf_service *s);
/* ---- route.c, route_match.c, route_index.c --------------------------------------------- */

/* The routes of a service, whose other settings and pool are known. */
void routes_read(struct reading *r, cfg_t *sec, struct conf_service *s);
void route_conditions_read(struct reading *r, cfg_t *sec, bool merge_slashes,
			   struct conf_route *route);
/* Makes the tables of routes->items. */
void routes_index(struct reading *r, struct conf_routes *routes);
/* What happens to fields, beside what route has of the service. */
void route_edits_read(struct reading *r, cfg_t *sec, unsigned line, struct conf_route *route);
#define ROUTE_BAD_NAME                                                                             \
	"%s: \"%.*s\" is not known; sluice-routes(5) lists the names, and $$ is a dollar"
/* A text with $names. */
bool route_template_read(struct reading *r, const struct value *v, const char *name,
			 struct template *to);

/* ---- files.c -------------------------------------------------------------------------- */

/* A route that answers with files. */
void route_files_read(struct reading *r, const struct value *root, cfg_t *sec,
		      struct conf_route *route);
/* Complains about what goes with such a route alone. */
void route_files_refuse(struct reading *r, cfg_t *sec);

/* ---- access.c ------------------------------------------------------------------------- */

void access_read(struct reading *r, cfg_t *daemon); /* NULL: there is no such section */

/* ---- health.c ------------------------------------------------------------------------- */

/* Of a pool or a service; NULL: there is none. */
const struct conf_health *health_read(struct reading *r, cfg_t *owner);
void health_check(struct reading *r);

/* ---- tls.c ---------------------------------------------------------------------------- */

/* NULL: there is no such section. */
const struct conf_tls *tls_section_read(struct reading *r, cfg_t *sec,
					const struct conf_service *s);

/* Of a pool or a service; NULL: there is none. */
const struct conf_upstream_tls *tls_upstream_read(struct reading *r, cfg_t *owner);

/* ---- compress.c ----------------------------------------------------------------------- */

/* NULL: there is no such section. */
void compress_read(struct reading *r, cfg_t *sec, uint32_t kind, struct conf_compress *c);

/* ---- nat.c ---------------------------------------------------------------------------- */

void nat_settings_read(struct reading *r, cfg_t *gate); /* NULL: there is no such section */
void nat_words_check(struct reading *r, cfg_t *sec, const struct conf_service *s);
/* Rules that join services and the gate. */
void nat_check(struct reading *r);

/* ---- l4.c ----------------------------------------------------------------------------- */

void l4_read(struct reading *r, cfg_t *sec, struct conf_service *s);
/* Rules that join services. */
void l4_check(struct reading *r);

/* ---- quic.c --------------------------------------------------------------------------- */

void server_ids_read(struct reading *r, cfg_t *sec, uint32_t kind, struct conf_backend *b);
/* Rules of hash = quic_cid. */
void quic_check(struct reading *r);

/* ---- check.c -------------------------------------------------------------------------- */

/* Rules that join several settings. What sections.c complained about is there as zeroes. */
void conf_check(struct reading *r);
/* Makes the table that conf_find looks into; false when memory ran out. */
bool conf_index(struct conf *c);

#endif
