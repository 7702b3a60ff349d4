/* SPDX-License-Identifier: ISC */
/* unveil to the letter: what each rule shows and with which errno it refuses, what follows names and what follows objects;
 * and that no call in any form tells what is hidden and there from what is hidden and not. In workers and in place. */
#include "sandbox/airlock.h"
#include "tests/tap.h"
#include "tests/unveil.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CAP 65536
static char top[200];
static char *out;
static size_t out_len;

static const char *name_of(int e)
{
	const char *name = e ? strerrorname_np(e) : "0";

	return name ? name : "?";
}

static void told(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void told(const char *format, ...)
{
	va_list args;

	if (out_len + 1000 > CAP)
		return;
	va_start(args, format);
	out_len += (size_t)vsnprintf(out + out_len, 1000, format, args);
	va_end(args);
}

/* ---- what must be ---- */

struct expectation {
	const char *path;
	enum call call;
	int want;
};

static void expect(const char *path, enum call c, int want)
{
	int got = call(c, path);

	if (got != want)
		told("%s \"%s\": %s, not %s\n", call_names[c], path, name_of(got), name_of(want));
}

/* Each line of section 2 of the semantics that a single call can show. */
static const struct expectation expectations[] = {
	/* Nothing is hidden of what a directory's rule covers; the most specific decides, without union. */
	{"open/file", OPEN, 0},
	{"open/file", OPEN_W, 0},
	{"open/dir/inner", STAT, 0},
	{"open", STAT, 0},
	{"ro/file", OPEN, 0},
	{"ro/file", OPEN_W, EACCES},
	{"ro/new", OPEN_RW_CREAT, EACCES},
	{"ro/new", MKDIR, EACCES},
	{"ro/file", UNLINK, EACCES},
	{"ro/sub", RMDIR, EACCES},
	{"ro/file", TRUNCATE, EACCES},
	{"ro/file", OPEN_TRUNC, EACCES},
	{"open/ro", OPEN, 0},
	{"open/ro/file", OPEN_W, EACCES},
	{"open/ro/file", OPEN, 0},
	{"ro/rw/file", OPEN_W, 0},
	{"ro/rw/new", MKDIR, EACCES},
	/* "" hides. */
	{"open/hid", STAT, ENOENT},
	{"open/hid/file", OPEN, ENOENT},
	{"open/hidfile", STAT, ENOENT},
	{"open/hidfile", OPEN_RW_CREAT, ENOENT},
	{"open/hid/new", MKDIR, ENOENT},
	{"open/hid", RMDIR, ENOENT},
	/* and what is unveiled below it is there again. */
	{"open/hid/shown/file", OPEN, 0},
	{"open/hid/shown", STAT, 0},
	/* A name's rule is that name's alone, and its directory stays invisible. */
	{"one/only", OPEN, 0},
	{"one/only", OPEN_W, EACCES},
	{"one/other", OPEN, ENOENT},
	{"one", STAT, ENOENT},
	{"one", OPEN_DIR, ENOENT},
	{"one", CHDIR, ENOENT},
	{"one/only/", STAT, ENOTDIR},
	{"one/only/x", STAT, ENOTDIR},
	{"one/hardlink", OPEN, ENOENT},
	/* What is not unveiled. */
	{"secret", STAT, ENOENT},
	{"secret/file", OPEN, ENOENT},
	{"", OPEN, ENOENT},
	{".", STAT, ENOENT},
	{"..", STAT, ENOENT},
	{"open/..", STAT, ENOENT},
	{"open/../secret/file", OPEN, ENOENT},
	{"open/dir/..", STAT, 0},
	{"open/dir/../file", OPEN, 0},
	{"open/../ro/file", OPEN, 0},
	{"open/../open/file", OPEN, 0},
	/* stat needs r; so do X_OK and F_OK, and no more than r. */
	{"xonly", STAT, EACCES},
	{"xonly", OPEN, EACCES},
	{"xonly", ACCESS_X, EACCES},
	{"xonly", ACCESS_F, EACCES},
	{"wonly", OPEN, EACCES},
	{"wonly", OPEN_W, 0},
	{"wonly", STAT, EACCES},
	{"ro/prog", ACCESS_X, 0},
	{"ro/file", ACCESS_F, 0},
	{"ro/file", ACCESS_W, EACCES},
	{"ro/prog", EXECVE, EACCES},
	/* Links: themselves by where they lie, what they mean by where it lies. */
	{"open/to_file", OPEN, 0},
	{"open/to_ro", OPEN, 0},
	{"open/to_ro", OPEN_W, EACCES},
	{"open/to_secret", OPEN, ENOENT},
	{"open/to_secret", LSTAT, 0},
	{"open/to_secret", READLINK, 0},
	{"open/to_secret", STAT, ENOENT},
	{"open/to_secret", OPEN_RW_CREAT, ENOENT},
	{"open/to_hid", OPEN, ENOENT},
	{"open/to_hid", LSTAT, 0},
	{"open/to_chain", OPEN, 0},
	{"open/to_secret_dir/file", OPEN, ENOENT},
	{"open/to_one", OPEN, 0},
	{"open/to_new_secret", OPEN_RW_CREAT, ENOENT},
	{"open/to_hidden_link", OPEN, 0},
	{"open/hid/link", LSTAT, ENOENT},
	{"open/hid/link", READLINK, ENOENT},
	{"open/to_one_dir/only", OPEN, 0},
	{"open/to_one_dir", STAT, ENOENT},
	/* Missing when it was unveiled, made since. */
	{"open/later", OPEN, ENOENT},
	{"late/file", OPEN_RW_CREAT, 0},
	{"late/file", OPEN, 0},
	{"late/file", UNLINK, 0},
	{"late/file", OPEN, ENOENT},
	{"late/file", MKDIR, 0},
	{"late/file", STAT, 0},
	{"late/file", RMDIR, 0},
	{"late/other", OPEN_RW_CREAT, ENOENT},
	/* A name may be deleted and made again. */
	{"late/again", UNLINK, 0},
	{"late/again", STAT, ENOENT},
	{"late/again", OPEN_EXCL, 0},
	{"late/again", OPEN, 0},
	/* Directories are held: they can not be removed or renamed by name through their own rule. */
	{"ro", RMDIR, EACCES},
	{"open", MKDIR, EEXIST},
	{"ro", MKDIR, EEXIST},
};

static void semantics(void)
{
	char cwd[PATH_MAX];
	struct stat st;
	int fd, dir;

	for (size_t i = 0; i < sizeof(expectations) / sizeof(expectations[0]); i++)
		expect(expectations[i].path, expectations[i].call, expectations[i].want);
	/* The directory that it started in is hidden: it is there all the same. */
	if (!getcwd(cwd, sizeof(cwd)) || strcmp(cwd, top) != 0)
		told("getcwd in a hidden directory: %s\n", cwd);
	/* rmdir and mkdir of the same name is another directory for a rule, but not for a wider one. */
	if (rmdir("open/dirrule") == 0 || errno != EBUSY)
		told("rmdir of an unveiled directory: %s\n", name_of(errno));
	dir = open("open/dir", O_RDONLY | O_DIRECTORY);
	fd = openat(dir, "../../secret/file", O_RDONLY);
	if (fd >= 0 || errno != ENOENT)
		told("up from a directory's descriptor: %s\n", name_of(errno));
	close(dir);
	/* Descriptors and directories from before. */
	if (fstat(50, &st) == 0) {
		char c;
		if (pread(51, &c, 1, 0) != 1)
			told("a file's descriptor from before cannot be read\n");
		if (fstatat(50, "file", &st, 0) == 0 || errno != ENOENT)
			told("a hidden directory's descriptor from before gives its file: %s\n", name_of(errno));
		if (openat(50, "file", O_RDONLY) >= 0 || errno != ENOENT)
			told("a hidden directory's descriptor from before opens its file: %s\n", name_of(errno));
		if (openat(50, "../open/file", O_RDONLY) < 0)
			told("from a hidden directory's descriptor nothing is reached: %s\n", name_of(errno));
		if (fchdir(50))
			told("fchdir to a hidden directory: %s\n", name_of(errno));
		if (open("file", O_RDONLY) >= 0 || errno != ENOENT)
			told("relative to a hidden directory: %s\n", name_of(errno));
		if (open("../open/file", O_RDONLY) < 0)
			told("relative out of a hidden directory: %s\n", name_of(errno));
		if (!chdir(top) || errno != ENOENT)
			told("back to a hidden directory by its name: %s\n", name_of(errno));
	}
}

/* ---- nothing tells ---- */

static const struct {
	const char *there, *missing;
} pairs[] = {
	{"secret", "absent"},
	{"secret/file", "absent/file"},
	{"secret/file", "secret/absent"},
	{"secret/dir", "secret/absent"},
	{"secret/link", "secret/absent"},
	{"secret/fifo", "secret/absent"},
	{"open/dark", "open/ghost"},
	{"open/hidfile", "open/ghost"},
	{"open/dark/link", "open/dark/absent"},
	{"open/hidfifo", "open/ghost"},
	{"open/dark/file", "open/ghost/file"},
	{"open/dark/file", "open/dark/absent"},
	{"open/dark/noexec/file", "open/dark/absent/file"},
	{"one/other", "one/absent"},
	{"one/otherdir", "one/absent"},
	{"late/there", "late/absent"},
	{"open/to_secret", "open/to_absent"},
	{"open/to_secret_dir", "open/to_absent"},
	{"open/to_dark", "open/to_ghost"},
	{"open/to_hidfile", "open/to_ghost"},
	{"open/to_secret_dir/file", "open/to_absent/file"},
	{"/proc/1/status", "/proc/999999999/status"},
	{"/etc/shadow", "/etc/absent"},
	{"/root", "/absent"},
};

static const char *const forms[] = {"%s", "%s/", "%s//", "%s/.", "%s/..", "%s/../", "%s/x", "%s/x/", "%s/x/..",
	"%s/./x", "%s/../open/file", "%s/../absent", "open/../%s", "./%s", "open/dir/../../%s", "%s/LONG", "%s/x/LONG",
	"%s/../LONG", "LONG/../%s"};

static bool about_the_link(enum call c)
{
	return c == LSTAT || c == READLINK || c == UNLINK || c == RENAME_FROM || c == RENAME_TO || c == RENAME_EXCH ||
	       c == RENAME_NOREPL || c == LINK_FROM || c == LINK_TO || c == SYMLINK_TO || c == OPEN_PATH_NOFOLLOW ||
	       c == RMDIR || c == MKDIR || c == CHMOD_NOFOLLOW || c == ACCESS_NOFOLLOW || c == OPEN_NOFOLLOW ||
	       c == OPEN_EXCL || c == MKNOD || c == MKFIFO;
}

static void expand(const char *form, const char *path, char *buf, size_t len)
{
	static char component[257];
	size_t n = 0;

	memset(component, 'l', 256);
	for (; *form && n + 300 < len; form++) {
		if (form[0] == '%' && form[1] == 's') {
			n += (size_t)snprintf(buf + n, len - n, "%s", path);
			form++;
		} else if (!strncmp(form, "LONG", 4)) {
			n += (size_t)snprintf(buf + n, len - n, "%s", component);
			form += 3;
		} else {
			buf[n++] = *form;
		}
	}
	buf[n] = 0;
}

static void oracle(void)
{
	char there[2048], missing[2048];

	snprintf(spare, sizeof(spare), "open/spare");
	for (size_t p = 0; p < sizeof(pairs) / sizeof(pairs[0]); p++)
		for (size_t f = 0; f < sizeof(forms) / sizeof(forms[0]); f++)
			for (int c = 0; c < CALLS; c++) {
				bool links = strstr(pairs[p].there, "/to_") != NULL;
				bool ends = !strcmp(forms[f] + strlen(forms[f]) - 2, "%s");

				if ((forms[f][0] != '%' && pairs[p].there[0] == '/') ||
					(links && ends && about_the_link(c)))
					continue;
				/* A name that may not be there is allowed to be made: there the policy says yes. */
				expand(forms[f], pairs[p].there, there, sizeof(there));
				expand(forms[f], pairs[p].missing, missing, sizeof(missing));
				int a = call((enum call)c, there), b = call((enum call)c, missing);

				if (a != b)
					told("%s \"%.80s\": %s, but \"%.80s\": %s\n", call_names[c], there, name_of(a),
						missing, name_of(b));
			}
}

static ssize_t unveil_part(const void *in, size_t len, void *buf, size_t cap)
{
	const char *text = in;

	if (len < 2 || cap < CAP)
		return -1;
	out = buf;
	out_len = 0;
	calls_made = 0;
	snprintf(top, sizeof(top), "%s", text + 1);
	if (chdir(top))
		told("chdir to the start: %s\n", name_of(errno));
	if (text[0] == 's')
		semantics();
	else
		oracle();
	if (!out_len)
		told("fine: %u calls\n", calls_made);
	return (ssize_t)out_len;
}
AIRLOCK_FUNCTION(unveil_part)

/* One call on a path, whose errno is the answer. */
static ssize_t probe(const void *in, size_t len, void *buf, size_t cap)
{
	const char *text = in;

	if (len < 3 || cap < sizeof(int))
		return -1;
	*(int *)buf = call((enum call)(text[0] - ' '), text + 1);
	return sizeof(int);
}
AIRLOCK_FUNCTION(probe)

/* ---- the tree and the policy ---- */

static int drop(const char *path, const struct stat *st, int type, struct FTW *w)
{
	(void)st, (void)type, (void)w;
	return remove(path);
}

static void put(const char *path, mode_t mode)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);

	if (fd < 0 || write(fd, "text\n", 5) != 5 || fchmod(fd, mode))
		fprintf(stderr, "# %s: %s\n", path, strerror(errno));
	close(fd);
}

