/* SPDX-License-Identifier: ISC */
/* As the kernel would have shown it: one battery of calls, run natively and then behind the door, as a worker, in place
 * and under `airlock run`, each time on a fresh tree. Every line of the results must be the same. */
#include "sandbox/airlock.h"
#include "tests/tap.h"
#include "tests/view.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CAP (4 << 20)
#define PROMISES "stdio rpath wpath cpath dpath fattr flock proc tty ps"

static const struct {
	const char *name;
	void (*run)(struct view *v);
} parts[] = {{"open", view_open}, {"open2", view_open2}, {"names", view_names}, {"make", view_make},
	{"walk", view_walk}, {"process", view_process}, {"cwd", view_cwd}, {"proc", view_proc}};
#define PARTS (sizeof(parts) / sizeof(parts[0]))

static char base[200], top[256], self[PATH_MAX]; /* base: what is unveiled; top: the tree in it */
static const char *command;

void view_say(struct view *v, const char *name, const char *format, ...)
{
	va_list args;

	if (v->len + 2 * PATH_MAX > v->cap)
		return;
	v->len += (size_t)snprintf(v->out + v->len, v->cap - v->len, "%s: ", name);
	va_start(args, format);
	v->len += (size_t)vsnprintf(v->out + v->len, PATH_MAX, format, args);
	va_end(args);
	v->out[v->len++] = '\n';
	v->out[v->len] = 0;
}

void view_result(struct view *v, const char *name, long result)
{
	if (result < 0)
		view_say(v, name, "%s", strerrorname_np((int)-result) ? strerrorname_np((int)-result) : "?");
	else
		view_say(v, name, "%ld", result);
}

/* ---- the tree ---- */

static int drop(const char *path, const struct stat *st, int type, struct FTW *w)
{
	(void)st, (void)type, (void)w;
	return remove(path);
}

static int loosen(const char *path, const struct stat *st, int type, struct FTW *w)
{
	(void)w;
	if (type == FTW_D || type == FTW_DNR)
		chmod(path, 0700);
	(void)st;
	return 0;
}

static void tree_remove(const char *path)
{
	char inside[PATH_MAX];

	/* What cannot be searched must be opened up first, or nothing below it goes. */
	snprintf(inside, sizeof(inside), "%s/nodir", path);
	chmod(inside, 0700);
	snprintf(inside, sizeof(inside), "%s/rodir", path);
	chmod(inside, 0700);
	nftw(path, loosen, 16, FTW_PHYS);
	nftw(path, drop, 16, FTW_PHYS | FTW_DEPTH);
}

static void put(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);

	if (fd < 0 || write(fd, text, strlen(text)) < 0 || fchmod(fd, mode) < 0)
		fprintf(stderr, "# %s: %s\n", path, strerror(errno));
	close(fd);
}

static void copy(const char *from, const char *to)
{
	char buf[65536];
	int in = open(from, O_RDONLY), out = open(to, O_CREAT | O_WRONLY, 0755);
	ssize_t n;

	while ((n = read(in, buf, sizeof(buf))) > 0)
		if (write(out, buf, (size_t)n) != n)
			break;
	close(in);
	close(out);
}

