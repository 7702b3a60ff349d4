/* SPDX-License-Identifier: ISC */
/*
 * This file owns how a system call is shown to a person: name(arguments), from the request's copies alone. It runs in
 * the broker. A target chooses most of what is shown: everything is escaped, and cut where the buffer ends.
 */
#include "broker/broker.h"
#include "policy/promises.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

struct word {
	uint64_t value;
	const char *text;
};

static const struct word open_words[] = {{O_APPEND, "O_APPEND"}, {O_CLOEXEC, "O_CLOEXEC"}, {O_CREAT, "O_CREAT"},
	{O_TMPFILE, "O_TMPFILE"}, {O_DIRECTORY, "O_DIRECTORY"}, {O_EXCL, "O_EXCL"}, {O_NOCTTY, "O_NOCTTY"},
	{O_NOFOLLOW, "O_NOFOLLOW"}, {O_NONBLOCK, "O_NONBLOCK"}, {O_PATH, "O_PATH"}, {O_SYNC, "O_SYNC"},
	{O_DSYNC, "O_DSYNC"}, {O_DIRECT, "O_DIRECT"}, {O_NOATIME, "O_NOATIME"}, {O_TRUNC, "O_TRUNC"}, {0, NULL}};
static const struct word at_words[] = {{AT_SYMLINK_NOFOLLOW, "AT_SYMLINK_NOFOLLOW"}, {AT_REMOVEDIR, "AT_REMOVEDIR"},
	{AT_SYMLINK_FOLLOW, "AT_SYMLINK_FOLLOW"}, {AT_NO_AUTOMOUNT, "AT_NO_AUTOMOUNT"},
	{AT_EMPTY_PATH, "AT_EMPTY_PATH"}, {0, NULL}};
static const struct word families[] = {{AF_UNIX, "AF_UNIX"}, {AF_INET, "AF_INET"}, {AF_INET6, "AF_INET6"},
	{AF_NETLINK, "AF_NETLINK"}, {AF_PACKET, "AF_PACKET"}, {AF_VSOCK, "AF_VSOCK"}, {AF_ALG, "AF_ALG"},
	{AF_BLUETOOTH, "AF_BLUETOOTH"}, {AF_CAN, "AF_CAN"}, {AF_XDP, "AF_XDP"}, {0, NULL}};
static const struct word types[] = {{SOCK_STREAM, "SOCK_STREAM"}, {SOCK_DGRAM, "SOCK_DGRAM"}, {SOCK_RAW, "SOCK_RAW"},
	{SOCK_SEQPACKET, "SOCK_SEQPACKET"}, {0, NULL}};
static const struct word protections[] = {
	{PROT_READ, "PROT_READ"}, {PROT_WRITE, "PROT_WRITE"}, {PROT_EXEC, "PROT_EXEC"}, {0, NULL}};
static const struct word errors[] = {{EPERM, "EPERM"}, {ENOENT, "ENOENT"}, {EACCES, "EACCES"}, {EAGAIN, "EAGAIN"},
	{EBADF, "EBADF"}, {EBUSY, "EBUSY"}, {EEXIST, "EEXIST"}, {EFAULT, "EFAULT"}, {EINTR, "EINTR"},
	{EINVAL, "EINVAL"}, {EIO, "EIO"}, {EISDIR, "EISDIR"}, {ELOOP, "ELOOP"}, {EMFILE, "EMFILE"}, {ENFILE, "ENFILE"},
	{ENAMETOOLONG, "ENAMETOOLONG"}, {ENODEV, "ENODEV"}, {ENOMEM, "ENOMEM"}, {ENOSPC, "ENOSPC"}, {ENOSYS, "ENOSYS"},
	{ENOTDIR, "ENOTDIR"}, {ENOTEMPTY, "ENOTEMPTY"}, {ENXIO, "ENXIO"}, {EOPNOTSUPP, "EOPNOTSUPP"},
	{ERANGE, "ERANGE"}, {EROFS, "EROFS"}, {ESRCH, "ESRCH"}, {ETXTBSY, "ETXTBSY"}, {EXDEV, "EXDEV"},
	{E2BIG, "E2BIG"}, {ECONNREFUSED, "ECONNREFUSED"}, {EINPROGRESS, "EINPROGRESS"}, {EADDRINUSE, "EADDRINUSE"},
	{EADDRNOTAVAIL, "EADDRNOTAVAIL"}, {ETIMEDOUT, "ETIMEDOUT"}, {ENETUNREACH, "ENETUNREACH"},
	{EHOSTUNREACH, "EHOSTUNREACH"}, {EISCONN, "EISCONN"}, {ENOTCONN, "ENOTCONN"}, {EALREADY, "EALREADY"},
	{ECONNRESET, "ECONNRESET"}, {EAFNOSUPPORT, "EAFNOSUPPORT"}, {EPROTONOSUPPORT, "EPROTONOSUPPORT"},
	{EPROTOTYPE, "EPROTOTYPE"}, {ENOTSOCK, "ENOTSOCK"}, {EMSGSIZE, "EMSGSIZE"}, {EPIPE, "EPIPE"},
	{EDESTADDRREQ, "EDESTADDRREQ"}, {0, NULL}};

