/* SPDX-License-Identifier: ISC */
/*
 * What the files of this folder share. Who runs where:
 *   host      policy.c spawn.c start.c target.c call.c ending.c buffer.c       in the application
 *             steer.c keeper.c pool.c slots.c cgroup.c prewarm.c probe.c
 *   broker    role_broker.c broker_grants.c broker_lends.c children.c          in the image executed again
 *             forks.c suspend.c broker_in_place.c user.c nursery.c direct.c direct_root.c, starter.c up to its fork
 *             broker_nested.c role_nested.c (of targets that targets start)
 *   beside it forker.c (forks the inits of further targets) warden.c (cgroups), each a fork of the broker
 *   init      starter.c (after its fork)                                      pid 1 of a target's pid namespace
 *   target    starter.c (pid 2, until exec) role_target.c layers.c serve.c    what is confined
 *             lent.c crash.c zygote.c nested.c, carrier.c (where requests go by signals)
 *   in place  in_place.c pledge.c tell.c layers.c carrier.c                   the application, confining itself
 *   anywhere  init.c message.c lines.c
 */
#ifndef AIRLOCK_SANDBOX_H
#define AIRLOCK_SANDBOX_H

#include "broker/broker.h"
#include "ipc/ipc.h"
#include "policy/policy.h"
#include "sandbox/airlock.h"
#include "sandbox/protocol.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* ---- message.c ---- */
/* Sets this thread's message and returns error, so that "return fail(...)" reads well. */
int fail(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Options as the caller gave them, over the defaults that `to` has: an older program's are shorter, and a newer one's may be
 * longer, if what we do not know is zero (-E2BIG). Each begins with its size, which is then ours. */
#define OPTIONS_MAX 4096
int options_copy(void *to, size_t own, const void *given, const char *init);

/* ---- policy.c ---- */
struct broker_handle;
struct airlock_policy {
	struct policy p;
	struct {
		int fd, as;
	} pass[PASS_MAX];
	size_t pass_count;
	int log;
	airlock_ask ask;
	void *ask_arg;
	pthread_mutex_t lock; /* handle: the only part that changes under a const policy */
	struct broker_handle *handle; /* of the policy as it stands; let go when the policy changes */
};
unsigned layer_find(const char *word);

/* ---- spawn.c ---- */
/* A running broker, shared by a policy and the targets it started. */
struct broker_handle {
	atomic_uint references;
	int control;
	pthread_mutex_t lock; /* of its first word: awaited, error, and what comes with it */
	bool awaited;
	int error;
	pid_t pid;
	unsigned layers;
	char note[400]; /* what of the policy is served otherwise than asked, or ""; why there is an error */
	uint64_t program_dev, program_ino; /* exec: the program that its Landlock domain lets through */
	bool nested; /* asked by notifications, not by control */
};
/* What a broker is told at its birth. */
struct broker_birth {
	const struct airlock_policy *policy;
	bool in_place;
	int program; /* exec: O_PATH descriptor, else -1 */
	const char *program_path;
	int setup; /* in place: the setup memory, else -1 */
	int proc; /* in place: a procfs for it, or -1: none is to be had */
	int terminal; /* in place: that of the program, or 0 */
	uint64_t empty_string;
	bool narrowable; /* in place: see policy/filter.h */
};
/* A worker's broker is still to say that it is ready: what it is to do can be sent to it at once. */
int broker_spawn(struct broker_handle **out, const struct broker_birth *birth);
int broker_ready(struct broker_handle *h); /* waits for that: 0, or a negative errno with its message */
bool broker_failed(struct broker_handle *h); /* it was waited for, in vain */
void broker_handle_free(struct broker_handle *h);
/* Remembers the image and the name; called by airlock_init(). */
int image_remember(int argc, char **argv);
/* The calling process' umask, without the moment of another one that asking umask(2) means for other threads. */
mode_t umask_now(void);
/* Variables that the image needs to be loaded again: the loader's own and those of sanitizer runtimes. */
extern const char *const image_environment[];

/* In a broker: it is a fork of its program, whose image could not be executed again. */
extern bool broker_forked;
/* In airlock(1), which is small, has one thread, no secrets but its environment and no children that are waited for: a
 * program's broker is a fork of it, which is ready a millisecond earlier than an executed one. */
extern bool broker_forks;

/* Of a sanitizer's run time, in programs that have one. */
extern void __sanitizer_symbolize_pc(void *pc, const char *format, char *out, size_t len) __attribute__((weak));

/* The descriptor of the image, for Landlock rules. */
int image_fd(void);
/* For setproctitle(). */
void title_init(int argc, char **argv, char **envp);
/* Closes it: a process that confined itself starts nothing from it any more. */
void image_forget(void);

/* ---- in_place.c ---- */
/* Confines the calling process. The layers in force, or a negative errno. */
int in_place_enter(const struct airlock_policy *policy, unsigned tolerate, bool narrowable);

/* ---- broker_grants.c: what a broker's Landlock domain lets through besides the policy ---- */
/* What loaders read, as PERM_LOADER rules: into a policy that lets programs be executed, before it gets anchors. */
void loader_rules(struct policy *p);
#define LANDLOCK_EXTRA_MAX 256
struct landlock_extra {
	struct landlock_rule rules[LANDLOCK_EXTRA_MAX];
	size_t count;
};
/* The image and what the loader mapped of it: it is executed again inside the domain. */
void extra_image(struct landlock_extra *x, int image);
/* The directories that a program's loader searches. */
void extra_libraries(struct landlock_extra *x);
void extra_interpreters(struct landlock_extra *x); /* ELF's */
void extra_descriptor(struct landlock_extra *x, int fd, unsigned perms); /* fd stays the caller's */
void extra_close(struct landlock_extra *x);

/* ---- tell.c ---- */
/* Sets the handler for a filter that was compiled with `tells`. */
void tell_begin(void);

/* ---- lines.c: where the lines about violations go ---- */
/* Whether this is somebody's standard error. */
bool lines_taken(int fd);
/* Standard error becomes what takes them: itself, the terminal, the system's log, or nothing. */
void lines_settle(void);
/* Writes a line to a terminal, pipe, file, socket, or the system's log. Waits so long for fd to take it; whether it did. */
bool line_write(int fd, const char *line, int ms);
/* In place, once confined: a pipe is not held open for the program's life. */
void lines_let_go(void);
/* line_write() to the standard error, or what stands for it, of the program that the report is about. */
bool line_about(const struct report *r, const char *line, int ms);
#define LINE_MS 1000 /* what a slow worker waits. A lane does not wait. */

/* ---- init.c ---- */
extern struct airlock_symbol *symbols;
const struct airlock_symbol *symbol_find(const char *name);

/* ---- role_broker.c, role_target.c: what airlock_init() becomes ---- */
_Noreturn void role_broker(void);
_Noreturn void role_target(bool guest); /* guest: confined already, before its image was loaded */

/* ---- life.c ---- */
/* In a target: takes what its broker passed; and ends it if the broker is gone. */
void life_take(void);
void life_check(void);

/* ---- serve.c: in a target ---- */
/* channel: to the host, or -1. */
void serve_narrowed(void); /* promises were given up */
_Noreturn void serve_calls(struct ipc_call *call, size_t shared, int channel);

/* ---- nested.c: in a target ---- */
bool nested_inside(void); /* whether this process has a broker */
int64_t plain_messages(void); /* messages as this target's promises, which it returns, let them through */
struct broker_birth;
int nested_spawn(struct broker_handle **out, const struct broker_birth *birth);
struct words;
/* fds: status, 0, 1, 2, channel, call, passed... */
int nested_start(struct broker_handle *h, const struct start *start, const char *words, const int *fds, size_t count);

/* ---- starter.c: broker's side of starting ---- */
struct nursery;
struct starting {
	const struct start *start;
	const char *words; /* start->words_len bytes: entry, arguments, environment */
	struct setup *setup; /* mapped, shared */
	size_t setup_len;
	int setup_fd, call, channel, cwd, image, program;
	int stdio[3];
	int pass[PASS_MAX];
	const struct nursery *nursery;
	bool pid_namespace;
	int ruleset; /* the Landlock ruleset that the target enters, or -1 */
	int life; /* for workers: see life.c; or -1 */
	int init; /* init's end of the socket to the broker */
	int orders; /* in the starter that the broker keeps: its socket; else 0 */
	int inside; /* the pid namespace that init's is to lie in, or -1 for the broker's */
	int guest; /* what a guest finds as FD_SETUP, or -1 */
	const char *name;
	void (*born)(void *arg, struct setup *setup, pid_t init); /* before it does anything; or NULL */
	void *arg;
};
/* Forks init, which starts the target. */
int starter_fork(const struct starting *s, int *pidfd);

/* ---- a small target.c / start.c share ---- */
struct airlock_target {
	struct broker_handle *broker; /* NULL inside the target itself */
	int status; /* to the broker */
	int channel; /* between host and target */
	int poll; /* epoll of both; -1 before somebody wants it: airlock_fd() */
	bool silent; /* nothing comes by the channel any more */
	bool inside; /* its end of the channel, in the target itself */
	int failed; /* it was not to be, and nobody waited for it: negative errno */
	char *failure; /* and why; or NULL */
	struct ipc_call *call;
	struct ipc_ring ring; /* of call */
	const struct airlock_callback *callbacks;
	size_t callback_count;
	pthread_mutex_t forcing;
	atomic_bool forced; /* see call_force() */
	bool late; /* killed for a call that took too long */
	size_t shared;
	char name[64];
	bool ended, lost, killed; /* killed: it was asked to die */
	bool concluded; /* airlock_dispatch() has said that it ended */
	bool faulty; /* one of its calls got no answer, or nonsense */
	airlock_ask ask; /* the policy's, at its start */
	void *ask_arg;
	bool busy; /* a function of the host answers it just now */
	unsigned layers;
	struct ended end;
	uint64_t refused;
	struct refused *refusals; /* ending.h */
	unsigned refusal_count;
	bool violated;
	struct crashed *crash; /* what it said of one, or NULL */
	uint64_t limits[LIMIT_COUNT];
	struct lends_given *lends; /* buffer.c; NULL before the first */
	bool starting; /* nobody waited for its start */
	bool suspended; /* as far as its broker has said */
	bool suspending, suspend; /* its broker is to answer that it is so */
	int suspend_error;
	bool stopping; /* it was asked to end */
	bool serves; /* calls; else it is an entry or a program */
	bool program;
	struct ipc_call *wishes; /* inside of a target: where the host leaves them */
};
int map_own(int fd, size_t len, void **out);

/* channel -1: a zygote's fork has none. call_fd (-1: none) stays the caller's: what is mapped needs none. */
int target_new(struct airlock_target **out, int status, int channel, int call_fd, size_t shared);
/* Takes in what its broker told so far. */
bool target_ended(struct airlock_target *t);

/* ---- buffer.c: what goes along with a call ---- */
/* Before the call is published: fills out (IPC_LENDS_MAX) for the target. Their number, which may be more than count (what
 * the target is to let go of), so with count 0 too; or a negative errno. */
int buffers_lend(struct airlock_target *t, const struct airlock_lend *lends, unsigned count, struct ipc_lend *out);
/* After it, with the same. attached: the target has got as far as to run the function, or has ended. */
void buffers_returned(struct airlock_target *t, const struct ipc_lend *lends, unsigned count, bool attached);
void buffers_forget(struct airlock_target *t);

/* ---- lent.c: in a target ---- */
/* Before the function is looked up, and after it returned. 0, or a negative errno and nothing is lent. */
int lends_begin(const struct ipc_lend *lends, unsigned count);
void lends_end(void);

/* When that will be (-1: never), and in how many milliseconds (-1: never). */
static inline int64_t deadline_in(int ms)
{
	return ms < 0 ? -1 : ipc_now_ms() + ms;
}
static inline int deadline_left(int64_t deadline)
{
	const int64_t ms = deadline < 0 ? -1 : deadline - ipc_now_ms();
	return deadline < 0 ? -1 : ms < 0 ? 0 : ms > 1000000000 ? 1000000000 : (int)ms;
}

int target_busy(const struct airlock_target *t); /* -EBUSY while a function of the host's answers the target; or 0 */

/* ---- call.c: for target.c ---- */
bool call_work(struct airlock_target *t);
void call_force(struct airlock_target *t, bool on);
int call_due_ms(const struct airlock_target *t, int ms); /* until the next deadline, if that is sooner */
void call_forget(struct airlock_target *t);

/* ---- steer.c: targets that live long ---- */
/* What the target is to do when it next comes to it: a number for ipc_call_granted(). */
uint32_t wish_send(struct airlock_target *t, uint32_t wish);
/* Inside of a target: takes what is not for the program off the channel. Whether a message for the program is left. */
bool pings_take(struct airlock_target *t);
/* Inside of a target, between two calls. */
void wishes_grant(struct ipc_call *c);
/* Asks it to end. */
int stop_ask(struct airlock_target *t);
struct ipc_message;
void suspended_take(struct airlock_target *t, const struct ipc_message *m);

/* ---- start.c ---- */
int start_options(struct airlock_options *o, const struct airlock_options *given); /* given: NULL for none */
/* airlock_start() of a pool's fresh target, which may be called at once: that it did not start, the first call tells, or
 * worker_await(). prepare: the function that it runs first, or NULL. The limit of wall time is the pool's to keep. */
int worker_ahead(struct airlock_target **out, const struct airlock_policy *policy, const char *prepare,
	const struct airlock_options *options);
int worker_await(struct airlock_target *t, int64_t deadline); /* -1: none. Else, -ETIMEDOUT: to be asked again */
/* airlock_start() that does not wait: airlock_dispatch() tells that it did not start by saying that it ended. */
int worker_begin(struct airlock_target **out, const struct airlock_policy *policy, const char *entry,
	char *const argv[], const struct airlock_options *options);
/* airlock_start() of a zygote, which worker_await() waits for: prepare is the function that it runs first, or NULL. */
int zygote_start(struct airlock_target **out, const struct airlock_policy *policy, const char *prepare,
	const struct airlock_options *options);
/* One of its forks. Does not wait for it: calls can be made at once. That there is none, the first call tells. */
int zygote_fork_one(struct airlock_target **out, struct airlock_target *zygote);
/* Whether forks of one zygote are as far apart as targets are; else *why says what of the policy stands against it. */
bool zygote_fits(const struct airlock_policy *policy, const char **why);

#endif