static void tree(void)
{
	static const char *const dirs[] = {"open", "open/dir", "open/dirrule", "open/ro", "open/hid", "open/hid/shown",
		"open/dark", "open/dark/noexec", "ro", "ro/sub", "ro/rw", "one", "one/otherdir", "secret", "secret/dir",
		"late"};
	static const char *const files[] = {"open/file", "open/spare", "open/dir/inner", "open/ro/file",
		"open/hid/file", "open/dark/file", "open/hid/shown/file", "open/dark/noexec/file", "open/hidfile",
		"ro/file", "ro/rw/file", "one/only", "one/kept", "one/plain", "one/other", "secret/file", "late/again",
		"late/there", "xonly", "wonly"};
	static const char *const links[][2] = {{"file", "open/to_file"}, {"../ro/file", "open/to_ro"},
		{"../secret/file", "open/to_secret"}, {"../secret", "open/to_secret_dir"},
		{"../absent", "open/to_absent"}, {"hid", "open/to_hid"}, {"dark", "open/to_dark"},
		{"file", "open/dark/link"}, {"hidfile", "open/to_hidfile"}, {"ghost", "open/to_ghost"},
		{"to_file", "open/to_chain"}, {"../one/only", "open/to_one"}, {"../one", "open/to_one_dir"},
		{"../secret/new", "open/to_new_secret"}, {"../file", "open/hid/link"},
		{"hid/link", "open/to_hidden_link"}, {"file", "secret/link"}};

	chdir("/");
	nftw(top, drop, 16, FTW_PHYS | FTW_DEPTH);
	umask(022);
	mkdir(top, 0755);
	if (chdir(top))
		return;
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		mkdir(dirs[i], 0755);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		put(files[i], 0644);
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		(void)!symlink(links[i][0], links[i][1]);
	(void)!link("one/only", "one/hardlink");
	put("ro/prog", 0755);
	put("xonly", 0755);
	mkfifo("open/hidfifo", 0644);
	mkfifo("secret/fifo", 0644);
}

