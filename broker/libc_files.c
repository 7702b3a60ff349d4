/* SPDX-License-Identifier: ISC */
/* Owns the files that libc opens late, on its own account (the time zone, the locale, the name services' settings), and
 * that a promise therefore gives whatever is unveiled: read-only, by their exact names, held since before the broker
 * confined itself, so that no symlink put there later leads elsewhere. Runs in the broker. */
#include "broker/broker.h"
#include "broker/names.h"
#include "broker/nameservers.h"

#include "ipc/ipc.h"
#include "policy/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum kind {
	FILE_READ,
	LOOK, /* to be looked at only, as stat(2) does */
	TEXT, /* our words in its place: settings[] */
	DEVICE_READ,
	DEVICE_WRITE,
	TREE, /* from here on directories, and what is in them */
	TREE_LOOK,
	LOCALES, /* a part of a locale may be a directory, which is opened to find that out */
	MESSAGES, /* programs' messages alone */
};

#if defined(__x86_64__)
#define MACHINE "x86_64"
#elif defined(__aarch64__)
#define MACHINE "aarch64"
#endif

/* What the machine says here may name modules (systemd, sss, ldap), which libc would load into the target. */
static const char settings[] = "passwd: files\n"
			       "group: files\n"
			       "initgroups: files\n"
			       "shadow: files\n"
			       "gshadow: files\n"
			       "hosts: files dns\n"
			       "networks: files\n"
			       "protocols: files\n"
			       "services: files\n"
			       "ethers: files\n"
			       "rpc: files\n"
			       "aliases: files\n"
			       "netgroup: files\n"
			       "publickey: files\n";

#define HOSTS "/etc/hosts"
#define STDIO PROMISE_BIT(stdio)
#define GETPW PROMISE_BIT(getpw)
#define DNS PROMISE_BIT(dns)
/* No promise: there are rules with the names of hosts, and a promise to use them. Lookups of those names take no more. */
#define NAMED (UINT64_C(1) << 63)
_Static_assert(PROMISE_COUNT < 63, "a bit is left");

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
	{"/usr/share/zoneinfo/localtime", FILE_READ, STDIO}, /* a link that leads out of its directory */
	{"/usr/share/zoneinfo", TREE, STDIO},
	{"/usr/lib/locale", LOCALES, STDIO},
	{"/usr/share/locale/locale.alias", FILE_READ, STDIO},
	{"/usr/share/locale", MESSAGES, STDIO}, /* strerror(), gettext() */
	{"/usr/lib/getconf", TREE_LOOK, STDIO}, /* sysconf() */
	{"/usr/lib/" MACHINE "-linux-gnu/gconv/gconv-modules.cache", FILE_READ, STDIO},
	{"/usr/lib64/gconv/gconv-modules.cache", FILE_READ, STDIO},
	{"/usr/lib/gconv/gconv-modules.cache", FILE_READ, STDIO},
	{"/usr/lib/" MACHINE "-linux-gnu/gconv", TREE, STDIO}, /* iconv()'s: see op_prot_exec() */
	{"/usr/lib64/gconv", TREE, STDIO},
	{"/sys/devices/system/cpu/online", FILE_READ, STDIO},
	{"/sys/devices/system/cpu/possible", FILE_READ, STDIO},
	{"/etc/passwd", FILE_READ, GETPW},
	{"/etc/group", FILE_READ, GETPW},
	{"/etc/nsswitch.conf", TEXT, GETPW | DNS | NAMED},
	{"/", LOOK, GETPW | DNS | NAMED}, /* whether it is another by now than when those settings were read */
	{"/etc/ld.so.cache", FILE_READ, PROMISE_BIT(prot_exec)}, /* dlopen() */
	{"/etc/ld-musl-" MACHINE ".path", FILE_READ, PROMISE_BIT(prot_exec)},
	{"/etc/resolv.conf", FILE_READ, DNS},
	{HOSTS, FILE_READ, DNS}, /* but see hosts_open() */
	{"/etc/services", FILE_READ, DNS | NAMED},
	{"/etc/protocols", FILE_READ, DNS | NAMED},
	{"/etc/host.conf", FILE_READ, DNS | NAMED},
	{"/etc/gai.conf", FILE_READ, DNS | NAMED},
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
	{"/proc/self/comm", STDIO}, /* a thread's name */
	{"/proc/self/exe", STDIO}, /* its name, not its bytes: see proc.c */
	{"/proc/sys/kernel/ngroups_max", STDIO},
	{"/proc/sys/vm/overcommit_memory", STDIO}, /* malloc */
	{"/proc/loadavg", STDIO}, /* getloadavg */
	{"/proc/uptime", PROMISE_BIT(ps)},
	{"/proc/stat", PROMISE_BIT(vminfo) | PROMISE_BIT(ps)},
	{"/proc/meminfo", PROMISE_BIT(vminfo)},
	{"/proc/vmstat", PROMISE_BIT(vminfo)},
	{"/proc/swaps", PROMISE_BIT(vminfo)},
	{"/proc/zoneinfo", PROMISE_BIT(vminfo)},
};

