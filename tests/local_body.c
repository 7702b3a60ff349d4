/* SPDX-License-Identifier: ISC */
/* For live_local.sh: listens at names ("d:" for datagrams, "@" for abstract ones) and says who came; and connects to them
 * from behind the door, under their names or under names that it has made for them. */
#include "sandbox/airlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static bool datagrams(const char **name)
{
	bool is = strncmp(*name, "d:", 2) == 0;
	*name += is ? 2 : 0;
	return is;
}

static int make(const char *name, struct sockaddr_un *a, socklen_t *len)
{
	int fd = socket(AF_UNIX, (datagrams(&name) ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	*a = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(a->sun_path, sizeof(a->sun_path), "%s", name);
	*len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name) + (*name != '@'));
	if (*name == '@')
		a->sun_path[0] = 0;
	return fd;
}

static int serve(char **names)
{
	struct pollfd p[32];
	struct sockaddr_un a;
	socklen_t len;
	int count = 0;
	char c;
	const char *ready = *names++;
	for (; names[count] && count < 32; count++) {
		p[count] = (struct pollfd){make(names[count], &a, &len), POLLIN, 0};
		if (bind(p[count].fd, (struct sockaddr *)&a, len)) {
			perror(names[count]);
			return 1;
		}
		listen(p[count].fd, 100);
	}
	close(open(ready, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	for (;;) {
		poll(p, (nfds_t)count, -1);
		for (int i = 0; i < count; i++) {
			if (!p[i].revents)
				continue;
			if (names[i][0] == 'd')
				(void)!recv(p[i].fd, &c, 1, MSG_DONTWAIT);
			else
				close(accept4(p[i].fd, NULL, NULL, SOCK_CLOEXEC));
			dprintf(1, "%s\n", names[i]);
		}
	}
}

static void connect_to(const char *name)
{
	struct sockaddr_un a;
	socklen_t len;
	const char *text = name;
	int fd = make(name, &a, &len);
	/* A datagram is sent without a connection; whether one could be made must be the same. */
	int e = connect(fd, (struct sockaddr *)&a, len) ? errno : 0;
	if (datagrams(&text)) {
		close(fd);
		fd = make(name, &a, &len);
		int sent = sendto(fd, "x", 1, 0, (struct sockaddr *)&a, len) == 1 ? 0 : errno;
		if (sent != e)
			printf("connect: %s, sendto: %s\n", strerror(e), strerror(sent));
	}
	printf("%s: %s\n", name, e ? strerror(e) : "yes");
	fflush(stdout);
	close(fd);
}

/* Whatever became of that: the name it would have, and what is in the directory. */
static int by_name(const char *how, char **arguments)
{
	char below[300];
	const char *from = arguments[0], *to = arguments[1];
	int r = 0;
	if (*how == 'l') {
		r = link(from, to);
	} else if (*how == 'r') {
		r = rename(from, to);
	} else {
		close(open(to, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
		r = (int)syscall(SYS_renameat2, AT_FDCWD, to, AT_FDCWD, from, RENAME_EXCHANGE);
	}
	printf("%s: %s\n", how, r ? strerror(errno) : "done");
	connect_to(to);
	if (arguments[2]) {
		snprintf(below, sizeof(below), "%s/%s", to, arguments[2]);
		connect_to(below);
	}
	if (*how == 'e')
		unlink(to);
	return 0;
}

static int own(char **names)
{
	for (; *names; names++) {
		struct sockaddr_un a;
		socklen_t len;
		int fd = make(*names, &a, &len);
		if (bind(fd, (struct sockaddr *)&a, len) || listen(fd, 1))
			perror(*names);
		connect_to(*names);
		unlink(*names);
		close(fd);
	}
	return 0;
}

int main(int argc, char **argv)
{
	airlock_init(argc, argv);
	if (argc < 3)
		return 2;
	if (strcmp(argv[1], "serve") == 0)
		return serve(argv + 2);
	if (strcmp(argv[1], "own") == 0)
		return own(argv + 2);
	if (strcmp(argv[1], "inplace") == 0) {
		if (airlock_pledge("stdio unix rpath wpath cpath unveil", NULL) < 0 ||
			(*argv[2] && airlock_unveil(argv[2], "rw") < 0)) {
			fprintf(stderr, "%s\n", airlock_message());
			return 4;
		}
		connect_to(argv[3]);
		return 0;
	}
	if (strcmp(argv[1], "connect") != 0)
		return by_name(argv[1], argv + 2);
	for (char **name = argv + 2; *name; name++)
		connect_to(*name);
	return 0;
}
