/* SPDX-License-Identifier: ISC */
/*
 * The layers on the real kernel: a nursery, a process that confines itself in it, and what that process can still do; the
 * probes.
 */
#include "broker/broker.h"
#include "tests/layers_child.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#ifdef __aarch64__
#define INTERPRETER "/lib/ld-linux-aarch64.so.1"
#else
#define INTERPRETER "/lib64/ld-linux-x86-64.so.2"
#endif

static void check_confined(int usr, uid_t uid, pid_t outside)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(0x7f000001)};
	struct utsname name;
	struct rlimit rl;
	char path[256];

	TRUE(capabilities_none());
	TRUE(bounding_none());
	TRUE(prctl(PR_GET_SECUREBITS) == 0xef);
	TRUE(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	TRUE(prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == SECCOMP_MODE_FILTER);
	FAILS(syscall(SYS_getppid), ENODATA);
	TRUE(getuid() == uid && geteuid() == uid);
	TRUE(getpid() == 1);
	TRUE(getsid(0) == 1);
	TRUE(syscall(SYS_getcwd, path, sizeof(path)) > 0 && strcmp(path, "/") == 0);
	FAILS(open("/etc/passwd", O_RDONLY), ENOENT);
	FAILS(open("/proc/self/status", O_RDONLY), ENOENT);
	FAILS(open("/", O_RDONLY | O_DIRECTORY), EACCES);
	TRUE(access(INTERPRETER, X_OK) == 0);
	FAILS(open(INTERPRETER, O_RDONLY), EACCES);
	FAILS(mkdir("/x", 0700), EROFS);
	FAILS(openat(usr, "..", O_RDONLY | O_DIRECTORY), EACCES);
	FAILS(openat(usr, "../etc/passwd", O_RDONLY), EACCES);
	FAILS(kill(outside, 0), ESRCH);
	FAILS(kill(-1, 0), ESRCH);
	FAILS(unshare(CLONE_NEWNET), EPERM);
	FAILS(mount("none", "/", "tmpfs", 0, NULL), EPERM);
	FAILS(chroot("/"), EPERM);
	FAILS(setuid(uid == 0 ? 1 : 0), uid == 0 ? EPERM : EINVAL);
	FAILS(sethostname("x", 1), EPERM);
	TRUE(uname(&name) == 0 && strcmp(name.nodename, "airlock") == 0);
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	FAILS(connect(s, (struct sockaddr *)&in, sizeof(in)), ENETUNREACH);
	close(s);
	s = socket(AF_INET, SOCK_STREAM, 0);
	FAILS(connect(s, (struct sockaddr *)&in, sizeof(in)), EACCES);
	close(s);
	TRUE(getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur == 32 && rl.rlim_max == 32);
	TRUE(getrlimit(RLIMIT_CORE, &rl) == 0 && rl.rlim_max == 0);
	TRUE(getrlimit(RLIMIT_CPU, &rl) == 0 && rl.rlim_cur == 3 && rl.rlim_max == 4);
	rl.rlim_max = 64;
	FAILS(setrlimit(RLIMIT_NOFILE, &rl), EPERM);
}

static double confine_us;
static int expected_listener = -2;

static void before(void *arg, int listener)
{
	(void)arg;
	expected_listener = listener;
}

