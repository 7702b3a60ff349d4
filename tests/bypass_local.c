/* SPDX-License-Identifier: ISC */
/* Local sockets: names that are not allowed, by every way to write them. Runs in the target. */
#include "tests/bypass.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define PATH_AT offsetof(struct sockaddr_un, sun_path)

static int stream(void)
{
	return sock(AF_UNIX, SOCK_STREAM, 0);
}

static int datagram(void)
{
	return sock(AF_UNIX, SOCK_DGRAM, 0);
}

static int path_to(const struct net *n, int fd, const char *name, bool connects)
{
	struct sockaddr_un a;
	socklen_t len = local(&a, n, name);
	return connects ? to(fd, &a, len) : send_to(fd, &a, len);
}

static int path_allowed(const struct net *n)
{
	int e = path_to(n, stream(), "yes.stream", true);
	return e ? e : HELD;
}

static int path_connect(const struct net *n)
{
	return path_to(n, stream(), "no.stream", true);
}

static int path_connect_datagram(const struct net *n)
{
	return path_to(n, datagram(), "no", true);
}

static int path_sendto(const struct net *n)
{
	return path_to(n, datagram(), "no", false);
}

static int path_sendmsg(const struct net *n)
{
	struct sockaddr_un a;
	socklen_t len = local(&a, n, "no");
	return message_to(datagram(), &a, len, NULL, 0);
}

/* A datagram socket that is connected may be sent elsewhere. */
static int path_other_peer(const struct net *n)
{
	int fd = datagram(), e = path_to(n, fd, "yes", true);
	return e ? e : path_to(n, fd, "no", false);
}

/* Everybody has socketpair(), and its datagram sockets take any name. */
static int pair_path(const struct net *n)
{
	int pair[2];
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair))
		return -errno;
	keep(pair[1]);
	return path_to(n, keep(pair[0]), "no", false);
}

static int pair_abstract(const struct net *n)
{
	int pair[2];
	struct sockaddr_un a;
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair))
		return -errno;
	keep(pair[1]);
	socklen_t len = abstract(&a, n->name_no);
	return message_to(keep(pair[0]), &a, len, NULL, 0);
}

/* Other ways to the same file. */
static int path_way(const struct net *n, const char *before, const char *between, const char *last)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	snprintf(a.sun_path, sizeof(a.sun_path), "%s%.50s%s%s", before, n->top, between, last);
	return to(stream(), &a, sizeof(a));
}

static int path_dots(const struct net *n)
{
	return path_way(n, "/tmp/..", "/.//", "no.stream");
}

static int path_link(const struct net *n)
{
	return path_way(n, "", "/", "link");
}

/* What is there in /proc is no socket, whatever follows. */
static int path_proc(const struct net *n)
{
	return path_way(n, "/proc/self/root", "/", "no.stream");
}

static int path_proc_cwd(const struct net *n)
{
	return path_way(n, "/proc/self/cwd/../../../../..", "/", "no.stream");
}

/* All 108 bytes, without a NUL; and one that is cut by it. */
static int path_full(const struct net *n)
{
	struct sockaddr_un a;
	local(&a, n, "no.stream");
	size_t len = strlen(a.sun_path), more = sizeof(a.sun_path) - len;
	memmove(a.sun_path + more, a.sun_path, len);
	memset(a.sun_path, '/', more);
	return to(stream(), &a, sizeof(a));
}

static int path_unended(const struct net *n)
{
	struct sockaddr_un a;
	local(&a, n, "no.streamX");
	return to(stream(), &a, PATH_AT + strlen(a.sun_path) - 1);
}

/* The name that is allowed, and more behind a NUL; and less of it. */
static int abstract_to(const char *name, size_t len)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	memcpy(a.sun_path + 1, name, len);
	return send_to(datagram(), &a, PATH_AT + 1 + len);
}

static int abstract_allowed(const struct net *n)
{
	int e = abstract_to(n->name_yes, strlen(n->name_yes));
	return e ? e : HELD;
}

static int abstract_no(const struct net *n)
{
	return abstract_to(n->name_no, strlen(n->name_no));
}

static int abstract_no_connect(const struct net *n)
{
	struct sockaddr_un a;
	socklen_t len = abstract(&a, n->name_no);
	int fd = datagram(), e = to(fd, &a, len);
	return e ? e : done(send(fd, "x", 1, 0));
}

static int abstract_longer(const struct net *n)
{
	char name[60] = {0};
	strcpy(name, n->name_yes);
	return abstract_to(name, strlen(name) + 1);
}

static int abstract_shorter(const struct net *n)
{
	return abstract_to(n->name_yes, strlen(n->name_yes) - 1);
}