static const struct {
	const char *path, *means;
} own_descriptors[] = {
	{"/dev/stdin", "/proc/self/fd/0"},
	{"/dev/stdout", "/proc/self/fd/1"},
	{"/dev/stderr", "/proc/self/fd/2"},
};

static bool tree(enum kind kind)
{
	return kind >= TREE;
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
	if (tree(kind) || kind == LOOK)
		return S_ISDIR(st.st_mode);
	return kind == FILE_READ ? S_ISREG(st.st_mode) : S_ISCHR(st.st_mode);
}

/* A copy of the directory's mount of its own: a descriptor of it, or of a directory in it, leads no higher. */
static int private_copy(int fd)
{
	int copy = fd < 0 ? fd
			  : (int)syscall(SYS_open_tree, fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_RDONLY};
	if (copy >= 0 && syscall(SYS_mount_setattr, copy, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0) {
		close(copy);
		copy = -1;
	}
	return copy;
}

static uint64_t named_of(const struct policy *p, uint64_t promises)
{
	return promises | ((promises & (DNS | PROMISE_BIT(inet))) && policy_has_names(p) ? NAMED : 0);
}

void libc_files_open(struct broker *b, bool private_mounts)
{
	int resolv = b->locales = -1;
	for (size_t i = 0; i < LIBC_FILES; i++)
		b->libc[i] = -1;
	for (size_t i = 0; i < FILES; i++) {
		if (!(named_of(&b->policy, b->policy.promises) & files[i].promises))
			continue;
		const char *path = files[i].path[1] ? files[i].path + 1 : ".";
		int fd = files[i].kind == TEXT ? ipc_memfd("settings", settings, sizeof(settings) - 1, true)
					       : open_symlinks(b->root, path, O_PATH, RESOLVE_IN_ROOT);
		if (fd >= 0 && files[i].kind != TEXT && (!is_kind(fd, files[i].kind) || is_procfs(fd))) {
			close(fd);
			fd = -1;
		}
		b->libc[i] = fd < 0 ? -1 : fd;
		if (files[i].kind == LOCALES)
			b->locales = private_mounts ? private_copy(fd) : fcntl(fd, F_DUPFD_CLOEXEC, 3);
		if (strcmp(path, "etc/resolv.conf") == 0)
			resolv = b->libc[i];
	}
	nameservers_hold(b, resolv);
}

void libc_files_close(struct broker *b)
{
	nameservers_release(b);
	for (size_t i = 0; i < LIBC_FILES; i++) {
		if (b->libc[i] >= 0)
			close(b->libc[i]);
		b->libc[i] = -1;
	}
	if (b->locales >= 0)
		close(b->locales);
	b->locales = -1;
}

/* Whether the file system's own file of that name is. */
static bool is_read(enum kind kind)
{
	return kind != LOOK && kind != TREE_LOOK && kind != TEXT;
}

size_t libc_files_rules(const struct broker *b, struct landlock_rule *out)
{
	size_t n = 0;
	for (size_t i = 0; i < FILES; i++)
		if (b->libc[i] >= 0 && is_read(files[i].kind))
			out[n++] = (struct landlock_rule){b->libc[i], tree(files[i].kind),
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

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), len = strlen(end);
	return n >= len && strcmp(text + n - len, end) == 0;
}

bool libc_converter(const char *path)
{
	static const char *const directories[] = {"/usr/lib/" MACHINE "-linux-gnu/gconv/", "/usr/lib64/gconv/"};
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
		size_t len = strlen(directories[i]);
		if (strncmp(path, directories[i], len) == 0 && !strchr(path + len, '/') && ends_with(path, ".so"))
			return true;
	}
	return false;
}

bool libc_file_at(const struct broker *b, size_t i, struct libc_file *out)
{
	if (i >= FILES)
		return false;
	enum kind kind = files[i].kind;
	*out = (struct libc_file){files[i].path, is_read(kind) ? b->libc[i] : -1, tree(kind),
		kind == DEVICE_READ || kind == DEVICE_WRITE};
	return true;
}