static int policy_make(struct airlock_policy **policy)
{
	static const char *const rules[][2] = {{"open", "rwc"}, {"open/dirrule", "rwc"}, {"open/ro", "r"},
		{"open/hid", ""}, {"open/dark", ""}, {"open/hidfile", ""}, {"open/hidfifo", ""}, {"open/ghost", ""},
		{"open/hid/shown", "r"}, {"ro", "r"}, {"ro/rw", "rw"}, {"one/only", "r"}, {"one/kept", "rc"},
		{"late/file", "rwc"}, {"late/again", "rwc"}, {"late/read", "r"}, {"one/plain", "rw"}, {"xonly", "x"},
		{"wonly", "w"}};

	if (airlock_policy_new(policy, "stdio rpath wpath cpath dpath fattr chown proc exec"))
		return -1;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		char path[400];

		snprintf(path, sizeof(path), "%s/%s", top, rules[i][0]);
		if (airlock_policy_unveil(*policy, path, rules[i][1]))
			return -1;
	}
	return 0;
}

static void judge_text(const char *name, const char *text)
{
	bool fine = !strncmp(text, "fine: ", 6);

	check(fine, name, "%.400s", text);
	if (!fine)
		for (const char *at = text; *at;) {
			size_t n = strcspn(at, "\n");

			printf("# %.*s\n", (int)n, at);
			at += n + (at[n] != 0);
		}
}

