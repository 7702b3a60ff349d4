/* SPDX-License-Identifier: ISC */
/*
 * What the hostile attempts aim at: a tree of which one directory is unveiled, a stranger's process, listeners. The
 * judge looks at all of it after each attempt: an attempt that says that it failed is not believed.
 */
#include "tests/hostile_judge.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int stranger_write;

static void stranger_hit(int sig)
{
	(void)sig;
	if (write(stranger_write, "!", 1) < 0)
		_exit(1);
}

static pid_t stranger_start(int *reader)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK))
		return -1;
	pid = fork();
	if (!pid) {
		/* Not the judge's group, and not one to live on after it. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setpgid(0, 0);
		stranger_write = fds[1];
		signal(SIGWINCH, stranger_hit);
		while (write(fds[1], "+", 1) == 1)
			for (;;)
				pause();
		_exit(0);
	}
	close(fds[1]);
	for (char c = 0; pid > 0 && c != '+';)
		if (read(fds[0], &c, 1) < 0 && errno != EAGAIN)
			break;
	*reader = fds[0];
	return pid;
}

static void put(const struct world *w, const char *name, const char *text, mode_t mode)
{
	char path[400];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", w->base, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		perror(path);
	close(fd);
}

static void clear(int dir)
{
	DIR *d = fdopendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (!unlinkat(dirfd(d), e->d_name, 0))
			continue;
		clear(openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
		unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
	}
	if (d)
		closedir(d);
}

static void link_to(const struct world *w, const char *target, const char *name)
{
	char path[400];

	snprintf(path, sizeof(path), "%s/%s", w->base, name);
	if (symlink(target, path))
		perror(path);
}

static int bound(int domain, int type, const void *address, socklen_t len)
{
	int fd = socket(domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && (bind(fd, address, len) || (type == SOCK_STREAM && listen(fd, 8)))) {
		perror("bind");
		close(fd);
		return -1;
	}
	return fd;
}

static int listener_path(const struct world *w)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	snprintf(un.sun_path, sizeof(un.sun_path), "%.90s/secret/socket", w->base);
	return bound(AF_UNIX, SOCK_STREAM, &un, sizeof(un));
}

void world_reset(struct world *w)
{
	static const char *const directories[] = {"open", "open/sub", "open2", "hide", "secret", "secret/dir"};
	char path[400];

	clear(open(w->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	for (size_t i = 0; i < sizeof(directories) / sizeof(*directories); i++) {
		snprintf(path, sizeof(path), "%s/%s", w->base, directories[i]);
		if (mkdir(path, 0755))
			perror(path);
	}
	put(w, "open/ok", "ALLOWED\n", 0644);
	put(w, "open/program", "#!/bin/sh\necho hostile got a shell\n", 0755);
	put(w, "open2/file", "SECRET beside the rule\n", 0644);
	put(w, "hide/ok", "SECRET of the same length\n", 0644);
	put(w, "secret/file", "SECRET\n", 0644);
	link_to(w, "file", "secret/link");
	link_to(w, "../secret/file", "open/link");
	link_to(w, "../secret", "open/door");
	link_to(w, "/proc/self", "open/process");
	link_to(w, "../secret/new", "open/dangling");
	snprintf(path, sizeof(path), "%s/secret/file", w->base);
	link_to(w, path, "open/absolute");
	close(w->path);
	w->path = listener_path(w);
}

static uint64_t mix(uint64_t sum, const void *data, size_t len)
{
	const unsigned char *p = data;

	while (len--)
		sum = (sum ^ *p++) * 0x100000001b3;
	return sum;
}

static uint64_t look(int dir)
{
	DIR *d = fdopendir(dir);
	struct dirent *e;
	uint64_t sum = 0;
	struct stat st;
	char buf[512];

	while (d && (e = readdir(d))) {
		uint64_t one = mix(0xcbf29ce484222325, e->d_name, strlen(e->d_name));

		if (!strcmp(e->d_name, "..") || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		one = mix(one, &st.st_mode, sizeof(st.st_mode));
		one = mix(one, &st.st_uid, sizeof(st.st_uid));
		one = mix(one, &st.st_size, sizeof(st.st_size));
		one = mix(one, &st.st_mtim, sizeof(st.st_mtim));
		one = mix(one, &st.st_ctim, sizeof(st.st_ctim));
		if (S_ISREG(st.st_mode)) {
			int fd = openat(dirfd(d), e->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
			ssize_t n = read(fd, buf, sizeof(buf));

			one = mix(one, buf, n > 0 ? (size_t)n : 0);
			close(fd);
		} else if (S_ISDIR(st.st_mode) && strcmp(e->d_name, ".") != 0) {
			one ^= look(openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) * 3;
		}
		/* A sum, so that the order of the directory does not matter. */
		sum += one;
	}
	if (d)
		closedir(d);
	return sum;
}

uint64_t world_snapshot(const struct world *w)
{
	return look(open(w->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int listeners(struct world *w)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(in);

	w->tcp = bound(AF_INET, SOCK_STREAM, &in, sizeof(in));
	if (w->tcp < 0 || getsockname(w->tcp, (struct sockaddr *)&in, &len))
		return -1;
	w->udp = bound(AF_INET, SOCK_DGRAM, &in, sizeof(in));
	snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, "airlock-hostile-%d", getpid());
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(un.sun_path + 1));
	/* Stream and datagram names are one name space: the second gets no listener, which a send would not need. */
	w->abstract = bound(AF_UNIX, SOCK_DGRAM, &un, len);
	return ntohs(in.sin_port);
}

int world_make(struct world *w)
{
	const char *tmp = getenv("TMPDIR");
	int port;

	snprintf(w->base, sizeof(w->base), "%.60s/airlock-hostile-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(w->base) || chmod(w->base, 0755))
		return -1;
	snprintf(w->scratch, sizeof(w->scratch), "%s.scratch", w->base);
	w->path = -1;
	world_reset(w);
	port = listeners(w);
	w->stranger = stranger_start(&w->stranger_pipe);
	if (port <= 0 || w->path < 0 || w->stranger < 0)
		return -1;
	snprintf(w->arguments, sizeof(w->arguments), "%s %d %d %d", w->base, w->stranger, getpid(), port);
	return 0;
}

const char *world_reached(const struct world *w)
{
	char byte;
	int fd;

	if (read(w->stranger_pipe, &byte, 1) == 1)
		return "a signal reached a stranger";
	if (kill(w->stranger, 0) || waitpid(w->stranger, NULL, WNOHANG))
		return "a stranger died";
	if ((fd = accept(w->tcp, NULL, NULL)) >= 0) {
		close(fd);
		return "a connection over TCP";
	}
	if ((fd = accept(w->path, NULL, NULL)) >= 0) {
		close(fd);
		return "a connection to a local socket";
	}
	if (recv(w->udp, &byte, 1, 0) >= 0)
		return "a datagram over UDP";
	if (recv(w->abstract, &byte, 1, 0) >= 0)
		return "a datagram to an abstract name";
	return NULL;
}

void world_end(struct world *w)
{
	kill(w->stranger, SIGKILL);
	waitpid(w->stranger, NULL, 0);
	clear(open(w->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	rmdir(w->base);
	unlink(w->scratch);
}