/* pthread_getname_np() of another thread. */
static bool thread_name(const char *text)
{
	static const char task[] = "/proc/self/task/";
	if (strncmp(text, task, sizeof(task) - 1) != 0)
		return false;
	text += sizeof(task) - 1;
	size_t digits = strspn(text, "0123456789");
	return digits && strcmp(text + digits, "/comm") == 0;
}

bool libc_files_promise(uint64_t promises, const char *text)
{
	if (own_descriptor(text) || thread_name(text))
		return promises & STDIO; /* what it holds already, or is */
	for (size_t i = 0; i < sizeof(proc_files) / sizeof(proc_files[0]); i++)
		if (strcmp(text, proc_files[i].path) == 0)
			return promises & proc_files[i].promises;
	return false;
}

bool libc_files_proc(const struct request *r, const char *text)
{
	return libc_files_promise(policy_of(r)->promises, text);
}

static int open_tree_file(const struct broker *b, size_t i, const char *rest, int flags, bool look)
{
	struct stat st;
	bool part = files[i].kind == LOCALES && ends_with(rest, "/LC_MESSAGES");
	if (files[i].kind == MESSAGES && !look && (!ends_with(rest, ".mo") || !strstr(rest, "LC_MESSAGES/")))
		return -ENOENT;
	int fd = open_symlinks(part && !look ? b->locales : b->libc[i], *rest ? rest : ".", flags, RESOLVE_BENEATH);
	if (fd < 0)
		return -ENOENT;
	if (fstat(fd, &st) == 0 &&
		(S_ISREG(st.st_mode) || (S_ISDIR(st.st_mode) && (look || (part && !(flags & O_PATH))))))
		return fd;
	close(fd);
	return -ENOENT;
}

uint64_t promises_aside(const struct request *r)
{
	const struct policy *p = policy_of(r);
	bool unveiled_alone = r->family->broker->narrowable && !p->pledged && p->promises == PROMISES_ALL;
	return unveiled_alone ? STDIO : p->promises;
}

/* pledge(2) knows, of devices to write to, /dev/null alone, which is the first. */
static bool given(const struct request *r, size_t i)
{
	return (named_of(policy_of(r), promises_aside(r)) & files[i].promises) &&
	       !(i && files[i].kind == DEVICE_WRITE && policy_of(r)->abort);
}

static int open_file(const struct request *r, size_t i, const char *rest, int flags, bool look)
{
	const struct broker *b = r->family->broker;
	enum kind kind = files[i].kind;
	int access = flags & O_ACCMODE;
	if (b->libc[i] < 0 || !given(r, i) || access == O_ACCMODE)
		return -ENOENT;
	if (kind == DEVICE_WRITE || kind == DEVICE_READ) {
		if ((flags & O_CREAT) && (flags & O_EXCL))
			return -EEXIST;
		flags &= ~(O_CREAT | O_TRUNC);
	}
	if (!(flags & O_PATH) && ((flags & (O_CREAT | O_TRUNC)) || (access != O_RDONLY && kind != DEVICE_WRITE)))
		return -ENOENT;
	if ((flags & O_TMPFILE) == O_TMPFILE || (!look && (kind == LOOK || kind == TREE_LOOK)))
		return -ENOENT;
	/* The mode is the owner's, who may be a target. */
	if (kind == TEXT)
		fchmod(b->libc[i], 0444);
	/* A regular file opens at once, as do these devices: nothing here needs O_NONBLOCK. */
	return tree(kind) ? open_tree_file(b, i, rest, flags, look) : fd_reopen(b, b->libc[i], flags);
}

/* The row that names text or a tree that it lies in; FILES when none does. */
static size_t row_of(const char *text)
{
	for (size_t i = 0; i < FILES; i++) {
		size_t len = strlen(files[i].path);
		if (strncmp(text, files[i].path, len) == 0 &&
			(text[len] == 0 || (tree(files[i].kind) && text[len] == '/')))
			return i;
	}
	return FILES;
}

/* Reading what libc may read: that it is not there is an answer, not a refusal. */
static bool only_missing(const struct request *r, const char *text, int flags)
{
	size_t i = row_of(text);
	bool is = i < FILES ? given(r, i) : proc_of_ps(r, text);
	/* libc goes on without it: what then asks a nameserver is refused, and told. */
	is = is || ((named_of(policy_of(r), promises_aside(r)) & NAMED) && strcmp(text, "/etc/resolv.conf") == 0);
	return is && (flags & O_ACCMODE) == O_RDONLY && !(flags & (O_CREAT | O_TRUNC));
}

