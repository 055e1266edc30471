// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/access_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "l7/access.h"

/* A daemon that is not there yet may come: the worker connects again by itself. */
static int syslog_open(void)
{
	static const struct sockaddr_un to = {.sun_family = AF_UNIX, .sun_path = ACCESS_SYSLOG};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0)
		log_warn("nobody listens at " ACCESS_SYSLOG
			 " yet (%s); lines of the access log are lost until somebody does",
			 strerror(errno));
	return fd;
}

int access_sink_open(const char *to, struct err *e)
{
	int fd;

	if (!to)
		return -1;
	if (strcmp(to, "stdout") == 0)
		fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	else if (strcmp(to, "syslog") == 0)
		fd = syslog_open();
	else
		fd = open(to, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
	return fd >= 0 ? fd
		       : err_set(e, errno, "cannot open the access log %s: %s", to,
				 strerror(errno));
}

int access_sink_again(const char *to, const char *open_to, int open_fd, struct err *e)
{
	int fd = access_sink_open(to, e);

	if (fd >= 0 || !to || open_fd < 0 || strcmp(open_to, to) != 0)
		return fd;
	log_info("%s; the one that is open is used further", e->text);
	fd = fcntl(open_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	return fd >= 0 ? fd : -errno;
}
