/* SPDX-License-Identifier: ISC */
/*
 * The broker's own structures. One broker serves one policy; a family is one target with all the processes that
 * descend from it, and has one listener and one lane (thread) of its own, so that families cannot delay each other.
 *
 * files:  anchors.c  what the rules hold on to          resolve.c  from a path to an object, walk.c by each step
 *         opener.c   names whose objects change         canonical.c from a descriptor to its path
 *         limits.c traffic.c  connections a second, bytes in all    binder.c  ports that take a capability
 *         lane.c     from receipt to answer             memory.c   the target's memory, copied once
 *         carrier_listener.c carrier_socket.c  how requests come and answers go
 *         state.c    cwd and umask, following fork      slow.c     what can block
 *         table.c    the table of operations            ops_*.c    its handlers
 *         subject.c  what a call is about               standin.c  in place of an O_PATH descriptor
 *         proc*.c libc_*.c tmppath.c  what there is besides the rules
 *         program.c script.c words.c become.c trace.c load.c loading.c  how ops_exec.c executes a program
 *         address.c local.c  who sockets may speak to       control.c  what messages carry beside data
 *         names.c    hosts in rules, with resolver.c    ask.c      what the host decides
 *         report.c   refusals, once per call and place  confine.c calls.c  the broker's own door
 *         abort.c    violations that end their process  unwind.c   where in the program they were, with frames.c,
 *         dwarf.c, context.c, symbols.c in a helper
 *         landlock.c rulesets, also used by sandbox/    umask.c    the mask that files are made with
 *         identity.c acting as the caller               ops_narrow.c giving up, from inside
 *         crash.c    what crashes say of themselves, with core.c and core_file.c
 *         zygote.c   targets that are forks of one that waits
 * operations.h (the table, its handlers, the target's memory), paths.h (paths, and what there is besides the rules) and door.h
 * (what confines the broker) are parts of this header.
 */
#ifndef AIRLOCK_BROKER_H
#define AIRLOCK_BROKER_H

#include "policy/policy.h"
#include "policy/promises.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

/* ---- anchors: each rule's hold on the file system, opened before the broker confines itself ---- */

struct anchor {
	int fd; /* O_PATH: the directory itself; for a name rule its parent; -1 when it could not be opened */
	char *name; /* a name rule's last component, else NULL */
	dev_t dev; /* of fd; never a procfs */
	uint64_t *mounts; /* the ids of fd's own mount and of those in it, when they are private to the rule */
	size_t mount_count;
};

/* An interpreter of scripts, by the text that their first lines have. */
#define INTERPRETERS_MAX 16
struct interpreter {
	char *path;
	int fd; /* O_PATH */
};

/* The files that libc opens late, held since before confinement: see libc_files.c. */
#define LIBC_FILES 32
#define OUTER_MAX 8 /* nested brokers are no deeper */

#define OPERATIONS 512 /* more than the largest number in the table of operations */

struct broker {
	int root; /* O_PATH of "/" */
	int proc; /* directory descriptor of /proc, opened before confinement */
	bool private_mounts; /* anchors are detached private mounts: a directory given away leads no higher */
	atomic_bool moved; /* something was renamed from one anchor's mount to another's: see canonical_of() */
	bool in_place;
	bool programs; /* its families run another program than its own image */
	bool makes_sockets; /* its targets' network is empty: what they may use of the broker's, it makes for them */
	int log; /* JSON lines, or -1 */
	struct policy policy; /* anchors[i] belongs to policy.unveils[i]; fixed once families run */
	struct anchor *anchors;
	int resolv; /* of those, the file that is asked who the nameservers are; or -1, and they are these: nameservers.c */
	struct nameserver *nameservers;
	size_t nameserver_count;
	int locales; /* the locale tree, where a directory of it can be given away; or -1 */
	int opener; /* its socket; 0 when there is none: see opener.c */
	struct limits *limits; /* see limits.h; NULL when the policy has none of those */
	int binder; /* its socket; 0 when there is none: see binder.c */
	struct names *names; /* what the hosts in rules stand for: see names.h; NULL when no rule has one */
	bool asks; /* its host is asked about addresses that no rule covers */
	bool trap; /* somebody else's listener is in the way: requests come by the second carrier */
	bool narrowable; /* the family's filter is: see policy/filter.h */
	uint64_t promises; /* that any of its processes still has; in place only */
	bool confined; /* broker_confine() has been here */
	bool identities; /* its program may become somebody else: see identity.c */
	/* Direct trees: the kernel resolves what families with `direct` only look at, in their own root, a file system of
	 * this device. */
	dev_t direct_root;
	unsigned layers; /* in force over the targets */
	int terminal; /* its program's, in place, with the promise tty; else 0 */
	char *exe; /* the program's path, for /proc/self/exe; may be NULL */
	uint32_t tag_base; /* random: tags of other brokers' families are not ours */
	pthread_mutex_t opener_lock;
	int libc[LIBC_FILES]; /* O_PATH, in libc_files.c's order, or -1; set by broker_anchors_open() */
	struct interpreter interpreters[INTERPRETERS_MAX];
	size_t interpreter_count;
	bool closed[OPERATIONS]; /* rows of the table that are out of use; in place only, the lane's */
	/* Of a nested broker: what its families begin with, which is less than `policy`, by whose mounts descriptors are known;
	 * and the limits of processes of the targets around them. */
	const struct policy *begin;
	const struct anchor *begin_anchors;
	struct outer {
		int pidns;
		uint64_t processes;
	} outer[OUTER_MAX];
	size_t outer_count;
};
static inline const struct policy *broker_policy(const struct broker *b)
{
	return b->begin ? b->begin : &b->policy;
}
/* Whose calls the families' base filter may let past the broker. */
static inline uint64_t broker_below(const struct broker *b)
{
	return b->narrowable ? PROMISE_BIT(stdio) : broker_policy(b)->promises;
}

