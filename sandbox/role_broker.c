/* SPDX-License-Identifier: ISC */
/* Owns the broker's life: hello, confinement, the control loop. It reads nothing that a target wrote; that is broker/'s
 * lanes. Runs in the broker, on its first thread. */
#include "sandbox/role_broker.h"

#include "broker/limits.h"
#include "broker/names.h"
#include "policy/filter.h"
#include "policy/policy.h"
#include "sandbox/cgroup.h"
#include "sandbox/carrier.h"

#include <bsd/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct broker_role me;

void outcome_set(struct outcome *o, int error, unsigned layers, const char *text)
{
	memset(o, 0, sizeof(*o));
	o->error = error;
	o->layers = layers;
	o->pid = getpid();
	snprintf(o->text, sizeof(o->text), "%s", text);
}

_Noreturn void give_up(int error, const char *text)
{
	struct outcome o;
	outcome_set(&o, error, 0, text);
	ipc_send(me.control, &(struct ipc_message){.type = MESSAGE_READY, .len = sizeof(o), .data = &o}, true);
	_exit(1);
}

void watch(int fd, uint32_t events, struct watch *w)
{
	struct epoll_event e = {.events = events, .data.ptr = w};
	epoll_ctl(me.epoll, EPOLL_CTL_ADD, fd, &e);
}

/* Closing alone does not end it: a process that was just forked may hold the same descriptor for a moment yet. */
void unwatch(int fd)
{
	epoll_ctl(me.epoll, EPOLL_CTL_DEL, fd, NULL);
	close(fd);
}

