/* SPDX-License-Identifier: ISC */
/* The broker's own confinement on the real kernel: what it can still do, and that a target can be started below it. */
#include "broker/broker.h"
#include "policy/promises.h"
#include "tests/layers_child.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* A target is started from inside of the broker's domain, below its filter. */
static void target_below_broker(const struct nursery *n)
{
	struct confinement c = confinement_in(n);

	c.given = AIRLOCK_LAYER_USER | AIRLOCK_LAYER_PID;
	double start = now();
	int r = confine(&c);
	dprintf(tap_fd, "# %sconfine below a broker %.0f us\n", tap_prefix, now() - start);
	check(r == 0 && (c.layers & AIRLOCK_LAYERS_ALL) == AIRLOCK_LAYERS_ALL, "confine below a broker", "%d: %s", r,
		c.error);
	TRUE(capabilities_none() && bounding_none());
	FAILS(open("/etc/hostname", O_RDONLY), ENOENT);
	FAILS(syscall(SYS_getppid), ENODATA);
	_exit(tap_failed ? 1 : 0);
}

static char dir[] = "/tmp/airlock-layers-XXXXXX", file[64];

static void test_broker(void)
{
	char error[400];
	struct broker b = {.proc = -1, .log = -1};
	struct landlock_rule extra[1];
	bool all;
	uint64_t promises = 0;
	int r;

	policy_init(&b.policy);
	promises_parse("stdio rpath", &promises, NULL);
	b.policy.promises = promises;
	policy_unveil(&b.policy, dir, PERM_R, false);
	policy_unveil(&b.policy, "/etc/hostname", PERM_R, true);
	r = nursery_user(&all, error, sizeof(error));
	check(r == 0, "nursery_user", "%d: %s", r, error);
	b.root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	b.proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = broker_anchors_open(&b, true);
	check(r == 0, "anchors", "%d", r);
	struct nursery n;
	r = nursery_make(&n, NULL, NULL, 0, 0, error, sizeof(error));
	check(r == 0, "nursery_make", "%d: %s", r, error);
	int program = open("/bin/true", O_PATH | O_CLOEXEC);
	extra[0] = (struct landlock_rule){program, false, PERM_R | PERM_X};
	double start = now();
	r = broker_confine(&b, extra, 1, true);
	dprintf(tap_fd, "# %sbroker_confine %.0f us\n", tap_prefix, now() - start);
	check(r == 0, "broker_confine", "%d", r);
	FAILS(open("/etc/shadow", O_RDONLY), EACCES);
	FAILS(open("/etc/fstab", O_RDONLY), EACCES);
	FAILS(open(file, O_WRONLY), EACCES);
	TRUE(close(open(file, O_RDONLY)) == 0);
	TRUE(close(open("/etc/hostname", O_RDONLY)) == 0);
	TRUE(close(open("/proc/self/status", O_RDONLY)) == 0);
	FAILS(open("/proc/1/environ", O_RDONLY), EACCES);
	FAILS(socket(AF_INET, SOCK_STREAM, 0), ENOSYS);
	FAILS(unshare(CLONE_NEWNET), ENOSYS);
	FAILS(mount("none", "/tmp", "tmpfs", 0, NULL), ENOSYS);
	FAILS(syscall(SYS_bpf, 0, NULL, 0), ENOSYS);
	FAILS(syscall(SYS_io_uring_setup, 1, NULL), ENOSYS);
	FAILS(syscall(SYS_clone, CLONE_NEWNS | SIGCHLD, NULL, NULL, NULL, NULL), EPERM);
	FAILS(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL), EPERM);
	FAILS(ptrace(PTRACE_SETOPTIONS, getpid(), 0, PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE), EPERM);
	FAILS(ptrace(PTRACE_SEIZE, getpid(), 0, PTRACE_O_TRACESECCOMP), EPERM);
	FAILS(ptrace(PTRACE_SETOPTIONS, getpid(), 0, PTRACE_O_EXITKILL), ESRCH);
	FAILS(kill(getppid(), 0), EPERM);
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0)
		_exit(getpid() == 1 ? 0 : 1);
	join(pid, "the broker makes a pid namespace");
	pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0)
		target_below_broker(&n);
	join(pid, "a target below the broker");
	nursery_close(&n);
	pthread_t t;
	TRUE(pthread_create(&t, NULL, thread, NULL) == 0);
}

/* A call that the broker itself may not make is still its target's notification, not an errno. */
static void test_broker_inherited(void)
{
	static const struct sock_filter notify[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mount, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct broker b = {.root = -1, .proc = -1, .log = -1};
	struct sock_fprog program = {4, (struct sock_filter *)(uintptr_t)notify};
	struct seccomp_notif n = {0};
	struct seccomp_notif_resp answer = {.error = -EXDEV};

	policy_init(&b.policy);
	for (size_t i = 0; i < LIBC_FILES; i++)
		b.libc[i] = -1;
	int r = broker_confine(&b, NULL, 0, true);
	check(r == 0, "broker_confine, nothing allowed", "%d", r);
	int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
	pid_t pid = fork();
	if (pid == 0)
		_exit(mount("none", "/", "tmpfs", 0, NULL) == -1 && errno == EXDEV ? 0 : 1);
	TRUE(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &n) == 0 && n.data.nr == SYS_mount);
	answer.id = n.id;
	TRUE(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) == 0);
	join(pid, "the report survives the broker's filter");
}

int main(void)
{
	static const struct test tests[] = {
		{"broker", test_broker},
		{"inherited", test_broker_inherited},
	};

	if (!mkdtemp(dir) || chmod(dir, 0755) < 0)
		return 1;
	snprintf(file, sizeof(file), "%s/file", dir);
	close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	tests_run(tests, sizeof(tests) / sizeof(tests[0]));
	unlink(file);
	rmdir(dir);
	return tap_failed ? 1 : 0;
}
