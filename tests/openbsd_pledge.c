/* SPDX-License-Identifier: ISC */
/* pledge(2), letter by letter: what its strings may be, what it gives back, and that nothing comes back. The calls under it
 * are in openbsd_pledge_calls.c; daemons in openbsd_pledge_any.c, and other
 * programs in openbsd_pledge_threads.c and openbsd_pledge_odd.c; what is executed, openbsd_pledge_exec.c. */
#include "tests/openbsd_pledge.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const names[] = {"stdio", "rpath", "wpath", "cpath", "dpath", "tmppath", "inet", "mcast", "fattr",
	"chown", "flock", "unix", "dns", "getpw", "sendfd", "recvfd", "tape", "tty", "proc", "exec", "prot_exec",
	"settime", "ps", "vminfo", "id", "pf", "route", "wroute", "audio", "video", "bpf", "unveil", "disklabel", "drm",
	"vmm", "error"};
#define NAMES (sizeof(names) / sizeof(names[0]))

/* ---- strings: each row in a process that has pledged nothing, and in one that has ---- */

static const struct {
	const char *promises, *exec_promises;
	int error;
} strings[] = {
	{NULL, NULL, 0},
	{"stdio", NULL, 0},
	{NULL, "stdio", 0},
	{"stdio", "stdio rpath inet", 0}, /* no relation is required */
	{"stdio", "", 0},
	{"stdio ", NULL, 0},
	{"stdio    ", NULL, 0},
	{"stdio   rpath", NULL, 0},
	{"stdio stdio rpath rpath stdio", NULL, 0},
	{"rpath stdio", NULL, 0},
	{" ", NULL, EINVAL},
	{"  ", NULL, EINVAL},
	{" stdio", NULL, EINVAL},
	{"stdio\trpath", NULL, EINVAL},
	{"stdio\nrpath", NULL, EINVAL},
	{"stdio,rpath", NULL, EINVAL},
	{"stdio rpath\n", NULL, EINVAL},
	{"STDIO", NULL, EINVAL},
	{"Stdio", NULL, EINVAL},
	{"std", NULL, EINVAL},
	{"stdiorpath", NULL, EINVAL},
	{"stdio xpath", NULL, EINVAL},
	{"stdio -rpath", NULL, EINVAL},
	{"abort", NULL, EINVAL},
	{"stdio abort", NULL, EINVAL},
	{"always", NULL, EINVAL},
	{"stdio", " stdio", EINVAL},
	{"stdio", "xpath", EINVAL},
	{NULL, "stdio xpath", EINVAL},
	{"xpath", "stdio", EINVAL},
	{"xpath", NULL, EINVAL},
};

static size_t row;

static void string_first(void)
{
	SAYS(pledge(strings[row].promises, strings[row].exec_promises), strings[row].error);
	if (strings[row].error) /* nothing was applied */
		HOLDS(open("/etc/passwd", O_RDWR) >= 0 || errno == EACCES);
	if (!strings[row].error)
		SAYS(pledge("", ""), 0);
	_exit(0);
}

static void string_later(void)
{
	SAYS(pledge("stdio rpath wpath", "stdio rpath wpath inet"), 0);
	SAYS(pledge(strings[row].promises, strings[row].exec_promises), strings[row].error);
	if (strings[row].error) {
		SAYS(pledge("stdio rpath wpath", "stdio rpath wpath inet"), 0);
		HOLDS(open("/etc/passwd", O_RDONLY) >= 0);
	}
}

static void strings_all(void)
{
	char name[160];
	for (row = 0; row < sizeof(strings) / sizeof(strings[0]); row++) {
		const char *a = strings[row].promises, *b = strings[row].exec_promises;
		for (int later = 0; later < 2; later++) {
			snprintf(name, sizeof(name), "%s(%s%s%s, %s%s%s)", later ? "again " : "", a ? "\"" : "",
				a ? a : "NULL", a ? "\"" : "", b ? "\"" : "", b ? b : "NULL", b ? "\"" : "");
			for (char *c = name; *c; c++)
				*c = *c < ' ' ? '?' : *c;
			attempt_run("strings", &(struct attempt){name, later ? string_later : string_first, 0, NULL});
		}
	}
}

