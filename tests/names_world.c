/* SPDX-License-Identifier: ISC */
/* The world of live_names.c: a network of its own, where all addresses of 93.184.216.0/24 and one of v6 are this machine, and
 * files in /etc that say who is asked about names. */
#include "tests/names.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return done;
}

bool names_namespaces(void)
{
	char text[64];
	uid_t uid = getuid();
	gid_t gid = getgid();
	if (geteuid() == 0)
		return unshare(CLONE_NEWNET | CLONE_NEWNS) == 0;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) < 0)
		return false;
	snprintf(text, sizeof(text), "0 %u 1\n", uid);
	bool done = write_text("/proc/self/setgroups", "deny") && write_text("/proc/self/uid_map", text);
	snprintf(text, sizeof(text), "0 %u 1\n", gid);
	return done && write_text("/proc/self/gid_map", text);
}

bool names_network(void)
{
	struct ifreq lo = {.ifr_name = "lo"};
	struct {
		struct in6_addr address;
		uint32_t prefix;
		int index;
	} six = {.prefix = 128, .index = 1};
	struct sockaddr_in a = {.sin_family = AF_INET};
	int s4 = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), s6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool done = ioctl(s4, SIOCGIFFLAGS, &lo) == 0;
	lo.ifr_flags |= IFF_UP;
	done = done && ioctl(s4, SIOCSIFFLAGS, &lo) == 0;
	inet_pton(AF_INET6, "2606:2800:220:1::1", &six.address);
	done = done && ioctl(s6, SIOCSIFADDR, &six) == 0;
	/* A whole network of one's own: each of its addresses is this machine. */
	struct ifreq more = {.ifr_name = "lo:1"};
	inet_pton(AF_INET, "93.184.216.34", &a.sin_addr);
	memcpy(&more.ifr_addr, &a, sizeof(a));
	done = done && ioctl(s4, SIOCSIFADDR, &more) == 0;
	inet_pton(AF_INET, "255.255.255.0", &a.sin_addr);
	memcpy(&more.ifr_netmask, &a, sizeof(a));
	done = done && ioctl(s4, SIOCSIFNETMASK, &more) == 0;
	close(s4);
	close(s6);
	return done;
}

bool names_files(const char *directory)
{
	static const char *const files[][2] = {{"resolv.conf", "nameserver 127.0.0.1\noptions timeout:2 attempts:1\n"},
		{"hosts", "127.0.0.1 localhost\n93.184.216.99 listed.test\n# nothing\n10.9.8.7 private.test\n"},
		{"nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"}};
	char from[200], to[64];
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return false;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(from, sizeof(from), "%s/%s", directory, files[i][0]);
		snprintf(to, sizeof(to), "/etc/%s", files[i][0]);
		if (!write_text(from, files[i][1]) || mount(from, to, NULL, MS_BIND, NULL) < 0)
			return false;
		unlink(from);
	}
	return true;
}

pid_t names_connections(void)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(80)};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), off = 0;
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	pid_t pid = bind(fd, (struct sockaddr *)&any, sizeof(any)) || listen(fd, 1000) ? -1 : fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			close(accept(fd, NULL, NULL));
	}
	close(fd);
	return pid;
}
