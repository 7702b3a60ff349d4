/* SPDX-License-Identifier: ISC */
/* Owns the broker of a process that confines itself: one family, whose first process is the host. Runs in the broker. */
#include "sandbox/role_broker.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static bool alive(int pidfd)
{
	return poll(&(struct pollfd){pidfd, POLLIN, 0}, 1, 0) == 0;
}

/* Standard error is what lines.c has made of the program's own. */
static void on_report_in_place(void *arg, const struct report *r)
{
	(void)arg;
	if (r->line) {
		line_about(r, r->line, LINE_MS);
		return;
	}
	char line[REPORT_TEXT + 400], name[200] = "";
	decode_escape(name, sizeof(name), me.hello.name);
	snprintf(line, sizeof(line), "%s[%d]: airlock: refused %s\n", name, r->pid, r->text);
	/* The lane does not wait. */
	if (me.b.log < 0)
		line_about(r, line, 0);
	if (r->kill)
		kill(r->pid, SIGKILL);
}

/* Whoever has a tag of the family's, until there is nobody: what is forked meanwhile has it, too. */
void in_place_end(void)
{
	char line[300] = "", name[200] = "";
	decode_escape(name, sizeof(name), me.hello.name);
	snprintf(line, sizeof(line), "%s: airlock: ended: it used up its traffic limit\n", name);
	bool told = false, any = true;
	while (any) {
		any = false;
		int fd = openat(me.b.proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		DIR *dir = fd < 0 ? NULL : fdopendir(fd);
		for (struct dirent *d; dir && (d = readdir(dir)) != NULL;) {
			pid_t pid = (pid_t)strtol(d->d_name, NULL, 10);
			int process = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
			/* Asked once it cannot become another's number. */
			if (process >= 0 && state_ours(&me.in_place, pid) && alive(process)) {
				if (!told)
					line_about(&(struct report){.pid = pid, .tid = pid}, line, LINE_MS);
				told = any = true;
				syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0);
			}
			if (process >= 0)
				close(process);
		}
		if (dir)
			closedir(dir);
		usleep(1000);
	}
}

void in_place(void)
{
	struct stat st;
	void *memory;
	if (me.setup_fd < 0 || fstat(me.setup_fd, &st) < 0 ||
		ipc_map(me.setup_fd, (size_t)st.st_size, true, &memory) < 0)
		give_up(-EPROTO, "the setup memory did not arrive");
	struct setup *s = memory;
	size_t bytes = me.filter_len[START_WORKER] * sizeof(struct sock_filter);
	if (sizeof(*s) + bytes > (size_t)st.st_size)
		give_up(-E2BIG, "the filter is too long");
	memcpy(s->filter, me.filter[START_WORKER], bytes);
	s->filter_len = (uint32_t)me.filter_len[START_WORKER];
	struct outcome o;
	outcome_set(&o, 0, me.b.layers, me.direct.note);
	ipc_send(me.control, &(struct ipc_message){.type = MESSAGE_READY, .len = sizeof(o), .data = &o}, true);
	close(me.control);
	/* The host wakes us when its filter is in force; when it dies instead, its pidfd says so. */
	while (atomic_load(&s->state) == SETUP_NEW) {
		struct timespec slice = {0, 20000000};
		syscall(SYS_futex, &s->state, FUTEX_WAIT, SETUP_NEW, &slice, NULL, 0);
		struct epoll_event e;
		if (epoll_wait(me.epoll, &e, 1, 0) == 1)
			_exit(0);
	}
	if (atomic_load(&s->state) != SETUP_CONFINED)
		_exit(0);
	int listener = (int)syscall(SYS_pidfd_getfd, me.host, s->listener, 0);
	int cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	/* One that may not be searched is left by its name alone. */
	if (cwd < 0)
		cwd = openat(me.b.proc, "self/cwd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	me.in_place = (struct family){
		.broker = &me.b, .listener = listener, .pidfd = -1, .on_report = on_report_in_place};
	int r = listener < 0 ? -errno : family_start(&me.in_place, s->pid, cwd, (mode_t)s->umask);
	s->outcome.error = r;
	atomic_store(&s->state, r < 0 ? SETUP_FAILED : SETUP_SERVED);
	syscall(SYS_futex, &s->state, FUTEX_WAKE, 1, NULL, NULL, 0);
	munmap(memory, (size_t)st.st_size);
	if (r < 0)
		_exit(1);
	lines_let_go();
	epoll_ctl(me.epoll, EPOLL_CTL_DEL, me.host, NULL); /* the family may outlive its first process */
	me.listener_watch = (struct watch){.kind = WATCH_LISTENER};
	watch(listener, 0, &me.listener_watch); /* EPOLLHUP alone */
}
