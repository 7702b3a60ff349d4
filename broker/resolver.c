/* SPDX-License-Identifier: ISC */
/*
 * Owns the resolver: the processes that ask the network what a host's name stands for, so that the broker never reads what
 * a nameserver wrote. A small server is forked before the broker confines itself; for each name it forks a helper (lookup.c),
 * which has no rights but to look that name up, answers with one record of fixed size, and ends. Requests bring the socket
 * for their answer along, so that brokers which are forks of this one can use the same server. Runs in the server;
 * resolver_start() and resolver_ask() in brokers.
 */
#include "broker/resolver.h"

#include "ipc/ipc.h"

#include <bsd/unistd.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HELPERS 16 /* at once; what is asked beyond waits in the socket */
#define DEADLINE_MS 20000 /* libc gives up on two silent nameservers in as much */

struct helper {
	pid_t pid;
	int pidfd;
	int64_t until; /* milliseconds */
};

static void start(struct ipc_message *m, struct helper *h, size_t *count)
{
	char name[RESOLVER_NAME + 1];
	if (m->fd_count != 1 || !m->len || m->len > RESOLVER_NAME || memchr(m->data, 0, m->len))
		return;
	memcpy(name, m->data, m->len);
	name[m->len] = 0;
	const pid_t server = getpid();
	pid_t pid = fork();
	if (pid == 0)
		resolver_help(name, m->fds[0], server);
	if (pid < 0)
		return;
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		_exit(1); /* it could not be ended; so all end here */
	h[(*count)++] = (struct helper){pid, pidfd, ipc_now_ms() + DEADLINE_MS};
}

/* Ends those who are late, forgets those who have ended. The next deadline in milliseconds, or -1. */
static int reap(struct helper *h, size_t *count)
{
	int64_t now = ipc_now_ms(), next = -1;
	for (size_t i = 0; i < *count;) {
		int status;
		if (h[i].until <= now)
			syscall(SYS_pidfd_send_signal, h[i].pidfd, SIGKILL, NULL, 0);
		if (waitpid(h[i].pid, &status, WNOHANG) != 0) {
			close(h[i].pidfd);
			h[i] = h[--*count];
			continue;
		}
		int64_t left = h[i].until > now ? h[i].until - now : 100;
		if (next < 0 || left < next)
			next = left;
		i++;
	}
	return (int)next;
}

static _Noreturn void serve(void)
{
	struct helper helpers[HELPERS];
	const size_t size = IPC_BYTES_MAX + 16;
	char *buffer = malloc(size);
	struct ipc_message m;
	size_t count = 0;
	while (buffer) {
		struct pollfd p[HELPERS + 1];
		int next = reap(helpers, &count);
		for (size_t i = 0; i < count; i++)
			p[i] = (struct pollfd){helpers[i].pidfd, POLLIN, 0};
		p[count] = (struct pollfd){count < HELPERS ? RESOLVER_FD : -1, POLLIN, 0};
		if (poll(p, count + 1, next) <= 0 || !p[count].revents)
			continue;
		int r = ipc_recv(RESOLVER_FD, buffer, size, 1, &m, false);
		if (r == 0)
			break; /* the last broker is gone */
		if (r != 1)
			continue;
		start(&m, helpers, &count);
		ipc_message_close(&m);
	}
	_exit(0);
}

static bool server_begin(const struct broker *b, int socket, pid_t broker, const char *title)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0);
	if (title)
		setproctitle("-%s: airlock resolver", title);
	else
		prctl(PR_SET_NAME, "airlock resolve"); /* as long as it may be */
	resolver_measure(b);
	/* The standard error may be the host's. */
	if (getppid() != broker || dup2(1, 2) < 0 || dup2(socket, RESOLVER_FD) < 0 ||
		fcntl(RESOLVER_FD, F_SETFD, FD_CLOEXEC) < 0 || syscall(SYS_close_range, RESOLVER_FD + 1, ~0u, 0) < 0)
		return false;
	return broker_capabilities(0) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && resolver_calls(true) == 0;
}

int resolver_start(const struct broker *b, const char *title)
{
	int pair[2];
	int r = ipc_pair(pair);
	if (r < 0)
		return r;
	/* Without an exit signal nobody waits for it: it goes with its broker. */
	const pid_t broker = getpid();
	pid_t pid = (pid_t)syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
	if (pid == 0) {
		if (!server_begin(b, pair[1], broker, title))
			_exit(1);
		serve();
	}
	r = pid < 0 ? -errno : fcntl(pair[0], F_DUPFD_CLOEXEC, RESOLVER_FD);
	if (pid >= 0 && r < 0)
		r = -errno;
	close(pair[0]);
	close(pair[1]);
	return r;
}

int resolver_ask(int server, const char *name)
{
	int pair[2];
	int r = ipc_pair(pair);
	if (r < 0)
		return r;
	struct ipc_message m = {.len = strlen(name), .data = name, .fd_count = 1};
	m.fds[0] = pair[1];
	r = ipc_send(server, &m, false);
	close(pair[1]);
	if (r < 0)
		close(pair[0]);
	return r < 0 ? r : pair[0];
}
