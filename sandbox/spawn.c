/* SPDX-License-Identifier: ISC */
/* Owns the birth of a broker: the program's own image executed again, out of sight of the host's wait(). Runs in the
 * host, between vfork-like clone and exec also in the child; and at the beginning of the broker. */
#include "sandbox/cgroup.h"
#include "sandbox/sandbox.h"

#include <bsd/stdlib.h>
#include <bsd/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef __WCLONE
#define __WCLONE 0x80000000
#endif

bool broker_forked, broker_forks;
static struct {
	int argc;
	char **argv;
} called;
static int image = -1; /* /proc/self/exe: an update on disk cannot change the version */
static struct stat image_stat;
static char name[64] = "airlock";

static bool image_held(void)
{
	struct stat st;
	return image >= 0 && fstat(image, &st) == 0 && st.st_dev == image_stat.st_dev && st.st_ino == image_stat.st_ino;
}

/* The program may have closed it (closefrom(3)), and another file may have its number by now: that is never executed. */
int image_remember(int argc, char **argv)
{
	if (argc > 0) {
		called.argc = argc;
		called.argv = argv;
	}
	if (image_held())
		return 0;
	const char *as = argc > 0 && argv[0] && *argv[0] ? argv[0] : program_invocation_name;
	const char *slash = strrchr(as, '/'), *base = slash ? slash + 1 : as;
	/* A role's title is "NAME: airlock ROLE". */
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(base, ":"), base);
	image = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	if (image < 0 && errno == ENOENT)
		return fail(-ENOENT, "there is no /proc, and so no image to execute again");
	if (image < 0 || fstat(image, &image_stat) < 0)
		return fail(-errno, "cannot open /proc/self/exe: %s", strerror(errno));
	return 0;
}

/* Programs ported from OpenBSD bring a getprogname() of their own, which libbsd then asks as well, and which knows no name
 * before main(). */
void title_init(int argc, char **argv, char **envp)
{
	if (!getprogname())
		setprogname(program_invocation_short_name);
	setproctitle_init(argc, argv, envp);
}

/* A program that confines itself by pledge(2) need not know that its image is executed again for the broker: that takes
 * the process before main() does. It stands in the file that executes the image, so that whoever links one has the other.
 * (Programs of musl get no arguments here, and ps shows the broker by what its argv says.) */
__attribute__((constructor)) static void broker_begin(int argc, char **argv, char **envp)
{
	/* secure_getenv: whoever runs a set-user-id program must not choose its role. */
	const char *role = secure_getenv(ROLE_VARIABLE);
	if (!role || strcmp(role, "broker") != 0)
		return;
#if defined(__GLIBC__)
	title_init(argc, argv, envp);
	image_remember(argc, argv);
#else
	(void)argc;
	(void)argv;
	(void)envp;
	image_remember(0, NULL);
#endif
	role_broker();
}

int image_fd(void)
{
	return image;
}

void image_forget(void)
{
	if (image_held())
		close(image);
	image = -1;
}

const char *const image_environment[] = {"LD_LIBRARY_PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS",
	"MSAN_OPTIONS", "LSAN_OPTIONS", "LLVM_PROFILE_FILE", NULL};

mode_t umask_now(void)
{
	char line[128];
	FILE *f = fopen("/proc/self/status", "re");
	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, "Umask:", 6) == 0) {
			fclose(f);
			return (mode_t)strtoul(line + 6, NULL, 8);
		}
	if (f)
		fclose(f);
	mode_t old = umask(0);
	umask(old);
	return old;
}

struct birth_stack {
	int control;
	bool keep_stderr; /* in place: refusals are lines on the standard error of the program */
	char *const *argv, *const *envp;
	int error;
};

/* The grandchild: becomes the broker. It shares the host's memory until it execs, so it touches nothing but its stack. The
 * address sanitizer would take what it marked there for marks of whatever is mapped at that place later. */
