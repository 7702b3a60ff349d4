/* SPDX-License-Identifier: ISC */
/*
 * What the posix_*.c files share: a suite that asks a file system for what POSIX and Linux promise, one line for each
 * check. It is run natively, where each must be ok, and behind the door, where the lines must be the same. No check
 * knows which of the two it is.
 */
#ifndef AIRLOCK_TESTS_POSIX_H
#define AIRLOCK_TESTS_POSIX_H

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_fchmodat2 /* 6.6 */
#define SYS_fchmodat2 452
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_faccessat2
#define SYS_faccessat2 439
#endif

/* A call's value, or its negative errno. */
#define R(call)                                                                                                        \
	({                                                                                                             \
		long r_ = (long)(call);                                                                                \
		r_ < 0 ? -(long)errno : r_;                                                                            \
	})
#define RAW(name, ...) R(syscall(SYS_##name, __VA_ARGS__))

struct posix_group {
	const char *name;
	void (*run)(void);
};

/* The base directory, which is the working directory at each group's start; another one, to link and rename to. */
extern int base;
extern const char *base_path, *other_path;
extern bool is_root; /* modes do not stop it */
extern unsigned posix_failed;

/* One check. Values from -4095 to -1 are told as errno names. */
__attribute__((format(printf, 3, 4))) bool want(long got, long wanted, const char *format, ...);
__attribute__((format(printf, 2, 3))) bool yes(bool good, const char *format, ...);
__attribute__((format(printf, 2, 3))) void without(const char *why, const char *format, ...);
const char *errno_name(long value, char buf[32]);

/* Fixtures: these end the program when they fail, since nothing after would mean anything. */
void make_file(const char *path, const char *content, mode_t mode);
void make_dir(const char *path, mode_t mode);
void make_link(const char *to, const char *path);
void remove_tree(const char *path); /* a missing one is fine */
void fixture(const char *path); /* an empty directory, made anew, as the working directory */
void die(const char *what);
long mode_of(const char *path); /* lstat's permission bits, or negative errno */
long links_of(const char *path);
long size_of(const char *path);
long kind_of(const char *path); /* S_IFMT bits */
long content_is(const char *path, const char *content); /* 1, 0, or negative errno */
long count_open(void); /* descriptors that are open, by asking for each number */
void pause_ms(unsigned ms);
long wait_for(pid_t pid); /* a child's exit status; 1000 and the signal that ended it */
extern volatile sig_atomic_t signals; /* that were handled */
void handle(int number, int flags);
void every(unsigned microseconds); /* SIGALRM; 0 ends it */

void posix_matrix(void), posix_names(void), posix_rename(void), posix_modes(void), posix_open(void),
	posix_openat2(void), posix_descriptors(void), posix_directories(void), posix_times(void), posix_stat(void),
	posix_cwd(void), posix_fifo(void), posix_children(void), posix_threads(void), posix_xattr(void);
#endif
