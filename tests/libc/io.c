/* SPDX-License-Identifier: ISC */
/* stdio, formatting, what libc does with descriptors that are open. */
#include "checks.h"

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

static void floats(void)
{
	static const double list[] = {0, -0.0, 1, -1.5, 0.1, 1e300, 1e-300, 5e-324, 123456789.987654321, 2.5};
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		say("%f %.30g %e %a %10.3f|%-12.1f|", list[i], list[i], list[i], list[i], list[i], list[i]);
	say("%f %F %g %Lf %.2000f", (double)INFINITY, (double)NAN, 1e100, 3.25L, 1.0 / 3);
	double d;
	int n = sscanf("6.02e23 17", "%lf %d", &d, &n);
	say("%d %g %.17g", n, d, strtod("0x1.8p3", NULL));
}

static void streams(void)
{
	char buf[64] = "", *text = NULL;
	size_t len = 0;
	int p[2];
	pipe(p);
	FILE *in = fdopen(p[0], "r"), *out = fdopen(p[1], "w");
	fprintf(out, "one\ntwo words\nthree");
	fclose(out);
	ssize_t n = getline(&text, &len, in);
	say("%zd %s", n, text);
	n = getdelim(&text, &len, ' ', in);
	say("%zd '%s' %d", n, text, ungetc('q', in));
	say("%s|", fgets(buf, sizeof(buf), in));
	say("%s| %d %d", fgets(buf, sizeof(buf), in), feof(in), ferror(in));
	fclose(in);
	FILE *m = open_memstream(&text, &len);
	fprintf(m, "%s %d", "memory", 42);
	fclose(m);
	say("%s %zu", text, len);
	m = fmemopen(buf, sizeof(buf), "w+");
	fputs("in a buffer", m);
	rewind(m);
	say("%d %d %ld", fgetc(m), fgetc(m), ftell(m));
	fclose(m);
	say("%d %d", setvbuf(stdout, NULL, _IOFBF, 1 << 16), fileno(stdin));
	free(text);
}

static void reopened(void)
{
	char name[64], line[64] = "";
	int fd = memfd_create("x", 8 /* MFD_NOEXEC_SEAL */);
	write(fd, "what is open\n", 13);
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	FILE *f = fopen(name, "r");
	say("%d %s", f != NULL, f && fgets(line, sizeof(line), f) ? line : "-");
	snprintf(name, sizeof(name), "/dev/fd/%d", fd);
	f = freopen(name, "r", f);
	say("%d %s", f != NULL, f ? fgets(line, sizeof(line), f) : "-");
	f = fopen("/dev/null", "r+");
	say("%d %d", f != NULL, f ? fgetc(f) : 0);
	f = fopen("/dev/stdout", "a");
	say("%d", f != NULL);
	f = fopen("/dev/urandom", "r");
	say("%d", f && fread(line, 1, 16, f) == 16);
	f = freopen(NULL, "r", f);
	say("%d", f != NULL);
}

/* Which OpenBSD does not have. */
static void full(void)
{
	FILE *f = fopen("/dev/zero", "r");
	say("%d", f ? fgetc(f) : -2);
	f = fopen("/dev/full", "w");
	if (!f) {
		say("%s", errno_name(errno));
		return;
	}
	setvbuf(f, NULL, _IONBF, 0);
	int r = fputc('x', f);
	say("%d %s", r, strerror(errno));
}

static void terminals(void)
{
	int p[2];
	pipe(p);
	FILE *f = tmpfile();
	for (int fd = 0; fd < 3; fd++) {
		errno = 0;
		int r = isatty(fd);
		say("%d %d", r, errno);
	}
	errno = 0;
	int r = isatty(p[0]);
	say("%d %s", r, errno_name(errno));
	r = isatty(77);
	say("%d %s", r, errno_name(errno));
	r = f ? isatty(fileno(f)) : -1;
	say("%d %s", r, errno_name(errno));
	char *name = ttyname(p[0]);
	say("%s %s", name ? name : "-", errno_name(errno));
}

static void on_terminal(void)
{
	char name[64] = "";
	struct termios t;
	struct winsize size;
	say("= %d %d", isatty(0), isatty(1));
	const char *tty = ttyname(0);
	say("= %.9s", tty ? tty : errno_name(errno));
	int e = ttyname_r(1, name, sizeof(name));
	say("= %d %.9s", e, name);
	e = tcgetattr(0, &t);
	say("= %d %d", e, tcsetattr(0, TCSADRAIN, &t));
	say("= %d", ioctl(0, TIOCGWINSZ, &size));
	say("= %d", fopen("/dev/tty", "r+") != NULL);
	char *p = getpass("= prompt ");
	say("\n= %s", p ? p : errno_name(errno));
	say("= %s", ctermid(name));
}