static void as_worker(const char *part, const char *name)
{
	static char text[CAP + 1];
	struct airlock_policy *policy = NULL;
	struct airlock_target *t = NULL;
	char in[256];
	ssize_t n;

	tree();
	snprintf(in, sizeof(in), "%s%s", part, top);
	if (policy_make(&policy) || airlock_start(&t, policy, NULL, NULL, NULL)) {
		check(false, name, "cannot start: %s", airlock_message());
	} else {
		n = airlock_call(t, "unveil_part", in, strlen(in) + 1, text, CAP);
		text[n > 0 ? n : 0] = 0;
		judge_text(name, n > 0 ? text : airlock_message());
	}
	airlock_free(t);
	airlock_policy_free(policy);
}

static void in_place(const char *part, const char *name)
{
	static char text[CAP + 1];
	struct airlock_policy *policy = NULL;
	char in[256];
	int fds[2];
	size_t n = 0;
	ssize_t got;

	tree();
	if (pipe2(fds, O_CLOEXEC))
		return;
	pid_t pid = fork();
	if (!pid) {
		dup2(open("secret", O_RDONLY | O_DIRECTORY), 50);
		dup2(open("secret/file", O_RDONLY), 51);
		if (policy_make(&policy) || airlock_enter(policy) < 0) {
			dprintf(fds[1], "cannot enter: %s\n", airlock_message());
			_exit(1);
		}
		snprintf(in, sizeof(in), "%s%s", part, top);
		got = unveil_part(in, strlen(in) + 1, text, CAP);
		for (ssize_t at = 0, w; at < got; at += w)
			if ((w = write(fds[1], text + at, (size_t)(got - at))) <= 0)
				break;
		_exit(0);
	}
	close(fds[1]);
	while (n < CAP && (got = read(fds[0], text + n, CAP - n)) > 0)
		n += (size_t)got;
	text[n] = 0;
	close(fds[0]);
	waitpid(pid, NULL, 0);
	judge_text(name, n ? text : "it died");
}

