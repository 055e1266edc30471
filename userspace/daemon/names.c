// SPDX-License-Identifier: BSD-2-Clause
/*
 * Owns: the addresses of each name, from its first answer on; the page; the resolver's process
 * from fork to waitpid; what is logged.
 * Promises: a name that had addresses keeps the last ones until there are others, whatever
 * becomes of its servers, the resolver or the daemon. What the resolver says is looked at as if
 * it came from the network; one that talks nonsense is killed.
 */
#include "daemon/names.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/log.h"
#include "daemon/title.h"
#include "resolve/resolver.h"
#include "resolve/seats.h"

#define PAUSE_FIRST_MS 1000
#define PAUSE_MOST_MS  30000
#define LONG_LIFE_MS   60000
#define MESSAGES       64   /* read in one turn of the loop */
#define READS          3    /* directories that the resolver reads in */
#define FILES          4096 /* of the resolver: sockets to servers, and a file */

struct names {
	const struct conf *conf;
	const char *dir; /* of the page; NULL: in memory */
	struct name_page page;
	struct seats_known *known; /* by name */
	int *asking, *asked;       /* ends of socketpairs: the threads', and the resolver's */
	unsigned n_asking;
	struct jail jail;
	struct event_base *base;
	struct event *on_control, *restart;
	pid_t pid;   /* 0: none runs */
	int control; /* or -1 */
	uint64_t started_ms;
	uint32_t pause_ms;
	bool trap, ending;
	names_moved *moved;
	void *user;
};

static uint64_t clock_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- what is known -------------------------------------------------------------------- */

static void told(const struct names *n, uint32_t name, const struct name_seat *before)
{
	const struct name_seat *now = name_page_seats(&n->page, name);

	for (uint32_t i = 0; n->moved && i < n->page.head->seats; i++)
		if (now[i].turn != before[i].turn)
			n->moved(n->user, name, i, &now[i]);
}

static void say_addresses(const struct names *n, uint32_t name)
{
	const struct name_record *r = &n->page.records[name];
	const struct name_seat *seats = name_page_seats(&n->page, name);
	char text[400] = "", one[ADDR_TEXT];
	size_t at = 0;

	for (uint32_t i = 0; i < n->page.head->seats && at < sizeof(text) - ADDR_TEXT - 1; i++)
		if (seats[i].taken)
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", at ? " " : "",
					       addr_format(&seats[i].addr, one));
	log_info("name=%s addresses=%u: %s", r->name, r->taken, text);
	if (r->found > r->taken)
		log_warn("name=%s has %u addresses, of which %u are used (resolver { max_addresses "
			 "= ... })",
			 r->name, r->found, r->taken);
}

/* Brings the seats to what is known. True: something changed. */
static bool seats_renew(struct names *n, uint32_t name)
{
	const struct seats_known *k = &n->known[name];
	struct name_seat *seats = name_page_seats(&n->page, name), before[CONF_MAX_SEATS];
	struct name_record *r = &n->page.records[name];
	uint32_t count = n->page.head->seats;
	bool changed;

	memcpy(before, seats, count * sizeof(*seats));
	page_write_begin(&r->sequence);
	changed = seats_assign(seats, count, k);
	r->taken = 0;
	for (uint32_t i = 0; i < count; i++)
		r->taken += seats[i].taken;
	r->found = k->found[0] + k->found[1];
	r->changes += changed;
	page_write_end(&r->sequence);
	if (changed) {
		atomic_fetch_add(&n->page.head->turn, 1);
		told(n, name, before);
	}
	return changed;
}

/* Said when it begins and when it ends, and not each time in between. */
static void failing_set(struct names *n, const struct resolver_msg *msg, const char *why)
{
	struct name_record *r = &n->page.records[msg->name];
	uint8_t was = r->failing, bit = (uint8_t)(1U << msg->family);

	page_write_begin(&r->sequence);
	r->failing = (uint8_t)(why ? was | bit : was & ~bit);
	r->failures += why != NULL;
	if (why || !r->failing)
		snprintf(r->error, sizeof(r->error), "%s", why ? why : "");
	page_write_end(&r->sequence);
	n->page.head->failures += why != NULL;
	if (r->failing && !was)
		log_warn("name=%s is not resolved: %s; %s", r->name, why,
			 r->taken ? "its last addresses stay" : "it has none");
	else if (!r->failing && was)
		log_info("name=%s is resolved again", r->name);
}