static void target_run(const struct nursery *n, unsigned given, bool exec)
{
	uid_t uid = getuid();
	int usr = open("/usr", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int space = dup(n->net);
	struct confinement c = confinement_in(n);

	c.given = given;
	c.limits[LIMIT_FILES] = 32;
	c.limits[LIMIT_CPU] = 2500;
	c.will_exec = exec;
	c.before_filter = before;
	int program = open("/bin/true", O_PATH | O_CLOEXEC), interpreter = open(INTERPRETER, O_PATH | O_CLOEXEC);
	if (exec) {
		const struct landlock_rule run[] = {
			{program, false, PERM_R | PERM_X}, {interpreter, false, PERM_R | PERM_X}};
		c.ruleset = landlock_ruleset(&(struct landlock_spec){
			.rules = run, .count = 2, .net = LANDLOCK_NET_BOTH, .scopes = LANDLOCK_SCOPE_BOTH});
	}
	double start = now();
	int r = confine(&c);
	confine_us = now() - start;
	check(r == 0, "confine", "%d: %s", r, c.error);
	if (r < 0)
		_exit(1);
	check((c.layers & AIRLOCK_LAYERS_ALL) ==
			(exec ? AIRLOCK_LAYERS_ALL & ~AIRLOCK_LAYER_DUMPABLE : AIRLOCK_LAYERS_ALL),
		"all layers", "0x%x", c.layers);
	check(c.listener >= 0 && c.listener == expected_listener && fcntl(c.listener, F_GETFD) == FD_CLOEXEC,
		"listener", "%d, told %d", c.listener, expected_listener);
	if (exec) {
		char *argv[] = {"true", NULL}, *env[] = {NULL};
		close(2); /* the loader's complaint */
		syscall(SYS_execveat, program, "", argv, env, AT_EMPTY_PATH);
		check(false, "exec", "%s", strerror(errno));
		_exit(1);
	}
	check_confined(usr, uid, getppid());
	FAILS(setns(space, CLONE_NEWNET), EPERM);
	char *argv[] = {"ld", NULL};
	FAILS(execve("/bin/true", argv, argv + 1), ENOENT);
	FAILS(execve(INTERPRETER, argv, argv + 1), EACCES);
	dprintf(tap_fd, "# %sconfine %.0f us\n", tap_prefix, confine_us);
	_exit(tap_failed ? 1 : 0);
}

static void test_target(void)
{
	char error[400] = "";
	bool all = false;
	struct nursery n;
	uid_t uid = getuid();
	double t0 = now();
	int r = nursery_user(&all, error, sizeof(error));
	double t1 = now();

	check(r == 0, "nursery_user", "%d: %s", r, error);
	if (r < 0)
		return;
	TRUE(all == (uid == 0));
	TRUE(getuid() == uid);
	const char *paths[] = {INTERPRETER};
	int fds[] = {open(INTERPRETER, O_PATH | O_CLOEXEC)};
	double t2 = now();
	r = nursery_make(&n, fds, paths, 1, 0, error, sizeof(error));
	double t3 = now();
	check(r == 0, "nursery_make", "%d: %s", r, error);
	if (r < 0)
		return;
	dprintf(tap_fd, "# %snursery_user %.0f us, nursery_make %.0f us\n", tap_prefix, t1 - t0, t3 - t2);
	TRUE(n.layers == (AIRLOCK_LAYER_NETWORK | AIRLOCK_LAYER_IPC | AIRLOCK_LAYER_UTS | AIRLOCK_LAYER_CGROUP |
				 AIRLOCK_LAYER_MOUNT | AIRLOCK_LAYER_ROOT));
	TRUE(access("/etc/passwd", R_OK) == 0);
	for (int exec = 0; exec < 2; exec++) {
		pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);
		if (pid == 0)
			target_run(&n, AIRLOCK_LAYER_USER | AIRLOCK_LAYER_PID, exec);
		if (!exec) {
			join(pid, "target");
			continue;
		}
		/* It is executed, and so is its interpreter, which then finds no libraries. */
		int status = -1;
		waitpid(pid, &status, 0);
		check(WIFEXITED(status) && WEXITSTATUS(status) == 127, "exec target", "status 0x%x", status);
	}
	/* What is missing is an error that says so, unless tolerated. */
	struct confinement c = CONFINEMENT_INIT;
	c.given = AIRLOCK_LAYER_USER;
	pid_t pid = fork();
	if (pid == 0) {
		r = confine(&c);
		check(r == -EBADF && strstr(c.error, "the layer pid is missing"), "missing", "%d: %s", r, c.error);
		_exit(tap_failed ? 1 : 0);
	}
	join(pid, "missing layer");
	nursery_close(&n);
}

static void test_in_place(void)
{
	struct confinement c = CONFINEMENT_INIT;
	bool root = getuid() == 0;

	c.in_place = true;
	c.filter = mark;
	c.filter_len = sizeof(mark) / sizeof(mark[0]);
	int r = confine(&c);
	check(r == 0, "in place", "%d: %s", r, c.error);
	TRUE(c.layers == (AIRLOCK_LAYER_LIMITS | AIRLOCK_LAYER_CAPABILITIES | AIRLOCK_LAYER_NO_NEW_PRIVS |
				 AIRLOCK_LAYER_LANDLOCK | AIRLOCK_LAYER_SECCOMP | AIRLOCK_LAYER_LISTENER));
	TRUE(capabilities_none());
	TRUE(!root || bounding_none());
	FAILS(open("/etc/passwd", O_RDONLY), EACCES);
	FAILS(kill(1, 0), EPERM);
	TRUE(prctl(PR_GET_DUMPABLE) == 1 || !root);
}

static void test_threads(void)
{
	struct confinement c = CONFINEMENT_INIT;
	pthread_t t;
	bool root = getuid() == 0, tsync = landlock_abi() >= 8;

	pthread_create(&t, NULL, thread, NULL);
	c.in_place = true;
	c.filter = mark;
	c.filter_len = sizeof(mark) / sizeof(mark[0]);
	int r = confine(&c);
	const char *want = root ? "capabilities" : "landlock";
	check(tsync || (r == -EUSERS && strstr(c.error, want)), "threads: named", "%d: %s", r, c.error);
	c.tolerate = AIRLOCK_LAYER_CAPABILITIES | AIRLOCK_LAYER_LANDLOCK;
	r = confine(&c);
	check(r == 0 && c.layers & AIRLOCK_LAYER_SECCOMP, "threads: tolerated", "%d: %s", r, c.error);
}