/* Opens anchors, and the files of libc_files.c that the promises give. b->root and b->proc are open. private_mounts:
 * make each directory's a detached recursive clone (open_tree), nosuid, nodev, read-only unless w or c; needs
 * CAP_SYS_ADMIN over the mount namespace. When one cannot be had, none is, and b->private_mounts stays false. A rule
 * whose path is gone or unreadable keeps fd -1 and answers ENOENT. */
int broker_anchors_open(struct broker *b, bool private_mounts);
void broker_anchors_close(struct broker *b);
/* A policy and what its rules hold on to. */
struct held {
	const struct policy *policy;
	const struct anchor *anchors;
};
/* Anchors for a policy narrower than `from`, opened beneath its anchors (works after confinement); a rule that `now` or
 * `from` has already keeps its object. *out is the caller's. */
int anchors_narrow(
	const struct broker *b, struct held from, struct held now, const struct policy *narrow, struct anchor **out);
struct state;
void anchors_free(struct anchor *anchors, size_t count);

/* ---- families, states, requests ---- */

/* What follows a process through fork and exec: found by the number in its RLIMIT_LOCKS soft limit, which the kernel
 * copies on fork, keeps on exec, and otherwise ignores; the filter never lets a target set it. */
struct state {
	uint64_t tag;
	int cwd; /* O_PATH */
	mode_t umask;
	const struct policy *policy; /* what is left of the policy for it; NULL: the broker's own */
	const struct anchor *anchors; /* for policy, in its order; NULL with policy NULL */
	struct instance *instance; /* of a zygote's, whose process it is; else NULL: see zygote.h */
	struct narrowed *narrowed; /* owns policy and anchors, shared by states that differ in cwd or umask only */
	char *exe; /* the program that it runs, for /proc/self/exe; NULL: broker.exe */
	struct stat where; /* of cwd: st_dev and st_ino; what makes two states one */
	unsigned users; /* requests that hold it; under family.lock */
	bool seen; /* by the collection in progress */
};

#define REPORT_TEXT 320
struct report {
	pid_t pid;
	pid_t tid; /* the thread that made the call */
	int nr;
	uint64_t place; /* instruction pointer */
	int error; /* positive errno it was answered with */
	bool kill; /* the policy says that this ends the family */
	bool abort; /* it is about to end the process, whose number pid is then */
	struct instance *instance; /* the caller's; valid until on_report() returns */
	const char *line; /* with abort: what to say, a line with its newline; else NULL */
	int limit; /* LIMIT_ that it ran into, or -1 */
	char missing[REPORT_TEXT / 2]; /* what would have allowed it, alone; "" when nothing would */
	char text[REPORT_TEXT]; /* openat("/etc/shadow", O_RDONLY): ENOENT; unveil /etc/shadow r */
};