static void addresses_here(struct names *n, const struct resolver_msg *msg)
{
	struct name_record *r = &n->page.records[msg->name];

	if (!seats_note(&n->known[msg->name], msg->family, msg->addrs, msg->n, msg->found)) {
		failing_set(n, msg, "it has no address any more");
		return;
	}
	n->page.head->answers++;
	n->page.head->ignored += msg->found - msg->n;
	page_write_begin(&r->sequence);
	r->known |= msg->n > 0;
	r->ttl_ms = msg->ttl_ms;
	r->since_ms = clock_ms(CLOCK_REALTIME);
	r->answers++;
	page_write_end(&r->sequence);
	failing_set(n, msg, NULL);
	if (seats_renew(n, msg->name))
		say_addresses(n, msg->name);
}

/* ---- what the resolver says ------------------------------------------------------------ */

static bool is_sound(const struct names *n, const struct resolver_msg *msg, ssize_t len)
{
	return len == sizeof(*msg) && msg->size == sizeof(*msg) && msg->name < n->conf->n_names &&
	       msg->family < 2 && msg->n <= CONF_MAX_SEATS && msg->found >= msg->n &&
	       n->conf->names[msg->name].families & 1U << msg->family &&
	       (msg->type == RESOLVER_MSG_ADDRESSES || msg->type == RESOLVER_MSG_FAILED);
}