__attribute__((no_sanitize_address)) static int become_broker(void *arg)
{
	struct birth_stack *b = arg;
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	for (int s = 1; s < 65; s++)
		if (s != SIGKILL && s != SIGSTOP)
			sigaction(s, &dfl, NULL);
	/* By plain system calls: the thread sanitizer would take these descriptors for ones of the host's numbers. */
	int null = (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR);
	if (null < 0)
		null = ipc_memfd("airlock-null", NULL, 1, false); /* not in every chroot */
	int self = (int)syscall(SYS_fcntl, image, F_DUPFD_CLOEXEC, 10);
	if (null < 0 || self < 0)
		goto failed;
	int control = (int)syscall(SYS_fcntl, b->control, F_DUPFD_CLOEXEC, 10);
	if (control < 0)
		goto failed;
	syscall(SYS_dup3, null, 0, 0);
	syscall(SYS_dup3, null, 1, 0);
	if (b->keep_stderr)
		lines_settle();
	setsid(); /* before that it has the terminal */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	if (!b->keep_stderr)
		syscall(SYS_dup3, null, 2, 0);
#endif
	if (syscall(SYS_dup3, control, FD_CONTROL, 0) < 0)
		goto failed;
	syscall(SYS_close_range, FD_CONTROL + 1, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	syscall(SYS_execveat, self, "", b->argv, b->envp, AT_EMPTY_PATH);
failed:
	b->error = errno;
	_exit(127);
}

/* The child in between: its only task is to be gone, so that the broker is nobody's child whom the host could meet in
 * wait(). exec sets the exit signal back to SIGCHLD, which is why one clone with exit signal 0 is not enough. The address
 * sanitizer takes its stack for the calling thread's when it ends. */
__attribute__((no_sanitize_address)) static int in_between(void *arg)
{
	static const size_t size = 65536;
	char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	struct birth_stack *b = arg;
	if (stack == MAP_FAILED) {
		b->error = errno;
		_exit(127);
	}
	if (clone(become_broker, stack + size, CLONE_VM | CLONE_VFORK, arg) < 0)
		b->error = errno;
	munmap(stack, size);
	_exit(0);
}

/* What an executed broker does not have of its host's environment, this one shall not have, either. */
static void environment_forget(void)
{
	char **kept = environ;
	for (char **e = environ; *e; e++) {
		bool keep = false;
		for (size_t k = 0; image_environment[k]; k++) {
			size_t len = strlen(image_environment[k]);
			keep |= strncmp(*e, image_environment[k], len) == 0 && (*e)[len] == '=';
		}
		if (keep)
			*kept++ = *e;
		else
			explicit_bzero(*e, strlen(*e));
	}
	*kept = NULL;
}

/* The broker of a program that has put itself where its image cannot be executed (a daemon in its chroot) is a fork of the
 * program. That costs by the program's size, and the broker has its memory as it was. */
static _Noreturn void fork_broker(int control, bool in_place)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	sigset_t none;
	for (int s = 1; s < 65; s++)
		if (s != SIGKILL && s != SIGSTOP)
			sigaction(s, &dfl, NULL);
	if (in_place)
		lines_settle();
	setsid();
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		null = ipc_memfd("airlock-null", NULL, 1, false);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(control, FD_CONTROL) < 0)
		_exit(127);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	if (!in_place)
		dup2(null, 2);
#endif
	syscall(SYS_close_range, FD_CONTROL + 1, ~0u, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	broker_forked = in_place;
	if (!in_place) {
		title_init(called.argc, called.argv, environ);
		environment_forget();
	}
	role_broker();
}

/* The one in between has no exit signal, as above; the broker's own is nobody's. fork() has libc's locks in order. */
static int image_fork(int control)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	long pid = syscall(SYS_clone, 0UL, NULL, NULL, NULL, NULL);
	if (pid == 0) {
		pid_t broker = fork();
		if (broker == 0)
			fork_broker(control, true);
		_exit(broker < 0);
	}
	int status = 1, error = errno;
	if (pid > 0)
		while (waitpid((pid_t)pid, &status, __WCLONE) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (pid < 0 || status)
		return fail(
			-(pid < 0 ? error : EAGAIN), "cannot fork a broker: %s", strerror(pid < 0 ? error : EAGAIN));
	return 0;
}

/* Of a program that is nobody's but airlock's. */
static int plain_fork(int control)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid_t pid = fork();
	if (pid == 0)
		fork_broker(control, false);
	int error = errno;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return pid < 0 ? fail(-error, "cannot fork a broker: %s", strerror(error)) : 0;
}

