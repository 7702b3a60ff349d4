/* SPDX-License-Identifier: ISC */
/*
 * What a target may say that wants targets: nonsense, lies, floods, and its end in the middle. It gets an errno or a target
 * within its policy; its broker goes on, and another target of the same broker notices nothing.
 */
#include "broker/nest.h"
#include "ipc/ipc.h"
#include "policy/filter.h"
#include "sandbox/protocol.h"
#include "tests/nested.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int ask(struct nest_ask *a)
{
	a->version = NEST_VERSION;
	long r = syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_NEST, a, sizeof(*a));
	return r < 0 ? -errno : (int)r;
}

static int broker(const char *text)
{
	struct nest_ask a = {.what = NEST_BROKER, .text = (uint64_t)(uintptr_t)text, .text_len = strlen(text)};
	return ask(&a);
}

/* 0 when it is ready, its error otherwise. */
static int ready(int control)
{
	static char buffer[IPC_BYTES_MAX + 16];
	struct outcome o;
	struct {
		uint32_t magic, type, len, fds;
	} head;
	ssize_t n = recv(control, buffer, sizeof(buffer), 0);
	if (n != (ssize_t)(sizeof(head) + sizeof(o)))
		return -EPIPE;
	memcpy(&o, buffer + sizeof(head), sizeof(o));
	return o.error;
}

/* ---- asking for a broker ---- */

static void asks(void)
{
	static char large[NEST_POLICY_MAX + 2];
	struct nest_ask a = {.what = NEST_BROKER};
	char path[] = "/etc/passwd";
	int fd;

	check(syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_NEST, NULL, sizeof(a)) < 0 && errno == EFAULT, "no ask", "%d", errno);
	check(syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_NEST, &a, sizeof(a) - 1) < 0 && errno == EINVAL, "a short one", "%d",
		errno);
	check(syscall(AIRLOCK_SYSCALL, AIRLOCK_OP_NEST, &a, sizeof(a)) < 0 && errno == EINVAL, "another version", "%d",
		errno);
	a.what = 77;
	check(ask(&a) == -EINVAL, "an unknown thing", "%d", ask(&a));
	a = (struct nest_ask){.what = NEST_BROKER, .text = 8, .text_len = 100};
	check(ask(&a) == -EFAULT, "a policy from nowhere", "%d", ask(&a));
	a.text_len = UINT64_MAX;
	check(ask(&a) == -E2BIG, "a policy without end", "%d", ask(&a));
	memset(large, '#', sizeof(large));
	a.text = (uint64_t)(uintptr_t)large;
	a.text_len = sizeof(large);
	check(ask(&a) == -E2BIG, "a large policy", "%d", ask(&a));
	memset(large, 0, 8);
	a.text_len = 8;
	check(ask(&a) == -EINVAL, "a policy of zeros", "%d", ask(&a));
	check(broker("pledge nonsense") == -EINVAL, "a promise that is none", "%d", broker("pledge nonsense"));
	check(broker("pledge stdio\nunveil ../../../root r\n") < 0, "a path out", "it is taken");
	check(broker("pledge stdio\nstate everything\nunveil / r\n") < 0, "everything", "it is taken");
	check(broker("pledge stdio\nstate any-address\n") == -EPERM, "any address", "it is taken");
	a = (struct nest_ask){.what = NEST_BROKER, .program = (uint64_t)(uintptr_t)path};
	check(ask(&a) == -EPERM, "a program without the promise exec", "%d", ask(&a));
	a.program = 8;
	check(ask(&a) == -EFAULT, "a program from nowhere", "%d", ask(&a));

	/* Whatever is said on its socket, it is not a broker's business; the broker ends, and only that. */
	fd = broker("pledge stdio");
	check(fd >= 0 && ready(fd) == 0, "a plain one", "%d", fd);
	send(fd, large, 4096, MSG_NOSIGNAL);
	check(recv(fd, large, sizeof(large), 0) <= 0, "which is sent nonsense, ends", "it says something");
	close(fd);
}

/* ---- asking for a target ---- */

struct target_ask {
	struct nest_ask a;
	struct start s;
	char words[64];
	int status, channel;
};

static bool target_make(struct target_ask *t, int control)
{
	int status[2], channel[2];
	int call = ipc_memfd("call", NULL, ipc_call_total(4096), false);

	memset(t, 0, sizeof(*t));
	if (call < 0 || ipc_pair(status) || ipc_pair(channel))
		return false;
	t->s = (struct start){.kind = START_WORKER, .argc = 1, .words_len = 1, .shared = 4096, .name = "hostile"};
	t->status = status[0];
	t->channel = channel[0];
	t->a = (struct nest_ask){.what = NEST_START,
		.text = (uint64_t)(uintptr_t)t->words,
		.text_len = 1,
		.data = (uint64_t)(uintptr_t)&t->s,
		.data_len = sizeof(t->s),
		.control = control,
		.fd_count = 6,
		.fds = {status[1], 0, 1, 2, channel[1], call}};
	return true;
}

