/* SPDX-License-Identifier: ISC */
/*
 * Owns the cgroups of a broker's targets. They are made, frozen and removed by the warden: a fork of the broker from before it
 * confined itself, which lives a little longer than it, so that no directory is left however the broker ends. The warden runs
 * on its socket, on what the broker says: numbers. Where there are no such limits, or no delegated cgroup, there is none.
 */
#include "sandbox/cgroup.h"
#include "sandbox/role_broker.h"

#include <bsd/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WARDS_MAX 4096
#define AGAIN_MS 20 /* between attempts to remove what is not empty yet */
#define LAST_MS 10000 /* without a broker */

enum ward_op { WARD_MAKE, WARD_FREEZE, WARD_THAW, WARD_TRIM, WARD_END };
struct ward {
	uint32_t op, number;
	int32_t pid;
	uint32_t pad;
	uint64_t memory, processes, weight;
};
struct warded {
	int32_t error;
	uint32_t pad;
	uint64_t killed;
};

/* ---- the warden ---- */

static struct {
	uint32_t number; /* 0: free */
	bool ends;
} wards[WARDS_MAX];
static int base;
static pid_t broker;

static int ward_write(uint32_t number, const char *file, const char *text)
{
	char path[96];
	snprintf(path, sizeof(path), "airlock-%d-%u/%s", (int)broker, number, file);
	int fd = openat(base, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	int r = fd < 0 || write(fd, text, strlen(text)) < 0 ? -errno : 0;
	if (fd >= 0)
		close(fd);
	return r;
}

static int ward_number(uint32_t number, const char *file, uint64_t value)
{
	char text[24];
	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	return value == LIMIT_NONE ? 0 : ward_write(number, file, text);
}

static bool ward_remove(uint32_t number)
{
	char path[64];
	snprintf(path, sizeof(path), "airlock-%d-%u", (int)broker, number);
	return unlinkat(base, path, AT_REMOVEDIR) == 0 || errno != EBUSY;
}

static int made(const struct ward *w)
{
	char path[64];
	size_t at = 0;
	while (at < WARDS_MAX && wards[at].number)
		at++;
	if (at == WARDS_MAX)
		return -ENOSPC;
	snprintf(path, sizeof(path), "airlock-%d-%u", (int)broker, w->number);
	if (mkdirat(base, path, 0755) < 0)
		return -errno;
	wards[at].number = w->number;
	wards[at].ends = false;
	int r = ward_number(w->number, "memory.max", w->memory);
	/* init is one of them. */
	r = r < 0 || w->processes == LIMIT_NONE ? r : ward_number(w->number, "pids.max", w->processes + 1);
	r = r < 0 ? r : ward_number(w->number, "cpu.weight", w->weight);
	r = r < 0 ? r : ward_number(w->number, "cgroup.procs", (uint64_t)w->pid);
	wards[at].ends = r < 0;
	return r;
}

static uint64_t killed(uint32_t number)
{
	char path[96], text[512];
	snprintf(path, sizeof(path), "airlock-%d-%u/memory.events", (int)broker, number);
	int fd = openat(base, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[n < 0 ? 0 : n] = 0;
	const char *line = strstr(text, "oom_kill ");
	return line ? strtoull(line + sizeof("oom_kill ") - 1, NULL, 10) : 0;
}

static void ended(uint32_t number)
{
	for (size_t i = 0; i < WARDS_MAX; i++)
		if (wards[i].number == number || !number)
			wards[i].ends = wards[i].number != 0;
}

/* Whether there are any that are yet to be removed. A cgroup is not empty before the last of its processes has been reaped. */
static bool remove_ended(void)
{
	bool left = false;
	for (size_t i = 0; i < WARDS_MAX; i++) {
		if (!wards[i].ends)
			continue;
		ward_write(wards[i].number, "cgroup.kill", "1");
		if (ward_remove(wards[i].number)) {
			wards[i].number = 0;
			wards[i].ends = false;
		}
		left |= wards[i].ends;
	}
	return left;
}

static struct warded answer(const struct ward *w)
{
	struct warded a = {0};
	switch (w->op) {
	case WARD_MAKE:
		a.error = made(w);
		break;
	case WARD_FREEZE:
	case WARD_THAW:
		a.error = ward_write(w->number, "cgroup.freeze", w->op == WARD_FREEZE ? "1" : "0");
		break;
	case WARD_TRIM:
		/* Not waited for; a kernel before 5.19 has none. */
		ward_write(w->number, "memory.reclaim", "64M");
		break;
	case WARD_END:
		a.killed = killed(w->number);
		ended(w->number);
		break;
	default:
		a.error = -EINVAL;
	}
	return a;
}

static _Noreturn void serve(int socket)
{
	char buffer[256];
	struct ipc_message m;
	struct ward w;
	for (;;) {
		struct pollfd p = {.fd = socket, .events = POLLIN};
		if (poll(&p, 1, remove_ended() ? AGAIN_MS : -1) < 1)
			continue;
		if (ipc_recv(socket, buffer, sizeof(buffer), 0, &m, true) != 1 || m.len != sizeof(w))
			break;
		memcpy(&w, m.data, sizeof(w));
		struct warded a = answer(&w);
		if (w.op == WARD_TRIM)
			continue;
		if (ipc_send(socket, &(struct ipc_message){.len = sizeof(a), .data = &a}, true) < 0)
			break;
	}
	/* Without a broker there are soon no targets: their inits die with it. */
	ended(0);
	for (int ms = 0; remove_ended() && ms < LAST_MS; ms += AGAIN_MS)
		poll(NULL, 0, AGAIN_MS);
	_exit(0);
}

static int confine_warden(void)
{
	static const int calls[] = {SYS_recvmsg, SYS_sendmsg, SYS_openat, SYS_mkdirat, SYS_unlinkat, SYS_read,
		SYS_write, SYS_close, SYS_ppoll, SYS_exit_group,
#ifdef SYS_poll
		SYS_poll,
#endif
		SYS_restart_syscall};
	return calls_only(calls, sizeof(calls) / sizeof(calls[0]));
}

int warden_start(int fd, const char *name)
{
	int pair[2], r = ipc_pair(pair);
	if (r < 0)
		return r;
	broker = getpid();
	base = fd;
	pid_t pid = (pid_t)syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
	if (pid == 0) {
		prctl(PR_SET_DUMPABLE, 0);
		if (name)
			setproctitle("-%s: airlock warden", name);
		/* No descriptor but these. */
		if (dup2(base, 0) < 0 || dup2(pair[1], 1) < 0)
			_exit(1);
		base = 0;
		syscall(SYS_close_range, 2u, ~0u, 0);
		if (confine_warden() < 0)
			_exit(1);
		serve(1);
	}
	r = pid < 0 ? -errno : 0;
	close(fd);
	close(pair[1]);
	me.warden = r < 0 ? -1 : fcntl(pair[0], F_DUPFD_CLOEXEC, 3);
	close(pair[0]);
	return r;
}

/* ---- its broker ---- */

static struct warded ask(const struct ward *w)
{
	char buffer[256];
	struct ipc_message m;
	struct warded a = {.error = -ECHILD};
	int r = ipc_send(me.warden, &(struct ipc_message){.len = sizeof(*w), .data = w}, true);
	if (r == 0 && w->op != WARD_TRIM && ipc_recv(me.warden, buffer, sizeof(buffer), 0, &m, true) == 1 &&
		m.len == sizeof(a))
		memcpy(&a, m.data, sizeof(a));
	return a;
}

int ward_make(const struct policy *p, pid_t pid)
{
	static uint32_t numbers;
	const struct ward w = {.op = WARD_MAKE,
		.number = ++numbers,
		.pid = pid,
		.memory = p->limits[LIMIT_MEMORY],
		.processes = p->limits[LIMIT_PROCESSES],
		.weight = p->limits[LIMIT_WEIGHT]};
	int r = ask(&w).error;
	return r < 0 ? r : (int)w.number;
}

int ward_freeze(int number, bool frozen)
{
	return ask(&(struct ward){.op = frozen ? WARD_FREEZE : WARD_THAW, .number = (uint32_t)number}).error;
}

void ward_trim(int number)
{
	ask(&(struct ward){.op = WARD_TRIM, .number = (uint32_t)number});
}

uint64_t ward_end(int number)
{
	return ask(&(struct ward){.op = WARD_END, .number = (uint32_t)number}).killed;
}
