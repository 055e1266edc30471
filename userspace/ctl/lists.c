// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: `sluice block` and `sluice allow`: the same verbs on two pairs of tries. What is typed
 * wrongly is told all at once, before anything changes.
 */
#include "ctl/lists.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/units.h"
#include "ctl/ctl.h"
#include "ctl/lockout.h"
#include "ctl/named.h"
#include "ctl/watch.h"
#include "l4/chatter.h"

struct list_words {
	bool is_block;
	uint64_t ttl_ms; /* 0 = forever */
	__u32 reason;
	bool reason_given, json, force, yes, expired, skip_bad, watch;
	const char *name; /* of a feed */
	char **args;
	int n_args;
	struct block_entry *nets; /* the args of add and del, without values; owned */
};

/* A verb answers 0 or -errno; with e's text empty, it has told already. */
struct verb {
	const char *name;
	int (*run)(const struct list_words *w, const struct gate *g, const struct block_list *l,
		   struct err *e);
	const char *options; /* short names of those that it takes */
	const char *needs;   /* what must follow it; NULL = nothing may */
	bool block_only;
	bool takes_nets;
	bool locked; /* alone among those that edit */
};

/* ---- words ---------------------------------------------------------------------------- */

static bool parse_net(const char *text, struct cidr *net)
{
	char right[ADDR_TEXT + 4], alone[ADDR_TEXT];
	bool host_bits;

	if (cidr_parse(net, text, &host_bits))
		return true;
	if (!host_bits) {
		ctl_usage("`%s` is neither an address (192.0.2.1, 2001:db8::1) nor a prefix "
			  "(192.0.2.0/24)",
			  text);
		return false;
	}
	addr_format(&net->addr, alone);
	cidr_mask(net);
	ctl_usage("`%s` has bits beyond its prefix; the network is %s, the address %s", text,
		  cidr_format(net, right), alone);
	return false;
}

/* Before the gate is opened, so that a slip is told as one even where no gate is. */
static int parse_nets(struct list_words *w)
{
	int mistakes = 0;

	w->nets = calloc((size_t)w->n_args, sizeof(*w->nets));
	if (!w->nets)
		return ctl_fail(&(struct err){"out of memory"});
	for (int i = 0; i < w->n_args; i++)
		mistakes += !parse_net(w->args[i], &w->nets[i].net);
	return mistakes ? CTL_USAGE : CTL_OK;
}

static int make_value(const struct list_words *w, struct sluice_listed *value, struct err *e)
{
	uint64_t ns;

	*value = (struct sluice_listed){.reason = w->reason};
	if (!w->ttl_ms)
		return 0;
	if (__builtin_mul_overflow(w->ttl_ms, 1000000, &ns) ||
	    __builtin_add_overflow(ns, block_now(), &ns))
		return err_set(e, ERANGE, "--ttl is longer than the clock counts; leave it out");
	value->expires_ns = ns;
	return 0;
}

/* ---- add ------------------------------------------------------------------------------ */

static void note_allowed(const struct block_list *allow, const struct cidr *net)
{
	struct block_entry by;
	char text[ADDR_TEXT + 4], inner[ADDR_TEXT + 4];

	if (block_covering(allow, net, &by, 1) && !block_expired(&by.value, block_now()))
		fprintf(stderr,
			"sluice: note: %s is on the allow list (%s), which wins; `sluice allow del "
			"%s`\n",
			cidr_format(net, inner), cidr_format(&by.net, text), text);
}

static int add_one(const struct block_list *l, const struct block_entry *entry, struct err *e)
{
	char net[ADDR_TEXT + 4], now_text[LISTS_VALUE], was_text[LISTS_VALUE];
	struct block_entry was;
	bool known =
		block_covering(l, &entry->net, &was, 1) && block_order(&was.net, &entry->net) == 0;
	__u64 now = block_now();
	bool same;
	int rc = block_put(l, entry, e);

	if (rc)
		return rc;
	same = known && memcmp(&was.value, &entry->value, sizeof(was.value)) == 0;
	printf("%c %s %s %s",
	       same    ? '='
	       : known ? '~'
		       : '+',
	       l->name, cidr_format(&entry->net, net), lists_value(&entry->value, now, now_text));
	if (known)
		printf(", was %s", same ? "there" : lists_value(&was.value, now, was_text));
	putchar('\n');
	return 0;
}