pid_t pid_of(int pidfd)
{
	char path[64], line[128];
	pid_t pid = 0;
	snprintf(path, sizeof(path), "%d", pidfd);
	int fd = openat(me.fdinfo, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	FILE *f = fdopen(fd, "r");
	if (!f) {
		close(fd);
		return -ENOMEM;
	}
	while (fgets(line, sizeof(line), f))
		if (strncmp(line, "Pid:", 4) == 0) {
			pid = (pid_t)strtol(line + 4, NULL, 10);
			break;
		}
	fclose(f);
	return pid > 0 ? pid : -ESRCH;
}

/* ---- hello ---- */

static void read_hello(void)
{
	struct ipc_message m;
	int r = ipc_recv(me.control, me.buffer, sizeof(me.buffer), 9, &m, true);
	if (r != 1 || m.type != MESSAGE_HELLO || m.len != sizeof(me.hello))
		_exit(1);
	memcpy(&me.hello, m.data, sizeof(me.hello));
	size_t need = 2 + !!me.hello.has_image + !!me.hello.has_proc + !!me.hello.has_log + !!me.hello.has_program +
		      !!me.hello.has_setup + !!me.hello.has_terminal + !!me.hello.has_cgroup;
	if (me.hello.version != PROTOCOL_VERSION || m.fd_count != need)
		give_up(-EPROTO, "host and broker are of different versions");
	size_t i = 0;
	int text = m.fds[i++];
	me.host = m.fds[i++];
	me.image = me.hello.has_image ? m.fds[i++] : -1;
	me.b.proc = me.hello.has_proc ? m.fds[i++] : -1;
	me.b.log = me.hello.has_log ? m.fds[i++] : -1;
	me.program = me.hello.has_program ? m.fds[i++] : -1;
	me.setup_fd = me.hello.has_setup ? m.fds[i++] : -1;
	me.b.terminal = me.hello.has_terminal ? m.fds[i++] : 0;
	me.warden = me.hello.has_cgroup ? m.fds[i++] : -1; /* until there is one */

	struct stat st;
	void *bytes;
	char error[400] = "";
	if (fstat(text, &st) < 0 || st.st_size < 1 || ipc_map(text, (size_t)st.st_size, false, &bytes) < 0)
		give_up(-EPROTO, "the policy did not arrive");
	r = policy_parse(&me.b.policy, bytes, layer_find, error, sizeof(error));
	munmap(bytes, (size_t)st.st_size);
	close(text);
	if (r < 0)
		give_up(r, error);
}
/* ---- set-up ---- */

static void nursery_begins(bool loads)
{
	int fds[4];
	const char *paths[4];
	size_t n = loads ? interpreters_open(fds, paths, 4) : 0;
	me.birth = nursery_begin(fds, paths, n, NULL, me.b.policy.tolerate);
	while (n > 0)
		close(fds[--n]);
}

/* With direct trees; or without, when they cannot be mounted. */
static void nursery_direct(bool loads)
{
	char error[400] = "";
	/* The ELF interpreters lie in the loader's trees. */
	int r = nursery_make_direct(&me.nursery, &me.direct, me.b.policy.tolerate, error, sizeof(error));
	if (r == 0 && me.nursery.layers & AIRLOCK_LAYER_ROOT)
		return;
	nursery_close(&me.nursery);
	direct_give_up(&me.direct, &me.b, r < 0 ? error : "there is no mount namespace");
	nursery_begins(loads);
}

static void nursery_born(void)
{
	char error[400] = "";
	int r = me.birth ? nursery_end(me.birth, &me.nursery, error, sizeof(error)) : 0;
	me.birth = NULL;
	if (r < 0)
		give_up(r, error);
	me.b.layers |= me.nursery.layers;
	me.b.direct_root = me.direct.on ? me.direct.root : 0;
}

static void set_up(void)
{
	char error[400] = "", cwd[PATH_MAX];
	bool mapped_all = false;
	struct policy *p = &me.b.policy;
	int r;

	/* A fork of the program has no arguments to write to. */
	if (me.hello.has_image)
		/* The arguments of a fork are its program's, which may still look at them. */
		if (broker_forked)
			prctl(PR_SET_NAME, "airlock broker");
		else
			setproctitle("-%s: airlock broker", me.hello.name);
	else
		prctl(PR_SET_NAME, "airlock broker");
	umask(0);
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	getrandom(&me.b.tag_base, sizeof(me.b.tag_base), 0);
	me.b.in_place = me.hello.in_place;
	me.b.asks = me.hello.asks;
	me.b.trap = carrier_needed();
	if (me.b.trap && me.program >= 0)
		give_up(-EBUSY,
			"this process runs under somebody else's seccomp listener, where no program can be served");
	if (me.b.trap && p->limits[LIMIT_PROCESSES] != LIMIT_NONE)
		give_up(-EOPNOTSUPP, "under somebody else's seccomp listener the limit processes cannot be kept");
	me.b.narrowable = me.hello.narrowable && !me.b.trap;
	me.b.root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (!me.hello.has_proc)
		me.b.proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	me.fdinfo = openat(me.b.proc, "self/fdinfo", O_PATH | O_DIRECTORY | O_CLOEXEC);
	me.nursery = (struct nursery){-1, -1, -1, -1, -1, 0};
	me.ruleset = -1;
	me.life = me.b.in_place ? -1 : life_begin();
	char own[PATH_MAX];
	ssize_t own_len = me.hello.has_program ? -1 : readlink("/proc/self/exe", own, sizeof(own) - 1);
	if (me.hello.has_program)
		me.b.exe = strdup(me.hello.program);
	else if (own_len > 0)
		me.b.exe = strndup(own, (size_t)own_len); /* the targets run the same image */
	else
		me.b.exe = strdup(me.hello.name);

	if (me.warden >= 0 && warden_start(me.warden, me.hello.has_image && !broker_forked ? me.hello.name : NULL) < 0)
		give_up(-EAGAIN, "no warden for cgroups");
	/* As long as it has rights over the host's network. */
	r = me.b.in_place ? 0 : binder_start(&me.b, me.hello.name);
	if (r < 0)
		give_up(r, "no binder for privileged ports");
	r = limits_start(&me.b, NULL);
	if (r < 0)
		give_up(r, "the limit traffic cannot be kept: this kernel does not tell what TCP sockets have sent "
			   "(CONFIG_INET_TCP_DIAG), or there is no /proc");
	limits_watch();
	/* As long as it is the host's. */
	bool stands = getcwd(cwd, sizeof(cwd)) && cwd[0] == '/';
	bool user = false;
	if (!me.b.in_place) {
		r = nursery_user(&mapped_all, error, sizeof(error));
		if (r < 0 && !(p->tolerate & AIRLOCK_LAYER_USER))
			give_up(r, error);
		user = r == 0;
		if (user)
			me.b.layers |= AIRLOCK_LAYER_USER;
		/* Directory descriptors held so far belong to the mount namespace that was left. */
		close(me.b.root);
		me.b.root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	me.b.programs = me.program >= 0;
	me.b.makes_sockets = !me.b.in_place && broker_makes_sockets(p);
	/* Whether programs are loaded: the one of `airlock run`, or what it executes. */
	bool loads = me.program >= 0 || policy_executes(p);
	bool direct = direct_asked(p);
	if (!me.b.in_place && !direct)
		nursery_begins(loads);
	if (loads)
		loader_rules(p);
	r = broker_anchors_open(&me.b, user);
	if (r < 0)
		give_up(r, "cannot hold the unveiled paths");
	r = direct_plan(&me.direct, &me.b, stands ? cwd : NULL);
	if (r < 0)
		give_up(r, "no memory for direct trees");
	if (!me.b.in_place && me.direct.on)
		nursery_direct(loads);
	else if (!me.b.in_place && direct)
		nursery_begins(loads);
	if (!me.b.in_place && (user || geteuid() == 0))
		me.b.layers |= AIRLOCK_LAYER_PID;
	prctl(PR_SET_DUMPABLE, 0);
	struct landlock_extra extra = {.count = 0};
	if (me.program >= 0)
		extra_descriptor(&extra, me.program, PERM_R | PERM_X);
	if (loads)
		extra_interpreters(&extra);
	for (size_t i = 0; i < me.direct.count; i++)
		extra_descriptor(&extra, me.direct.entries[i].mount, me.direct.entries[i].perms);
	/* Forks have one thread, and must find every lock of libc's free. */
	if (policy_has_names(p) || opener_needed(&me.b))
		nursery_born();
	direct_mounts_close(&me.direct);
	r = me.b.in_place ? 0 : opener_start(&me.b, me.hello.name);
	if (r < 0)
		give_up(r, "no opener for names");
	/* The arguments of a fork are its program's. */
	r = names_start(&me.b, me.hello.has_image && !broker_forked ? me.hello.name : NULL);
	if (r < 0)
		give_up(r, "no resolver for names");
	me.ruleset = me.b.in_place ? -1 : broker_target_ruleset(&me.b, LANDLOCK_SCOPE_BOTH, extra.rules, extra.count);
	extra_image(&extra, me.image);
	extra_descriptor(&extra, me.fdinfo, PERM_R);
	if (loads)
		extra_libraries(&extra);
	r = broker_confine(&me.b, extra.rules, extra.count, !me.b.in_place);
	extra_close(&extra);
	if (r < 0)
		give_up(r, "the broker cannot confine itself");
	const unsigned first = FILTER_OF(me.program >= 0 ? START_EXEC : START_WORKER, me.direct.on);
	bool mounts = me.mounts = !me.b.in_place;
	r = filter_for(first);
	if (me.b.in_place)
		return r < 0 ? give_up(r, "cannot compile the filter") : (void)0;
	nursery_born();
	me.mounts = me.nursery.mnt >= 0;
	if (r == 0 && me.mounts != mounts) {
		free(me.filter[first]);
		me.filter[first] = NULL;
		r = filter_for(first);
	}
	if (r < 0)
		give_up(r, "cannot compile the filter");
}
static _Noreturn void end_all(void)
{
	nested_end_all();
	for (struct child *c = me.children; c; c = c->next)
		child_kill(c, ENDED_BY_HOST);
	/* Nothing of ours may outlive us: their kernel namespaces are empty when their inits can be waited for. */
	nested_await_all();
	for (struct child *c = me.children; c; c = c->next)
		if (c->init_pidfd >= 0)
			nested_await(c->init_pidfd);
	_exit(0);
}

static void control_says(void)
{
	struct ipc_message m;
	int r = ipc_recv(me.control, me.buffer, sizeof(me.buffer), IPC_FDS_MAX, &m, false);
	/* There was no number left for what came along, and it is gone: the host sees that of its status socket. */
	if (r == -EAGAIN || r == -EPROTO)
		return;
	if (r != 1)
		end_all();
	if (m.type == MESSAGE_START)
		child_start(&m);
	ipc_message_close(&m);
}

void limits_watch(void)
{
	int fds[2];
	me.limits_watch = (struct watch){.kind = WATCH_LIMITS};
	for (int n = limits_descriptors(&me.b, fds); n > 0; n--)
		watch(fds[n - 1], EPOLLIN, &me.limits_watch);
}

static void limits_say(void)
{
	/* What nested brokers count is ours, too. */
	if (!limits_look(&me.b) && !nested_any())
		limits_rest(&me.b);
	for (struct child *c = me.children; c; c = c->next)
		if (c->family_runs && limits_over(&c->family))
			child_kill(c, ENDED_BY_TRAFFIC);
	if (me.b.in_place && limits_over(&me.in_place))
		in_place_end();
}

static int next_timeout(void)
{
	int64_t now = ipc_now_ms(), first = nested_tick(now);
	for (struct child *c = me.children; c; c = c->next) {
		if (c->forks && c->told)
			c->deadline = -1;
		int64_t again = suspend_tick(c, now);
		if (again >= 0 && (first < 0 || again < first))
			first = again;
		if (c->deadline < 0)
			continue;
		if (c->deadline <= now) {
			c->deadline = -1;
			child_kill(c, ENDED_BY_WALL);
		} else if (first < 0 || c->deadline < first) {
			first = c->deadline;
		}
	}
	return first < 0 ? -1 : (int)(first - now > 1000000 ? 1000000 : first - now + 1);
}

_Noreturn void broker_loop(void)
{
	struct epoll_event events[32];
	for (;;) {
		int n = epoll_wait(me.epoll, events, 32, next_timeout());
		for (int i = 0; i < n; i++) {
			struct watch *w = events[i].data.ptr;
			/* A handler may free w with its child; what an init says, those of a zygote's forks. */
			const enum watch_kind kind = w->kind;
			const bool frees = kind != WATCH_INIT || w->child->forks;
			switch (kind) {
			case WATCH_CONTROL:
				control_says();
				break;
			case WATCH_HOST:
				end_all();
			case WATCH_STATUS:
				status_says(w->child);
				break;
			case WATCH_INIT:
				init_says(w->child);
				break;
			case WATCH_INIT_END:
				child_ended(w->child);
				break;
			case WATCH_NEST:
				nested_wake();
				break;
			case WATCH_NESTED_END:
				nested_ended(w->nested);
				break;
			case WATCH_LIMITS:
				limits_say();
				break;
			case WATCH_PARTING:
				parting_again(w->parting);
				break;
			case WATCH_LISTENER:
				_exit(0); /* in place: the last confined task is gone */
			}
			/* A handler may have freed the child of a later event: take those up again. */
			if (frees)
				break;
		}
	}
}
_Noreturn void role_broker(void)
{
	me.control = FD_CONTROL;
	fcntl(me.control, F_SETFD, FD_CLOEXEC);
	me.epoll = epoll_create1(EPOLL_CLOEXEC);
	policy_init(&me.b.policy);
	read_hello();
	me.host_watch = (struct watch){.kind = WATCH_HOST};
	watch(me.host, EPOLLIN, &me.host_watch);
	set_up();
	if (me.b.in_place) {
		in_place();
		broker_loop();
	}
	struct outcome o;
	const bool nice = me.warden < 0 && me.b.policy.limits[LIMIT_WEIGHT] != LIMIT_NONE;
	outcome_set(&o, 0, me.b.layers,
		nice && !me.direct.note[0]
			? "the limit weight is kept by nice values: see `airlock check` for delegation"
			: me.direct.note);
	ipc_send(me.control, &(struct ipc_message){.type = MESSAGE_READY, .len = sizeof(o), .data = &o}, true);
	me.control_watch = (struct watch){.kind = WATCH_CONTROL};
	watch(me.control, EPOLLIN, &me.control_watch);
	broker_loop();
}
