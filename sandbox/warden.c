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
#define FREEZE_MS                                                                                                      \
	100 /* for all to stand still; a thread whose call the broker holds is not counted before its answer */
#define TRIM_STEP "4M" /* given back between two looks at the socket */
#define TRIM_STEPS 16
#define NUMBERS_TRIED 16

enum ward_op { WARD_MAKE, WARD_ADD, WARD_FREEZE, WARD_THAW, WARD_TRIM, WARD_END };
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
	unsigned trim; /* steps that are left */
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
	wards[at].trim = 0;
	int r = ward_number(w->number, "memory.max", w->memory);
	/* init is one of them. */
	r = r < 0 || w->processes == LIMIT_NONE ? r : ward_number(w->number, "pids.max", w->processes + 1);
	r = r < 0 ? r : ward_number(w->number, "cpu.weight", w->weight);
	r = r < 0 ? r : ward_number(w->number, "cgroup.procs", (uint64_t)w->pid);
	wards[at].ends = r < 0;
	return r;
}

/* The broker of what its target starts is one of them from its first moment, and so is all that it forks. It counts the
 * processes itself, and its own threads are none of the target's. */
static int added(const struct ward *w)
{
	ward_write(w->number, "pids.max", "max");
	return ward_number(w->number, "cgroup.procs", (uint64_t)w->pid);
}

/* What one of its files says behind key. */
static uint64_t ward_says(uint32_t number, const char *file, const char *key)
{
	char path[96], text[512];
	snprintf(path, sizeof(path), "airlock-%d-%u/%s", (int)broker, number, file);
	int fd = openat(base, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	text[n < 0 ? 0 : n] = 0;
	const char *line = strstr(text, key);
	return line ? strtoull(line + strlen(key), NULL, 10) : 0;
}

/* The kernel freezes later than it says so. */
static int frozen(uint32_t number)
{
	int r = ward_write(number, "cgroup.freeze", "1");
	for (int ms = 0; r == 0 && ms < FREEZE_MS && !ward_says(number, "cgroup.events", "frozen "); ms++)
		poll(NULL, 0, 1);
	return r;
}

static void trim(uint32_t number)
{
	for (size_t i = 0; i < WARDS_MAX; i++)
		if (wards[i].number == number)
			wards[i].trim = TRIM_STEPS;
}

/* A step, and whether there are more. A kernel before 5.19 has none, and where that much is not to be had there is no next. */
static bool trim_step(void)
{
	for (size_t i = 0; i < WARDS_MAX; i++) {
		if (!wards[i].number || !wards[i].trim)
			continue;
		wards[i].trim--;
		if (ward_write(wards[i].number, "memory.reclaim", TRIM_STEP) < 0)
			wards[i].trim = 0;
		return true;
	}
	return false;
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
	case WARD_ADD:
		a.error = added(w);
		break;
	case WARD_FREEZE:
		a.error = frozen(w->number);
		break;
	case WARD_THAW:
		a.error = ward_write(w->number, "cgroup.freeze", "0");
		break;
	case WARD_TRIM:
		trim(w->number); /* not waited for */
		break;
	case WARD_END:
		a.killed = ward_says(w->number, "memory.events", "oom_kill ");
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
		const bool left = remove_ended();
		if (poll(&p, 1, trim_step() ? 0 : left ? AGAIN_MS : -1) < 1)
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
	struct ward w = {.op = WARD_MAKE,
		.pid = pid,
		.memory = p->limits[LIMIT_MEMORY],
		.processes = p->limits[LIMIT_PROCESSES],
		.weight = p->limits[LIMIT_WEIGHT]};
	int r = -EEXIST;
	/* What a broker of the same number left whose warden was killed, too. */
	for (int i = 0; r == -EEXIST && i < NUMBERS_TRIED; i++) {
		w.number = ++numbers;
		r = ask(&w).error;
	}
	return r < 0 ? r : (int)w.number;
}

int ward_add(int number, pid_t pid)
{
	return ask(&(struct ward){.op = WARD_ADD, .number = (uint32_t)number, .pid = pid}).error;
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