static void each_name(void)
{
	char text[64];
	for (size_t i = 0; i < NAMES; i++) {
		pid_t pid = case_fork();
		if (pid == 0) {
			snprintf(text, sizeof(text), "stdio %s", names[i]);
			SAYS(pledge(text, names[i]), 0);
			SAYS(pledge(text, names[i]), 0);
			_exit(0);
		}
		GIVES(child_ends(pid), 0);
	}
}

/* "stdio" and blanks, so many bytes in all. */
static char *sized(size_t n)
{
	char *text = malloc(n + 1);
	HOLDS(text);
	memset(text, ' ', n);
	memcpy(text, "stdio", 5);
	text[n] = 0;
	return text;
}

static void lengths(void)
{
	for (int i = 0; i < 2; i++) {
		SAYS(pledge(sized(1024), NULL), ENAMETOOLONG);
		SAYS(pledge(sized(100000), NULL), ENAMETOOLONG);
		SAYS(pledge("stdio", sized(1024)), ENAMETOOLONG);
		SAYS(pledge(NULL, sized(1024)), ENAMETOOLONG);
		HOLDS(i || open("/etc/passwd", O_RDONLY) >= 0);
		SAYS(pledge(sized(1023), sized(1023)), 0);
	}
}

static void pointers(void)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	GIVES(munmap(page + 4096, 4096), 0);
	char *const bad[] = {(char *)8, (char *)-1, (char *)-4096, (char *)0xffffffff81000000, (char *)0x800000000000,
		page + 4096, page + 4094};
	for (int i = 0; i < 2; i++) {
		for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
			unended(page + 4096, "stdio");
			SAYS(pledge(bad[k], NULL), EFAULT);
			SAYS(pledge(NULL, bad[k]), EFAULT);
			SAYS(pledge("stdio", bad[k]), EFAULT);
		}
		SAYS(pledge(page + 4091, NULL), EFAULT); /* no NUL before the end */
		HOLDS(i || open("/etc/passwd", O_RDONLY) >= 0);
		memcpy(page + 4090, "stdio", 6);
		SAYS(pledge(page + 4090, page + 4090), 0); /* its NUL is the last byte */
	}
}

static void both_or_none(void)
{
	SAYS(pledge("stdio rpath", "stdio rpath"), 0);
	SAYS(pledge("stdio", "stdio rpath wpath"), EPERM); /* the second widens */
	HOLDS(open("/etc/passwd", O_RDONLY) >= 0);
	SAYS(pledge("stdio rpath wpath", "stdio"), EPERM); /* the first does */
	SAYS(pledge(NULL, "stdio rpath"), 0);
	SAYS(pledge("stdio", "xpath"), EINVAL);
	HOLDS(open("/etc/passwd", O_RDONLY) >= 0);
}

/* ---- the ratchet ---- */

static void widening(void)
{
	SAYS(pledge("stdio rpath", NULL), 0);
	SAYS(pledge("stdio rpath wpath", NULL), EPERM);
	SAYS(pledge("stdio wpath", NULL), EPERM);
	SAYS(pledge("stdio rpath", NULL), 0);
	SAYS(pledge("rpath stdio", NULL), 0);
	SAYS(pledge("stdio", NULL), 0);
	SAYS(pledge("stdio unix", NULL), EPERM);
	SAYS(pledge("stdio rpath", NULL), EPERM);
	SAYS(pledge(NULL, NULL), 0);
	SAYS(pledge("stdio", NULL), 0);
}

static void chown_and_fattr(void)
{
	SAYS(pledge("stdio fattr", NULL), 0);
	SAYS(pledge("stdio chown", NULL), EPERM);
}