static int abstract_whole(const struct net *n)
{
	char name[107] = {0};
	strcpy(name, n->name_yes);
	return abstract_to(name, sizeof(name));
}

static int abstract_none(const struct net *n)
{
	(void)n;
	return abstract_to("", 0);
}

static int abstract_binary(const struct net *n)
{
	(void)n;
	return abstract_to("\0\1\377\n", 4);
}

/* A path whose name begins with @ is none. */
static int path_at(const struct net *n)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	snprintf(a.sun_path, sizeof(a.sun_path), "@%s", n->name_yes);
	return to(stream(), &a, sizeof(a));
}

static int bind_path(const struct net *n)
{
	struct sockaddr_un a;
	socklen_t len = local(&a, n, "bound");
	int fd = stream();
	return fd < 0 ? fd : done(bind(fd, (struct sockaddr *)&a, len));
}

static int bind_abstract(const struct net *n)
{
	struct sockaddr_un a;
	socklen_t len = abstract(&a, n->name_yes); /* may be connected to, not bound */
	int fd = stream();
	return fd < 0 ? fd : done(bind(fd, (struct sockaddr *)&a, len));
}

static int bind_auto(const struct net *n)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = stream();
	(void)n;
	return fd < 0 ? fd : done(bind(fd, (struct sockaddr *)&a, sizeof(sa_family_t)));
}

/* Who wants credentials is given a name by connect(), also by one that fails: a listener that no rule names. */
static int listen_auto(const struct net *n)
{
	struct sockaddr_un a;
	int one = 1, fd = stream();
	if (fd < 0)
		return fd;
	if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &one, sizeof(one)))
		return -errno;
	socklen_t len = local(&a, n, "yes"); /* a datagram socket, which is of the wrong type */
	int e = to(fd, &a, len);
	if (e == -EPROTOTYPE)
		e = 0;
	return e ? e : done(listen(fd, 1));
}

static int read_proc_net(const struct net *n)
{
	static const char *const files[] = {"/proc/net/tcp", "/proc/net/unix", "/proc/self/net/tcp", "/proc/net/route",
		"/proc/1/net/tcp", "/proc/thread-self/net/udp", "/proc/sys/net/ipv4/ip_forward"};
	int last = -ENOENT;
	(void)n;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		last = keep(open(files[i], O_RDONLY | O_CLOEXEC));
		if (last >= 0 || (last != -ENOENT && last != -EPERM && last != -EACCES))
			return last >= 0 ? THROUGH : last;
	}
	return -ENOENT;
}

#define NO_PATH "unix:ENOENT all:ENOENT EPERM"
#define NO_NAME "unix:EACCES all:EACCES EPERM"
const struct try tries_local[] = {
	{"path_allowed", path_allowed, "unix:HELD all:ENOENT EPERM", 0},
	{"path_connect", path_connect, NO_PATH, 2},
	{"path_connect_datagram", path_connect_datagram, NO_PATH, 1},
	{"path_sendto", path_sendto, NO_PATH, 2},
	{"path_sendmsg", path_sendmsg, NO_PATH, 2},
	{"path_other_peer", path_other_peer, NO_PATH, 2},
	{"pair_path", pair_path, NO_PATH, 2},
	{"pair_abstract", pair_abstract, NO_NAME, 2},
	{"path_dots", path_dots, NO_PATH, 2},
	{"path_link", path_link, NO_PATH, 2},
	{"path_proc", path_proc, "unix:ECONNREFUSED all:ECONNREFUSED EPERM", 2},
	{"path_proc_cwd", path_proc_cwd, NO_PATH, 2},
	{"path_full", path_full, NO_PATH, 2},
	{"path_unended", path_unended, NO_PATH, 2},
	{"abstract_allowed", abstract_allowed, "unix:HELD " NO_NAME, 0},
	{"abstract_no", abstract_no, NO_NAME, 2},
	{"abstract_no_connect", abstract_no_connect, NO_NAME, 2},
	{"abstract_longer", abstract_longer, NO_NAME, 0},
	{"abstract_shorter", abstract_shorter, NO_NAME, 0},
	{"abstract_whole", abstract_whole, NO_NAME, 0},
	{"abstract_none", abstract_none, NO_NAME, 0},
	{"abstract_binary", abstract_binary, NO_NAME, 0},
	{"path_at", path_at, NO_PATH, 0},
	{"bind_path", bind_path, NO_PATH, 0},
	{"bind_abstract", bind_abstract, NO_NAME, 0},
	{"bind_auto", bind_auto, NO_NAME, 0},
	{"listen_auto", listen_auto, "unix:EACCES all:ENOENT EPERM", 0},
	{"read_proc_net", read_proc_net, "ENOENT", 1},
	{0},
};
