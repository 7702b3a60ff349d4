/* SPDX-License-Identifier: ISC */
/* Owns the files that libc opens late, on its own account (the time zone, the locale, the name services' settings), and
 * that a promise therefore gives whatever is unveiled: read-only, by their exact names, held since before the broker
 * confined itself, so that no symlink put there later leads elsewhere. Runs in the broker. */
#include "broker/broker.h"

#include "policy/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum kind { FILE_READ, TREE, DEVICE_READ, DEVICE_WRITE };

#if defined(__x86_64__)
#define TRIPLET "x86_64-linux-gnu"
#elif defined(__aarch64__)
#define TRIPLET "aarch64-linux-gnu"
#endif

#define STDIO PROMISE_BIT(stdio)
#define GETPW PROMISE_BIT(getpw)
#define DNS PROMISE_BIT(dns)

static const struct {
	const char *path;
	enum kind kind;
	uint64_t promises; /* one of */
} files[] = {
	{"/dev/null", DEVICE_WRITE, STDIO},
	{"/dev/zero", DEVICE_WRITE, STDIO},
	{"/dev/full", DEVICE_WRITE, STDIO},
	{"/dev/random", DEVICE_READ, STDIO},
	{"/dev/urandom", DEVICE_READ, STDIO},
	{"/etc/localtime", FILE_READ, STDIO},
	{"/usr/share/zoneinfo", TREE, STDIO},
	{"/usr/lib/locale", TREE, STDIO},
	{"/usr/share/locale/locale.alias", FILE_READ, STDIO},
	{"/usr/lib/" TRIPLET "/gconv/gconv-modules.cache", FILE_READ, STDIO},
	{"/usr/lib64/gconv/gconv-modules.cache", FILE_READ, STDIO},
	{"/usr/lib/gconv/gconv-modules.cache", FILE_READ, STDIO},
	{"/sys/devices/system/cpu/online", FILE_READ, STDIO},
	{"/sys/devices/system/cpu/possible", FILE_READ, STDIO},
	{"/etc/passwd", FILE_READ, GETPW},
	{"/etc/group", FILE_READ, GETPW},
	{"/etc/nsswitch.conf", FILE_READ, GETPW | DNS},
	{"/etc/resolv.conf", FILE_READ, DNS},
	{"/etc/hosts", FILE_READ, DNS},
	{"/etc/services", FILE_READ, DNS},
	{"/etc/protocols", FILE_READ, DNS},
	{"/etc/host.conf", FILE_READ, DNS},
	{"/etc/gai.conf", FILE_READ, DNS},
};
#define FILES (sizeof(files) / sizeof(files[0]))
_Static_assert(FILES <= LIBC_FILES, "struct broker holds a descriptor for each");

static const struct {
	const char *path;
	uint64_t promises;
} proc_files[] = {
	{"/proc/self", STDIO}, /* its own number */
	{"/proc/self/maps", STDIO}, /* pthread_getattr_np */
	{"/proc/self/loginuid", STDIO}, /* getlogin */
	{"/proc/self/exe", STDIO}, /* its name, not its bytes: see proc.c */
	{"/proc/sys/kernel/ngroups_max", STDIO},
	{"/proc/sys/vm/overcommit_memory", STDIO}, /* malloc */
	{"/proc/meminfo", PROMISE_BIT(vminfo)},
	{"/proc/vmstat", PROMISE_BIT(vminfo)},
	{"/proc/stat", PROMISE_BIT(vminfo)},
};

static const struct {
	const char *path, *means;
} own_descriptors[] = {
	{"/dev/stdin", "/proc/self/fd/0"},
	{"/dev/stdout", "/proc/self/fd/1"},
	{"/dev/stderr", "/proc/self/fd/2"},
};

/* What loaders ask for and nearly never find. Hidden or not, that is no refusal to tell of. */
static const char *const loader_settings[] = {
	"/etc/ld.so.preload", "/etc/ld-musl-x86_64.path", "/etc/ld-musl-aarch64.path"};