/* How the calls that have no row with a path show their arguments: d number, x hexadecimal, f address family, t socket
 * type, p protection, s signal. */
static const struct {
	int nr;
	const char *arguments;
} shapes[] = {
	{SYS_socket, "ftd"},
	{SYS_socketpair, "ftd"},
	{SYS_connect, "dxd"},
	{SYS_bind, "dxd"},
	{SYS_listen, "dd"},
	{SYS_sendto, "dxdxxd"},
	{SYS_sendmsg, "dxx"},
	{SYS_sendmmsg, "dxd"},
	{SYS_recvmsg, "dxx"},
	{SYS_recvmmsg, "dxd"},
	{SYS_setsockopt, "ddd"},
	{SYS_getsockopt, "ddd"},
	{SYS_kill, "ds"},
	{SYS_tkill, "ds"},
	{SYS_tgkill, "dds"},
	{SYS_rt_sigqueueinfo, "ds"},
	{SYS_rt_tgsigqueueinfo, "dds"},
	{SYS_mmap, "xxpxd"},
	{SYS_mprotect, "xxp"},
	{SYS_pkey_mprotect, "xxpd"},
	{SYS_clone, "x"},
	{SYS_ioctl, "dx"},
	{SYS_fcntl, "ddx"},
	{SYS_prctl, "dxx"},
	{SYS_setuid, "d"},
	{SYS_setgid, "d"},
	{SYS_fchdir, "d"},
	{SYS_umask, "x"},
	{SYS_flock, "dx"},
	{SYS_fchmod, "dx"},
	{SYS_fchown, "ddd"},
	{SYS_fsetxattr, "dxxd"},
	{SYS_chroot, "x"},
	{SYS_setpgid, "dd"},
	{SYS_setsid, ""},
	{SYS_getcwd, "xd"},
	{SYS_settimeofday, "xx"},
	{SYS_clock_settime, "dx"},
	{SYS_ptrace, "ddx"},
	{SYS_bpf, "dxd"},
	{SYS_keyctl, "dxx"},
	{SYS_setpriority, "ddd"},
#ifdef SYS_fork
	{SYS_fork, ""},
	{SYS_vfork, ""},
#endif
};

/* Bytes of the UTF-8 sequence at s that are shown as they are; 0 when they must be escaped. */
static size_t sequence(const unsigned char *s)
{
	if (s[0] < 0x80)
		return s[0] >= 0x20 && s[0] != 0x7f && s[0] != '"' && s[0] != '\\';
	size_t n = s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	/* Overlong forms, surrogates, what is past the last; and C1 controls and the marks that turn text around. */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0) || (s[0] == 0xf0 && s[1] < 0x90) ||
		(s[0] == 0xf4 && s[1] >= 0x90) || (s[0] == 0xc2 && s[1] < 0xa0))
		return 0;
	if (s[0] == 0xe2 && ((s[1] == 0x80 && s[2] >= 0x8b) || (s[1] == 0x81 && s[2] >= 0xa0)))
		return 0;
	return n;
}

void decode_escape(char *buf, size_t len, const char *in)
{
	size_t at = strlen(buf);
	const unsigned char *s = (const unsigned char *)in;
	while (*s && at + 8 < len) {
		size_t n = sequence(s);
		if (n) {
			memcpy(buf + at, s, n);
			at += n;
			s += n;
		} else {
			at += (size_t)snprintf(buf + at, len - at, "\\x%02x", *s++);
		}
	}
	if (*s && at + 4 < len)
		at += (size_t)snprintf(buf + at, len - at, "...");
	buf[at] = 0;
}

static const char *find(const struct word *words, uint64_t value)
{
	for (; words->text; words++) {
		if (words->value == value)
			return words->text;
	}
	return NULL;
}

const char *decode_errno(int e)
{
	const char *text = find(errors, (uint64_t)e);
	return text ? text : "error";
}

struct out {
	char *buf;
	size_t at, len;
	bool some;
};

static void __attribute__((format(printf, 2, 3))) put(struct out *o, const char *format, ...)
{
	__builtin_va_list args;
	__builtin_va_start(args, format);
	int n = vsnprintf(o->buf + o->at, o->len - o->at, format, args);
	__builtin_va_end(args);
	if (n > 0)
		o->at = o->at + (size_t)n < o->len ? o->at + (size_t)n : o->len - 1;
}

static void comma(struct out *o)
{
	if (o->some)
		put(o, ", ");
	o->some = true;
}