int view_tree(const char *path)
{
	static const unsigned char acl[] = {2, 0, 0, 0, /* version */
		1, 0, 7, 0, 255, 255, 255, 255, /* user: rwx */
		4, 0, 7, 0, 255, 255, 255, 255, /* group: rwx */
		32, 0, 5, 0, 255, 255, 255, 255}; /* others: r-x */
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "sock"};
	char name[64], to[300];
	int fd;

	tree_remove(path);
	umask(022);
	if (mkdir(path, 0755) || chdir(path))
		return -1;
	put("file", "hello\n", 0644);
	put("ro", "ro\n", 0444);
	put("none", "none\n", 0);
	put("empty", "", 0644);
	put("suid", "", 0644);
	mkdir("dir", 0755);
	mkdir("dir/sub", 0755);
	put("dir/inner", "inner\n", 0644);
	mkdir("deep", 0755);
	mkdir("deep/dir", 0755);
	(void)!symlink("../../file", "deep/dir/link");
	(void)!symlink("..", "deep/up");
	(void)!symlink("file", "link");
	(void)!symlink("dir", "dlink");
	(void)!symlink("gone", "dangling");
	(void)!symlink("loop", "loop");
	(void)!symlink("fifo", "fifolink");
	snprintf(to, sizeof(to), "%s/file", path);
	(void)!symlink(to, "abs");
	(void)!symlink(to, "deep/abs");
	mkfifo("fifo", 0644);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	(void)!bind(fd, (struct sockaddr *)&address, sizeof(address));
	close(fd);
	copy("/bin/true", "exe");
	copy("/bin/sleep", "busy");
	mkdir("chain", 0755);
	put("chain/0", "end\n", 0644);
	for (int i = 1; i <= 42; i++) {
		snprintf(name, sizeof(name), "chain/%d", i);
		snprintf(to, sizeof(to), "%d", i - 1);
		(void)!symlink(to, name);
	}
	mkdir("acl", 0755);
	setxattr("acl", "system.posix_acl_default", acl, sizeof(acl), 0);
	mkdir("setgid", 0755);
	(void)!chown("setgid", -1, geteuid() ? getegid() : 12345);
	chmod("setgid", 02775);
	mkdir("sticky", 0755);
	chmod("sticky", 01777);
	put("sticky/mine", "mine\n", 0666);
	if (!geteuid()) {
		/* Somebody else's directory, where a link is followed only if its owner or the directory's is asking. */
		(void)!symlink("../file", "sticky/theirs");
		(void)!lchown("sticky/theirs", 12345, 12345);
		put("sticky/file", "file\n", 0666);
		(void)!chown("sticky/file", 12345, 12345);
		mkfifo("sticky/fifo", 0666);
		chmod("sticky/fifo", 0666);
		(void)!chown("sticky/fifo", 12345, 12345);
		mkdir("other", 0755);
		(void)!symlink("../file", "other/link");
		(void)!symlink("../file", "other/theirs");
		(void)!lchown("other/theirs", 12345, 12345);
		(void)!symlink("../dir", "other/dir");
		(void)!symlink("../dir", "other/theirdir");
		(void)!lchown("other/theirdir", 12345, 12345);
		(void)!symlink("other/theirs", "totheirs");
		(void)!symlink("other/theirdir/inner", "throughtheirs");
		put("other/file", "file\n", 0666);
		chmod("other/file", 0666);
		mkfifo("other/fifo", 0666);
		chmod("other/fifo", 0666);
		(void)!chown("other", 54321, 54321);
		chmod("other", 01777);
	}
	mkdir("rodir", 0755);
	put("rodir/file", "x", 0644);
	chmod("rodir", 0555);
	mkdir("nodir", 0755);
	put("nodir/file", "x", 0644);
	chmod("nodir", 0);
	return 0;
}

/* ---- the battery, wherever it runs ---- */

static size_t battery(size_t part, const char *where, char *out, size_t cap)
{
	struct view v = {.out = out, .cap = cap, .top = where};

	view_result(&v, "chdir to the tree", chdir(where) ? -errno : 0);
	umask(022);
	parts[part].run(&v);
	return v.len;
}

static ssize_t view(const void *in, size_t len, void *out, size_t cap)
{
	const char *text = in;

	if (len < 2 || (size_t)(text[0] - '0') >= PARTS)
		return -1;
	return (ssize_t)battery((size_t)(text[0] - '0'), text + 1, out, cap);
}
AIRLOCK_FUNCTION(view)

/* ---- where it runs ---- */

static int policy_make(struct airlock_policy **policy)
{
	if (airlock_policy_new(policy, PROMISES) || airlock_policy_unveil(*policy, "/", "r") ||
		airlock_policy_unveil(*policy, base, "rwc"))
		return -1;
	return 0;
}

static size_t from(int fd, char *out)
{
	size_t n = 0;
	ssize_t got;

	while (n < CAP - 1 && (got = read(fd, out + n, CAP - 1 - n)) > 0)
		n += (size_t)got;
	out[n] = 0;
	close(fd);
	return n;
}

static size_t in_child(size_t part, char *out, bool enter)
{
	struct airlock_policy *policy;
	int fds[2];
	pid_t pid;
	size_t n;

	if (pipe2(fds, O_CLOEXEC))
		return 0;
	pid = fork();
	if (!pid) {
		if (enter && (policy_make(&policy) || airlock_enter(policy) < 0)) {
			dprintf(fds[1], "cannot enter: %s\n", airlock_message());
			_exit(1);
		}
		n = battery(part, top, out, CAP);
		for (size_t at = 0; at < n;) {
			ssize_t done = write(fds[1], out + at, n - at);
			if (done <= 0)
				break;
			at += (size_t)done;
		}
		_exit(0);
	}
	close(fds[1]);
	n = from(fds[0], out);
	waitpid(pid, NULL, 0);
	return n;
}

static size_t natively(size_t part, char *out)
{
	return in_child(part, out, false);
}

static size_t in_place(size_t part, char *out)
{
	return in_child(part, out, true);
}

static size_t as_worker(size_t part, char *out)
{
	struct airlock_policy *policy = NULL;
	struct airlock_target *t = NULL;
	struct airlock_options options = AIRLOCK_OPTIONS_INIT;
	char in[300];
	ssize_t n;

	snprintf(in, sizeof(in), "%zu%s", part, top);
	if (policy_make(&policy) || airlock_start(&t, policy, NULL, NULL, &options)) {
		n = snprintf(out, CAP, "cannot start: %s\n", airlock_message());
	} else {
		n = airlock_call(t, "view", in, strlen(in) + 1, out, CAP - 1);
		if (n < 0)
			n = snprintf(out, CAP, "the call failed: %s\n", airlock_message());
	}
	out[n] = 0;
	airlock_free(t);
	airlock_policy_free(policy);
	return (size_t)n;
}