#define SLOW_WORKERS 256 /* at most, of a family */
#define WORDS_SLOTS 16u
#define WORDS_SLOT (UINT64_C(64) << 10)
struct slow_lane;
struct lane;
struct question;
struct crash;
struct family {
	struct broker *broker;
	int listener; /* or the socket of the second carrier */
	int pidfd; /* of the first process, -1 in place */
	pthread_t lane;
	pthread_mutex_t lock; /* states, reports */
	struct state **states;
	size_t state_count;
	size_t state_max;
	atomic_size_t passing; /* descriptors in messages that are being sent; at most state_max */
	size_t narrow_weight; /* rules that narrowed policies hold; at most state_max */
	struct slow_lane *slow;
	struct lane *lane_data;
	const struct carrier *carrier; /* how requests come: see carrier.h */
	void *carrier_data;
	int pidns; /* the family's pid namespace, once asked for (ops_process.c); else -1 */
	bool direct; /* set before family_start(): the kernel itself keeps the working directory, and opens for reading */
	atomic_bool stopping;
	atomic_bool started; /* the lane has a thread to join */
	atomic_bool
		starting; /* set by the caller: the first process is yet to execute its program, whatever the promises */
	atomic_uint loading_count;
	_Atomic int64_t no_tries_until; /* ms: connections are handed to slow workers untried (op_connect()) */
	bool narrowed_since; /* lane only: one of its processes has given something up */
	atomic_bool identities_changed; /* one of its processes has asked for other ids */
	_Atomic uint64_t requests, refused;
	size_t seen_count;
	unsigned report_tokens; /* a flood of different refusals is counted, not told */
	int64_t report_time;
	/* on_report: with each new refusal, before it is answered, on the lane's or a slow worker's thread. on_end: once,
	 * on the lane's thread, when the listener hangs up (kernels before 6.11 wake nobody: poll the listener for
	 * POLLHUP as well). Neither may call family_stop(). */
	void (*on_report)(void *arg, const struct report *r);
	void (*on_end)(void *arg);
	/* What a process says of its crash, perhaps twice, on the lane's or a slow worker's thread; i: whose, or NULL. NULL: none
	 * is heard. */
	void (*on_crash)(void *arg, struct instance *i, const struct crash *c);
	bool backtraces; /* of crashes are wanted */
	int core; /* where a core file goes, or -1 */
	atomic_bool cores; /* one is being written to it */
	bool crashed; /* lane only */
	pid_t first; /* the first process, as the broker sees it */
	/* The host is to look at the calls of arg, or of its instance. NULL: there are none. */
	void (*on_answered)(void *arg, struct instance *i);
	/* Sends a question to the host, without waiting; whether it could. On slow workers, under a lock. NULL: it answers none. */
	bool (*on_ask)(void *arg, const struct question *q);
	/* Of its arg, or of its instance's: the descriptor of memory that the host lends it under that number, which is then
	 * the caller's; or a negative errno. On the lane. NULL: nobody lends it anything. */
	int (*on_attach)(void *arg, uint64_t id);
	/* Or NULL, and there is a listener: on the lane's thread, first. Waits for it, until `stopping`; a negative errno when
	 * there is to be none. What it returned is passed to on_born() once it is served (0), or cannot be. */
	int (*on_birth)(void *arg);
	void (*on_born)(void *arg, int error);
	void *arg;
	struct asks *asks; /* ask.c; NULL before the first question */
	struct budget *budget; /* what its limits leave it: limits.h; or NULL */
	struct zygote *zygote; /* its first process is one: zygote.h; else NULL. Set before family_start() */
	struct heard *heard; /* who sent datagrams: see heard.c; under lock */
	const struct nest_ops *nest; /* NULL: no targets of its own. Set before family_start(). See nest.h */
	/* The tables, behind what is short and often asked for. */
	struct {
		pid_t tid;
		int64_t when;
	} forks[32]; /* lane only: granted, perhaps not done yet */
	/* Processes whose loader runs, up to their entry point, and threads whose execveat() is the broker's. Under lock. */
	pid_t loading[SLOW_WORKERS];
	struct {
		pid_t tid;
		int fd;
	} approved[SLOW_WORKERS];
	pid_t aborting[SLOW_WORKERS]; /* processes that are being ended by abort.c. Under lock. */
	/* Where words.c puts arguments: slots of WORDS_SLOT bytes from base on, each beginning with the mark. Under lock. */
	struct {
		uint64_t base;
		unsigned busy;
		unsigned char mark[16];
	} words;
	struct {
		int nr;
		uint64_t place; /* mixed with the text: one wrapper in libc makes all calls of a kind */
	} seen[256]; /* reports already made; a ring */
};

/* The caller sets broker, listener (or on_birth), pidfd, starting, on_*, arg; all else is zero. Takes listener, pidfd and cwd (O_PATH),
 * also when it fails; starts the lane's thread. first: the pid of the first process as the broker
 * sees it, whose tag is set now; its whole family inherits it. */