static void on_control(evutil_socket_t fd, short what, void *arg)
{
	struct names *n = arg;
	struct resolver_msg msg;

	(void)what;
	for (int i = 0; i < MESSAGES; i++) {
		ssize_t len = recv(fd, &msg, sizeof(msg), MSG_DONTWAIT | MSG_TRUNC);

		if (len < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (len <= 0) {
			event_del(n->on_control); /* waitpid tells the rest */
			return;
		}
		if (!is_sound(n, &msg, len)) {
			log_err("a message that is none from resolver pid=%d bytes=%zd; it is "
				"killed",
				(int)n->pid, len);
			kill(n->pid, SIGKILL);
			event_del(n->on_control);
			return;
		}
		msg.why[sizeof(msg.why) - 1] = '\0';
		if (msg.type == RESOLVER_MSG_ADDRESSES)
			addresses_here(n, &msg);
		else
			failing_set(n, &msg, msg.why);
	}
}

/* ---- its process ----------------------------------------------------------------------- */

static void control_close(struct names *n)
{
	if (n->on_control)
		event_free(n->on_control);
	n->on_control = NULL;
	if (n->control >= 0)
		close(n->control);
	n->control = -1;
}

/* Where the resolver may read: resolv.conf is often a link, and c-ares wants randomness. */
static size_t roots_open(int roots[READS])
{
	char real[PATH_MAX];
	const char *const names[READS] = {
		"/etc", "/dev", realpath("/etc/resolv.conf", real) ? dirname(real) : NULL};
	size_t n = 0;

	for (size_t i = 0; i < READS; i++) {
		int fd = names[i] ? open(names[i], O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;

		if (fd >= 0)
			roots[n++] = fd;
	}
	return n;
}

/* Runs in the child. */
static int resolver_main(const struct names *n, int control)
{
	const struct resolver_start start = {
		.conf = n->conf, .control = control, .asked = n->asked, .n_asked = n->n_asking};
	struct jail jail = n->jail;
	int roots[READS], keep[READS + 1 + CONF_MAX_THREADS] = {control};
	struct err e;

	title_set("sluiced: names");
	jail.files = FILES;
	jail.reads = true;
	jail.unix_sockets = false;
	jail.roots = roots;
	jail.n_roots = roots_open(roots);
	memcpy(keep + 1, roots, jail.n_roots * sizeof(*roots));
	if (n->n_asking)
		memcpy(keep + 1 + jail.n_roots, n->asked, n->n_asking * sizeof(*n->asked));
	if (jail_enter(&jail, keep, jail.n_roots + 1 + n->n_asking, n->trap, &e) == 0)
		return resolver_run(&start);
	log_err("%s", e.text);
	return 1;
}

static int process_start(struct names *n, struct err *e)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
		return err_set(e, errno, "cannot make a control socket: %s", strerror(errno));
	n->control = pair[0];
	n->on_control = event_new(n->base, n->control, EV_READ | EV_PERSIST, on_control, n);
	n->pid = n->on_control && event_add(n->on_control, NULL) == 0 ? jail_fork() : -1;
	if (n->pid == 0)
		exit(resolver_main(n, pair[1]));
	close(pair[1]);
	n->started_ms = clock_ms(CLOCK_MONOTONIC);
	if (n->pid > 0)
		return 0;
	n->pid = 0;
	control_close(n);
	return err_set(e, EAGAIN, "cannot start the resolver of names");
}

static void restart_in(struct names *n, uint32_t ms)
{
	const struct timeval wait = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	evtimer_add(n->restart, &wait);
}

static void restart_now(evutil_socket_t fd, short what, void *arg)
{
	struct names *n = arg;
	struct err e;

	(void)fd, (void)what;
	if (process_start(n, &e) == 0)
		return;
	log_err("%s", e.text);
	restart_in(n, PAUSE_MOST_MS);
}

bool names_ended(struct names *n, pid_t pid, int status)
{
	bool long_life;
	uint32_t pause;

	if (!n || n->pid != pid)
		return false;
	long_life = clock_ms(CLOCK_MONOTONIC) - n->started_ms >= LONG_LIFE_MS;
	pause = long_life ? 0 : n->pause_ms;
	n->pid = 0;
	control_close(n);
	if (n->ending)
		return true;
	log_err("resolver pid=%d ended with %s=%d; addresses stay until another one has asked",
		(int)pid, WIFSIGNALED(status) ? "signal" : "status",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	n->pause_ms = pause == 0                  ? PAUSE_FIRST_MS
		      : pause * 2 < PAUSE_MOST_MS ? pause * 2
						  : PAUSE_MOST_MS;
	restart_in(n, pause);
	return true;
}

/* ---- life ------------------------------------------------------------------------------ */

static void name_take(struct names *n, uint32_t name, const struct name_page *from, uint32_t at)
{
	struct seats_known *k = &n->known[name];
	struct name_record old;

	name_page_record(from, at, &old);
	for (uint32_t i = 0; i < from->head->seats; i++) {
		struct name_seat seat = name_page_seat(from, at, i);
		unsigned family = !addr_is_v4(&seat.addr);

		if (seat.taken && seats_fits(&seat.addr) && k->n[family] < CONF_MAX_SEATS)
			k->addrs[family][k->n[family]++] = seat.addr;
	}
	k->found[0] = k->n[0];
	k->found[1] = k->n[1];
	n->page.records[name].known = old.known;
	n->page.records[name].since_ms = old.since_ms;
	seats_renew(n, name);
}

static void take_over(struct names *n, const struct name_page *from)
{
	struct name_record r;

	for (uint32_t i = 0; i < n->conf->n_names; i++) {
		for (uint32_t at = 0; at < from->head->names; at++) {
			name_page_record(from, at, &r);
			if (r.families != n->conf->names[i].families ||
			    strcmp(r.name, n->conf->names[i].name) != 0)
				continue;
			name_take(n, i, from, at);
			break;
		}
	}
}

static void take_over_file(struct names *n)
{
	struct name_page left;
	struct err e;
	int rc;

	if (!n->dir)
		return;
	rc = name_page_open(&left, n->dir, &e);
	if (rc == 0)
		take_over(n, &left);
	else if (rc != -ENOENT)
		log_warn("%s; names have no address until they are resolved", e.text);
	name_page_close(&left);
}

static int page_make_for(struct names *n, struct err *e)
{
	uint32_t names = n->conf->n_names, seats = n->conf->resolver.max_addresses;

	n->dir = n->conf->state_dir;
	if (n->dir && name_page_make(&n->page, n->dir, names, seats, e) == 0)
		return 0;
	if (n->dir)
		log_info("%s; the addresses of names are forgotten when the daemon ends (daemon { "
			 "state = ... })",
			 e->text);
	n->dir = NULL;
	return name_page_make(&n->page, NULL, names, seats, e);
}

/* Both ends outlive the processes that use them: another one goes on with them. */
static int asking_make(struct names *n, unsigned threads, struct err *e)
{
	int pair[2];

	if (!n->conf->n_outgoing)
		return 0;
	n->asking = calloc(threads, sizeof(*n->asking));
	n->asked = calloc(threads, sizeof(*n->asked));
	if (!n->asking || !n->asked)
		return err_set(e, ENOMEM, "out of memory");
	while (n->n_asking < threads) {
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) !=
		    0)
			return err_set(e, errno, "cannot make sockets to the resolver: %s",
				       strerror(errno));
		n->asking[n->n_asking] = pair[0];
		n->asked[n->n_asking++] = pair[1];
	}
	return 0;
}

