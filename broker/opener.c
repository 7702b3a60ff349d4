/* SPDX-License-Identifier: ISC */
/*
 * Owns the opener. A rule for a name means whatever bears that name, also what comes to bear it later; but Landlock knows
 * objects, and the broker's own domain holds the one that was there at the start. To let it at the whole directory for
 * that would give a broker that was taken over all files in it. So where there are such rules a process is forked before
 * the broker confines itself, which does one thing: it opens one of these names, by its number, for no more than its rule
 * says. The fork runs on nothing but its socket; what it reads there is the broker's.
 */
#include "broker/broker.h"
#include "ipc/ipc.h"

#include <bsd/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct wish {
	uint32_t rule; /* index in the policy */
	int32_t flags;
};

/* A name that may not be made or removed: for those that may, the domain holds the directory. */
static bool served(const struct broker *b, size_t i)
{
	const struct unveil *rule = &b->policy.unveils[i];
	return rule->name && !(rule->perms & (PERM_C | PERM_LOADER)) && (rule->perms & (PERM_R | PERM_W)) &&
	       b->anchors[i].fd >= 0;
}

static int grant(const struct broker *b, const struct wish *w)
{
	static const unsigned needs[4] = {PERM_R, PERM_W, PERM_R | PERM_W, PERM_R | PERM_W};
	if (w->rule >= b->policy.unveil_count || !served(b, w->rule) || (w->flags & (O_CREAT | __O_TMPFILE | O_PATH)))
		return -EINVAL;
	unsigned need = needs[w->flags & O_ACCMODE] | (w->flags & O_TRUNC ? PERM_W : 0u);
	if (need & ~(unsigned)b->policy.unveils[w->rule].perms)
		return -EACCES;
	const struct anchor *a = &b->anchors[w->rule];
	return open_beneath(a->fd, a->name, w->flags | O_NONBLOCK | O_NOCTTY, 0, 0);
}

/* What is left of the system calls. */
static int confine(void)
{
	static const int calls[] = {SYS_recvmsg, SYS_sendmsg, SYS_openat2, SYS_close, SYS_ppoll, SYS_exit_group,
#ifdef SYS_poll
		SYS_poll,
#endif
		SYS_restart_syscall};
	return calls_only(calls, sizeof(calls) / sizeof(calls[0]));
}

static bool kept(const struct broker *b, int fd)
{
	for (size_t i = 0; i < b->policy.unveil_count; i++)
		if (served(b, i) && b->anchors[i].fd == fd)
			return true;
	return false;
}

/* No descriptor but its socket and the directories of the names. */
static void close_others(const struct broker *b, int socket)
{
	int highest = socket;
	for (size_t i = 0; i < b->policy.unveil_count; i++)
		if (served(b, i) && b->anchors[i].fd > highest)
			highest = b->anchors[i].fd;
	for (int fd = 0; fd < highest; fd++)
		if (fd != socket && !kept(b, fd))
			close(fd);
	syscall(SYS_close_range, (unsigned)highest + 1, ~0u, 0);
}

static _Noreturn void serve(const struct broker *b, int socket)
{
	static char buffer[IPC_BYTES_MAX + 16];
	struct ipc_message m;
	struct wish w;
	while (ipc_recv(socket, buffer, sizeof(buffer), 0, &m, true) == 1 && m.len == sizeof(w)) {
		memcpy(&w, m.data, sizeof(w));
		int fd = grant(b, &w);
		int32_t error = fd < 0 ? fd : 0;
		struct ipc_message answer = {.len = sizeof(error), .data = &error, .fd_count = fd >= 0};
		answer.fds[0] = fd;
		if (ipc_send(socket, &answer, true) < 0)
			break;
		if (fd >= 0)
			close(fd);
	}
	_exit(0);
}

bool opener_needed(const struct broker *b)
{
	bool any = false;
	for (size_t i = 0; i < b->policy.unveil_count && !any; i++)
		any = served(b, i);
	return any;
}

int opener_start(struct broker *b, const char *name)
{
	int pair[2], r;
	if (!opener_needed(b))
		return 0;
	r = ipc_pair(pair);
	if (r < 0)
		return r;
	/* Without an exit signal nobody waits for it: it goes with its broker, whose end of the socket it reads from. */
	pid_t broker = getpid();
	pid_t pid = (pid_t)syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_DUMPABLE, 0);
		setproctitle("-%s: airlock opener", name);
		close_others(b, pair[1]);
		if (getppid() != broker || confine() < 0)
			_exit(1);
		serve(b, pair[1]);
	}
	r = pid < 0 ? -errno : 0;
	close(pair[1]);
	/* 0 means that there is none. */
	b->opener = r < 0 ? 0 : fcntl(pair[0], F_DUPFD_CLOEXEC, 3);
	if (r == 0 && b->opener < 0)
		r = -errno;
	close(pair[0]);
	return r;
}

int opener_open(struct broker *b, const struct unveil *rule, int flags)
{
	const struct unveil *base = policy_find(&b->policy, rule->path);
	static char buffer[IPC_BYTES_MAX + 16]; /* under the lock; there is one broker */
	struct ipc_message m = {.len = 0};
	int32_t error = -EACCES;
	if (b->opener <= 0 || !base || !base->name || strcmp(base->path, rule->path) != 0)
		return -EACCES;
	struct wish w = {(uint32_t)(base - b->policy.unveils), flags};
	pthread_mutex_lock(&b->opener_lock);
	int r = ipc_send(b->opener, &(struct ipc_message){.len = sizeof(w), .data = &w}, true);
	if (r == 0)
		r = ipc_recv(b->opener, buffer, sizeof(buffer), 1, &m, true);
	if (r == 1 && m.len == sizeof(error))
		memcpy(&error, m.data, sizeof(error));
	pthread_mutex_unlock(&b->opener_lock);
	if (r != 1)
		return -EACCES;
	if (error == 0 && m.fd_count == 1)
		return m.fds[0];
	ipc_message_close(&m);
	/* Not one of its names: what our own domain said stands. */
	return error < 0 && error != -EINVAL ? error : -EACCES;
}