static bool loader_setting(const struct request *r, const char *path)
{
	if (!request_loading(r))
		return false;
	for (size_t i = 0; i < sizeof(loader_settings) / sizeof(loader_settings[0]); i++)
		if (strcmp(path, loader_settings[i]) == 0)
			return true;
	return false;
}

static int open_symlinks(int base, const char *rest, int flags, uint64_t resolve)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC), .resolve = resolve | RESOLVE_NO_MAGICLINKS};
	int fd = (int)syscall(SYS_openat2, base, rest, &how, sizeof(how));
	return fd < 0 ? -errno : fd;
}

static bool is_kind(int fd, enum kind kind)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return false;
	return kind == FILE_READ ? S_ISREG(st.st_mode) : kind == TREE ? S_ISDIR(st.st_mode) : S_ISCHR(st.st_mode);
}

void libc_files_open(struct broker *b)
{
	for (size_t i = 0; i < LIBC_FILES; i++)
		b->libc[i] = -1;
	for (size_t i = 0; i < FILES; i++) {
		if (!(b->policy.promises & files[i].promises))
			continue;
		int fd = open_symlinks(b->root, files[i].path + 1, O_PATH, RESOLVE_IN_ROOT);
		if (fd >= 0 && (!is_kind(fd, files[i].kind) || is_procfs(fd))) {
			close(fd);
			fd = -1;
		}
		b->libc[i] = fd < 0 ? -1 : fd;
	}
}

void libc_files_close(struct broker *b)
{
	for (size_t i = 0; i < LIBC_FILES; i++) {
		if (b->libc[i] >= 0)
			close(b->libc[i]);
		b->libc[i] = -1;
	}
}

size_t libc_files_rules(const struct broker *b, struct landlock_rule *out)
{
	size_t n = 0;
	for (size_t i = 0; i < FILES; i++)
		if (b->libc[i] >= 0)
			out[n++] = (struct landlock_rule){b->libc[i], files[i].kind == TREE,
				files[i].kind == DEVICE_WRITE ? PERM_R | PERM_W : PERM_R};
	if (b->proc >= 0)
		out[n++] = (struct landlock_rule){b->proc, true, PERM_R};
	return n;
}

int fd_reopen(const struct broker *b, int fd, int flags)
{
	char name[32];
	snprintf(name, sizeof(name), "self/fd/%d", fd);
	int again = openat(b->proc, name, (flags & ~O_NOFOLLOW) | O_CLOEXEC);
	return again < 0 ? -errno : again;
}

static bool own_descriptor(const char *text)
{
	return strncmp(text, "/proc/self/fd/", 14) == 0;
}

bool libc_file_at(const struct broker *b, size_t i, struct libc_file *out)
{
	if (i >= FILES)
		return false;
	enum kind kind = files[i].kind;
	*out = (struct libc_file){files[i].path, b->libc[i], kind == TREE, kind == DEVICE_READ || kind == DEVICE_WRITE};
	return true;
}

bool libc_files_promise(uint64_t promises, const char *text)
{
	if (own_descriptor(text))
		return promises & STDIO; /* what it holds already */
	for (size_t i = 0; i < sizeof(proc_files) / sizeof(proc_files[0]); i++)
		if (strcmp(text, proc_files[i].path) == 0)
			return promises & proc_files[i].promises;
	return false;
}

bool libc_files_proc(const struct request *r, const char *text)
{
	return libc_files_promise(policy_of(r)->promises, text);
}

static int open_tree_file(const struct broker *b, size_t i, const char *rest, int flags)
{
	struct stat st;
	int fd = open_symlinks(b->libc[i], *rest ? rest : ".", flags, RESOLVE_BENEATH);
	if (fd < 0)
		return -ENOENT;
	if (fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || ((flags & O_PATH) && S_ISDIR(st.st_mode))))
		return fd;
	close(fd);
	return -ENOENT;
}