int names_make(struct names **out, const struct conf *conf, unsigned threads,
	       const struct names *old, struct err *e)
{
	struct names *n;
	int rc;

	*out = NULL;
	if (!conf->n_names && !conf->n_outgoing)
		return 0;
	n = calloc(1, sizeof(*n));
	if (!n)
		return err_set(e, ENOMEM, "out of memory");
	n->conf = conf;
	n->page.fd = n->control = -1;
	n->known = calloc(conf->n_names + 1, sizeof(*n->known));
	rc = n->known ? page_make_for(n, e) : err_set(e, ENOMEM, "out of memory");
	rc = rc ? rc : asking_make(n, threads, e);
	if (rc) {
		names_free(n);
		return rc;
	}
	for (uint32_t i = 0; i < conf->n_names; i++) {
		struct name_record *r = &n->page.records[i];

		r->families = conf->names[i].families;
		snprintf(r->name, sizeof(r->name), "%s", conf->names[i].name);
	}
	if (old)
		take_over(n, &old->page);
	else
		take_over_file(n);
	*out = n;
	return 0;
}

void names_free(struct names *n)
{
	if (!n)
		return;
	names_end(n);
	name_page_close(&n->page);
	for (unsigned i = 0; i < n->n_asking; i++) {
		close(n->asking[i]);
		close(n->asked[i]);
	}
	free(n->asking);
	free(n->asked);
	free(n->known);
	free(n);
}

const struct name_page *names_page(const struct names *n)
{
	return n ? &n->page : NULL;
}

int names_fd(const struct names *n)
{
	return n ? n->page.fd : -1;
}

const int *names_asking(const struct names *n, size_t *count)
{
	*count = n ? n->n_asking : 0;
	return *count ? n->asking : NULL;
}

int names_begin(struct names *n, struct event_base *base, const struct jail *jail, bool trap,
		struct err *e)
{
	if (!n || n->base)
		return 0;
	n->base = base;
	n->jail = *jail;
	n->trap = trap;
	n->restart = evtimer_new(base, restart_now, n);
	return n->restart ? process_start(n, e) : err_set(e, ENOMEM, "out of memory");
}

int names_publish(struct names *n, struct err *e)
{
	return n ? page_publish(n->dir, NAME_PAGE_FILE, e) : 0;
}

void names_follow(struct names *n, names_moved *moved, void *user)
{
	if (!n)
		return;
	n->moved = moved;
	n->user = user;
}

void names_end(struct names *n)
{
	if (!n)
		return;
	n->ending = true;
	control_close(n); /* which it hears */
	if (n->restart)
		event_free(n->restart);
	n->restart = NULL;
}
