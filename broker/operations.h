/* SPDX-License-Identifier: ISC */
/*
 * The table of operations and its handlers, what targets ask by the number of a call that no kernel has, and the target's
 * memory. A part of broker.h, which includes it after the structures that this speaks of.
 */
#ifndef AIRLOCK_OPERATIONS_H
#define AIRLOCK_OPERATIONS_H

#ifndef AIRLOCK_BROKER_H
#error "include broker/broker.h"
#endif

/* One row of the table of operations. Argument positions are -1 when the call has none. */
struct operation {
	int nr;
	const char *name;
	int8_t dirfd[2], path[2]; /* positions of dirfd (no position and a path: AT_FDCWD) and of path pointers */
	int8_t flags, mode; /* positions */
	int8_t how; /* position of struct open_how *, whose size is the next argument */
	int fixed_flags; /* used when flags is -1 (creat, lstat, rmdir) */
	struct answer (*handle)(struct request *r);
};
/* False when no process that the broker serves has a promise for it any more: operations_close(). */
bool operation_open(const struct broker *b, const struct operation *op);
void operations_close(struct broker *b, uint64_t promises);
const struct operation *operation_find(int nr); /* NULL: a call without a row, refused by report.c's rules */
/* The rows of ops_*.c. */
struct answer op_open(struct request *r); /* open openat creat; openat2 with how */
struct answer op_stat(struct request *r); /* stat lstat newfstatat */
struct answer op_statx(struct request *r);
struct answer op_access(struct request *r); /* access faccessat faccessat2 */
struct answer op_readlink(struct request *r);
struct answer op_getcwd(struct request *r);
struct answer op_chdir(struct request *r);
struct answer op_fchdir(struct request *r);
struct answer op_umask(struct request *r);
struct answer op_mkdir(struct request *r);
struct answer op_unlink(struct request *r); /* unlink unlinkat rmdir */
struct answer op_rename(struct request *r); /* rename renameat renameat2 */
struct answer op_statfs(struct request *r);
struct answer op_link(struct request *r); /* link linkat */
struct answer op_symlink(struct request *r);
struct answer op_mknod(struct request *r);
struct answer op_chmod(struct request *r); /* chmod fchmodat fchmodat2 */
struct answer op_fchmod(struct request *r);
struct answer op_chown(struct request *r); /* chown lchown fchownat */
struct answer op_fchown(struct request *r);
struct answer op_utimens(struct request *r); /* utime utimes futimesat utimensat */
struct answer op_truncate(struct request *r);
struct answer op_getxattr(struct request *r); /* the three kinds of each: -, l-, -at */
struct answer op_listxattr(struct request *r);
struct answer op_setxattr(struct request *r); /* and fsetxattr */
struct answer op_removexattr(struct request *r);
struct answer op_add_watch(struct request *r);
struct answer op_async(struct request *r); /* ioctl: FIOASYNC, the one that is decided here */
struct answer op_exec(struct request *r); /* execve execveat */
struct answer op_prot_exec(struct request *r); /* mmap mprotect pkey_mprotect with PROT_EXEC */
struct answer op_task(struct request *r); /* clone fork vfork: counted against the limit of processes */
struct answer op_signal(struct request *r); /* kill tkill tgkill rt_sigqueueinfo rt_tgsigqueueinfo */
struct answer op_shutdown(struct request *r); /* carrier_socket.c; of the first carrier it is no request */
struct answer op_own(struct request *r); /* what else names a process: priorities, scheduling, pidfds, F_SETOWN */
struct answer op_socket(struct request *r);
struct answer op_connect(struct request *r);
struct answer op_bind(struct request *r);
struct answer op_listen(struct request *r);
struct answer op_send(struct request *r); /* sendto sendmsg sendmmsg */
struct answer op_receive(struct request *r); /* recvfrom recvmsg recvmmsg */
struct answer op_airlock(struct request *r); /* AIRLOCK_SYSCALL: narrowing from inside */
/* What it asks, by its first argument; zygote.h and crash.h have more. */
#define AIRLOCK_OP_QUERY 2 /* (op, what); ENOSYS where there is no broker */
#define AIRLOCK_QUERY_FLAGS 0
#define AIRLOCK_HAS_DIRECT 1 /* direct trees */
#define AIRLOCK_HAS_NARROWABLE 2 /* filter_spec.narrowable */
#define AIRLOCK_HAS_PLEDGED 4
#define AIRLOCK_HAS_EXEC 8 /* exec promises were given */
#define AIRLOCK_HAS_LOCK 16
#define AIRLOCK_HAS_ABORT 32 /* violations end it */
#define AIRLOCK_QUERY_PROMISES 1 /* PROMISE_BIT()s */
#define AIRLOCK_QUERY_EXEC 2
#define AIRLOCK_QUERY_BELOW 3 /* filter_spec.below for a narrowing filter */
/* (op, path, permissions, compat): unveil(2), by OpenBSD's limits if compat; NULL, NULL locks */
#define AIRLOCK_OP_UNVEIL 4
#define AIRLOCK_OP_NEST 5 /* (op, struct nest_ask *, its size): see nest.h */
/* (op, uint64_t[7]: a call's number and arguments, ucontext_t *): its filter refused it */
#define AIRLOCK_OP_VIOLATION 6
#define AIRLOCK_OP_PLEDGE 7 /* (op, NARROW_PROMISES | NARROW_EXEC, promises, exec promises) */
#define AIRLOCK_PLEDGE_ABORTS 256 /* a part more: violations abort from now on */
#define AIRLOCK_OP_ATTACH 10 /* (op, id): a descriptor of what the host lends; once */
#define AIRLOCK_OP_ANSWERED 12 /* (op): the host is to look at the calls, and sleeps elsewhere */
struct answer op_refused(struct request *r); /* report.c: everything else, in a defined way */
/* ops_narrow.c: the broker of one family narrows itself with it. On the lane. */
void narrow_broker(struct family *f);
/* Whether the call is a request only because the family's filter is narrowable, and promised: by its registers alone. */
bool promised_direct(const struct request *r);
/* The one reader: fills r's copies as r->op says, paths into buffers of PATH_MAX. 0, or the negative errno that the
 * kernel would have given. */
int request_read(struct request *r, char *path0, char *path1);

/* ---- the target's memory, by process_vm_readv: copied once ---- */
/* Reads a NUL terminated string of at most cap - 1 bytes, never across into an unmapped page after the NUL's page.
 * Length, or -EFAULT, -ENAMETOOLONG; any other failure to read is -EPERM (deny). */
ssize_t memory_read_string(const struct request *r, uint64_t address, char *buf, size_t cap);
int memory_read(const struct request *r, uint64_t address, void *buf, size_t len); /* 0, -EFAULT, -EPERM */
int memory_write(const struct request *r, uint64_t address, const void *buf, size_t len); /* 0, -EFAULT, -EPERM */
/* Many parts of it, len bytes together, at once. 0, -EFAULT, -EPERM. */
struct iovec;
int memory_gather(const struct request *r, const struct iovec *parts, size_t count, void *buf, size_t len);
int memory_scatter(const struct request *r, const struct iovec *parts, size_t count, const void *buf, size_t len);
/* A copy of the caller's descriptor number fd, or -EBADF. */
int memory_dup_fd(const struct request *r, int fd);
/* Whether the caller still waits for this answer. */
bool request_alive(const struct request *r);
/* The caller's process; 0 when it is not known. */
pid_t request_process(const struct request *r);
/* Whether a signal waits for the caller that would have interrupted the call, had the kernel made it. */
bool request_signalled(const struct request *r);

#endif
