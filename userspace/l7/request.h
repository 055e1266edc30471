/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A client's connection and the request on it, from the first byte to the log line. The way
 * is a table of steps, each of which does what it can and says how to go on:
 *
 *   [HANDSHAKE ->]
 *   HEAD -> CONNECT -> EXCHANGE -> RESPOND -> FLUSH -+-> HEAD (the next request)
 *     |        |          |                     ^    +-> LINGER -> closed
 *     |        |          |                     |
 *     +--------+----------+-- an own answer ----+
 *     +-> CACHE -> SERVE -----------------------+  (cache.h)
 *     +-> FILE ---------------------------------+  (files.c)
 *
 * Between HEAD and CONNECT the body may be gathered; after EXCHANGE a TUNNEL may follow, until its
 * end. request.c has the table and drives, handshake.c begins TLS, head.c reads what the client
 * wants, exchange.c deals with the backend, tunnel.c carries, answer.c ends a request and says what
 * the proxy itself has to say.
 */
#ifndef L7_REQUEST_H
#define L7_REQUEST_H

#include "l7/cache.h"
#include "l7/pace.h"
#include "l7/dial.h"
#include "l7/expand.h"
#include "l7/files.h"
#include "l7/forward_head.h"
#include "l7/relay.h"
#include "l7/route.h"
#include "l7/selection.h"
#include "l7/trace.h"
#include "l7/upstream.h"
#include "l7/websocket.h"

#define REQUEST_TRIES    8  /* backends asked for one request; attempts are fewer */
#define REQUEST_INTERIM  16 /* 1xx answers to one request; more are the backend's mistake */
#define REQUEST_UPGRADE  SPAN("websocket") /* the one protocol that is switched to */
#define REQUEST_SPARE_MS 200               /* a new connection's first request may be on its way */
#define REQUEST_PLACE_MS 1000              /* an idle connection keeps its place in the order */
#define REQUEST_SPARE    256               /* requests that a thread keeps the memory of */
#define LINGER_MS        2000              /* for a client to stop sending, once it was told why */
#define REQUEST_ID       64 /* bytes of a number that a trusted client gave its request */

enum request_step {
	STEP_PROXIED,   /* reading a PROXY header */
	STEP_HANDSHAKE, /* of TLS */
	STEP_HEAD,      /* reading a request head */
	STEP_GATHER,    /* reading the request's body, as far as it is to be kept */
	STEP_CONNECT,   /* reaching a backend */
	STEP_EXCHANGE,  /* sending the request, reading the response head */
	STEP_RESPOND,   /* sending the response, and the rest of the request */
	STEP_TUNNEL,    /* after 101: bytes, both ways */
	STEP_CACHE,     /* waiting for a fetch, one's own or another's */
	STEP_SERVE,     /* sending what is in a cache */
	STEP_FETCH,     /* without a client: the response goes into a cache */
	STEP_FILE,      /* sending a file */
	STEP_FLUSH,     /* the response is in client.out */
	STEP_LINGER,    /* reading what nobody wants, so that the answer is not lost in a reset */
	STEP_COUNT,
};

/* What a step says. */
enum go {
	GO,   /* on, with the step that is set now */
	WAIT, /* for an event */
	TURN, /* go on after other connections had their turn */
	END,  /* the connection is over */
};

/* What a connection has while a request is on it: taken from the thread with its first byte, given
 * back with its end. */
