// SPDX-License-Identifier: BSD-2-Clause
/* The access log: a line is a line, whatever a client sends, and none is cut in two. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "l7/access.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

static const struct http1_limits limits = {
	.max_head = 65536, .max_target = 65536, .max_fields = HTTP1_MAX_FIELDS};

static struct access log_;
static struct buf_pool pool;
static struct buf note;
static struct endpoint client, upstream;
static struct access_facts facts;
static struct log_format format;
static struct arena arena;

static void use_format(const char *text)
{
	struct span bad;

	assert_int_equal(log_format_compile(&format, &arena, text, &bad), 0);
}

static int setup(void **unused)
{
	(void)unused;
	arena_init(&arena, 4096, 0);
	use_format(log_format_named("sluice"));
	assert_int_equal(access_init(&log_, memfd_create("log", 0), false, &format), 0);
	assert_true(buf_reserve(&pool, &note, BUF_NOTE));
	assert_true(endpoint_parse(&client, "192.0.2.7:50000"));
	assert_true(endpoint_parse(&upstream, "[2001:db8::1]:8080"));
	facts = (struct access_facts){.client = &client,
				      .status = 200,
				      .bytes = 612,
				      .service = "site",
				      .upstream = &upstream,
				      .connect_ms = 1,
				      .first_ms = 20,
				      .total_ms = 300,
				      .retries = 2,
				      .reason = ACCESS_ok};
	return 0;
}

static int teardown(void **unused)
{
	(void)unused;
	if (log_.fd >= 0)
		close(log_.fd);
	log_.fd = -1;
	log_.len = 0;
	access_fini(&log_);
	buf_release(&pool, &note);
	buf_pool_fini(&pool);
	arena_fini(&arena);
	return 0;
}

/* What was written so far. */
static const char *written(void)
{
	static char text[1 << 22];
	ssize_t n = pread(log_.fd, text, sizeof(text) - 1, 0);

	assert_true(n >= 0 && (size_t)n < sizeof(text) - 1);
	text[n] = '\0';
	assert_int_equal(strlen(text), n); /* no NUL in between */
	return text;
}

static const char *line_raw(void)
{
	assert_int_equal(ftruncate(log_.fd, 0), 0);
	assert_int_equal(lseek(log_.fd, 0, SEEK_SET), 0);
	access_log(&log_, &note, &facts);
	access_flush(&log_);
	return written();
}

/* The one line, with its time taken out. */
static const char *line(void)
{
	static char text[4096];
	const char *all, *open, *shut;

	access_log(&log_, &note, &facts);
	access_flush(&log_);
	all = written();
	open = strchr(all, '[');
	shut = strchr(all, ']');
	assert_non_null(open);
	assert_non_null(shut);
	snprintf(text, sizeof(text), "%.*s%s", (int)(open + 1 - all), all, shut);
	return text;
}

static void note_request(const char *bytes)
{
	static struct http1_head head;
	size_t scanned = 0;

	assert_int_equal(http1_parse_request(&head, bytes, strlen(bytes), &scanned, &limits),
			 strlen(bytes));
	access_note(&log_, &note, &head, (struct span){bytes, 0});
}

static void note_line(const char *bytes, size_t len)
{
	access_note(&log_, &note, NULL, (struct span){bytes, len});
}

/* ---- lines ---------------------------------------------------------------------------- */

static void test_a_line(void **unused)
{
	(void)unused;
	note_request("GET /a?b HTTP/1.1\r\nHost: a\r\nUser-Agent: curl/8\r\n"
		     "Referer: http://a/\r\n\r\n");
	assert_string_equal(
		line(), "192.0.2.7 - - [] \"GET /a?b HTTP/1.1\" 200 612 \"http://a/\" \"curl/8\" "
			"service=site upstream=[2001:db8::1]:8080 connect_ms=1 first_ms=20 "
			"total_ms=300 retries=2 reason=ok\n");
}

static void test_a_line_of_which_little_is_known(void **unused)
{
	(void)unused;
	assert_true(endpoint_parse(&client, "[2001:db8::7]:1"));
	note_request("GET / HTTP/1.0\r\n\r\n");
	facts.status = 504;
	facts.bytes = 0;
	facts.upstream = NULL;
	facts.connect_ms = facts.first_ms = -1;
	facts.reason = ACCESS_connect_timeout;
	assert_string_equal(line(),
			    "2001:db8::7 - - [] \"GET / HTTP/1.0\" 504 0 \"-\" \"-\" "
			    "service=site upstream=- connect_ms=-1 first_ms=-1 total_ms=300 "
			    "retries=2 reason=connect_timeout\n");
}

static void test_a_line_without_a_note(void **unused)
{
	(void)unused;
	buf_release(&pool, &note);
	assert_non_null(strstr(line(), "] \"-\" 200 612 \"-\" \"-\" service="));
}