static void target_close(struct target_ask *t, int control)
{
	for (uint32_t i = 0; i < 6; i++)
		if (t->a.fds[i] > 2 && t->a.fds[i] != control)
			close(t->a.fds[i]);
	close(t->status);
	close(t->channel);
}

/* The error that the start ends with, whoever says it; 0 when there is a target. */
static int started(struct target_ask *t)
{
	int r = ask(&t->a);
	if (r < 0)
		return r;
	close(t->a.fds[0]);
	t->a.fds[0] = -1;
	return ready(t->status);
}

enum lie {
	NONE,
	CONTROL,
	DIRECTORY,
	STATUS,
	CALL_SMALL,
	CALL_OPEN,
	PASS_LOW,
	PASS_HIGH,
	PASS_TWICE,
	KIND,
	KIND_PROGRAM,
	ARGC,
	ARGC_HUGE,
	WORDS,
	SHARED,
	COUNT_LOW,
	COUNT_HIGH,
	NOT_OPEN
};

static int lie(enum lie l, int control)
{
	struct target_ask t;
	int extra = -1;

	if (!target_make(&t, control))
		return 1;
	memset(t.s.name, 'x', l == NONE ? sizeof(t.s.name) : 1); /* without an end */
	switch (l) {
	case NONE:
		break;
	case CONTROL:
		t.a.control = t.channel;
		break;
	case DIRECTORY:
		extra = t.a.fds[1] = open("/etc", O_RDONLY | O_DIRECTORY);
		break;
	case STATUS:
		t.a.fds[0] = 1;
		break;
	case CALL_SMALL:
		t.s.shared = 1 << 20;
		break;
	case CALL_OPEN:
		extra = t.a.fds[5] = memfd_create("open", MFD_CLOEXEC | 8);
		break;
	case PASS_LOW:
	case PASS_HIGH:
	case PASS_TWICE:
		t.a.fd_count = 8;
		t.a.fds[6] = t.a.fds[7] = 1;
		t.s.pass_as[0] = l == PASS_LOW ? 4 : l == PASS_HIGH ? FD_NAMESPACES : 20;
		t.s.pass_as[1] = l == PASS_TWICE ? 20 : 21;
		break;
	case KIND:
		t.s.kind = 99;
		break;
	case KIND_PROGRAM:
		t.s.kind = START_EXEC;
		break;
	case ARGC:
		t.s.argc = 40;
		break;
	case ARGC_HUGE:
		t.s.argc = UINT32_MAX;
		t.s.envc = UINT32_MAX;
		break;
	case WORDS:
		t.a.text_len = NEST_WORDS_MAX + 1;
		break;
	case SHARED:
		t.s.shared = UINT64_MAX / 2;
		break;
	case COUNT_LOW:
		t.a.fd_count = 3;
		break;
	case COUNT_HIGH:
		t.a.fd_count = UINT32_MAX;
		break;
	case NOT_OPEN:
		t.a.fds[2] = 250;
		break;
	}
	int r = started(&t);
	target_close(&t, control);
	(void)extra;
	return r;
}

static void targets(void)
{
	static const struct {
		enum lie lie;
		int error;
		const char *name;
	} lies[] = {{CONTROL, -EBADF, "a socket that is no broker's"},
		{DIRECTORY, -EISDIR, "a directory among the descriptors"},
		{STATUS, -EINVAL, "a status that is no socket"}, {CALL_SMALL, -EPROTO, "too little shared memory"},
		{CALL_OPEN, -EPROTO, "shared memory that can shrink"},
		{PASS_LOW, -EINVAL, "a descriptor in place of the broker's"},
		{PASS_HIGH, -EINVAL, "a descriptor in place of a namespace"},
		{PASS_TWICE, -EINVAL, "two for one number"}, {KIND, -EPROTO, "an unknown kind"},
		{KIND_PROGRAM, -EPROTO, "a program where there is none"},
		{ARGC, -EPROTO, "more arguments than there are"}, {ARGC_HUGE, -EINVAL, "arguments without end"},
		{WORDS, -E2BIG, "words without end"}, {SHARED, -EINVAL, "shared memory without end"},
		{COUNT_LOW, -EINVAL, "too few descriptors"}, {COUNT_HIGH, -EINVAL, "too many descriptors"},
		{NOT_OPEN, -EBADF, "a descriptor that is not open"}, {NONE, 0, "and after all that a target"}};
	int control = broker("pledge stdio");

	if (!check(control >= 0 && ready(control) == 0, "a broker", "%d", control))
		return;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		int r = lie(lies[i].lie, control);
		/* Whether init sees the error or the end first is chance. */
		check(r == lies[i].error || (lies[i].lie == ARGC && r == -ECHILD), lies[i].name, "%d, not %d", r,
			lies[i].error);
	}
	close(control);
}