static int run_add(const struct list_words *w, const struct gate *g, const struct block_list *l,
		   struct err *e)
{
	struct block_list allow = block_allow_of(g);
	struct sluice_listed value;
	int rc = make_value(w, &value, e);

	if (rc == 0 && w->is_block && !w->force)
		rc = lockout_check(&allow, w->nets, (size_t)w->n_args, e);
	for (int i = 0; rc == 0 && i < w->n_args; i++) {
		rc = add_one(l, &(struct block_entry){w->nets[i].net, value}, e);
		if (rc == 0 && w->is_block)
			note_allowed(&allow, &w->nets[i].net);
	}
	return rc;
}

/* ---- del ------------------------------------------------------------------------------ */

static void tell_missing(const struct gate *g, const struct block_list *l, const struct cidr *net)
{
	char text[ADDR_TEXT + 4], by_text[ADDR_TEXT + 4];
	char feed[FEEDS_NAME];
	struct block_entry by;
	struct err e;

	cidr_format(net, text);
	if (block_covering(l, net, &by, 1)) {
		cidr_format(&by.net, by_text);
		err_set(&e, ENOENT,
			"%s itself is not on the %s: it is covered by %s; `sluice %s del %s` "
			"removes that",
			text, lists_title(l), by_text, l->name, by_text);
	} else if (strcmp(l->name, "block") == 0 && named_covering(g, &net->addr, feed, &by.net) &&
		   by.net.prefix <= net->prefix) {
		err_set(&e, ENOENT,
			"%s is not on the blocklist itself: feed %s names %s; `sluice allow add "
			"%s` lets it in",
			text, feed, cidr_format(&by.net, by_text), text);
	} else {
		err_set(&e, ENOENT, "%s is not on the %s", text, lists_title(l));
	}
	ctl_fail(&e);
}

static int run_del(const struct list_words *w, const struct gate *g, const struct block_list *l,
		   struct err *e)
{
	char text[ADDR_TEXT + 4];
	int missing = 0;

	for (int i = 0; i < w->n_args; i++) {
		int rc = block_del(l, &w->nets[i].net, e);

		if (rc == -ENOENT) {
			tell_missing(g, l, &w->nets[i].net);
			missing++;
			continue;
		}
		if (rc)
			return rc;
		printf("- %s %s\n", l->name, cidr_format(&w->nets[i].net, text));
	}
	e->text[0] = '\0'; /* each was told */
	return missing ? -ENOENT : 0;
}

/* ---- list ----------------------------------------------------------------------------- */

static int run_list(const struct list_words *w, const struct gate *g, const struct block_list *l,
		    struct err *e)
{
	return w->name ? named_list(w->name, w->json, e) : lists_print(g, l, w->json, e);
}

static int run_feeds(const struct list_words *w, const struct gate *g, const struct block_list *l,
		     struct err *e)
{
	(void)l;
	return named_print(g, w->json, e);
}

/* ---- import, flush -------------------------------------------------------------------- */

static int run_import(const struct list_words *w, const struct gate *g, const struct block_list *l,
		      struct err *e)
{
	struct lists_import i = {
		.paths = w->args,
		.n_paths = w->n_args,
		.name = w->name,
		.valued = w->reason_given || w->ttl_ms,
		.skip_bad = w->skip_bad,
		.force = w->force,
	};
	int rc = make_value(w, &i.value, e);

	if (!w->reason_given)
		i.value.reason = SLUICE_L_feed;
	return rc ? rc : lists_import(g, l, &i, e);
}

/* The list, those that are to go at its front; *chosen of them. The caller frees *entries. */
static int choose(const struct list_words *w, const struct block_list *l,
		  struct block_entry **entries, size_t *n, size_t *chosen, struct err *e)
{
	int rc = block_read(l, entries, n, e);
	__u64 now = block_now();