static void wide(void)
{
	wchar_t buf[32];
	FILE *f = tmpfile();
	if (!f) {
		say("no file");
		return;
	}
	say("%d", fwide(f, 1) > 0);
	fwprintf(f, L"%ls %d\n", L"wide", 7);
	rewind(f);
	const wchar_t *line = fgetws(buf, 32, f);
	say("%d", line ? (int)wcslen(line) : -1);
	fclose(f);
	say("%ls %lc", L"wide", L'x');
	say("%d", swprintf(buf, 32, L"%f", 1.5));
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static void sorting(void)
{
	/* glibc asks sysinfo() for how much memory it may use, and reads a file for it in a container. */
	static const size_t sizes[] = {10, 1000, 300000};
	for (size_t i = 0; i < 3; i++) {
		uint32_t *list = calloc(sizes[i], sizeof(*list)), x = 1, sum = 0;
		for (size_t k = 0; k < sizes[i]; k++)
			list[k] = x = x * 1103515245 + 12345;
		qsort(list, sizes[i], sizeof(*list), compare);
		for (size_t k = 1; k < sizes[i]; k++)
			sum += list[k - 1] <= list[k];
		uint32_t key = list[sizes[i] / 2];
		say("%u %d", sum, bsearch(&key, list, sizes[i], sizeof(*list), compare) != NULL);
		free(list);
	}
}

static void waiting(void)
{
	int p[2], e = epoll_create1(0), v = eventfd(3, 0), t = timerfd_create(CLOCK_MONOTONIC, 0);
	pipe(p);
	struct pollfd poll_fd = {p[0], POLLIN, 0};
	struct timeval zero = {0, 0};
	fd_set set;
	FD_ZERO(&set);
	FD_SET(v, &set);
	say("%d %d", poll(&poll_fd, 1, 1), select(v + 1, &set, NULL, NULL, &zero));
	struct epoll_event event = {.events = EPOLLIN};
	epoll_ctl(e, EPOLL_CTL_ADD, v, &event);
	say("%d", epoll_wait(e, &event, 1, 100));
	uint64_t number = 0;
	ssize_t got = read(v, &number, 8);
	say("%d %d", (int)got, (int)number);
	struct itimerspec when = {{0, 0}, {0, 1000000}};
	timerfd_settime(t, 0, &when, NULL);
	got = read(t, &number, 8);
	say("%d %d", (int)got, (int)number);
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	int s = signalfd(-1, &signals, 0);
	raise(SIGUSR1);
	struct signalfd_siginfo info;
	got = read(s, &info, sizeof(info));
	say("%d %d", (int)got, (int)info.ssi_signo);
	struct timespec none = {0, 0};
	raise(SIGUSR1);
	say("%d", sigtimedwait(&signals, NULL, &none) == SIGUSR1);
	say("%d", ppoll(&poll_fd, 1, &none, &signals));
}

static void copying(void)
{
	char buf[64] = "";
	int a = memfd_create("a", 8), b = memfd_create("b", 8), p[2], s[2];
	pipe(p);
	socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	write(a, "twelve bytes", 12);
	off_t from = 0;
	say("%d", (int)sendfile(s[0], a, &from, 12));
	say("%d", (int)read(s[1], buf, sizeof(buf)));
	loff_t at = 0, to = 0;
	say("%d", (int)copy_file_range(a, &at, b, &to, 12, 0));
	at = 0;
	say("%d", (int)splice(b, &at, p[1], NULL, 12, 0));
	ssize_t got = read(p[0], buf, sizeof(buf));
	say("%d %.12s", (int)got, buf);
	struct iovec parts[2] = {{buf, 3}, {buf + 3, 3}};
	say("%d %d", (int)preadv(a, parts, 2, 1), (int)pwrite(a, "x", 1, 0));
	say("%d %d", ftruncate(a, 4), posix_fallocate(a, 0, 4096));
	struct stat st;
	int r = fstat(a, &st);
	say("%d %d", r, (int)st.st_size);
	say("%d %d", fsync(p[0]) < 0 && errno == EINVAL, fcntl(a, F_GETFD));
}

static void messages(void)
{
	errno = ENOENT;
	warn("with errno %d", 1);
	warnx("without %s", "it");
	perror("perror");
	psignal(SIGSEGV, "signal");
	say("%s | %s | %s", strsignal(SIGTERM), strerror(EPERM), strerror(12345));
	char *argv[] = {(char *)"prog", (char *)"--unknown", (char *)"--number", (char *)"3", (char *)"-q", NULL};
	static const struct option options[] = {{"number", required_argument, NULL, 'n'}, {NULL, 0, NULL, 0}};
	optind = 1;
	for (int c; (c = getopt_long(5, argv, "n:", options, NULL)) != -1;)
		say("%d %s", c, optarg && c == 'n' ? optarg : "-");
}

const struct libc_check io_checks[] = {
	{"printf-floats", "stdio", NULL, 0, floats},
	{"stdio-streams", "stdio", NULL, 0, streams},
	{"fopen-what-is-open", "stdio", NULL, 0, reopened},
	{"dev-zero-full", "stdio", NULL, LIBC_RUN, full},
	{"isatty", "stdio rpath wpath cpath", "rwc:/tmp", 0, terminals},
	{"terminal", "stdio rpath wpath tty", "r:/dev", LIBC_TTY, on_terminal},
	{"wide-stdio", "stdio rpath wpath cpath", "rwc:/tmp", 0, wide},
	{"qsort", "stdio", NULL, 0, sorting},
	{"poll-select-epoll", "stdio", NULL, 0, waiting},
	{"sendfile-splice", "stdio", NULL, 0, copying},
	{"err-getopt-psignal", "stdio", NULL, 0, messages},
	{NULL, NULL, NULL, 0, NULL},
};
