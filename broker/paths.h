/* SPDX-License-Identifier: ISC */
/*
 * From what a target names to what there is: paths, descriptors, /proc, and what libc, loaders and single promises get
 * besides the rules. A part of broker.h, which includes it after the structures that this speaks of.
 */
#ifndef AIRLOCK_PATHS_H
#define AIRLOCK_PATHS_H

#ifndef AIRLOCK_BROKER_H
#error "include broker/broker.h"
#endif

/* ---- resolve.c: from a path to an object; walk.c: the slow way ---- */
#define CANONICAL_MAX                                                                                                  \
	(2 * PATH_MAX) /* a path of the longest kind, asked for from a directory that has such a one itself */
struct place {
	int base; /* borrowed or owned descriptor to resolve `rest` from, RESOLVE_BENEATH; -1 in /proc */
	bool own_base;
	bool walked; /* by walk.c; else only the text was looked at, and a symlink (-ELOOP) means that it must be walked */
	bool proc; /* path is of /proc: served by proc.c from its text */
	bool is_root; /* the directory of a rule itself, or "/": it has no parent that could be named */
	bool have_st; /* st is the final object, as the walk or place_open() saw it */
	uint64_t resolve; /* further RESOLVE_ flags for place_open() */
	dev_t dev; /* of base, when known not to be procfs; else 0 */
	const struct unveil *rule; /* NULL when everything is visible */
	struct stat st;
	char rest[PATH_MAX]; /* relative to base; "." for base itself; may end in a slash; no ".." */
	char path[CANONICAL_MAX]; /* canonical */
};
#define RESOLVE_NOFOLLOW_LAST 1 /* a final symlink is the object */
#define RESOLVE_PARENT 2 /* the last component names an entry to make or remove: base is its parent, rest the name */
#define RESOLVE_CREATE 4 /* the last component may be missing */
#define RESOLVE_WALK 8 /* not by the text */
/* Resolves r->path[which] for r's state and judges it for need (PERM_ bits). 0, or the negative errno the target sees:
 * -ENOENT for what is hidden, whatever is there. Fills r->canonical and r->missing_perms on refusal. r->how.resolve is
 * honoured when the row has a how. */
int resolve(struct request *r, int which, unsigned how, unsigned need, struct place *out);
/* resolve() and place_open(), walking when there are symlinks. A descriptor, with out->st; when out->proc is set there
 * is no descriptor (0 is returned) and proc.c serves out->path. out is to be closed only when this did not fail. */
int resolve_open(struct request *r, int which, unsigned how, unsigned need, int flags, mode_t mode, struct place *out);
/* The parent directory (out->base, opened) and the name (out->rest, with a trailing slash if there was one).
 * -EISDIR when the path ends in "." or "..", -EBUSY for "/" or a rule's own directory. */
int resolve_parent(struct request *r, int which, unsigned need, struct place *out);
void place_close(struct place *p);
/* openat2(base, rest) under the walk's rules: RESOLVE_BENEATH | NO_MAGICLINKS | NO_SYMLINKS, retried on EAGAIN (bounded).
 * A descriptor, with p->st, or negative errno. Refuses (-ENOENT) what turns out to be procfs. */
int place_open(struct place *p, int flags, mode_t mode);
/* The canonical path of a descriptor of the broker's (anchors' prefixes applied); -ENOENT when deleted or no path. */
int canonical_of(const struct state *s, const struct broker *b, int fd, char path[PATH_MAX]);
/* Where a descriptor's file that has no name (any more) was. -ENOENT for one that has. */
int last_path_of(const struct broker *b, int fd, char path[PATH_MAX]);
const struct policy *policy_of(const struct request *r);
/* policy_judge() for r's state; what only a loader may read is hidden once the program is loaded. */
int judge(const struct request *r, const char *path, unsigned need, const struct unveil **rule);
/* -EPERM, and r->missing_promise, when the promises (bits) are not all there. */
int promised(struct request *r, uint64_t need);
/* The rule of exactly this path, with its anchor; NULL when there is none. */
const struct anchor *anchor_of(const struct request *r, const struct unveil *rule);
/* openat2 of rest beneath base: no symlinks, no magic links, and what more (RESOLVE_ flags) adds. */
int open_beneath(int base, const char *rest, int flags, mode_t mode, uint64_t resolve);
int walk(struct request *r, int which, unsigned how, unsigned need, struct place *out);
/* Notes for the report what was refused and what would have allowed it; returns -e. */
int refuse(struct request *r, const char *path, unsigned need, int e);
bool is_procfs(int fd);
/* Whether path is "/proc" or below. */
static inline bool in_proc(const char *path)
{
	return path[0] == '/' && path[1] == 'p' && path[2] == 'r' && path[3] == 'o' && path[4] == 'c' &&
	       (path[5] == 0 || path[5] == '/');
}
/* ---- loading.c: processes whose loader runs ---- */
void load_begin(struct family *f, pid_t pid);
void load_end(struct family *f, pid_t pid);
/* Whether the caller is a process whose loader runs. */
bool request_loading(const struct request *r);