static void test_the_time_is_of_the_combined_format(void **unused)
{
	struct tm tm = {0};
	time_t before = time(NULL) - 1;
	const char *text, *end;

	(void)unused;
	note_request("GET / HTTP/1.0\r\n\r\n");
	access_log(&log_, &note, &facts);
	access_flush(&log_);
	text = strchr(written(), '[');
	assert_non_null(text);
	end = strptime(text, "[%d/%b/%Y:%H:%M:%S +0000] ", &tm);
	assert_non_null(end);
	assert_int_equal(*end, '"');
	assert_in_range(timegm(&tm), before, time(NULL));
}

static void test_every_reason_has_its_name(void **unused)
{
	static const char *const names[] = {
#define REASON(name, text) "reason=" #name "\n",
		ACCESS_REASONS(REASON)
#undef REASON
	};
	const char *at;

	(void)unused;
	note_request("GET / HTTP/1.0\r\n\r\n");
	for (unsigned i = 0; i < LENGTH(names); i++) {
		facts.reason = (enum access_reason)i;
		access_log(&log_, &note, &facts);
	}
	access_flush(&log_);
	at = written();
	for (unsigned i = 0; i < LENGTH(names); i++) {
		at = strstr(at, names[i]);
		assert_non_null(at);
	}
}

/* ---- a client's words ----------------------------------------------------------------- */

static void test_words_are_escaped(void **unused)
{
	(void)unused;
	note_request("GET /\"\\ HTTP/1.1\r\nHost: a\r\nReferer: a\" 200 0 \"b\r\n"
		     "User-Agent: \\x22\tcaf\xc3\xa9\r\n\r\n");
	assert_non_null(strstr(line(), "] \"GET /\\x22\\x5C HTTP/1.1\" 200 612 "
				       "\"a\\x22 200 0 \\x22b\" \"\\x5Cx22\\x09caf\\xC3\\xA9\" "
				       "service="));
}

static void test_every_byte_of_a_refused_line(void **unused)
{
	char bytes[256], wanted[1100] = "\"", *at = wanted + 1;

	(void)unused;
	for (int half = 0; half < 2; half++) {
		for (int i = 0; i < 128; i++)
			bytes[i] = (char)(half * 128 + i);
		at = wanted + 1;
		for (int i = half * 128; i < half * 128 + 128; i++)
			at += sprintf(at,
				      i < 32 || i > 126 || i == '"' || i == '\\' ? "\\x%02X" : "%c",
				      i);
		strcpy(at, "\" 200 612 \"-\" \"-\" service=");
		assert_int_equal(ftruncate(log_.fd, 0), 0);
		assert_int_equal(lseek(log_.fd, 0, SEEK_SET), 0);
		note_line(bytes, 128);
		assert_non_null(strstr(line(), wanted));
	}
}

static void test_a_forged_line_stays_in_its_own(void **unused)
{
	static const char forged[] = "GET / HTTP/1.1\" 200 0\n10.0.0.1 - - [x] \"GET /admin";
	const char *text;

	(void)unused;
	note_line(forged, sizeof(forged) - 1);
	text = line();
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	assert_non_null(strstr(text, "200 0\\x0A10.0.0.1"));
}

/* ---- too long ------------------------------------------------------------------------- */

/* A request of which each part that is noted is `n` bytes c. */
static void note_long(size_t n, char c)
{
	char *bytes = malloc(3 * n + 128), *at = bytes;

	assert_non_null(bytes);
	at += sprintf(at, "PROPFINDPROPFINDPROPFINDPROPFIND /");
	memset(at, c == '"' ? '"' : 'a', n);
	at += n;
	at += sprintf(at, " HTTP/1.1\r\nHost: a\r\nReferer: ");
	memset(at, c, n);
	at += n;
	at += sprintf(at, "\r\nUser-Agent: ");
	memset(at, c, n);
	at += n;
	strcpy(at, "\r\n\r\n");
	note_request(bytes);
	free(bytes);
}

static void test_a_note_too_long_is_cut_in_each_part(void **unused)
{
	(void)unused;
	for (size_t n = 1; n < 4000; n = n * 3 / 2 + 1) {
		const char *text, *at;

		assert_int_equal(ftruncate(log_.fd, 0), 0);
		assert_int_equal(lseek(log_.fd, 0, SEEK_SET), 0);
		note_long(n, 'b');
		assert_true(note.end <= BUF_NOTE);
		text = line();
		at = strstr(text, "] \"PROPFINDPROPFINDPROPFINDPROPFIND /a");
		assert_non_null(at);
		at = strstr(at, "a HTTP/1.1\" 200 612 \"b");
		assert_non_null(at);
		at = strstr(at, "b\" \"b");
		assert_non_null(at);
		at = strstr(at, "b\" service=site ");
		assert_non_null(at);
	}
}