	*chosen = 0;
	for (size_t i = 0; rc == 0 && i < *n; i++) {
		const struct sluice_listed *v = &(*entries)[i].value;

		if ((!w->expired || block_expired(v, now)) &&
		    (!w->reason_given || v->reason == w->reason))
			(*entries)[(*chosen)++] = (*entries)[i];
	}
	return rc;
}

/* Asked only where somebody can answer. */
static int confirm(const struct list_words *w, const struct block_list *l, struct err *e)
{
	struct block_entry *entries;
	size_t n, chosen;
	char answer[16];
	int rc;

	if (w->yes || w->expired || !isatty(STDIN_FILENO))
		return 0;
	rc = choose(w, l, &entries, &n, &chosen, e);
	if (rc)
		return rc;
	free(entries);
	if (chosen == 0)
		return 0;
	fprintf(stderr, "Remove %zu entries from the %s? [y/N] ", chosen, lists_title(l));
	if (fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y'))
		return 0;
	return err_set(e, ECANCELED, "nothing was removed");
}

static int run_flush(const struct list_words *w, const struct gate *g, const struct block_list *l,
		     struct err *e)
{
	struct block_entry *entries;
	size_t n, chosen;
	int rc = w->name ? 0 : confirm(w, l, e);

	rc = rc ? rc : ctl_lock(e); /* not while somebody thinks about the answer */
	if (rc == 0 && w->name)
		return named_flush(g, w->name, e);
	rc = rc ? rc : choose(w, l, &entries, &n, &chosen, e);
	if (rc)
		return rc;
	rc = block_del_many(l, entries, chosen, e);
	if (rc == 0)
		printf("%zu removed from the %s, %zu stay\n", chosen, lists_title(l), n - chosen);
	free(entries);
	return rc;
}

/* ---- the command ---------------------------------------------------------------------- */

static const struct verb verbs[] = {
	{"add", run_add, "trf", "an address or prefix", .takes_nets = true, .locked = true},
	{"del", run_del, "", "an address or prefix", .takes_nets = true, .locked = true},
	{"list", run_list, "jn", NULL, .locked = false},
	{"feeds", run_feeds, "j", NULL, .block_only = true},
	{"import", run_import, "trfsnw", "a file (- is stdin)", .block_only = true, .locked = true},
	{"flush", run_flush, "eryn", NULL, .block_only = true},
};

static const struct option options[] = {
	{"ttl", required_argument, NULL, 't'},
	{"reason", required_argument, NULL, 'r'},
	{"json", no_argument, NULL, 'j'},
	{"force", no_argument, NULL, 'f'},
	{"skip-bad", no_argument, NULL, 's'},
	{"expired", no_argument, NULL, 'e'},
	{"yes", no_argument, NULL, 'y'},
	{"name", required_argument, NULL, 'n'},
	{"watch", no_argument, NULL, 'w'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static const struct verb *find_verb(const char *name, bool is_block)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verbs[i].name, name) == 0 && (is_block || !verbs[i].block_only))
			return &verbs[i];
	return NULL;
}

static int take_ttl(struct list_words *w, const char *text)
{
	if (units_parse_ms(&w->ttl_ms, text) && w->ttl_ms)
		return CTL_OK;
	return ctl_usage("not a time: %s; a number with a unit, as 30s, 10m, 2h or 7d", text);
}

static int take_reason(struct list_words *w, const char *text)
{
	char names[128] = "";

	w->reason_given = true;
	if (block_reason_parse(&w->reason, text))
		return CTL_OK;
	for (__u32 i = 0; i < SLUICE_L_COUNT; i++) {
		strcat(names, i ? ", " : "");
		strcat(names, block_reason_name(i));
	}
	return ctl_usage("no such reason: %s; one of %s", text, names);
}

static int take_name(struct list_words *w, const char *text)
{
	w->name = text;
	if (feeds_name_valid(text))
		return CTL_OK;
	return ctl_usage("not a feed's name: %s; up to %d letters, digits, - and _", text,
			 FEEDS_NAME - 1);
}