/* ---- script.c ---- */
/* The interpreters of scripts that have `x` by their own name, and /bin/sh: they run for the scripts' sake. Opened before
 * confinement. */
void interpreters_hold(struct broker *b);
void interpreters_release(struct broker *b);

/* Whether only a loader may use this rule. */
static inline bool loader_only(const struct unveil *rule)
{
	return rule && (rule->perms & PERM_LOADER) && !(rule->perms & (PERM_R | PERM_W | PERM_X | PERM_C));
}
/* Whether a loader may read the object that place_open() opened, promises or not. */
bool loader_may(const struct request *r, const struct place *p);
/* The caller's working directory, O_PATH; *own says whether it is the caller's to close. */
int cwd_of(const struct request *r, bool *own);
int cwd_path(const struct request *r, char path[PATH_MAX]); /* canonical; 0 or a negative errno */
/* Descriptor and canonical path of a dirfd: *own says whether fd is the caller's to close; *removed that the directory is
 * one no more, and path where it was. -EBADF, -ENOTDIR. */
int base_of(struct request *r, int dirfd, char path[PATH_MAX], bool *own, bool *removed);

/* The part of path below directory, which covers it; "." for the directory itself. canonical.c. */
const char *path_rest(const char *path, const char *directory);
/* Appends path's components to text, which ends without a slash at len. 0, 1 for a ".." in it, -ENAMETOOLONG. */
int path_collapse(char text[CANONICAL_MAX], size_t len, const char *path, bool *slash);

/* ---- proc.c: what of /proc a target may see, from its own place. text is "/proc" or below, without ".." ---- */
/* A descriptor, for reading or (O_PATH) for attributes; with O_NOFOLLOW of a link itself. Negative errno. */
int proc_open(struct request *r, const char *text, int flags);
/* A directory that a link of /proc at text leads to, for a walk to go on from; *own says whether it is the caller's to
 * close. PROC_ROOT for the root; -1 when there is none, or when it is a descriptor at the path's end (last). */
#define PROC_ROOT (-2)
int proc_directory(struct request *r, const char *text, bool last, bool *own);
/* proc_text.c: fd, or (fd is closed) a copy of it with the numbers that the process has in its own pid namespace, or with
 * the mounts that it may know of. */
int proc_copy(const struct request *r, int fd, const char *process, const char *file);
/* proc_links.c: the caller's descriptor opened again, for no more than what it is open for or a rule gives. */
int descriptor_again(struct request *r, int number, int flags);
int descriptor_link(const struct request *r, int number); /* O_PATH, of the link as such */
ssize_t descriptor_name(const struct request *r, int number, char buf[PATH_MAX]);
bool descriptors_full(const struct request *r); /* the caller can have no more */
int terminal_again(const struct request *r, int flags); /* its terminal, if one of the first three is one; -ENXIO */
/* ops_process.c: whether another thread or process may have the caller's table of descriptors, and change it. */
bool descriptors_shared(struct request *r);
/* The broker's number of a process that the caller calls id; -1. */
pid_t process_outside(struct request *r, pid_t id);
pid_t thread_outside(struct request *r, pid_t id); /* the same of a thread */
/* The same for looking only, directories too: an O_PATH descriptor that no target gets. */
int proc_look(struct request *r, const char *text, int flags);
/* The number of the caller's own descriptor that text names; -EINVAL when it names something else that is there. */
int proc_descriptor(struct request *r, const char *text);
/* A place of /proc whose path ended in a slash (p->rest has it) is a directory, and no link. */
static inline int place_flags(const struct place *p, int flags)
{
	return p->rest[0] == '/' ? (flags & ~O_NOFOLLOW) | O_DIRECTORY : flags;
}
/* Length, or negative errno. */
ssize_t proc_readlink(struct request *r, const char *text, char buf[PATH_MAX]);
/* Whether text names what the promise ps tells of a process, its own or another, whatever is unveiled. */
bool proc_of_ps(const struct request *r, const char *text);
/* The path of the i-th file about the machine, "" when the policy does not show it; NULL past the last. */
const char *proc_machine_file(const struct broker *b, size_t i);