static int image_exec(int control, bool keep_stderr)
{
	char title[96];
	snprintf(title, sizeof(title), "%s: airlock broker", name);
	char *argv[] = {title, NULL};
	/* The loader's own variables are the host's choice; nothing else of the environment is the broker's business. */
	char *envp[10];
	size_t n = 0;
	char role[] = ROLE_VARIABLE "=broker";
	envp[n++] = role;
	for (char **e = environ; e && *e; e++)
		for (size_t k = 0; image_environment[k] && n < 10; k++) {
			size_t len = strlen(image_environment[k]);
			if (strncmp(*e, image_environment[k], len) == 0 && (*e)[len] == '=')
				envp[n++] = *e;
		}
	envp[n] = NULL;

	struct birth_stack b = {control, keep_stderr, argv, envp, 0};
	size_t size = 65536;
	char *stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (stack == MAP_FAILED)
		return fail(-errno, "no memory for a stack: %s", strerror(errno));
	/* No signal of the host may run a handler on the shared memory in the child. */
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	/* vfork semantics: the cost does not grow with the host's memory. Exit signal 0: no SIGCHLD, no wait(-1). */
	pid_t pid = clone(in_between, stack + size, CLONE_VM | CLONE_VFORK, &b);
	int error = errno;
	if (pid > 0)
		while (waitpid(pid, NULL, __WCLONE) < 0 && errno == EINTR)
			;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	munmap(stack, size);
	if (pid < 0 || b.error)
		return fail(
			-(pid < 0 ? error : b.error), "cannot start a broker: %s", strerror(pid < 0 ? error : b.error));
	return 0;
}