static void fattr_and_chown(void)
{
	SAYS(pledge("stdio chown", NULL), 0);
	SAYS(pledge("stdio fattr", NULL), EPERM);
}

static void exec_ratchet(void)
{
	SAYS(pledge(NULL, "stdio rpath"), 0);
	SAYS(pledge(NULL, "stdio rpath wpath"), EPERM);
	SAYS(pledge(NULL, "stdio"), 0);
	SAYS(pledge(NULL, "stdio rpath"), EPERM);
	HOLDS(open("/etc/passwd", O_RDONLY) >= 0); /* nothing of its own was given up */
	SAYS(pledge("stdio rpath inet", NULL), 0);
	SAYS(pledge("stdio rpath", "stdio"), 0);
	SAYS(pledge(NULL, ""), 0);
	SAYS(pledge(NULL, "stdio"), EPERM);
}

static void exec_first(void)
{
	SAYS(pledge(NULL, "stdio"), 0);
	HOLDS(socket(AF_INET, SOCK_STREAM, 0) >= 0); /* unpledged still */
	SAYS(pledge("stdio rpath inet", NULL), 0); /* the first, which may ask for anything */
	SAYS(pledge("stdio rpath wpath", NULL), EPERM);
}

static void error_is_a_bit(void)
{
	SAYS(pledge("stdio rpath", NULL), 0);
	SAYS(pledge("stdio rpath error", NULL), EPERM);
	SAYS(pledge("stdio error", NULL), EPERM);
}

static void error_masks(void)
{
	SAYS(pledge("stdio rpath error", "stdio"), 0);
	FAILS(socket(AF_INET, SOCK_STREAM, 0), ENOSYS);
	FAILS(open("/etc/passwd", O_RDWR), ENOSYS);
	SAYS(pledge("stdio rpath inet error", NULL), 0); /* says 0, and gives nothing */
	FAILS(socket(AF_INET, SOCK_STREAM, 0), ENOSYS);
	SAYS(pledge(NULL, "stdio rpath"), EPERM); /* not masked */
	SAYS(pledge("stdio wpath error", NULL), 0); /* all that is left is stdio error */
	FAILS(open("/etc/passwd", O_RDONLY), ENOSYS);
	SAYS(pledge("stdio rpath", NULL), 0); /* and without error, stdio */
	open("/etc/passwd", O_RDONLY);
}

static void error_abides(void)
{
	SAYS(pledge("stdio error", NULL), 0);
	for (int i = 0; i < 3; i++)
		FAILS(open("/etc/passwd", O_RDONLY), ENOSYS);
	FAILS(mkdir("/x", 0755), ENOSYS);
	FAILS(fork(), ENOSYS);
	FAILS(chroot("/"), ENOSYS);
	FAILS(setuid(getuid()), ENOSYS);
	FAILS(unveil("/", "r"), ENOSYS);
	FAILS(kill(getppid(), 0), ENOSYS);
}

static void fifty(void)
{
	char text[1024];
	for (size_t left = NAMES; left > 1; left--) {
		text[0] = 0;
		for (size_t i = 0; i < left; i++)
			strcat(strcat(text, names[i]), " ");
		SAYS(pledge(text, NULL), 0);
	}
	for (size_t i = NAMES; i <= 50; i++)
		SAYS(pledge("stdio", NULL), 0);
	SAYS(pledge("stdio rpath", NULL), EPERM);
	open("/etc/passwd", O_RDONLY);
}

static void to_nothing(void)
{
	SAYS(pledge("stdio rpath", NULL), 0);
	SAYS(pledge("", NULL), 0);
	SAYS(pledge("", NULL), 0);
	SAYS(pledge("stdio", NULL), EPERM);
	SAYS(pledge(" ", NULL), EINVAL);
	_exit(5);
}

/* ---- what it leaves alone ---- */