static void put_bits(struct out *o, const struct word *words, uint64_t bits, bool first)
{
	for (; words->text; words++) {
		if ((bits & words->value) != words->value)
			continue;
		put(o, "%s%s", first ? "" : "|", words->text);
		bits &= ~words->value;
		first = false;
	}
	if (bits || first)
		put(o, "%s%#llx", first ? "" : "|", (unsigned long long)bits);
}

static void put_path(struct out *o, const char *path)
{
	comma(o);
	put(o, "\"");
	decode_escape(o->buf, o->len > 40 ? o->len - 32 : o->len, path);
	o->at = strlen(o->buf);
	put(o, "\"");
}

static void put_open_flags(struct out *o, uint64_t flags)
{
	static const char *const modes[4] = {"O_RDONLY", "O_WRONLY", "O_RDWR", "3"};
	comma(o);
	put(o, "%s", modes[flags & O_ACCMODE]);
	flags &= ~(uint64_t)(O_ACCMODE | 0100000); /* O_LARGEFILE, which libc adds */
	if (flags)
		put_bits(o, open_words, flags, false);
}

static void put_argument(struct out *o, char kind, uint64_t value);

/* What calls with a path say besides, from this argument on. */
static void put_more(struct out *o, const struct request *r)
{
	static const struct {
		int nr, first;
		const char *arguments;
	} more[] = {
		{SYS_fchownat, 2, "dd"},
		{SYS_truncate, 1, "d"},
		{SYS_inotify_add_watch, 2, "x"},
#ifdef SYS_chown
		{SYS_chown, 1, "dd"},
		{SYS_lchown, 1, "dd"},
#endif
	};
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++)
		for (int k = 0; more[i].nr == r->nr && more[i].arguments[k]; k++)
			put_argument(o, more[i].arguments[k], r->args[more[i].first + k]);
}

static void call_with_paths(struct out *o, const struct request *r)
{
	const struct operation *op = r->op;
	for (int i = 0; i < 2; i++) {
		if (op->path[i] < 0)
			continue;
		if (op->dirfd[i] >= 0 && r->dirfd[i] != AT_FDCWD && !(r->path[i] && r->path[i][0] == '/')) {
			comma(o);
			put(o, "%d", r->dirfd[i]);
		}
		put_path(o, r->path[i] ? r->path[i] : "?");
	}
	if (op->handle == op_open) {
		uint64_t flags = op->how >= 0 ? r->how.flags : (uint64_t)(unsigned)r->flags;
		put_open_flags(o, flags);
		if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE)
			put(o, ", 0%o", op->how >= 0 ? (unsigned)r->how.mode : r->mode);
		return;
	}
	put_more(o, r);
	if (op->mode >= 0) {
		comma(o);
		put(o, "0%o", r->mode);
	}
	if (op->flags >= 0 && r->flags) {
		comma(o);
		put_bits(o, at_words, (unsigned)r->flags, true);
	}
}

static void put_argument(struct out *o, char kind, uint64_t value)
{
	const char *text = NULL;
	comma(o);
	switch (kind) {
	case 'd':
		put(o, "%d", (int)value);
		return;
	case 'f':
		text = find(families, (unsigned)value);
		break;
	case 't':
		text = find(types, (unsigned)value & 15);
		break;
	case 's':
		text = sigabbrev_np((int)value);
		put(o, text ? "SIG%s" : "%s", text ? text : "");
		if (!text)
			put(o, "%d", (int)value);
		return;
	case 'p':
		put_bits(o, protections, (unsigned)value, true);
		return;
	default:
		break;
	}
	if (text)
		put(o, "%s", text);
	else
		put(o, "%#llx", (unsigned long long)value);
}

static void call_plain(struct out *o, const struct request *r)
{
	const char *shape = "xxx";
	if (r->address[0]) { /* a socket's: its number, and whom it names */
		put_argument(o, 'd', r->args[0]);
		put(o, ", ");
		decode_escape(o->buf, o->len > 40 ? o->len - 32 : o->len, r->address);
		o->at = strlen(o->buf);
		return;
	}
	for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
		if (shapes[i].nr == r->nr)
			shape = shapes[i].arguments;
	}
	for (int i = 0; shape[i]; i++)
		put_argument(o, shape[i], r->args[i]);
}

/* NOLINTNEXTLINE(readability-non-const-parameter): written through o */
const char *decode_call(const struct request *r, char *buf, size_t len)
{
	struct out o = {buf, 0, len, false};
	const char *name = r->op ? r->op->name : syscall_name(r->nr);
	bool unveils = r->op && r->op->handle == op_airlock && r->args[0] == AIRLOCK_OP_UNVEIL;
	if (unveils)
		put(&o, "unveil(");
	else if (name)
		put(&o, "%s(", name);
	else
		put(&o, "call %d(", r->nr);
	if (unveils)
		put_path(&o, r->path[0] ? r->path[0] : "");
	else if (r->op && (r->op->path[0] >= 0 || r->op->path[1] >= 0))
		call_with_paths(&o, r);
	else
		call_plain(&o, r);
	put(&o, ")");
	return buf;
}
