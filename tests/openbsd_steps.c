/* SPDX-License-Identifier: ISC */
/* Owns cases that are lists of calls with what each must give. The world that they run in is made new for each:
 *   dir/{file,prog,fifo,sub/deep/file}, dir/{out,in,up,abs} are links to ../other/file, file, .., /etc; other/{file,sub/file};
 *   script runs with dir/prog; gone/ can be removed.
 * Runs in a child of the test. */
#include "tests/openbsd.h"
#include "tests/tap.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct walk *walk;
static int held = -1;

static void copy(const char *from, const char *to)
{
	char buf[65536];
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
	ssize_t n;
	while ((n = read(in, buf, sizeof(buf))) > 0)
		if (write(out, buf, (size_t)n) != n)
			n = -1;
	expect_value(__LINE__, to, n, 0);
	close(in);
	close(out);
}

static void tree_make(void)
{
	static const char *const directories[] = {"dir", "dir/sub", "dir/sub/deep", "other", "other/sub", "gone"};
	static const char *const files[] = {"dir/file", "dir/sub/deep/file", "other/file", "other/sub/file"};
	static const char *const links[][2] = {{"../other/file", "dir/out"}, {"file", "dir/in"}, {"..", "dir/up"},
		{"/etc", "dir/abs"}, {"dir", "link"}};
	char text[PATH_MAX];
	world_make();
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
		GIVES(mkdir(in_world(directories[i]), 0755), 0);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		file_make(in_world(files[i]), files[i], 0644);
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		GIVES(symlink(links[i][0], in_world(links[i][1])), 0);
	GIVES(mkfifo(in_world("dir/fifo"), 0600), 0);
	copy("/bin/true", in_world("dir/prog"));
	snprintf(text, sizeof(text), "#!%s\n", in_world("dir/prog"));
	file_make(in_world("script"), text, 0755);
}

/* "@x" means WORLD/x. */
static const char *path_of(const char *text)
{
	return text && *text == '@' ? in_world(text + 1) : text;
}

static int open_flags(const char *how)
{
	static const struct {
		const char *how;
		int flags;
	} map[] = {{"r", O_RDONLY}, {"w", O_WRONLY}, {"rw", O_RDWR}, {"c", O_WRONLY | O_CREAT},
		{"rc", O_RDONLY | O_CREAT}, {"rwc", O_RDWR | O_CREAT}, {"t", O_WRONLY | O_TRUNC},
		{"d", O_RDONLY | O_DIRECTORY}, {"n", O_RDONLY | O_NOFOLLOW}};
	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (strcmp(map[i].how, how) == 0)
			return map[i].flags | O_CLOEXEC;
	abort();
}

static int opened(int dirfd, const char *path, const char *how)
{
	int fd = openat(dirfd, path, open_flags(how), 0644);
	if (fd >= 0)
		close(fd);
	return fd < 0 ? -1 : 0;
}

static int accessed(const char *path, const char *mode)
{
	int bits = F_OK;
	for (; *mode; mode++)
		bits |= *mode == 'r' ? R_OK : *mode == 'w' ? W_OK : *mode == 'x' ? X_OK : F_OK;
	return access(path, bits);
}

static int lists(const char *path, const char *name)
{
	DIR *dir = opendir(path);
	bool found = false;
	for (struct dirent *e; dir && (e = readdir(dir));)
		found = found || !name || strcmp(e->d_name, name) == 0;
	if (!dir)
		return -1;
	closedir(dir);
	errno = found ? errno : ENODATA;
	return found ? 0 : -1;
}

static int socket_of(const char *path, bool bound)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	int r = fd < 0  ? -1
		: bound ? bind(fd, (struct sockaddr *)&a, sizeof(a))
			: connect(fd, (struct sockaddr *)&a, sizeof(a));
	int e = errno;
	if (fd >= 0)
		close(fd);
	errno = e;
	return r;
}

