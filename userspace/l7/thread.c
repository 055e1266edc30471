// SPDX-License-Identifier: BSD-2-Clause
#include "l7/thread.h"

#include <errno.h>
#include <time.h>

int thread_init(struct thread *t, const struct conf *conf, int access_log)
{
	struct event_config *config = event_config_new();
	int rc = access_init(&t->access, access_log,
			     conf->access_log && strcmp(conf->access_log, "syslog") == 0,
			     &conf->access_format);

	t->conf = conf;
	t->date_second = -1;
	t->mailbox.fd = -1;
	t->pool.large_most = conf->buffer_memory;
	thread_clock(t);
	wheel_init(&t->wheel, t->now_ms);
	if (rc == 0 && config && event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0)
		t->base = event_base_new_with_config(config);
	if (config)
		event_config_free(config);
	t->regex = regex_run_new();
	return t->base && t->regex ? mailbox_init(&t->mailbox, t->base) : -ENOMEM;
}

void thread_fini(struct thread *t)
{
	access_fini(&t->access);
	buf_release(&t->pool, &t->target);
	buf_release(&t->pool, &t->words);
	buf_release(&t->pool, &t->text);
	buf_release(&t->pool, &t->rewritten);
	buf_release(&t->pool, &t->turned);
	buf_release(&t->pool, &t->host);
	regex_run_free(t->regex);
	encoders_fini(&t->encoders);
	mailbox_fini(&t->mailbox);
	buf_release(&t->pool, &t->scratch);
	buf_pool_fini(&t->pool);
	if (t->base)
		event_base_free(t->base);
	t->base = NULL;
}

void thread_clock(struct thread *t)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	t->now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

struct span thread_date(struct thread *t)
{
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (now.tv_sec != t->date_second) {
		t->date_second = now.tv_sec;
		gmtime_r(&now.tv_sec, &tm);
		/* The C locale is never left, so the names are those of the RFC. */
		strftime(t->date, sizeof(t->date), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
	}
	return (struct span){t->date, strlen(t->date)};
}

int64_t thread_wall(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	return now.tv_sec;
}