int family_start(struct family *f, pid_t first, int cwd, mode_t umask);
/* Waits until no request is being decided by what was true before. */
void family_settle(struct family *f);
/* Ends the lane, whether tasks live or not (what they ask from now on gets ENOSYS); joins; frees what f holds. */
void family_stop(struct family *f);

#define ADDRESS_TEXT 160
/* One request, everything in it copied from the target once. Handlers see nothing else of the target. */
struct request {
	struct family *family;
	const struct operation *op;
	struct state *state; /* of the calling process */
	uint64_t id; /* the carrier's */
	pid_t tid;
	int nr;
	uint64_t place;
	uint64_t stands; /* behind the call instruction that its thread waits in: place, or its handler's */
	uint64_t args[6]; /* registers; pointers in it are only passed to memory_write() */
	char *buffer; /* PATH_MAX bytes that path[0] is copied to */
	char *path[2]; /* copied, NUL terminated, at most PATH_MAX bytes with the NUL; NULL when the row has none */
	int dirfd[2]; /* AT_FDCWD or the target's descriptor number */
	int flags; /* open flags or AT_ flags, as the row says */
	mode_t mode;
	bool slow; /* runs on a slow worker: may block */
	bool violated; /* what a slow worker does is to end its process: abort.c */
	uint64_t frame; /* with violated: the address of the ucontext_t where the program was, or 0 */
	bool held_still; /* its caller is stopped by this very thread: it lives, whatever became of the notification */
	int held; /* 1 + a descriptor that an ANSWER_SLOW keeps for its second run (which closes it); 0 for none */
	/* filled for reports when a handler refuses */
	unsigned missing_promise; /* PROMISE_COUNT when none */
	unsigned missing_perms; /* PERM_ bits, for canonical */
	const char *why; /* a refusal that neither a promise nor an unveil would lift; else NULL */
	enum { MISSING_NONE, MISSING_CONNECT, MISSING_BIND } missing_address; /* a rule for `address` */
	const struct address *rule; /* of r's policy: the rule for an address that allowed it */
	const struct unveil *unveiled; /* the path's rule that did; both as long as r->state is held */
	const char *decided; /* what allowed it instead: "dns", "any", "asked"; NULL */
	bool unasked; /* what no rule covers is not asked for: see names.h */
	struct job *job; /* what an ANSWER_SLOW keeps for its second run, which drops it; NULL: see socket.h */
	bool interrupted; /* EINTR is the answer, whatever SA_RESTART says */
	struct open_how how; /* openat2 */
	char address
		[ADDRESS_TEXT]; /* what a socket's call names, as the policy language writes it; "" when not known */
	char canonical[PATH_MAX]; /* the object's path, when known */
};

/* What a handler says. As small as it is, it is returned in two registers. */
struct answer {
	union {
		int64_t value;
		int error; /* positive errno, of ANSWER_ERROR alone */
	};
	int fd; /* the broker's; closed after it was placed in the target */
	enum __attribute__((packed)) {
		ANSWER_ERROR,
		ANSWER_VALUE,
		ANSWER_FD,
		ANSWER_CONTINUE,
		ANSWER_SLOW,
		ANSWER_NONE
	} kind;
	bool cloexec; /* of the target's descriptor */
	bool sole; /* fd must be closed here before the target has the answer: see lane.c */
};
static inline struct answer answer_error(int e)
{
	return (struct answer){.kind = ANSWER_ERROR, .error = e, .fd = -1};
}
static inline struct answer answer_value(int64_t v)
{
	return (struct answer){.kind = ANSWER_VALUE, .value = v, .fd = -1};
}
static inline struct answer answer_fd(int fd, bool cloexec)
{
	return (struct answer){.kind = ANSWER_FD, .fd = fd, .cloexec = cloexec};
}
static inline struct answer answer_slow(void)
{
	return (struct answer){.kind = ANSWER_SLOW, .fd = -1};
}

#include "broker/operations.h"