static int take_option(struct list_words *w, int opt, const char *text)
{
	switch (opt) {
	case 't':
		return take_ttl(w, text);
	case 'r':
		return take_reason(w, text);
	case 'j':
		w->json = true;
		break;
	case 'f':
		w->force = true;
		break;
	case 's':
		w->skip_bad = true;
		break;
	case 'e':
		w->expired = true;
		break;
	case 'y':
		w->yes = true;
		break;
	case 'n':
		return take_name(w, text);
	case 'w':
		w->watch = true;
		break;
	case 'h':
		return CTL_HELP;
	default:
		return CTL_USAGE;
	}
	return CTL_OK;
}

static const char *option_name(char letter)
{
	for (const struct option *o = options; o->name; o++)
		if (o->val == letter)
			return o->name;
	return "?";
}

/* Words that are right alone. */
static int check_together(const struct list_words *w, const struct verb *verb)
{
	if (w->name && (w->ttl_ms || w->reason_given || w->expired))
		return ctl_usage("%s --name is about a whole feed: no --ttl, --reason or --expired",
				 verb->name);
	for (int i = 0; w->watch && i < w->n_args; i++)
		if (strcmp(w->args[i], "-") == 0)
			return ctl_usage("--watch needs files; stdin (-) is read once");
	return CTL_OK;
}

/* Fills w and *verb from the command line; given: the letters of its options. */
static int parse_words(int argc, char **argv, struct list_words *w, const struct verb **verb)
{
	const char *list = w->is_block ? "block" : "allow";
	char given[16] = "";
	size_t n = 0;
	int opt;

	while ((opt = getopt_long(argc, argv, "t:r:jfseyn:wh", options, NULL)) != -1) {
		int rc = take_option(w, opt, optarg);

		if (rc != CTL_OK)
			return rc;
		if (!strchr(given, opt) && n + 1 < sizeof(given))
			given[n++] = (char)opt;
	}
	if (optind == argc)
		return ctl_usage("%s what?", list);
	*verb = find_verb(argv[optind], w->is_block);
	if (!*verb)
		return ctl_usage("no such word after %s: %s", list, argv[optind]);
	for (n = 0; given[n]; n++)
		if (!strchr((*verb)->options, given[n]) || (given[n] == 'n' && !w->is_block))
			return ctl_usage("%s %s takes no --%s", list, (*verb)->name,
					 option_name(given[n]));
	w->args = argv + optind + 1;
	w->n_args = argc - optind - 1;
	if ((*verb)->needs && w->n_args == 0)
		return ctl_usage("%s %s needs %s", list, (*verb)->name, (*verb)->needs);
	if (!(*verb)->needs && w->n_args)
		return ctl_usage("unexpected word: %s", w->args[0]);
	return check_together(w, *verb);
}

static int run(const struct verb *verb, const struct list_words *w, struct err *e)
{
	struct block_list list;
	struct gate gate;
	int rc = gate_open(&gate, e);

	if (rc)
		return rc;
	list = w->is_block ? block_of(&gate) : block_allow_of(&gate);
	rc = verb->locked ? ctl_lock(e) : 0;
	rc = rc ? rc : verb->run(w, &gate, &list, e);
	gate_close(&gate);
	return rc;
}

static int run_told(const struct verb *verb, const struct list_words *w)
{
	struct err e;

	if (run(verb, w, &e) == 0)
		return CTL_OK;
	return e.text[0] ? ctl_fail(&e) : CTL_FAIL;
}

struct watched {
	const struct verb *verb;
	const struct list_words *words;
};

static int run_watched(const void *arg)
{
	const struct watched *w = arg;

	return run_told(w->verb, w->words);
}

static int lists(int argc, char **argv, bool is_block)
{
	struct list_words w = {.is_block = is_block};
	const struct verb *verb = NULL;
	int rc = parse_words(argc, argv, &w, &verb);

	if (rc == CTL_OK && verb->takes_nets)
		rc = parse_nets(&w);
	chatter_catch();
	if (rc == CTL_OK && w.watch)
		rc = watch_files(w.args, w.n_args, run_watched, &(struct watched){verb, &w});
	else if (rc == CTL_OK)
		rc = run_told(verb, &w);
	free(w.nets);
	return rc;
}

int ctl_block(int argc, char **argv)
{
	return lists(argc, argv, true);
}

int ctl_allow(int argc, char **argv)
{
	return lists(argc, argv, false);
}
