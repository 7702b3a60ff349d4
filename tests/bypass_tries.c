/* SPDX-License-Identifier: ISC */
/* What all attempts to get past the rules about addresses share. Runs in the target. */
#include "tests/bypass.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static int kept[64];
static unsigned kept_count;

int done(long result)
{
	return result < 0 ? -errno : 0;
}

int keep(long fd)
{
	if (fd < 0)
		return -errno;
	if (kept_count < sizeof(kept) / sizeof(kept[0]))
		kept[kept_count++] = (int)fd;
	return (int)fd;
}

int sock(int domain, int type, int protocol)
{
	return keep(socket(domain, type | SOCK_CLOEXEC, protocol));
}

struct sockaddr_in v4(const char *ip, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	inet_pton(AF_INET, ip, &a.sin_addr);
	return a;
}

struct sockaddr_in6 v6(const char *ip, int port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	inet_pton(AF_INET6, ip, &a.sin6_addr);
	return a;
}

socklen_t local(struct sockaddr_un *a, const struct net *n, const char *name)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	snprintf(a->sun_path, sizeof(a->sun_path), "%.50s/%.50s", n->top, name);
	return sizeof(*a);
}

socklen_t abstract(struct sockaddr_un *a, const char *name)
{
	memset(a, 0, sizeof(*a));
	a->sun_family = AF_UNIX;
	snprintf(a->sun_path + 1, sizeof(a->sun_path) - 1, "%s", name);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
}

int to(int fd, const void *address, size_t len)
{
	return fd < 0 ? fd : done(connect(fd, address, (socklen_t)len));
}

int send_to(int fd, const void *address, size_t len)
{
	return fd < 0 ? fd : done(sendto(fd, "x", 1, MSG_DONTWAIT | MSG_NOSIGNAL, address, (socklen_t)len));
}

int message_to(int fd, const void *address, size_t len, void *control, size_t control_len)
{
	struct iovec v = {"x", 1};
	struct msghdr h = {(void *)(size_t)address, (socklen_t)len, &v, 1, control, control_len, 0};
	return fd < 0 ? fd : done(sendmsg(fd, &h, MSG_DONTWAIT | MSG_NOSIGNAL));
}

const struct try *try_at(unsigned index)
{
	static const struct try *const tables[] = {
		tries_calls, tries_names, tries_sockets, tries_netlink, tries_local, tries_storms};
	for (unsigned t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
		for (const struct try *a = tables[t]; a->name; a++)
			if (index-- == 0)
				return a;
	return NULL;
}

void tries_run(const struct net *n, int out, int back, const char *prefix)
{
	const struct try *a;
	char line[100], c;
	for (unsigned i = 0; (a = try_at(i)); i++) {
		if (strncmp(a->name, prefix, strlen(prefix)) != 0)
			continue;
		int result = a->run(n);
		while (kept_count)
			close(kept[--kept_count]);
		int len = snprintf(line, sizeof(line), "%s %d\n", a->name, result);
		if (write(out, line, (size_t)len) != len || read(back, &c, 1) != 1)
			return;
	}
}
