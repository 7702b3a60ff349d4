/* SPDX-License-Identifier: ISC */
/*
 * Owns the starter: a fork of the broker from before it has many targets, which forks the inits of all further ones. A fork
 * copies what its parent holds, and a broker of a thousand targets holds six thousand descriptors and a thousand stacks; this
 * one holds what is the same for all targets, and nothing else. It has the broker's domain, filter and rights, reads
 * nothing that a target wrote, and an init that it forks is the broker's child. Runs in the broker, on its first thread; and
 * in the starter, which ends with it.
 */
#include "sandbox/role_broker.h"

#include "sandbox/starter.h"

#include <bsd/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct order {
	struct start start;
	uint64_t setup_len;
	uint32_t pid_namespace;
};

enum { SETUP, CALL, CHANNEL, INIT, GO, IN, OUT, ERR, WORDS, PASSED };

/* ---- in the starter: as after any fork of a process with threads, nothing is allocated ---- */

static pid_t fork_ordered(struct starting *s, const struct order *o, const struct ipc_message *m, int *pidfd)
{
	void *setup = NULL, *words = NULL;
	const size_t words_len = o->start.words_len ? o->start.words_len : 1;
	pid_t init = -EPROTO;
	if (m->fd_count != PASSED + o->start.pass_count || o->start.pass_count > PASS_MAX)
		return init;
	s->start = &o->start;
	s->pid_namespace = o->pid_namespace;
	s->setup_fd = m->fds[SETUP];
	s->call = m->fds[CALL];
	s->channel = m->fds[CHANNEL];
	s->init = m->fds[INIT];
	memcpy(s->stdio, m->fds + IN, sizeof(s->stdio));
	memcpy(s->pass, m->fds + PASSED, o->start.pass_count * sizeof(int));
	int r = ipc_map(s->setup_fd, o->setup_len, true, &setup);
	if (r == 0)
		r = ipc_map(m->fds[WORDS], words_len, false, &words);
	s->setup = setup;
	s->words = words;
	init = r < 0 ? r : starter_init(s, (const int[]){m->fds[GO], -1}, CLONE_PARENT, pidfd);
	if (setup)
		munmap(setup, o->setup_len);
	if (words)
		munmap(words, words_len);
	return init;
}

static _Noreturn void serve(struct starting *s, int socket)
{
	struct ipc_message m;
	static struct order o;
	while (ipc_recv(socket, me.buffer, sizeof(me.buffer), IPC_FDS_MAX, &m, true) == 1 && m.len == sizeof(o)) {
		memcpy(&o, m.data, sizeof(o));
		int pidfd = -1;
		int32_t r = fork_ordered(s, &o, &m, &pidfd);
		ipc_message_close(&m);
		struct ipc_message answer = {.len = sizeof(r), .data = &r, .fds = {pidfd}, .fd_count = pidfd >= 0};
		if (ipc_send(socket, &answer, true) < 0)
			break;
		if (pidfd >= 0)
			close(pidfd);
	}
	_exit(0);
}

static _Noreturn void starter(int socket, pid_t broker)
{
	struct nursery *n = &me.nursery;
	int *const kept[] = {
		&socket, &me.image, &me.program, &me.ruleset, &me.life, &n->net, &n->ipc, &n->uts, &n->cgroup, &n->mnt};
	int from[16], to[16];
	size_t count = 0;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setproctitle("-%s: airlock starter", me.hello.name);
	for (int i = 0; i < 3; i++) {
		from[count] = i;
		to[count++] = i;
	}
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		if (*kept[i] < 0)
			continue;
		from[count] = *kept[i];
		*kept[i] = to[count] = (int)count;
		count++;
	}
	if (getppid() != broker || descriptors_place(from, to, count) < 0)
		_exit(1);
	for (size_t i = 3; i < count; i++)
		fcntl(to[i], F_SETFD, FD_CLOEXEC);
	struct starting s = {.orders = socket,
		.image = me.image,
		.program = me.program,
		.nursery = n,
		.ruleset = me.ruleset,
		.life = me.life,
		.inside = -1,
		.guest = -1,
		.name = me.hello.name};
	serve(&s, socket);
}

/* ---- in the broker ---- */

void forker_begin(void)
{
	int pair[2];
	if (me.forker > 0 || me.nested || ipc_pair(pair) < 0)
		return;
	const pid_t broker = getpid();
	/* What it forks as the broker's children has its exit signal, by which they are waited for. */
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0)
		starter(pair[1], broker);
	close(pair[1]);
	if (pid < 0)
		close(pair[0]);
	else
		me.forker = pair[0];
}

int forker_fork(const struct starting *s, int words, int *pidfd)
{
	static struct order o;
	int32_t r = -ECHILD;
	int go[2];
	if (me.forker <= 0 || s->inside >= 0 || s->guest >= 0)
		return starter_fork(s, pidfd);
	if (pipe2(go, O_CLOEXEC) < 0)
		return -errno;
	o = (struct order){.start = *s->start, .setup_len = s->setup_len, .pid_namespace = s->pid_namespace};
	struct ipc_message m = {.len = sizeof(o),
		.data = &o,
		.fds = {s->setup_fd, s->call, s->channel, s->init, go[0], s->stdio[0], s->stdio[1], s->stdio[2], words},
		.fd_count = PASSED + s->start->pass_count};
	memcpy(m.fds + PASSED, s->pass, s->start->pass_count * sizeof(int));
	int sent = ipc_send(me.forker, &m, true);
	close(go[0]); /* so that there is a number for what comes back */
	bool answered = sent == 0 && ipc_recv(me.forker, me.buffer, sizeof(me.buffer), 1, &m, true) == 1 &&
			m.len == sizeof(r) && m.fd_count <= 1;
	if (answered) {
		memcpy(&r, m.data, sizeof(r));
		*pidfd = m.fd_count ? m.fds[0] : -1;
		if (r >= 0 && *pidfd < 0)
			r = -EMFILE; /* its init is nobody's without one: it is not told to go on, and ends */
	}
	if (answered && r > 0 && s->born)
		s->born(s->arg, s->setup, r);
	if (answered && r > 0)
		(void)!write(go[1], "", 1);
	close(go[1]);
	/* Of an init that was forked all the same, and ends as nobody tells it to go on; and of the starter. */
	if (!answered || r == -EMFILE)
		orphans_expect();
	if (answered)
		return r < 0 ? r : 0;
	/* It was killed. */
	close(me.forker);
	me.forker = 0;
	return starter_fork(s, pidfd);
}