static size_t under_run(size_t part, char *out)
{
	char number[8], unveil[300];
	int fds[2];
	pid_t pid;

	snprintf(number, sizeof(number), "%zu", part);
	snprintf(unveil, sizeof(unveil), "rwc:%s", base);
	if (pipe2(fds, O_CLOEXEC))
		return 0;
	pid = fork();
	if (!pid) {
		dup2(fds[1], 1);
		execl(command, command, "run", "-p", PROMISES, "-v", "r:/", "-v", unveil, "--", self, "battery", number,
			top, (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	size_t n = from(fds[0], out);
	waitpid(pid, NULL, 0);
	return n;
}

/* ---- comparing ---- */

static char *line_of(char **at)
{
	char *line = *at, *end = strchr(line, '\n');

	if (!*line)
		return NULL;
	if (end)
		*end++ = 0;
	*at = end ? end : line + strlen(line);
	return line;
}

static void compare(const char *part, const char *where, char *want, char *got)
{
	static char why[1 << 20];
	unsigned same = 0, different = 0, shown = getenv("SHOWN") ? (unsigned)atoi(getenv("SHOWN")) : 12;
	size_t n = 0;
	char name[80], *a, *b;

	why[0] = 0;
	for (;;) {
		a = line_of(&want);
		b = line_of(&got);
		if (!a || !b)
			break;
		if (!strcmp(a, b)) {
			same++;
			continue;
		}
		if (different++ < shown && n + 1200 < sizeof(why))
			n += (size_t)snprintf(
				why + n, sizeof(why) - n, "# natively  %.500s\n# here      %.500s\n", a, b);
	}
	if (a || b)
		n += (size_t)snprintf(why + n, sizeof(why) - n, "# ends with a line more: %.200s\n", a ? a : b);
	snprintf(name, sizeof(name), "%s, %s, %u results", part, where, same + different);
	check(!different && !a && !b && same > 3, name, "%u of them differ", different);
	if (n)
		dprintf(1, "%s", why);
}

/* A fresh tree, in which a program runs. */
static pid_t begin(void)
{
	pid_t pid;

	view_tree(top);
	pid = fork();
	if (!pid) {
		/* Which fails as long as the other has it open. */
		while (execl("./busy", "busy", "1000", (char *)NULL) < 0 && errno == ETXTBSY)
			usleep(500);
		_exit(1);
	}
	/* Until it is no copy of this one any more. */
	for (int i = 0, fd; i < 10000 && (fd = open("busy", O_WRONLY | O_CLOEXEC)) >= 0; i++) {
		close(fd);
		usleep(1000);
	}
	return pid;
}

static void end(pid_t pid)
{
	if (pid > 0)
		kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static const struct {
	const char *name;
	size_t (*run)(size_t part, char *out);
} places[] = {{"as a worker", as_worker}, {"in place", in_place}, {"under airlock run", under_run}};

int main(int argc, char **argv)
{
	static char want[CAP], got[CAP], copied[CAP];
	const char *dir = getenv("TMPDIR"), *only = getenv("PART");

	airlock_init(argc, argv);
	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc == 4 && !strcmp(argv[1], "battery")) {
		size_t n = battery((size_t)atoi(argv[2]), argv[3], got, sizeof(got));
		for (size_t at = 0; at < n;) {
			ssize_t done = write(1, got + at, n - at);
			if (done <= 0)
				return 1;
			at += (size_t)done;
		}
		return 0;
	}
	if (argc != 2) {
		fprintf(stderr, "usage: live_view AIRLOCK\n");
		return 2;
	}
	command = argv[1];
	tap_prefix = "view: ";
	snprintf(base, sizeof(base), "%.160s/airlock-view-XXXXXX", dir ? dir : "/tmp");
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (!mkdtemp(base) || n < 0) {
		perror("live_view");
		return 1;
	}
	self[n] = 0;
	chmod(base, 0755);
	snprintf(top, sizeof(top), "%s/t", base);
	for (size_t i = 0; i < PARTS; i++) {
		if (only && !strstr(only, parts[i].name))
			continue;
		pid_t pid = begin();
		natively(i, want);
		end(pid);
		for (size_t k = 0; k < sizeof(places) / sizeof(places[0]); k++) {
			pid = begin();
			places[k].run(i, got);
			end(pid);
			memcpy(copied, want, sizeof(want));
			compare(parts[i].name, places[k].name, copied, got);
		}
	}
	(void)!chdir("/");
	tree_remove(top);
	rmdir(base);
	return tap_failed != 0;
}
