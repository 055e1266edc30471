// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/landlock.h"

#include <errno.h>
#include <linux/landlock.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"

/* All of Linux 5.13: what is not given below is forbidden. */
#define ALL   ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)
#define GIVEN (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)

static int rules_add(int ruleset, const int *roots, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct landlock_path_beneath_attr rule = {.allowed_access = GIVEN,
								.parent_fd = roots[i]};

		if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0))
			return -errno;
	}
	return 0;
}

int landlock_enter(const int *roots, size_t n, struct err *e)
{
	const struct landlock_ruleset_attr all = {.handled_access_fs = ALL};
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0), rc;

	/* EPERM: a container's own filter, which is older than Landlock. */
	if (ruleset < 0 && (errno == ENOSYS || errno == EOPNOTSUPP || errno == EPERM)) {
		if (n)
			log_info(
				"no Landlock here (Linux 5.13): a worker that was taken over could "
				"read what its account can");
		return 0;
	}
	rc = ruleset < 0 ? -errno : rules_add(ruleset, roots, n);
	if (rc == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
		rc = -errno;
	if (ruleset >= 0)
		close(ruleset);
	return rc ? err_set(e, -rc, "cannot keep the worker from files: %s", strerror(-rc)) : 0;
}