static void descriptors_kept(void)
{
	size_t before = descriptors();
	SAYS(pledge("stdio rpath proc", NULL), 0);
	GIVES(descriptors(), before);
	SAYS(pledge("stdio rpath", "stdio"), 0);
	SAYS(pledge("stdio rpath", NULL), 0);
	GIVES(descriptors(), before);
	GIVES(open("/etc/passwd", O_RDONLY), 3); /* the lowest number, as ever */
}

static volatile sig_atomic_t came;

static void count(int signal)
{
	(void)signal;
	came++;
}

static void no_children(void)
{
	const struct sigaction action = {.sa_handler = count};
	sigaction(SIGCHLD, &action, NULL);
	SAYS(pledge("stdio rpath proc", NULL), 0);
	FAILS(waitpid(-1, NULL, WNOHANG), ECHILD);
	pid_t pid = case_fork();
	if (pid == 0)
		_exit(3);
	int status;
	while (wait(&status) != pid)
		HOLDS(errno == EINTR);
	GIVES(WEXITSTATUS(status), 3);
	FAILS(wait(NULL), ECHILD);
	GIVES(came, 1);
}

static void masks_kept(void)
{
	sigset_t before, after;
	struct sigaction action;
	sigemptyset(&before);
	sigaddset(&before, SIGUSR1);
	sigprocmask(SIG_SETMASK, &before, NULL);
	signal(SIGPIPE, SIG_IGN);
	umask(027);
	SAYS(pledge("stdio rpath", NULL), 0);
	sigprocmask(SIG_SETMASK, NULL, &after);
	HOLDS(sigismember(&after, SIGUSR1) == 1 && sigismember(&after, SIGABRT) == 0 &&
		sigismember(&after, SIGCHLD) == 0);
	sigaction(SIGPIPE, NULL, &action);
	HOLDS(action.sa_handler == SIG_IGN);
	GIVES(umask(022), 027);
}

static void *narrow(void *arg)
{
	return (void *)(long)(pledge(arg, NULL) < 0 ? errno : 0);
}

static void many_threads(void)
{
	pthread_t t[8];
	void *said;
	for (int i = 0; i < 8; i++)
		GIVES(pthread_create(&t[i], NULL, narrow, (void *)(uintptr_t) "stdio rpath"), 0);
	for (int i = 0; i < 8; i++) {
		GIVES(pthread_join(t[i], &said), 0);
		GIVES((long)said, 0);
	}
	HOLDS(open("/etc/passwd", O_RDONLY) >= 0);
	SAYS(pledge("stdio rpath wpath", NULL), EPERM);
}

static const struct attempt attempts[] = {
	{"each of the 36 names", each_name, 0, NULL},
	{"1023 bytes and 1024", lengths, 0, NULL},
	{"pointers to nothing", pointers, 0, NULL},
	{"both strings or none", both_or_none, 0, NULL},
	{"widening is EPERM", widening, 0, NULL},
	{"fattr, then chown", chown_and_fattr, 0, NULL},
	{"chown, then fattr", fattr_and_chown, 0, NULL},
	{"exec promises ratchet by themselves", exec_ratchet, 0, NULL},
	{"exec promises first", exec_first, 0, NULL},
	{"error is a bit", error_is_a_bit, 0, NULL},
	{"error masks what is wider", error_masks, ABORTS, "pledge \"rpath\""},
	{"error: the process lives", error_abides, 0, "refused"},
	{"fifty, and the next still says EPERM", fifty, ABORTS, "pledge \"rpath\""},
	{"down to nothing", to_nothing, 5, NULL},
	{"descriptors are left alone", descriptors_kept, 0, NULL},
	{"no SIGCHLD, nothing for wait", no_children, 0, NULL},
	{"signals and umask are left alone", masks_kept, 0, NULL},
	{"eight threads at once", many_threads, 0, NULL},
};

static void cases(void)
{
	strings_all();
	ATTEMPTS("pledge", attempts);
	call_cases();
	any_cases();
	thread_cases();
	odd_cases();
	exec_cases();
}

int main(int argc, char **argv)
{
	return openbsd_main(argc, argv, cases);
}
