/* SPDX-License-Identifier: ISC */
/* Owns the paths that libc and loaders try and go on without. To refuse them says nothing about the policy, so that is not
 * reported, and no violation. (nscd(8)'s and syslog(3)'s sockets: local.c.) Runs in the broker. */
#include "broker/broker.h"

#include "policy/promises.h"

#include <errno.h>
#include <string.h>

static const struct {
	const char *path;
	bool below;
	bool loading; /* by a loader alone */
	int error;
	uint64_t promises; /* one of */
} paths[] = {
	{"/etc/ld.so.preload", false, true, -ENOENT, UINT64_MAX},
	{"/etc/ld-musl-x86_64.path", false, true, -ENOENT, UINT64_MAX},
	{"/etc/ld-musl-aarch64.path", false, true, -ENOENT, UINT64_MAX},
	{"/etc/shadow", false, false, -EPERM, PROMISE_BIT(getpw)},
	{"/etc/gshadow", false, false, -EPERM, PROMISE_BIT(getpw)},
	{"/etc/tcb/", true, false, -ENOENT, PROMISE_BIT(getpw)}, /* musl's getspnam() */
	{"/etc/zoneinfo/", true, false, -ENOENT, PROMISE_BIT(stdio)}, /* musl's tzset() */
	{"/share/zoneinfo/", true, false, -ENOENT, PROMISE_BIT(stdio)},
};

int libc_quiet_path(const struct request *r, const char *text)
{
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		size_t len = strlen(paths[i].path);
		bool it = paths[i].below ? strncmp(text, paths[i].path, len) == 0 : strcmp(text, paths[i].path) == 0;
		if (it && (paths[i].promises == UINT64_MAX || (promises_aside(r) & paths[i].promises)) &&
			(!paths[i].loading || request_loading(r)))
			return paths[i].error;
	}
	return 0;
}