static void test_no_escape_is_cut(void **unused)
{
	(void)unused;
	for (size_t n = 100; n < 700; n++) {
		const char *at;

		assert_int_equal(ftruncate(log_.fd, 0), 0);
		assert_int_equal(lseek(log_.fd, 0, SEEK_SET), 0);
		note_long(n, '"');
		assert_true(note.end <= BUF_NOTE);
		for (at = line(); (at = strchr(at, '\\')); at += 4)
			assert_memory_equal(at, "\\x22", 4);
		assert_non_null(strstr(line(), "\\x22 HTTP/1.1\" 200 612 \"\\x22"));
	}
}

static void test_the_longest_refused_line(void **unused)
{
	static char bytes[70000];

	(void)unused;
	memset(bytes, '\n', sizeof(bytes));
	note_line(bytes, sizeof(bytes));
	assert_true(note.end <= BUF_NOTE);
	assert_non_null(strstr(line(), "\\x0A\\x0A\" 200 612 \"-\" \"-\" service=site "));
	note_line(bytes, 0);
	assert_int_equal(ftruncate(log_.fd, 0), 0);
	assert_int_equal(lseek(log_.fd, 0, SEEK_SET), 0);
	assert_non_null(strstr(line(), "] \"-\" 200 612 \"-\" \"-\" service=site "));
}

/* ---- writing -------------------------------------------------------------------------- */

static void test_lines_are_gathered(void **unused)
{
	(void)unused;
	note_request("GET / HTTP/1.0\r\n\r\n");
	access_log(&log_, &note, &facts);
	access_log(&log_, &note, &facts);
	assert_string_equal(written(), "");
	access_flush(&log_);
	assert_int_equal(log_.len, 0);
	assert_int_equal(strncmp(written(), "192.0.2.7 - - [", 15), 0);
	access_flush(&log_);
	assert_int_equal(log_.lost, 0);
}

/* The longest ones there are, more than the buffer holds. */
static void test_a_full_buffer_writes_whole_lines(void **unused)
{
	const char *at, *end;
	unsigned n = 0;

	(void)unused;
	assert_true(endpoint_parse(&client, "[2001:db8:1111:2222:3333:4444:5555:6666]:65535"));
	upstream = client;
	facts = (struct access_facts){.client = &client,
				      .status = 599,
				      .bytes = UINT64_MAX,
				      .service = "a-service-of-thirty-one-letters",
				      .upstream = &upstream,
				      .connect_ms = INT64_MIN,
				      .first_ms = INT64_MIN,
				      .total_ms = INT64_MIN,
				      .retries = UINT32_MAX,
				      .reason = ACCESS_response_timeout};
	note_long(4000, '"');
	for (int i = 0; i < 300; i++) {
		uint32_t before = log_.len;

		access_log(&log_, &note, &facts);
		assert_true(log_.len <= ACCESS_BYTES);
		if (log_.len > before)
			continue;
		/* Everything before this line was written. */
		at = written();
		assert_int_equal(at[strlen(at) - 1], '\n');
	}
	access_flush(&log_);
	for (at = written(); *at; at = end + 1, n++) {
		end = strchr(at, '\n');
		assert_non_null(end);
		assert_memory_equal(at, "2001:db8:1111:", 14);
		assert_memory_equal(end - 16, "response_timeout", 16);
	}
	assert_int_equal(n, 300);
	assert_int_equal(log_.lost, 0);
}

static void test_lost_lines_are_counted(void **unused)
{
	(void)unused;
	close(log_.fd);
	log_.fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_true(log_.fd >= 0);
	note_request("GET / HTTP/1.0\r\n\r\n");
	for (int i = 0; i < 3; i++)
		access_log(&log_, &note, &facts);
	access_flush(&log_);
	assert_int_equal(log_.lost, 3);
	assert_int_equal(log_.len, 0);
	access_log(&log_, &note, &facts);
	access_flush(&log_);
	assert_int_equal(log_.lost, 4);
}

static void test_the_end_writes_what_is_left(void **unused)
{
	(void)unused;
	note_request("GET / HTTP/1.0\r\n\r\n");
	access_log(&log_, &note, &facts);
	access_fini(&log_);
	assert_non_null(strstr(written(), "reason=ok\n"));
	assert_null(log_.lines);
}

static void test_a_log_that_is_off(void **unused)
{
	struct access off;

	(void)unused;
	note_request("GET / HTTP/1.0\r\n\r\n");
	assert_int_equal(access_init(&off, -1, false, &format), 0);
	access_log(&off, &note, &facts);
	access_flush(&off);
	assert_int_equal(off.lost, 0);
	access_fini(&off);
}

/* ---- formats -------------------------------------------------------------------------- */