/* ---- floods, and ends ---- */

static void floods(void)
{
	int fds[64], n = 0, error = 0, made = 0;

	for (; n < 64 && error >= 0; n++)
		fds[n] = error = broker("pledge stdio");
	check(n - 1 == 16 && error == -EAGAIN, "brokers are few at a time", "%d: %d", n - 1, error);
	for (int i = 0; i < 3000; i++)
		if ((error = broker("pledge stdio")) >= 0)
			close(error);
	check(error == -EAGAIN, "though asked for by thousands", "%d", error);
	for (int i = 0; i < n - 1; i++)
		close(fds[i]);
	for (int i = 0; i < 300 || (made <= 16 && i < 5000); i++) {
		int fd = broker("pledge stdio");
		made += fd >= 0;
		if (fd >= 0)
			close(fd);
		else
			nanosleep(&(struct timespec){0, 2000000}, NULL);
	}
	check(made > 16, "their room is given back", "%d", made);
	int fd = -1;
	for (int i = 0; i < 2000 && (fd = broker("pledge stdio")) < 0; i++)
		nanosleep(&(struct timespec){0, 10000000}, NULL);
	check(fd >= 0 && ready(fd) == 0, "and after all that there is one", "%d", fd);
	close(fd);
}

/* Children that die just after each step. */
static void middles(void)
{
	for (int i = 0; i < 60; i++) {
		pid_t pid = fork();
		if (pid) {
			if (i % 6 == 5)
				nanosleep(&(struct timespec){0, (i % 10) * 300000}, NULL);
			kill(pid, i % 6 == 5 ? SIGKILL : 0);
			waitpid(pid, NULL, 0);
			continue;
		}
		struct target_ask t;
		int control = broker("pledge stdio");
		if (i % 6 == 0 || control < 0)
			_exit(0);
		if (i % 6 == 1)
			ready(control);
		if (i % 6 == 1 || !target_make(&t, control))
			_exit(0);
		ask(&t.a); /* perhaps before the broker is there */
		if (i % 6 == 3)
			ready(t.status);
		if (i % 6 == 4)
			close(control);
		if (i % 6 == 5)
			pause();
		_exit(0);
	}
	int fd = -1;
	for (int i = 0; i < 2000 && (fd = broker("pledge stdio")) < 0; i++)
		nanosleep(&(struct timespec){0, 10000000}, NULL);
	check(fd >= 0 && ready(fd) == 0, "a broker is to be had after sixty died half way", "%d", fd);
	close(fd);
}

static int tries(struct airlock_target *host, int argc, char **argv)
{
	static void (*const all[])(void) = {asks, targets, floods, middles};

	(void)host;
	if (argc < 1)
		return 1;
	tap_prefix = "nested hostile: ";
	all[atoi(argv[0])]();
	return 0;
}
AIRLOCK_ENTRY(tries)

static ssize_t lives(const void *in, size_t len, void *out, size_t cap)
{
	(void)in, (void)len, (void)out, (void)cap;
	int fd = open("/etc/passwd", O_RDONLY);
	close(fd);
	return fd < 0 ? -1 : 0;
}
AIRLOCK_FUNCTION(lives)

void hostile(void)
{
	struct airlock_policy *p = policy_with("stdio rpath proc", "r:/etc");
	struct airlock_target *other = NULL;
	int error = airlock_start(&other, p, NULL, NULL, NULL);

	tap_prefix = "nested hostile: ";
	check(!error, "another target", "%s", airlock_message());
	for (int i = 0; i < 4; i++) {
		char which[8];
		snprintf(which, sizeof(which), "%d", i);
		int code = entry_run(p, "tries", which);
		check(code == 0, "the one that tries ends by itself", "%d", code);
		check(airlock_call(other, "lives", NULL, 0, NULL, 0) == 0, "the other one is served", "%s",
			airlock_message());
	}
	/* With the starter, of which there is one since the second target. */
	check(processes_shrink_to(4, 0) && process_count == 4, "of the one nothing is left", "%s", processes_text());
	airlock_free(other);
	airlock_policy_free(p);
	check(processes_shrink_to(0, 0), "nor of the other", "%s", processes_text());
}