struct request {
	struct client *client;
	const struct conf_route *route; /* that has it; until it is chosen what takes the others */
	const struct conf_pool *pool;
	struct upstream *upstream;
	struct backend *backend; /* the last one asked */
	struct endpoint asked;   /* where that is, or was */
	size_t scanned;          /* of the head being read, the client's or the backend's */
	struct buf head;         /* as it goes to a backend, while there is no connection */
	enum http1_method method;
	uint8_t minor;
	bool close;     /* the connection ends with this request */
	bool replay;    /* may be sent again: idempotent, without a body */
	bool up_done;   /* the whole request was sent */
	bool down_done; /* of a tunnel: the backend's end was handed on */
	bool upgrade;   /* asks for a tunnel */
	bool trailers;  /* the client reads trailer fields */
	bool answering; /* a final response was begun */
	bool until_end; /* its end is the connection's end */
	bool reset;     /* end by RST: what was sent must not look whole */
	bool fresh;     /* no pooled connection: one has failed already */
	bool keep_upstream;
	bool again;   /* was sent already, and failed */
	bool paid;    /* for the next try beyond the first */
	bool expects; /* waits for 100 (Continue) in front of its body */
	uint8_t retries, n_tried, n_interim;
	enum conf_encoding encoding; /* that the client would like its answer to have */
	uint64_t progress;           /* bytes moved, when the timer was set */
	uint64_t answer_at;          /* link.sent in front of the final response */
	uint64_t key;                /* for balance = hash */
	struct relay up, down;
	struct pace pace;

	/* for the access log */
	unsigned status;
	enum access_reason reason;
	uint64_t began_ms, connect_ms, connected_ms, first_ms; /* thread time; 0 = did not happen */
	uint64_t sent_before;                                  /* link.sent when it began */
	struct buf note;                                       /* its own words */

	struct backend *tried[REQUEST_TRIES];
	struct waiter waiter; /* in the pool's queue */
	struct hedge hedge;
	struct upstream *rival; /* is asked too, see hedge.c */
	struct buf late;        /* values of the response's fields, see change.c */
	char trace[TRACE_LEN];  /* traceparent as a backend gets it; [0] 0: it belongs to none */
	bool trace_goes_on;     /* it came with the request, and so its tracestate counts */
	char accept[WEBSOCKET_ACCEPT]; /* what agrees to upgrade */
	char id[REQUEST_ID + 1];       /* see request_id; empty: nobody has asked */
	struct cached cached;
	struct selection part; /* of what is kept, or of a file, the answer has */
	struct file file;
	struct dial *dial; /* of a service of kind forward; else NULL */
};

struct client {
	struct link link;
	struct timer timer;
	TAILQ_ENTRY(client) entry; /* of requests.busy or .idle: see waits */
	struct requests *owner;
	const struct conf_service *service;
	struct request *req; /* NULL: none has begun */
	enum request_step step;
	bool idle;           /* kept open, without a byte of a next request */
	bool waits;          /* in requests.idle, where it stays while it has requests */
	unsigned n_requests; /* begun on this connection */
	struct endpoint peer;
	struct endpoint local; /* as a PROXY header has it; else zero */
	char peer_text[ADDR_TEXT];
	uint64_t idle_ms;   /* thread time since when */
	uint64_t queued_ms; /* when it got its place in requests.idle */
	uint64_t number;    /* of the connection in its thread, for the access log */
};

struct request_spare;

struct requests {
	struct thread *thread;
	struct upstreams upstreams;
	/* idle: who waits longest first, to REQUEST_PLACE_MS; some have a request again */
	TAILQ_HEAD(, client) busy, idle;
	unsigned n;                  /* in both */
	uint64_t accepted;           /* connections so far */
	struct request_spare *spare; /* memory of those that ended, the last one on top */
	unsigned n_spare;            /* at most REQUEST_SPARE */
};

/* 0 or -ENOMEM; requests_fini either way. */
int requests_init(struct requests *rs, struct thread *thread);
void requests_fini(struct requests *rs);

/* Takes fd, a new connection to service. */
void request_accept(struct requests *rs, int fd, const struct endpoint *peer,
		    const struct conf_service *service);

/* There is a connection that can make place for another: idle for REQUEST_SPARE_MS. */
bool requests_idle(struct requests *rs);
/* Closes the one that is idle for longest, give or take REQUEST_PLACE_MS. */
void requests_reclaim(struct requests *rs);
/* The thread drains: idle connections are closed, the others end with their request. */
void requests_drain(struct requests *rs);

/* ---- between the files of the steps -------------------------------------------------- */

static inline struct thread *thread_of(const struct client *c)
{
	return c->owner->thread;
}