static int find(struct request *r, const char *text, bool slash, int flags, bool look)
{
	for (size_t i = 0; i < sizeof(own_descriptors) / sizeof(own_descriptors[0]); i++)
		if (strcmp(text, own_descriptors[i].path) == 0)
			text = own_descriptors[i].means;
	char fd_text[64];
	if (strncmp(text, "/dev/fd/", 8) == 0) {
		snprintf(fd_text, sizeof(fd_text), "/proc/self/fd/%.20s", text + 8);
		text = fd_text;
	}
	if (in_proc(text))
		return libc_files_proc(r, text) || proc_of_ps(r, text) ? proc_open(r, text, flags) : -ENOENT;
	if ((policy_of(r)->promises & PROMISE_BIT(tty)) && strcmp(text, "/dev/tty") == 0)
		return terminal_again(r, flags);
	size_t i = row_of(text);
	if (i == FILES)
		return libc_quiet_path(r, text) ? libc_quiet_path(r, text) : -ENOENT;
	size_t len = strlen(files[i].path);
	if (slash && !tree(files[i].kind) && files[i].kind != LOOK)
		return r->family->broker->libc[i] >= 0 ? -ENOTDIR : -ENOENT;
	return open_file(r, i, text[len] ? text + len + 1 : text + len, flags | (slash ? O_DIRECTORY : 0), look);
}

/* Whether text was asked for in a way that this file answers: a refusal then is a matter of course. */
static bool quiet(const struct request *r, const char *text, int flags)
{
	return only_missing(r, text, flags) || libc_quiet_path(r, text) == -ENOENT;
}

static int served(struct request *r, int fd)
{
	r->missing_promise = PROMISE_COUNT;
	r->missing_perms = 0;
	return fd;
}

static int otherwise(struct request *r, int which, int flags, bool look, int e)
{
	char text[CANONICAL_MAX];
	bool slash;
	const char *path = r->path[which];
	if (e == -ENOENT && !r->missing_perms)
		r->missing_promise = PROMISE_COUNT; /* not there, which a loader may know */
	if (!path || *path != '/' || path_collapse(text, 0, path, &slash) != 0)
		return e;
	int fd = find(r, text, slash, flags, look);
	if (fd == -ENOENT && !quiet(r, text, flags)) {
		size_t i = row_of(text);
		if (i < FILES && files[i].promises == DNS && !(flags & O_ACCMODE))
			r->missing_promise = PROMISE_dns; /* rather than what shows the file alone */
		return e;
	}
	/* Served, or refused as a matter of course: nothing to report. */
	return served(r, fd);
}

int libc_files_else(struct request *r, int which, int flags, int e)
{
	return otherwise(r, which, flags, false, e);
}

int libc_files_look(struct request *r, int which, int e)
{
	return otherwise(r, which, O_PATH, true, e);
}

/* Under getpw, as on OpenBSD, whoever looks somebody up does not see his password, though he could read all files. And
 * our settings stand for the machine's, whether its own are visible or not. */
int libc_files_first(struct request *r, int which, int flags, bool look)
{
	char text[CANONICAL_MAX];
	bool slash;
	const char *path = r->path[which];
	const uint64_t promises = named_of(policy_of(r), promises_aside(r));
	if (!(promises & (GETPW | DNS | NAMED)) || !path || strncmp(path, "/etc/", 5) != 0 ||
		path_collapse(text, 0, path, &slash) != 0 || slash)
		return LIBC_NONE;
	if (libc_quiet_path(r, text) == -EPERM)
		return look ? LIBC_NONE : served(r, -EPERM);
	size_t i = row_of(text);
	bool reads = (flags & O_ACCMODE) == O_RDONLY && !(flags & (O_CREAT | O_TRUNC));
	if (i < FILES && reads && (promises & NAMED) && strcmp(text, HOSTS) == 0) {
		int fd = hosts_open(r, which, given(r, i) ? r->family->broker->libc[i] : -1, flags, look);
		return fd == LIBC_LATER || fd == LIBC_NONE ? fd : served(r, fd);
	}
	if (i == FILES || files[i].kind != TEXT || !reads)
		return LIBC_NONE;
	int fd = open_file(r, i, "", flags, look);
	return fd < 0 ? LIBC_NONE : fd;
}