static void ask(struct airlock_target *t, enum call c, const char *path, int want, const char *name)
{
	char in[400];
	int got = -1;

	snprintf(in, sizeof(in), "%c%s/%s", ' ' + (int)c, top, path);
	if (airlock_call(t, "probe", in, strlen(in) + 1, &got, sizeof(got)) != sizeof(got))
		got = -1;
	check(got == want, name, "%s \"%s\": %s, not %s", call_names[c], path, name_of(got), name_of(want));
}

/* What others do to the unveiled objects meanwhile. */
static void objects(void)
{
	struct airlock_policy *policy = NULL;
	struct airlock_target *t = NULL;

	tree();
	if (!check(!policy_make(&policy) && !airlock_start(&t, policy, NULL, NULL, NULL),
		    "a target while its objects change", "%s", airlock_message())) {
		airlock_policy_free(policy);
		return;
	}
	ask(t, OPEN, "ro/file", 0, "before");
	/* A directory is an object. It keeps the name that it was unveiled by; its new one says nothing to the rules. */
	rename("ro", "moved");
	ask(t, OPEN, "ro/file", 0, "a directory that was renamed is still there");
	ask(t, OPEN, "moved/file", ENOENT, "by the name that was unveiled, not by the new one");
	mkdir("ro", 0755);
	put("ro/file", 0644);
	put("ro/other", 0644);
	ask(t, OPEN, "ro/other", ENOENT, "another directory of its name is not unveiled");
	ask(t, OPEN, "ro/file", 0, "and does not cover the one that was");
	/* Removed and made again it is gone. */
	unlink("open/dirrule");
	rmdir("open/dirrule");
	mkdir("open/dirrule", 0755);
	put("open/dirrule/new", 0644);
	ask(t, STAT, "open/dirrule/new", ENOENT, "a directory that was removed and made again has vanished");
	ask(t, OPEN_RW_CREAT, "open/dirrule/more", ENOENT, "and nothing can be made in it");
	/* A name is a name, also where it may not be made: the opener has it, and no more than its rule says. */
	ask(t, OPEN, "one/plain", 0, "a name that may be read and written");
	put("one/new", 0644);
	rename("one/new", "one/plain");
	ask(t, OPEN, "one/plain", 0, "a file that took the place of another is read");
	ask(t, OPEN_W, "one/plain", 0, "and written");
	ask(t, OPEN_TRUNC, "one/plain", 0, "and emptied");
	ask(t, OPEN_RW_CREAT, "one/plain", EACCES, "and not made");
	unlink("one/plain");
	(void)!symlink("../secret/file", "one/plain");
	ask(t, OPEN, "one/plain", ENOENT, "a link in its place leads nowhere");
	unlink("one/plain");
	mkfifo("one/plain", 0600);
	ask(t, LSTAT, "one/plain", 0, "a FIFO in its place is there");
	ask(t, OPEN, "late/read", ENOENT, "a name that is not there yet");
	put("late/read", 0644);
	ask(t, OPEN, "late/read", 0, "and is now");
	ask(t, OPEN_W, "late/read", EACCES, "to be read only");
	rename("late/read", "late/moved");
	ask(t, OPEN, "late/moved", ENOENT, "the same by another name");
	unlink("one/kept");
	ask(t, OPEN, "one/kept", ENOENT, "a file that was removed");
	put("one/kept", 0644);
	ask(t, OPEN, "one/kept", 0, "and one of its name");
	rename("one/kept", "one/elsewhere");
	ask(t, OPEN, "one/elsewhere", ENOENT, "the file by another name");
	(void)!symlink("../secret/file", "one/kept");
	ask(t, LSTAT, "one/kept", 0, "a link of its name");
	ask(t, OPEN, "one/kept", ENOENT, "which leads out of what is unveiled");
	ask(t, OPEN_RW_CREAT, "one/kept", ENOENT, "and cannot be written through");
	unlink("one/kept");
	(void)!symlink("../ro/file", "one/kept");
	ask(t, OPEN, "one/kept", 0, "or into what is");
	unlink("one/kept");
	mkdir("one/kept", 0755);
	put("one/kept/x", 0644);
	ask(t, STAT, "one/kept", 0, "a directory of its name");
	ask(t, OPEN, "one/kept/x", ENOENT, "of which nothing is unveiled");
	put("open/ghost", 0644);
	ask(t, OPEN, "open/ghost", ENOENT, "a hidden name that is there now");
	airlock_free(t);
	airlock_policy_free(policy);
}

int main(int argc, char **argv)
{
	const char *dir = getenv("TMPDIR");

	airlock_init(argc, argv);
	setvbuf(stdout, NULL, _IONBF, 0);
	tap_prefix = "unveil: ";
	snprintf(top, sizeof(top), "%.150s/airlock-unveil-XXXXXX", dir ? dir : "/tmp");
	if (!mkdtemp(top)) {
		perror("live_unveil");
		return 1;
	}
	as_worker("s", "to the letter, as a worker");
	in_place("s", "to the letter, in place");
	objects();
	as_worker("o", "nothing tells what is hidden, as a worker");
	in_place("o", "nothing tells what is hidden, in place");
	chdir("/");
	nftw(top, drop, 16, FTW_PHYS | FTW_DEPTH);
	return tap_failed != 0;
}