/* ---- state.c ---- */
/* Held until state_release(). NULL when the caller is gone or its tag is not ours: deny. */
struct state *state_of(struct family *f, pid_t tid);
void state_release(struct family *f, struct state *s);
/* Whether the process carries a tag of this family. */
bool state_ours(struct family *f, pid_t pid);
/* From now on r's process is i's. */
int state_instance(struct request *r, struct instance *i);
/* Nothing of i's is left to ask. */
void state_instance_gone(struct family *f, struct instance *i);
int state_start(struct family *f, pid_t first, int cwd, mode_t umask); /* takes cwd */
void state_stop(struct family *f);
void state_forget(void); /* after a fork of the broker: its numbers are another's */
/* A state like s with another cwd (taken) or umask becomes the calling process's. 0, -ENOMEM, -EPERM. */
int state_change(struct request *r, int cwd, const mode_t *umask);
/* It now runs this program. */
int state_exec(struct request *r, const char *exe);
/* The same with less of the policy. All content of n is taken, also on failure. */
struct narrowing {
	struct policy policy;
	struct anchor *anchors; /* of policy */
	enum {
		VEIL_KEPT, /* what was unveiled is as it was */
		VEIL_ASKED, /* asked is all that was unveiled; policy shows what state_veil() and asked have in common */
		VEIL_ANEW, /* a new program: it may unveil from what it is left, as if nothing had been unveiled yet */
	} veil;
	struct policy asked; /* with VEIL_ASKED: its unveils alone count */
};
int state_narrow(struct request *r, struct narrowing *n);
/* What r's process may unveil from, and (returned) what it has unveiled so far. */
const struct policy *state_veil(const struct request *r, struct held *from);
/* ops_narrow.c: the state of r's process as if it had unveiled nothing. Good as long as r->state is. */
void state_unveiled(const struct request *r, struct state *wide);
/* The promises that any process of the family still has. */
uint64_t state_promises(struct family *f);
/* What r's process has now. */
struct held state_held(const struct request *r);

#include "broker/paths.h"

/* ---- identity.c ---- */
void identity_begin(struct broker *b); /* before it confines itself */
void identity_note(const struct request *r); /* of a call that is let go on: it may change its caller's ids */
int identity_take(const struct request *r); /* this thread acts as the caller from here on; -EPERM */

/* ---- slow.c: few interruptible workers for what can block ---- */
int slow_start(struct family *f);
/* A worker that waits, for the program that is about to be executed. */
void slow_prepare(struct family *f);
/* Copies r, runs its handler with r->slow set on a worker, answers. -EAGAIN when all (64) are busy. Watches that the
 * caller lives and interrupts the worker (EINTR) when not. On the lane's thread. */
int slow_submit(struct request *r);
/* So many are busy that what can wait without one should: see job.until in socket.h. */
bool slow_crowded(struct family *f);
/* A call of this thread that waits, if there is one, fails: for one that is about to be stopped, and will not see it. */
void slow_interrupt(struct family *f, pid_t tid);
void slow_stop(struct family *f);
/* Sent to a thread of the broker's to end what it blocks in; has an empty handler. */
#define WAKE_SIGNAL (SIGRTMIN + 3)
/* lane.c: reports and logs what was decided, then answers. */
void lane_finish(struct request *r, struct answer a);
/* lane.c: sends an answer; takes answer.fd. */
void lane_answer(struct family *f, uint64_t id, struct answer a);

/* ---- umask.c ---- */
/* The calling thread gets a umask of its own. For lanes and slow workers, at their start. */
void thread_own_fs(void);
bool thread_has_own_fs(void);
/* The mode to create with, just before the call that creates: r's umask is set, or (a thread without one of its own)
 * taken off. */
mode_t mode_for(const struct request *r, mode_t mode);

/* ---- report.c ---- */
/* Called when r was refused (error positive): decodes, dedupes by (nr, place), counts, logs, tells on_report. */
bool report_refusal(struct request *r, int error); /* whether it ends the family, and on_report has seen to that */
/* What comes of a refusal, by the policy: it is an errno; as the promise `error` has it; or the end of the process. */
enum violation { VIOLATION_ERRNO, VIOLATION_ENOSYS, VIOLATION_ABORT };
enum violation violation_of(const struct request *r, int error);
/* ---- abort.c ---- */
struct answer op_violation(struct request *r); /* AIRLOCK_OP_VIOLATION */
void abort_submit(struct request *r); /* ends r's process by SIGABRT, on a slow worker; r gets no answer */
struct answer abort_process(struct request *r); /* slow.c runs this */
/* decode.c: name(arguments) of r as text, escaped and bounded; returns buf. */
const char *decode_call(const struct request *r, char *buf, size_t len);
/* Appends in to buf: control characters, quotes, backslashes and what is not UTF-8 as \xNN. */
void decode_escape(char *buf, size_t len, const char *in);
/* "ENOENT", or "error 123" in a static table's stead. */
const char *decode_errno(int e);
/* One JSON line of a decided request, when the broker has a log. */
void report_log(const struct request *r, const struct answer *a);
/* One of many messages of a call was sent, or (result negative) was not: a line of its own. Its address is then no more
 * the call's. */
void report_message(struct request *r, int64_t result);

#include "broker/door.h"
#endif