/* connect() and bind() of new sockets on loopback; 0 or the errno. */
static int try_tcp(int (*call)(int, const struct sockaddr *, socklen_t), int port)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM, 0), e = call(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? errno : 0;
	close(fd);
	return e;
}

/* The port of a new one, which stays or is free again. */
static int listener(bool stays)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	TRUE(bind(fd, (struct sockaddr *)&a, len) == 0 && listen(fd, 8) == 0 &&
		getsockname(fd, (struct sockaddr *)&a, &len) == 0);
	if (!stays)
		close(fd);
	return ntohs(a.sin_port);
}

/* A broker that was taken over connects where its rules would have let it, and nowhere else. */
static void test_ports(void)
{
	struct broker b = {.root = open("/", O_PATH | O_CLOEXEC), .proc = open("/proc", O_PATH | O_CLOEXEC)};
	const int mine = listener(true), other = listener(true), free_port = listener(false);
	char text[200], error[200] = "";
	snprintf(text, sizeof(text), "pledge inet\nconnect tcp:127.0.0.1:%d\nbind tcp:127.0.0.1:%d\nbind udp:*:1-65535",
		mine, free_port);
	policy_init(&b.policy);
	TRUE(policy_parse(&b.policy, text, NULL, error, sizeof(error)) == 0);
	for (size_t i = 0; i < LIBC_FILES; i++)
		b.libc[i] = -1;
	if (landlock_abi() < 4) {
		dprintf(tap_fd, "skip ports: Landlock of this kernel knows none\n");
		return;
	}
	TRUE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	TRUE(broker_landlock(&b, NULL, 0) == 0);
	TRUE(try_tcp(connect, mine) == 0);
	TRUE(try_tcp(connect, other) == EACCES);
	TRUE(try_tcp(bind, free_port) == 0);
	TRUE(try_tcp(bind, mine) == EACCES);
}

static void test_probes(void)
{
	double start = now();
	unsigned layers = (unsigned)airlock_layers();

	dprintf(tap_fd, "# %sairlock_layers %.0f us: 0x%x\n", tap_prefix, now() - start, layers);
	for (unsigned bit = 1; bit <= AIRLOCK_LAYERS_ALL; bit <<= 1) {
		const char *why = airlock_layer_missing(bit);
		check(airlock_layer_name(bit) != NULL, "a name", "0x%x", bit);
		check(!why == !!(layers & bit), airlock_layer_name(bit), "%s", why ? why : "no reason");
		if (why)
			dprintf(tap_fd, "# %smissing %s: %s\n", tap_prefix, airlock_layer_name(bit), why);
	}
	TRUE(airlock_layer_name(0) == NULL && airlock_layer_name(1u << 17) == NULL);
	/* The trying left no trace in us. */
	TRUE(access("/etc/passwd", R_OK) == 0 && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
	FAILS(waitpid(-1, NULL, __WALL), ECHILD);
}

static void forbid_namespaces(void)
{
	static const struct sock_filter container[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 16),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_NEWUSER, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {
		sizeof(container) / sizeof(container[0]), (struct sock_filter *)(uintptr_t)container};

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	TRUE(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0);
	unsigned layers = (unsigned)airlock_layers();
	check(!(layers & AIRLOCK_LAYERS_NAMESPACES), "no namespaces in a container", "0x%x", layers);
	const char *why = airlock_layer_missing(AIRLOCK_LAYER_USER);
	check(why && strstr(why, "seccomp"), "the container's filter is named", "%s", why ? why : "-");
	check(layers & AIRLOCK_LAYER_SECCOMP && layers & AIRLOCK_LAYER_CAPABILITIES, "the rest is there", "0x%x",
		layers);
	char error[400] = "";
	bool all;
	int r = nursery_user(&all, error, sizeof(error));
	check(r < 0 && strstr(error, "the layer user is missing: a seccomp filter"), "nursery_user names it", "%s",
		error);
}

int main(void)
{
	static const struct test tests[] = {
		{"target", test_target},
		{"in place", test_in_place},
		{"threads", test_threads},
		{"ports", test_ports},
		{"probes", test_probes},
		{"container", forbid_namespaces},
	};

	tests_run(tests, sizeof(tests) / sizeof(tests[0]));
	return tap_failed ? 1 : 0;
}
