// SPDX-License-Identifier: BSD-2-Clause
/*
 * What parsing a request's head costs, beside libhttp-parser, which many servers were
 * built on: both get the same bytes in one piece and notes where method, target, names and
 * values are. Prints a line for each request and parser: `request parser bytes ns`, where ns is
 * the least of several rounds; the rounds of both take turns.
 *
 *   parser [ROUNDS]
 *
 * The peer does less: it checks no Host, and leaves names as text.
 */
// links: -lhttp_parser
#include <http_parser.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "l7/http1.h"

#define TURN 20000 /* requests of a parser's turn in a round */

static const struct request {
	const char *name, *bytes;
} requests[] = {
	{"least", "GET /130 HTTP/1.1\r\nHost: 127.0.0.1:9001\r\n\r\n"},
	{"browser",
	 "GET /assets/app/main.3f9c1a.css?v=20240611 HTTP/1.1\r\n"
	 "Host: www.example.com\r\n"
	 "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0\r\n"
	 "Accept: text/css,*/*;q=0.1\r\n"
	 "Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\n"
	 "Accept-Encoding: gzip, deflate, br, zstd\r\n"
	 "Referer: https://www.example.com/shop/category/42?sort=price&page=3\r\n"
	 "Cookie: session=4c1b7c0e9f3a4d7e8a5b6c7d8e9f0a1b; consent=yes; theme=dark; "
	 "_ga=GA1.2.1234567890.1718000000; cart=eyJpdGVtcyI6WzEsMiwzXX0\r\n"
	 "Connection: keep-alive\r\n"
	 "Sec-Fetch-Dest: style\r\n"
	 "Sec-Fetch-Mode: no-cors\r\n"
	 "Sec-Fetch-Site: same-origin\r\n"
	 "Priority: u=2\r\n"
	 "If-None-Match: \"5f3c-61a9b2c4d5e6f\"\r\n\r\n"},
};

/* ---- what the peer is asked to note -------------------------------------------------- */

static struct span noted[2 * HTTP1_MAX_FIELDS + 1];
static unsigned n_noted;

static int note(http_parser *p, const char *at, size_t len)
{
	(void)p;
	if (n_noted < sizeof(noted) / sizeof(noted[0]))
		noted[n_noted++] = (struct span){at, len};
	return 0;
}

/* ---- a request through each ----------------------------------------------------------- */

static bool with_sluice(const char *bytes, size_t len)
{
	static const struct http1_limits limits = {32768, 16384, 100};
	static struct http1_head head;
	size_t scanned = 0;

	return http1_parse_request(&head, bytes, len, &scanned, &limits) == (int)len;
}

static bool with_http_parser(const char *bytes, size_t len)
{
	static const http_parser_settings settings = {
		.on_url = note, .on_header_field = note, .on_header_value = note};
	http_parser p;

	n_noted = 0;
	http_parser_init(&p, HTTP_REQUEST);
	return http_parser_execute(&p, &settings, bytes, len) == len && p.http_errno == HPE_OK;
}

static const struct parser {
	const char *name;
	bool (*run)(const char *bytes, size_t len);
} parsers[] = {{"sluice", with_sluice}, {"http-parser", with_http_parser}};

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* ns of a request, over one turn. */
static double turn(const struct parser *p, const struct request *r)
{
	size_t len = strlen(r->bytes);
	char *bytes = malloc(len); /* nothing is read behind it */
	struct timespec begin, end;

	if (!bytes)
		exit(1);
	memcpy(bytes, r->bytes, len);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (unsigned i = 0; i < TURN; i++) {
		if (!p->run(bytes, len)) {
			fprintf(stderr, "parser: %s refuses '%s'\n", p->name, r->name);
			exit(1);
		}
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	free(bytes);
	return ((double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec)) /
	       TURN;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 20;

	for (size_t r = 0; r < LENGTH(requests); r++) {
		double least[LENGTH(parsers)] = {0};

		for (int n = 0; n < rounds; n++) {
			for (size_t p = 0; p < LENGTH(parsers); p++) {
				double ns = turn(&parsers[p], &requests[r]);

				if (n == 0 || ns < least[p])
					least[p] = ns;
			}
		}
		for (size_t p = 0; p < LENGTH(parsers); p++)
			printf("%s %s %zu %.1f\n", requests[r].name, parsers[p].name,
			       strlen(requests[r].bytes), least[p]);
	}
	return 0;
}