static int executed(const char *path)
{
	pid_t pid = case_fork();
	if (pid == 0) {
		execv(path, (char *[]){"prog", NULL});
		_exit(errno);
	}
	errno = child_ends(pid);
	return errno ? -1 : 0;
}

static int resolved(const char *path)
{
	char buf[PATH_MAX];
	return realpath(path, buf) ? 0 : -1;
}

static int stands(const char *path)
{
	char buf[PATH_MAX];
	if (!getcwd(buf, sizeof(buf)))
		return -1;
	errno = strcmp(buf, path) == 0 ? 0 : ENODATA;
	return errno ? -1 : 0;
}

static int linked(const char *path)
{
	char buf[PATH_MAX];
	return readlink(path, buf, sizeof(buf)) < 0 ? -1 : 0;
}

static int call(const struct step *s, const char *a, const char *b)
{
	struct stat st;
	struct statfs fs;
	switch (s->op) {
	case PLEDGE:
		return pledge(s->a, s->b);
	case UNVEIL:
		return unveil(a, s->b);
	case LOCK:
		return unveil(NULL, NULL);
	case OPEN:
		return opened(AT_FDCWD, a, s->b);
	case OPENAT:
		return opened(held, a, s->b);
	case HOLD:
		held = open(a, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return held < 0 ? -1 : 0;
	case FCHDIR:
		return fchdir(held);
	case CHDIR:
		return chdir(a);
	case STAT:
		return stat(a, &st);
	case LSTAT:
		return lstat(a, &st);
	case STATAT:
		return fstatat(held, a, &st, 0);
	case ACCESS:
		return accessed(a, s->b);
	case READLINK:
		return linked(a);
	case REALPATH:
		return resolved(a);
	case OPENDIR:
	case LISTS:
		return lists(a, s->b);
	case GETCWD:
		return stands(a);
	case MKDIR:
		return mkdir(a, 0755);
	case RMDIR:
		return rmdir(a);
	case UNLINK:
		return unlink(a);
	case RENAME:
		return rename(a, b);
	case LINK:
		return link(a, b);
	case SYMLINK:
		return symlink(a, b);
	case MKFIFO:
		return mkfifo(a, 0600);
	case CHMOD:
		return chmod(a, 0700);
	case CHOWN:
		return chown(a, geteuid(), getegid());
	case UTIMES:
		return utimensat(AT_FDCWD, a, NULL, 0);
	case TRUNCATE:
		return truncate(a, 0);
	case STATFS:
		return statfs(a, &fs);
	case PATHCONF:
		return pathconf(a, _PC_LINK_MAX) < 0 ? -1 : 0;
	case EXEC:
		return executed(a);
	case CONNECT:
	case BIND:
		return socket_of(a, s->op == BIND);
	default:
		abort();
	}
}

static void walk_run(void)
{
	char what[64];
	tree_make();
	GIVES(chdir(world), 0);
	for (const struct step *s = walk->steps; s->op != STEP_END; s++) {
		if (s->op == FORK_STEP) {
			pid_t pid = case_fork();
			if (pid > 0)
				_exit(child_ends(pid));
			continue;
		}
		const char *a = path_of(s->a), *b = path_of(s->b);
		errno = UNTOUCHED;
		int r = call(s, a, b), e = errno;
		snprintf(what, sizeof(what), "step %td (%s, %s)", s - walk->steps + 1, s->a ? s->a : "-",
			s->b ? s->b : "-");
		if (s->op <= LOCK)
			expect_call(__LINE__, what, r, e, s->error);
		else if (s->error)
			expect_error(__LINE__, what, r, e, s->error);
		else if (r)
			expect_call(__LINE__, what, r, e, 0);
	}
}

void walks_run(const char *prefix, const struct walk *table, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		walk = &table[i];
		attempt_run(prefix, &(struct attempt){walk->name, walk_run, walk->ends, walk->line});
	}
}