/* request.c: the connection is the client's own from here: TLS, or a request. */
enum go request_open(struct client *c);
/* Takes the steps that can be taken now; c may be gone afterwards. */
void request_drive(struct client *c);
/* Waits; the timer starts over whenever bytes have moved. Ends a request whose client is too
 * slow with its body. */
enum go request_wait(struct client *c, uint32_t ms);
/* Waits likewise, whoever is slow. */
enum go request_watch(struct client *c, uint32_t ms);
/* The time for the client to take what waits for it is over. True: it takes some of it, and
 * the time starts over. */
bool request_taken(struct client *c);
/* One line in the access log. */
void request_log(struct client *c);
/* A request begins; false when memory is exhausted. */
bool request_start(struct client *c);
/* Everything of the request is given back; the connection stays as it is. Fine if there is none. */
void request_clear(struct client *c);
/* Goes on in another turn of the loop. */
void request_turn(struct client *c);
/* Goes on as a step said; c may be gone afterwards. */
void request_end(struct client *c, enum go go);
/* A client without a connection, for a fetch; NULL when memory is exhausted. */
struct client *request_detached(struct requests *rs, const struct client *like);
/* Ends the request without an answer. */
enum go request_abort(struct client *c, enum access_reason reason);

/* handshake.c: a new connection of a service that speaks TLS. False: it is to be closed. */
bool handshake_begin(struct client *c);
enum go handshake_step(struct client *c);
enum go handshake_timeout(struct client *c);

/* head.c */
enum go head_step(struct client *c);
/* No byte of a request is to be had: the connection is idle, or over. */
enum go head_wait(struct client *c);
/* Notes for the access log what the request says; h NULL: it could not be parsed. */
void head_note(struct client *c, const struct http1_head *h);

/* gather.c */
enum go gather_begin(struct client *c);
enum go gather_step(struct client *c);

/* proxied.c: a trusted proxy says whose connection it is. */
bool proxied(const struct conf_service *s, const struct sluice_addr *peer);
void proxied_begin(struct client *c);
enum go proxied_step(struct client *c);

/* connect.c */
/* Tells the backend whose connection this is, if the pool does; false: it could not be sent. */
bool connect_introduce(struct client *c, struct upstream *u);
enum go connect_step(struct client *c);
/* It is its turn in the queue. */
void connect_serve(struct waiter *w);
/* There is no connection; errno says why, unless it was the time. */
enum go connect_failed(struct client *c, enum access_reason reason);
/* Not a byte of the request could be sent: a connection that was not accepted, or that the
 * backend closed while it was pooled. */
enum go connect_not_begun(struct client *c);
/* It ended before there was a response; the response did not come in time. */
enum go connect_lost(struct client *c);
enum go connect_late(struct client *c);
/* A response of that status, of which nothing went to the client, is another backend's to
 * answer: that one is asked. */
bool connect_again_for(struct client *c, unsigned status);

/* dial.c */
/* A request of a service of kind forward: is it one, and may it go there? False: it is answered,
 * as go says. */
bool dial_begin(struct client *c, const struct http1_head *h, enum go *go);
/* The next address, with a connection that is being made, or an answer. */
enum go dial_next(struct client *c);
/* The connection of a CONNECT is there, or was refused. */
enum go dial_tunnel(struct client *c);
/* Its name is being looked up; that took too long. */
bool dial_waits(const struct client *c);
enum go dial_late(struct client *c);
/* Everything is given back; fine if there is none. */
void dial_clear(struct client *c);

/* hedge.c */
/* The time for an answer is over: another backend is asked too. */
void hedge_start(struct hedge *h);
/* Its connection has an event. */
void hedge_ready(struct client *c);
/* The first one has failed, and the second one has the whole request: it goes on alone. */
bool hedge_promote(struct client *c);
/* There is no second one any more; fine if there was none. */
void hedge_end(struct client *c);
/* request_id.c: the request's own number, and the trace that it belongs to. */
struct span request_id(struct client *c);
/* The trace that the head names, or a new one. */
void request_trace(struct client *c, const struct http1_head *h);
/* Takes that of the head, if the service trusts the client. */
void request_id_take(struct client *c, const struct http1_head *h);