static void test_the_combined_format(void **unused)
{
	(void)unused;
	use_format(log_format_named("combined"));
	note_request("GET /a?b HTTP/1.1\r\nHost: a\r\nUser-Agent: curl/8\r\n\r\n");
	assert_string_equal(line(), "192.0.2.7 - - [] \"GET /a?b HTTP/1.1\" 200 612 \"-\" "
				    "\"curl/8\"\n");
}

static void test_a_format_of_ones_own(void **unused)
{
	(void)unused;
	use_format("[]$method|$target|$protocol|$host|$header_X_Two_Words|$header_absent|"
		   "$client_port|$backend|$queue_ms|$cache|$request_id|$connection");
	facts.backend = "b1";
	facts.queue_ms = 7;
	facts.request_id = SPAN("c0ffee");
	facts.connection = UINT64_MAX;
	note_request("PUT /x HTTP/1.1\r\nHost: h:1\r\nx-two-words: a b\r\n"
		     "Content-Length: 0\r\n\r\n");
	assert_string_equal(line(), "[]PUT|/x|HTTP/1.1|h:1|a b|-|50000|b1|7|-|c0ffee|"
				    "18446744073709551615\n");
}

/* Every line is an object, whatever is in a request, or is not. */
static void test_json(void **unused)
{
	json_error_t why;
	json_t *object;
	char bytes[256];

	(void)unused;
	use_format(log_format_named("json"));
	note_request("GET /\"\\ HTTP/1.1\r\nHost: a\r\nUser-Agent: \"\\\t\xc3\xa9\r\n\r\n");
	object = json_loads(line_raw(), 0, &why);
	assert_non_null(object);
	assert_string_equal(json_string_value(json_object_get(object, "request")),
			    "GET /\"\\ HTTP/1.1");
	assert_int_equal(json_integer_value(json_object_get(object, "status")), 200);
	assert_string_equal(json_string_value(json_object_get(object, "route")), "");
	json_decref(object);

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i ? i : 1);
	facts.first_ms = -1;
	note_line(bytes, sizeof(bytes));
	object = json_loads(line_raw(), 0, &why);
	assert_non_null(object);
	assert_true(json_is_null(json_object_get(object, "first_ms")));
	json_decref(object);
}

static void test_a_line_too_long_still_ends(void **unused)
{
	char text[LOG_FORMAT_MAX], *at = text;
	const char *l;

	(void)unused;
	while (at < text + sizeof(text) - 10)
		at = stpcpy(at, "$request ");
	use_format(text);
	note_long(600, 'b');
	l = line_raw();
	assert_int_equal(strlen(l), ACCESS_LINE);
	assert_ptr_equal(strchr(l, '\n'), l + ACCESS_LINE - 1);
}

static void test_formats_that_mean_nothing(void **unused)
{
	static const char *const wrong[][2] = {
		{"a $nothing b", "$nothing"},
		{"$", "$"},
		{"$$status", "$"},
		{"$header_", "$header_"},
		{"$header", "$header"},
		{"$statusx", "$statusx"},
	};
	char many[1024], *at = many;
	struct log_format f;
	struct span bad;

	(void)unused;
	for (size_t i = 0; i < LENGTH(wrong); i++) {
		assert_int_equal(log_format_compile(&f, &arena, wrong[i][0], &bad), -EINVAL);
		assert_true(span_equal(bad, (struct span){wrong[i][1], strlen(wrong[i][1])}));
	}
	for (unsigned i = 0; i <= LOG_FORMAT_CAPTURES; i++)
		at += sprintf(at, "$header_h%u $header_H%u ", i, i);
	assert_int_equal(log_format_compile(&f, &arena, many, &bad), -EINVAL);
	assert_true(span_equal(bad, SPAN("$header_h16")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define SCENE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		SCENE(test_a_line),
		SCENE(test_a_line_of_which_little_is_known),
		SCENE(test_a_line_without_a_note),
		SCENE(test_the_time_is_of_the_combined_format),
		SCENE(test_every_reason_has_its_name),
		SCENE(test_words_are_escaped),
		SCENE(test_every_byte_of_a_refused_line),
		SCENE(test_a_forged_line_stays_in_its_own),
		SCENE(test_a_note_too_long_is_cut_in_each_part),
		SCENE(test_no_escape_is_cut),
		SCENE(test_the_longest_refused_line),
		SCENE(test_lines_are_gathered),
		SCENE(test_a_full_buffer_writes_whole_lines),
		SCENE(test_lost_lines_are_counted),
		SCENE(test_the_end_writes_what_is_left),
		SCENE(test_a_log_that_is_off),
		SCENE(test_the_combined_format),
		SCENE(test_a_format_of_ones_own),
		SCENE(test_json),
		SCENE(test_a_line_too_long_still_ends),
		SCENE(test_formats_that_mean_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