static int open_file(const struct request *r, size_t i, const char *rest, int flags)
{
	const struct broker *b = r->family->broker;
	enum kind kind = files[i].kind;
	int access = flags & O_ACCMODE;
	if (b->libc[i] < 0 || !(policy_of(r)->promises & files[i].promises) || access == O_ACCMODE)
		return -ENOENT;
	if (kind == DEVICE_WRITE || kind == DEVICE_READ) {
		if ((flags & O_CREAT) && (flags & O_EXCL))
			return -EEXIST;
		flags &= ~(O_CREAT | O_TRUNC);
	}
	if (!(flags & O_PATH) && ((flags & (O_CREAT | O_TRUNC)) || (access != O_RDONLY && kind != DEVICE_WRITE)))
		return -ENOENT;
	if ((flags & O_TMPFILE) == O_TMPFILE)
		return -ENOENT;
	/* A regular file opens at once, as do these devices: nothing here needs O_NONBLOCK. */
	return kind == TREE ? open_tree_file(b, i, rest, flags) : fd_reopen(b, b->libc[i], flags);
}

/* The row that names text or a tree that it lies in; FILES when none does. */
static size_t row_of(const char *text)
{
	for (size_t i = 0; i < FILES; i++) {
		size_t len = strlen(files[i].path);
		if (strncmp(text, files[i].path, len) == 0 &&
			(text[len] == 0 || (files[i].kind == TREE && text[len] == '/')))
			return i;
	}
	return FILES;
}

/* Reading what libc may read: that it is not there is an answer, not a refusal. */
static bool only_missing(const struct request *r, const char *text, int flags)
{
	size_t i = row_of(text);
	return i < FILES && (policy_of(r)->promises & files[i].promises) && (flags & O_ACCMODE) == O_RDONLY &&
	       !(flags & (O_CREAT | O_TRUNC));
}

static int find(struct request *r, const char *text, int flags)
{
	uint64_t promises = policy_of(r)->promises;
	for (size_t i = 0; i < sizeof(own_descriptors) / sizeof(own_descriptors[0]); i++)
		if (strcmp(text, own_descriptors[i].path) == 0)
			text = own_descriptors[i].means;
	char fd_text[64];
	if (strncmp(text, "/dev/fd/", 8) == 0) {
		snprintf(fd_text, sizeof(fd_text), "/proc/self/fd/%.20s", text + 8);
		text = fd_text;
	}
	if (in_proc(text))
		return libc_files_proc(r, text) ? proc_open(r, text, flags) : -ENOENT;
	if ((promises & GETPW) && (strcmp(text, "/etc/shadow") == 0 || strcmp(text, "/etc/gshadow") == 0))
		return -EPERM;
	if ((promises & PROMISE_BIT(tty)) && strcmp(text, "/dev/tty") == 0)
		return terminal_again(r, flags);
	size_t i = row_of(text);
	if (i < FILES) {
		size_t len = strlen(files[i].path);
		return open_file(r, i, text[len] ? text + len + 1 : text + len, flags);
	}
	return -ENOENT;
}

int libc_files_else(struct request *r, int which, int flags, int e)
{
	char text[CANONICAL_MAX];
	bool slash;
	const char *path = r->path[which];
	if (e == -ENOENT && !r->missing_perms)
		r->missing_promise = PROMISE_COUNT; /* not there, which a loader may know */
	if (!path || *path != '/' || path_collapse(text, 0, path, &slash) != 0)
		return e;
	bool setting = loader_setting(r, text);
	int fd = setting ? -ENOENT : find(r, text, flags);
	if (fd == -ENOENT && !setting && !only_missing(r, text, flags))
		return e;
	/* Served, or refused as a matter of course: nothing to report. */
	r->missing_promise = PROMISE_COUNT;
	r->missing_perms = 0;
	return fd;
}