/* rules.c: which route has the request in the thread's head. False: nobody knows. */
bool rules_choose(struct client *c, struct route_choice *choice);
/* Answers for a route whose action is not ROUTE_POOL. */
enum go rules_answer(struct client *c, const struct route_choice *choice);
/* What its texts may speak of; valid as long as the head is. */
void rules_facts(struct client *c, const struct route_choice *choice, struct expand_facts *f);
/* files.c: answers for a route with files. */
enum go file_answer(struct client *c, const struct route_choice *choice);
enum go file_send(struct client *c);
/* Everything is given back; fine if there is none. */
void file_clear(struct client *c);
/* change.c: what the route changes of messages. False: by the request it cannot be done. f is what
 * it may speak of. */
bool change_request(struct client *c, const struct expand_facts *f, const struct edits **edits);
bool change_host(struct client *c, const struct expand_facts *f, struct span *host);
bool change_target(struct client *c, const struct expand_facts *f, struct span *target);
/* Keeps what the response's fields need of the request. */
bool change_keep(struct client *c, const struct expand_facts *f);
/* Fields of the response, or NULL. Valid until the thread writes another message. */
const struct edits *change_response(struct client *c);

/* The address that the client's connection goes to. */
bool request_local(const struct client *c, struct endpoint *local);

/* exchange.c */
enum go exchange_send(struct client *c);
enum go exchange_respond(struct client *c);
/* The time for one of these steps is over. */
enum go exchange_timeout(struct client *c);
/* The response was read to its end: the connection is for others, or closed. */
void exchange_release(struct client *c);
/* A connection in use has an event. */
void exchange_ready(struct upstream *u);

/* tunnel.c: thread.head is the backend's answer, which is sent or in client.out. */
enum go tunnel_begin(struct client *c);
enum go tunnel_step(struct client *c);

/* cache.c, cache_serve.c */
enum go cache_wait(struct client *c);
enum go cache_serve(struct client *c);
enum go cache_timeout(struct client *c);

/* fetch.c: a client without a connection asks the origin. */
/* Starts it; false when memory is exhausted. lead: the client it is for, or NULL. like: whose
 * request it is. own: with that client's own conditions. fill: a reference, taken over. */
bool fetch_start(struct client *like, struct client *lead, struct fill *fill, bool own);
/* The head of its final answer, of len bytes, is in thread.head and in front of what was read. */
enum go fetch_answered(struct client *c, uint32_t len);
enum go fetch_body(struct client *c);
/* There will be no answer. */
enum go fetch_failed(struct client *c, unsigned status, enum access_reason reason);
/* Where an interim answer goes, or NULL. */
struct client *fetch_leader(const struct client *c);
void fetch_clear(struct client *c);
/* It goes on in another turn of the loop. */
void fetch_turn(struct client *c);
/* The client for which it is leaves. */
void fetch_abandon(struct fetch *f);

/* answer.c: ends the request with an answer of the proxy's own; if the client has some of
 * another one, breaks that off. */
enum go answer_fail(struct client *c, unsigned status, enum access_reason reason);
/* The same by 503, with the time after which it is worth another try. */
enum go answer_busy(struct client *c, enum access_reason reason);
/* The answer itself. keep: another request may follow; field: one more line of its head. */
enum go answer_own(struct client *c, unsigned status, bool keep, struct span field);
/* status, field, location and content as given; the rest is set. */
enum go answer_with(struct client *c, struct forward_answer *answer, bool keep);
/* 100 (Continue), which the client waits for and nobody else says: a backend that knows no
 * expectations would wait for the body as well (RFC 9110 section 10.1.1). GO or END. */
enum go answer_continue(struct client *c);
/* Adds bytes behind what is to be sent; false when memory is exhausted. */
bool answer_put(struct client *c, const char *text, size_t n);
enum go answer_flush(struct client *c);
enum go answer_linger(struct client *c);
/* All is said: the client gets the time to take it. */
enum go answer_linger_on(struct client *c);

#endif