/* ---- tmppath.c: e, or what the promise tmppath makes of a call that was refused with e ---- */
int tmppath_open(struct request *r, int flags, mode_t mode, int e);
int tmppath_unlink(struct request *r, int e);
int tmppath_stat(struct request *r, int e); /* an O_PATH descriptor of /tmp itself */

/* ---- libc_files.c: what libc reads late, whatever is unveiled ---- */
void libc_files_open(struct broker *b, bool private_mounts);
void libc_files_close(struct broker *b);
struct landlock_rule;
/* The Landlock rules that serving them (and /proc) takes; at most LIBC_FILES + 1. */
size_t libc_files_rules(const struct broker *b, struct landlock_rule *out);
/* The i-th of them, for direct trees; false past the last. */
struct libc_file {
	const char *path;
	int fd; /* or -1: not there, not promised, or not to be opened */
	bool directory, device;
};
bool libc_file_at(const struct broker *b, size_t i, struct libc_file *out);
/* Whether it is a module that iconv() loads. */
bool libc_converter(const char *path);
/* Whether text, of /proc, is one of them under these promises. */
bool libc_files_promise(uint64_t promises, const char *text);
/* r->path[which] was refused with e (negative): the file nevertheless, opened with these flags (O_PATH for
 * attributes), when it is one of them; else an errno. */
int libc_files_else(struct request *r, int which, int flags, int e);
/* The same to be looked at: an O_PATH descriptor that no target gets. */
int libc_files_look(struct request *r, int which, int e);
/* Before r->path[which] is resolved: LIBC_NONE, or what it is answered with whatever the rules say, a descriptor or a
 * negative errno. */
#define LIBC_NONE INT_MIN
#define LIBC_LATER (INT_MIN + 1) /* it may take a while: again on a slow worker. Never with look */
int libc_files_first(struct request *r, int which, int flags, bool look);
/* ---- libc_quiet.c: what libc tries and goes on without ---- */
/* 0, or the negative errno with which this path is refused as a matter of course. */
int libc_quiet_path(const struct request *r, const char *text);
/* The promises that show a file whatever is unveiled. Who has only unveiled so far holds all of them, and has asked for none:
 * of these he has what his libc cannot be without. */
uint64_t promises_aside(const struct request *r);
/* Whether text, of /proc, is one of them. */
bool libc_files_proc(const struct request *r, const char *text);
/* A new open file description of fd's object. */
int fd_reopen(const struct broker *b, int fd, int flags);

/* ---- subject.c ---- */
/* The object that a call is about. */
struct subject {
	int fd; /* O_PATH, or a copy of the caller's own descriptor; -1 when there is none */
	bool held; /* no rule shows it: the caller holds it open, and it is its own */
	struct stat st;
	char path[CANONICAL_MAX]; /* canonical; of a held one perhaps empty */
};
/* By r->path[which], or its descriptor when the path is empty and flags (AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH) allow that.
 * "/proc/self/fd/N" is the caller's own descriptor as well. 0, or the negative errno the target sees. */
int subject_open(struct request *r, int which, int flags, unsigned need, uint64_t promises, struct subject *s);
/* By the number of the caller's descriptor. */
int subject_descriptor(struct request *r, int number, unsigned need, struct subject *s);
void subject_close(struct subject *s);
/* A path for calls that take neither O_PATH descriptors nor dirfds. */
#define SUBJECT_NAME 40
void subject_name(const struct subject *s, char name[SUBJECT_NAME]);
/* ---- standin.c: in place of an O_PATH descriptor of what cannot be opened ---- */
int standin_make(const char *path); /* a descriptor, or a negative errno */
bool standin_read(int fd, char path[PATH_MAX]); /* the path, when fd is one */

/* The caller's ids, as the broker's user namespace has them. */
#define CREDENTIALS_GROUPS 256
struct credentials {
	uid_t effective, uid; /* uid and gid: what files are made and judged with */
	gid_t group, gid;
	gid_t groups[CREDENTIALS_GROUPS];
	size_t count;
};
int credentials_of(const struct request *r, struct credentials *out);

/* ops_open.c: the promises that these permissions take. */
uint64_t promises_for(unsigned need);
/* ops_open.c: 0, or the negative errno for a device that p->st is and policy does not name. */
int device_allowed(const struct request *r, const struct place *p);

#endif