void broker_handle_free(struct broker_handle *h)
{
	if (!h || atomic_fetch_sub(&h->references, 1) != 1)
		return;
	close(h->control);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

static int say_hello(int control, const struct broker_birth *birth, bool forked)
{
	char *text = NULL;
	int r = policy_format(&birth->policy->p, airlock_layer_name, &text);
	if (r < 0)
		return fail(r, "cannot write the policy: %s", strerror(-r));
	struct rlimit files = {1024, 1024};
	int cgroup = !birth->in_place && cgroup_wanted(&birth->policy->p) ? cgroup_base(&birth->policy->p, true) : -1;
	getrlimit(RLIMIT_NOFILE, &files);
	struct hello hello = {.version = PROTOCOL_VERSION,
		.in_place = birth->in_place,
		.narrowable = birth->narrowable,
		.has_image = image >= 0 && (!forked || broker_forks),
		.has_proc = birth->in_place && birth->proc >= 0,
		.has_log = birth->policy->log >= 0,
		.has_program = birth->program >= 0,
		.has_setup = birth->setup >= 0,
		.has_terminal = birth->terminal > 0,
		.has_cgroup = cgroup >= 0,
		.asks = birth->policy->ask != NULL,
		.nofile = files.rlim_cur > 1048576 ? 1048576 : (uint32_t)files.rlim_cur,
		.empty_string = birth->empty_string};
	snprintf(hello.name, sizeof(hello.name), "%s", name);
	snprintf(hello.program, sizeof(hello.program), "%s", birth->program_path ? birth->program_path : "");
	struct ipc_message m = {.type = MESSAGE_HELLO, .len = sizeof(hello), .data = &hello};
	int memory = ipc_memfd("airlock-policy", text, strlen(text) + 1, true);
	int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (self < 0)
		self = -errno;
	free(text);
	if (memory < 0 || self < 0) {
		r = fail(memory < 0 ? memory : self, "cannot tell the broker the policy");
	} else {
		m.fds[m.fd_count++] = memory;
		m.fds[m.fd_count++] = self;
		if (hello.has_image)
			m.fds[m.fd_count++] = image;
		if (hello.has_proc)
			m.fds[m.fd_count++] = birth->proc;
		if (hello.has_log)
			m.fds[m.fd_count++] = birth->policy->log;
		if (hello.has_program)
			m.fds[m.fd_count++] = birth->program;
		if (hello.has_setup)
			m.fds[m.fd_count++] = birth->setup;
		if (hello.has_terminal)
			m.fds[m.fd_count++] = birth->terminal;
		if (hello.has_cgroup)
			m.fds[m.fd_count++] = cgroup;
		r = ipc_send(control, &m, true);
		if (r < 0)
			fail(r, "the broker is gone: %s", strerror(-r));
	}
	if (memory >= 0)
		close(memory);
	if (self >= 0)
		close(self);
	if (cgroup >= 0)
		close(cgroup);
	return r;
}

/* Its first word. 0, or what it says is wrong; -ECHILD: it said nothing. Under h->lock. */
static int first_word(struct broker_handle *h)
{
	struct ipc_message m;
	char *buffer = malloc(IPC_BYTES_MAX + 16);
	int r = buffer ? ipc_recv(h->control, buffer, IPC_BYTES_MAX + 16, 0, &m, true) : -ENOMEM;
	h->awaited = false;
	if (r == 1 && m.type == MESSAGE_READY && m.len == sizeof(struct outcome)) {
		struct outcome outcome;
		memcpy(&outcome, m.data, sizeof(outcome));
		h->layers = outcome.layers;
		h->pid = outcome.pid;
		h->error = outcome.error;
		snprintf(h->note, sizeof(h->note), "%s", outcome.text);
	} else {
		h->error = -ECHILD;
		snprintf(h->note, sizeof(h->note),
			"the broker ended before it was ready; is airlock_init() first in main()?");
	}
	free(buffer);
	return h->error;
}

int broker_ready(struct broker_handle *h)
{
	pthread_mutex_lock(&h->lock);
	if (h->awaited)
		first_word(h);
	pthread_mutex_unlock(&h->lock);
	return h->error < 0 ? fail(h->error, "%s", h->note) : 0;
}

bool broker_failed(struct broker_handle *h)
{
	pthread_mutex_lock(&h->lock);
	bool failed = h->error < 0;
	pthread_mutex_unlock(&h->lock);
	return failed;
}

/* A broker of either kind, its control socket in *h. It finds what it is told when it looks, and has yet to say a word. */
static int give_birth(struct broker_handle *h, const struct broker_birth *birth, bool forked)
{
	int pair[2];
	int r = ipc_pair(pair);
	if (r < 0)
		return fail(r, "no descriptors for a broker");
	r = say_hello(pair[0], birth, forked);
	if (r == 0)
		r = forked ? broker_forks ? plain_fork(pair[1]) : image_fork(pair[1])
			   : image_exec(pair[1], birth->in_place);
	close(pair[1]);
	if (r < 0) {
		close(pair[0]);
		return r;
	}
	h->control = pair[0];
	h->awaited = true;
	return 0;
}

int broker_spawn(struct broker_handle **out, const struct broker_birth *birth)
{
	if (!birth->in_place && nested_inside())
		return nested_spawn(out, birth);
	if (image < 0 && !birth->in_place)
		return fail(-EINVAL, "airlock_init() was not called");
	if (image >= 0 && image_remember(0, NULL) < 0)
		return -ENOENT;
	struct broker_handle *h = calloc(1, sizeof(*h));
	if (!h)
		return fail(-ENOMEM, "no memory for a broker");
	pthread_mutex_init(&h->lock, NULL);
	/* A program that was executed with other rights than its caller's would not believe its role. */
	int r = image >= 0 && !getauxval(AT_SECURE)
			? give_birth(h, birth, broker_forks && birth->program >= 0)
			: fail(-ECHILD, "a program with others' rights cannot execute itself again");
	/* In place it is awaited here: in a chroot the image's loader or its libraries may be missing. */
	if (birth->in_place) {
		bool silent = r < 0;
		if (r == 0 && (r = broker_ready(h)) < 0) {
			silent = h->error == -ECHILD;
			close(h->control);
		}
		if (r < 0 && silent && (r = give_birth(h, birth, true)) == 0 && (r = broker_ready(h)) < 0)
			close(h->control);
	}
	if (r < 0) {
		pthread_mutex_destroy(&h->lock);
		free(h);
		return r;
	}
	struct stat st;
	if (birth->program >= 0 && fstat(birth->program, &st) == 0) {
		h->program_dev = st.st_dev;
		h->program_ino = st.st_ino;
	}
	atomic_store(&h->references, 1);
	*out = h;
	return 0;
}
