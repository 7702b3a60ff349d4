/* SPDX-License-Identifier: ISC */
/*
 * airlock: put code you do not trust behind a door.
 *
 * Functions return 0 or a count, or a negative errno; they neither read nor set errno. Out parameters are untouched on
 * failure, and airlock_message() then says in one line what went wrong. Pointers must not be NULL unless a comment says
 * so. Errors that any function may give: -EINVAL (an argument makes no sense), -ENOMEM, -EMFILE. Structures that begin
 * with their size begin as their _INIT: -E2BIG when they were made for a newer version, and ask for what this one does
 * not know. A policy is built by one thread and then only read; everything else may be called from any thread, one
 * thread at a time per object.
 */
#ifndef AIRLOCK_H
#define AIRLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct airlock_policy;
struct airlock_target;
struct airlock_buffer;
struct airlock_pool;
struct airlock_keeper;

/* First thing in main(). Does not return in a process that airlock started as a broker or a target. */
int airlock_init(int argc, char **argv);

/* ---- policy ------------------------------------------------------------------------------------------------ */

/* One bit for each layer between a target and the machine; airlock_layer_name() gives the words. */
enum airlock_layer {
	AIRLOCK_LAYER_USER = 1 << 0, /* own user namespace */
	AIRLOCK_LAYER_PID = 1 << 1, /* own pid namespace */
	AIRLOCK_LAYER_MOUNT = 1 << 2, /* own mount namespace */
	AIRLOCK_LAYER_NETWORK = 1 << 3, /* own, empty network namespace */
	AIRLOCK_LAYER_IPC = 1 << 4, /* own System V and POSIX queue namespace */
	AIRLOCK_LAYER_UTS = 1 << 5, /* own host name */
	AIRLOCK_LAYER_CGROUP = 1 << 6, /* own cgroup namespace */
	AIRLOCK_LAYER_ROOT = 1 << 7, /* an empty root directory */
	AIRLOCK_LAYER_CAPABILITIES = 1 << 8, /* none, in all five sets, securebits locked */
	AIRLOCK_LAYER_NO_NEW_PRIVS = 1 << 9,
	AIRLOCK_LAYER_DUMPABLE = 1 << 10, /* nobody but the broker may look inside */
	AIRLOCK_LAYER_LANDLOCK = 1 << 11, /* a deny-all backstop below the filter */
	AIRLOCK_LAYER_SECCOMP = 1 << 12,
	AIRLOCK_LAYER_LIMITS = 1 << 13, /* resource limits */
	AIRLOCK_LAYER_SESSION = 1 << 14, /* a new session: no terminal to push input into */
	/* Requests go by seccomp notifications. Never required: under somebody else's listener they go by signals (SIGSYS)
	 * and a socket instead, and programs cannot be executed. */
	AIRLOCK_LAYER_LISTENER = 1 << 15,
	/* A cgroup of its own keeps the limits memory, processes and weight of a target that has any. Never required. */
	AIRLOCK_LAYER_DELEGATION = 1 << 16,
};
#define AIRLOCK_LAYERS_NAMESPACES 0x7f /* the seven namespaces; "namespaces" in the policy language */
#define AIRLOCK_LAYERS_ALL 0x7fff

enum airlock_limit {
	AIRLOCK_LIMIT_MEMORY, /* bytes of address space, a process; and in a cgroup of its own, of memory, the whole target */
	AIRLOCK_LIMIT_CPU, /* milliseconds of processor time, a process; rounded up to a second */
	AIRLOCK_LIMIT_WALL, /* milliseconds from start to end, the whole target */
	AIRLOCK_LIMIT_PROCESSES, /* processes and threads alive at once, the whole target */
	AIRLOCK_LIMIT_FILES, /* open descriptors, a process */
	AIRLOCK_LIMIT_FILE_SIZE, /* bytes of the largest file it may write */
	AIRLOCK_LIMIT_CONNECTS, /* connections and new destinations of datagrams a second, the whole target */
	AIRLOCK_LIMIT_TRAFFIC, /* bytes over TCP, and in datagrams that the broker sends, the whole target: airlock(1) */
	AIRLOCK_LIMIT_WEIGHT, /* 1 to 10000, 100 is everybody's: its share of the processors among others */
};

enum airlock_violation {
	AIRLOCK_VIOLATION_ERRNO, /* the call fails and is reported (the default) */
	AIRLOCK_VIOLATION_KILL, /* the target is killed */
	AIRLOCK_VIOLATION_ABORT, /* the process gets SIGABRT, which it cannot catch, and a line says why: as pledge(2) */
};

/* "stdio rpath", see pledge(2); "" permits nothing but to end. -EINVAL for an unknown word, which is named. */
int airlock_policy_new(struct airlock_policy **out, const char *promises);

/* Reads the policy language, airlock(1) "POLICY FILES". The message names line, word and nearest known word. */
int airlock_policy_parse(struct airlock_policy **out, const char *text);

/* unveil(2): permissions of "rwxc", with "d" (direct) where the kernel itself may look, airlock(1) "DIRECT TREES"; ""
 * hides. The path is resolved now, relative to the caller's directory. -ENOENT when its parent is missing. */
int airlock_policy_unveil(struct airlock_policy *policy, const char *path, const char *permissions);
int airlock_policy_connect(struct airlock_policy *policy, const char *address);
int airlock_policy_bind(struct airlock_policy *policy, const char *address);

/* What no address of the policy covers: an address that a target wants to use. Valid during the call. */
struct airlock_question {
	size_t size;
	const char *address; /* as the policy language writes it: "tcp:93.184.216.34:443" */
	int bind; /* to be reached there; else to connect or send a datagram to it */
	pid_t pid; /* the process that asks, as ps shows it; 0 when not known */
	const char *program; /* the path of what it runs, "" when not known */
};
enum airlock_decision {
	AIRLOCK_REFUSE,
	AIRLOCK_ALLOW_ONCE, /* the calls that wait for this answer */
	AIRLOCK_ALLOW_TARGET, /* this address, as long as the target lives */
};
/* Called by airlock_dispatch(), airlock_wait() and airlock_call(), which say -EBUSY when it calls them on the same
 * target; nor may it free that. The target's thread waits for the answer as it would for a connection, and nobody else
 * does. */
typedef enum airlock_decision (*airlock_ask)(
	void *arg, struct airlock_target *target, const struct airlock_question *question);
/* Asks the host what no address covers, of targets with the promise inet. NULL: nobody. Not for airlock_enter()
 * (-EINVAL), not in a target (-EPERM). */
int airlock_policy_ask(struct airlock_policy *policy, airlock_ask ask, void *arg);

int airlock_policy_limit(struct airlock_policy *policy, enum airlock_limit limit, uint64_t value);

/* The target starts with a duplicate of fd as descriptor `as` (0 to 255; 3 to 9 are airlock's). fd stays the caller's
 * and must stay open until the last start. */
int airlock_policy_pass(struct airlock_policy *policy, int fd, int as);

/* NAME=VALUE, or NAME to pass the host's value at the time of the start. A target gets no other variables. */
int airlock_policy_env(struct airlock_policy *policy, const char *assignment);

/* Every layer is required, save these. */
int airlock_policy_tolerate(struct airlock_policy *policy, unsigned layers);
int airlock_policy_on_violation(struct airlock_policy *policy, enum airlock_violation violation);

/* The promises of programs that a target executes; NULL for the target's own. */
int airlock_policy_exec(struct airlock_policy *policy, const char *promises);

/* The broker writes one JSON line for each request to fd, which must stay open until the last start. */
int airlock_policy_log(struct airlock_policy *policy, int fd);

/* Ends the broker, and with it every target that is left. NULL is allowed. */
void airlock_policy_free(struct airlock_policy *policy);

/* ---- this process; irrevocable ------------------------------------------------------------------------------ */

/* Confines the calling process, all threads. Returns the layers in force. Refusals are reported as lines on the
 * standard error that was open at the call, or to airlock_policy_log(). */
int airlock_enter(const struct airlock_policy *policy);

/* pledge(2) and unveil(2). NULL leaves a part unchanged; -EPERM to widen. unveil(NULL, NULL) locks. */
int airlock_pledge(const char *promises, const char *exec_promises);
int airlock_unveil(const char *path, const char *permissions);

/* ---- another process ---------------------------------------------------------------------------------------- */

typedef ssize_t (*airlock_function)(const void *in, size_t len, void *out, size_t cap);
typedef int (*airlock_entry)(struct airlock_target *host, int argc, char **argv);
struct airlock_symbol {
	const char *name;
	airlock_function function;
	airlock_entry entry;
	struct airlock_symbol *next;
};
void airlock_register(struct airlock_symbol *symbol);

#define AIRLOCK_SYMBOL_(id, f, e)                                                                                      \
	__attribute__((constructor)) static void airlock_register_##id(void)                                           \
	{                                                                                                              \
		static struct airlock_symbol symbol = {#id, f, e, 0};                                                  \
		airlock_register(&symbol);                                                                             \
	}
/* Makes a function callable in a target: ssize_t decode(const void *in, size_t len, void *out, size_t cap), which
 * returns the bytes it wrote to out, or a negative number of its own. Both buffers are shared with the host. */
#define AIRLOCK_FUNCTION(id) AIRLOCK_SYMBOL_(id, id, 0)
/* Makes a function the main program of a target: int renderer(struct airlock_target *host, int argc, char **argv). */
#define AIRLOCK_ENTRY(id) AIRLOCK_SYMBOL_(id, 0, id)

/* What a target may call in its host, by airlock_call_host(): runs in the thread that is in airlock_call(),
 * airlock_call_end(), airlock_dispatch() or airlock_pool_call(). in is a copy, of at most 64 KiB; returns the bytes
 * written to out (of cap, at most 64 KiB), or a negative number of its own. It may not use the target. These come as an
 * array: their size stays as it is. */
struct airlock_callback {
	const char *name;
	ssize_t (*function)(void *arg, const void *in, size_t len, void *out, size_t cap);
	void *arg;
};

struct airlock_options {
	size_t size;
	int stdio[3]; /* descriptors for 0, 1, 2; -1 for the host's own, -2 for /dev/null */
	size_t shared; /* bytes that one call may move each way; 0 for 32 MiB */
	const char *name; /* shown by ps; NULL for the entry's or program's name */
	const struct airlock_callback *callbacks; /* must stay as they are while the target lives */
	size_t callback_count;
	int core; /* where a core file of a worker's crash is written to, or -1; must stay open until the start */
	int backtrace; /* of a worker's crash: it is looked for, for up to 20 ms, before the end is told */
};
#define AIRLOCK_OPTIONS_INIT                                                                                           \
	{                                                                                                              \
		sizeof(struct airlock_options), {-1, -1, -1}, 0, 0, 0, 0, -1, 1                                        \
	}

enum airlock_end {
	AIRLOCK_RUNNING,
	AIRLOCK_EXITED, /* code is its exit status */
	AIRLOCK_CRASHED, /* signal says which */
	AIRLOCK_VIOLATED, /* killed for what it called: violation says what */
	AIRLOCK_TIMED_OUT, /* the wall or processor limit */
	AIRLOCK_OUT_OF_MEMORY,
	AIRLOCK_KILLED, /* by the host, or by a signal from outside */
	AIRLOCK_LOST, /* its broker is gone, and it with it */
};

struct airlock_status {
	size_t size;
	enum airlock_end end;
	int code;
	int signal;
	uint64_t requests; /* answered by the broker */
	uint64_t refused; /* of those, refused */
	uint64_t user_usec; /* processor time of the first process and those it waited for */
	uint64_t system_usec;
	uint64_t peak_bytes; /* largest resident set of one process */
	unsigned layers; /* in force */
	char violation[320]; /* the last refused call: name(arguments), and what would have allowed it */
	char missing
		[160]; /* of that, what would have allowed it alone: "promise inet", "unveil /etc/passwd r"; or "" */
	int limit; /* the enum airlock_limit that it ran into, and its value; or -1 */
	uint64_t limit_value;
	/* Of a worker's crash, where the program had not taken the signal itself: */
	int fault; /* si_code: SEGV_MAPERR, ... */
	uint64_t fault_address;
	uint64_t instruction;
	char backtrace[1024]; /* "parse+0x1f (prog), main+0x2a (prog)"; or "" */
};
#define AIRLOCK_STATUS_INIT                                                                                            \
	{                                                                                                              \
		sizeof(struct airlock_status), AIRLOCK_RUNNING, 0, 0, 0, 0, 0, 0, 0, 0, "", "", -1, 0, 0, 0, 0, ""     \
	}

struct airlock_message {
	size_t size;
	void *data; /* the caller's buffer */
	size_t cap; /* its bytes */
	size_t len; /* set: bytes received */
	int fd; /* set: a descriptor that is now the caller's, or -1 */
};
#define AIRLOCK_MESSAGE_INIT                                                                                           \
	{                                                                                                              \
		sizeof(struct airlock_message), 0, 0, 0, -1                                                            \
	}

/* Starts a target from the program's own image. With entry NULL it serves airlock_call(); else it runs that
 * AIRLOCK_ENTRY with argv (NULL for none). *out is the caller's, to airlock_free(). options may be NULL. In a target it
 * is one of its own: -EPERM when the policy asks for more than the target has itself. */
int airlock_start(struct airlock_target **out, const struct airlock_policy *policy, const char *entry,
	char *const argv[], const struct airlock_options *options);

/* Starts another program, argv[0] looked up in PATH. -ENOENT, -EACCES as execve(2). */
int airlock_exec(struct airlock_target **out, const struct airlock_policy *policy, char *const argv[],
	const struct airlock_options *options);

/* Runs an AIRLOCK_FUNCTION in the target, and returns what it returned. -EPIPE when the target ended (before or
 * during the call), -EMSGSIZE when in or cap exceed options.shared, -ENOSYS for an unknown name, -EPROTO when the
 * target answered nonsense, -EINVAL when it runs an AIRLOCK_ENTRY or another program. */
ssize_t airlock_call(
	struct airlock_target *target, const char *function, const void *in, size_t len, void *out, size_t cap);

/* The same with what goes along; an array, too. */
struct airlock_lend {
	struct airlock_buffer *buffer;
	int writable; /* the target may write to it, too */
};
#define AIRLOCK_LENDS_MAX 8
struct airlock_call_options {
	size_t size;
	int timeout_ms; /* of the whole call; -1: none */
	int grace_ms; /* after that, or airlock_cancel(): how long the function has to return by itself, before the target is
			 killed */
	const struct airlock_lend *lends; /* airlock_lent(0) and so on, in the target */
	unsigned lend_count;
};
#define AIRLOCK_CALL_OPTIONS_INIT                                                                                      \
	{                                                                                                              \
		sizeof(struct airlock_call_options), -1, 0, 0, 0                                                       \
	}
/* As airlock_call(), and: -ETIMEDOUT, -ECANCELED (by airlock_cancel()): the target is killed unless its function
 * returned within grace_ms. */
ssize_t airlock_call_with(struct airlock_target *target, const char *function, const void *in, size_t len, void *out,
	size_t cap, const struct airlock_call_options *options);

/* Calls that are not waited for: up to 32 are under way at once, and are answered in their order. Returns a ticket
 * above 0; -EAGAIN when there is no room. in is copied. airlock_dispatch() returns 3 when one is answered. A deadline is
 * kept by airlock_dispatch() and airlock_call_end(). */
int airlock_call_begin(struct airlock_target *target, const char *function, const void *in, size_t len, size_t cap,
	const struct airlock_call_options *options);
/* What the function returned, as airlock_call(). -EINPROGRESS when it is not known within timeout_ms (0: at once; -1:
 * waits); anything else ends the ticket. -EINVAL for no ticket. */
ssize_t airlock_call_end(struct airlock_target *target, int ticket, void *out, size_t cap, int timeout_ms);
/* From any thread: the calls under way are to end. */
void airlock_cancel(struct airlock_target *target);

/* Memory of the host's that targets may be lent for a call, without a copy. len: bytes, rounded up to pages; zeroes. */
int airlock_buffer_new(struct airlock_buffer **out, size_t len);
void *airlock_buffer_data(const struct airlock_buffer *buffer);
size_t airlock_buffer_size(const struct airlock_buffer *buffer);
/* After this nobody can change it any more, the host included, and it cannot be lent writable again; the data stays
 * where it is. -EBUSY: a target still holds on to it and can change it whenever it likes: copy what you need and check
 * the copy, or end that target first. (A target's own end of a lend lets go when the call ends.) -EPERM: a target has
 * sealed it against that: copy, and check the copy. */
int airlock_buffer_revoke(struct airlock_buffer *buffer);
void airlock_buffer_free(struct airlock_buffer *buffer);

/* ---- in a target, while it runs an AIRLOCK_FUNCTION ---- */
/* A buffer that was lent for this call; NULL when there is none. Valid until the function returns. len and writable may
 * be NULL. */
void *airlock_lent(unsigned index, size_t *len, int *writable);
/* Calls one of the host's airlock_callbacks. What it returned; -ENOSYS, -EMSGSIZE, -EPROTO outside of a call. */
ssize_t airlock_call_host(const char *name, const void *in, size_t len, void *out, size_t cap);
/* Whether the host wants the function to return soon (airlock_call_options). */
int airlock_cancelled(void);

/* ---- pools: a target for each call ---- */

struct airlock_pool_options {
	size_t size;
	unsigned min; /* kept started and idle; 0: 2 */
	unsigned max; /* alive at once; 0: min, or twice the processors if that is more. Further callers wait */
	unsigned reuse; /* calls that one target serves; 0: 1, so that each job gets one that has seen no other input */
	int idle_ms; /* with reuse: what is idle beyond min ends after so long; -1: never; 0: 10 s */
	int wall_ms; /* the limit of each call; -1: none */
	int fresh; /* each target is a fresh image with addresses of its own, instead of a fork: airlock(3), "Pools" */
	const char *
		prepare; /* an AIRLOCK_FUNCTION (NULL, 0, NULL, 0) that runs once in each zygote or fresh target, before
				any input; or NULL */
	struct airlock_options target; /* of each; AIRLOCK_OPTIONS_INIT. Its core and name are shared. Stays the last */
};
#define AIRLOCK_POOL_OPTIONS_INIT                                                                                      \
	{                                                                                                              \
		sizeof(struct airlock_pool_options), 0, 0, 0, 0, -1, 0, 0, AIRLOCK_OPTIONS_INIT                        \
	}
struct airlock_pool_stats {
	size_t size;
	unsigned alive, idle, busy, waiting; /* targets; waiting: callers for one */
	uint64_t calls, started, crashed, violated, timed_out, lost; /* since the pool was made */
	int forks; /* targets are forks of a zygote; else fresh images */
};
#define AIRLOCK_POOL_STATS_INIT                                                                                        \
	{                                                                                                              \
		sizeof(struct airlock_pool_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0                                     \
	}
/* The policy must live as long as the pool. options may be NULL. Where forks of one zygote would be less apart than
 * targets are (the promises proc or exec; limits processes, connects, traffic; airlock_policy_ask(); without stdio; in
 * a target) targets are fresh, and airlock_message() says so. */
int airlock_pool_new(
	struct airlock_pool **out, const struct airlock_policy *policy, const struct airlock_pool_options *options);
/* From any number of threads. As airlock_call(), each on a target of its own; returns exactly once, whatever becomes of
 * the target. *status (begins as AIRLOCK_STATUS_INIT; NULL: not wanted) says how the target stands or ended. */
ssize_t airlock_pool_call(struct airlock_pool *pool, const char *function, const void *in, size_t len, void *out,
	size_t cap, struct airlock_status *status);
ssize_t airlock_pool_call_with(struct airlock_pool *pool, const char *function, const void *in, size_t len, void *out,
	size_t cap, const struct airlock_call_options *options, struct airlock_status *status);
int airlock_pool_stats(struct airlock_pool *pool, struct airlock_pool_stats *stats);
/* Under memory pressure: ends what is idle, the zygote with it; the next call starts anew. Returns how many ended. */
int airlock_pool_trim(struct airlock_pool *pool);
/* Nobody may be in a call. NULL is allowed. */
void airlock_pool_free(struct airlock_pool *pool);

/* ---- targets that live long ---- */

/* 0: it answered within timeout_ms. A target that serves calls answers between two of them; an AIRLOCK_ENTRY in
 * airlock_dispatch(). -ETIMEDOUT, -EPIPE; -EBUSY for one that is suspended, -EOPNOTSUPP for airlock_exec(). That it
 * answers says that it wants to be thought well, and no more. */
int airlock_ping(struct airlock_target *target, int timeout_ms);
/* Asks it to end (calls: after the one it is in; an AIRLOCK_ENTRY: airlock_dispatch() returns 2; a program: SIGTERM),
 * kills it after grace_ms, and waits: as airlock_wait(). */
int airlock_stop(struct airlock_target *target, int grace_ms, struct airlock_status *status);
/* All its processes stand still and go on: by its cgroup's freezer, else by SIGSTOP, which a hostile one can undo for
 * moments. Limits of time go on counting. -EOPNOTSUPP without a pid namespace. */
int airlock_suspend(struct airlock_target *target);
int airlock_resume(struct airlock_target *target);
/* Under memory pressure: gives back what of the shared memory no call uses, and has the kernel page out what the target
 * does not need now. */
int airlock_trim(struct airlock_target *target);

struct airlock_keeper_options {
	size_t size;
	int backoff_ms; /* before the first restart; doubles up to backoff_max_ms. 0: 100 */
	int backoff_max_ms; /* 0: 30 s */
	int healthy_ms; /* a target that lived so long starts the back-off anew. 0: 10 s */
	int restarts; /* in a row before it is given up; -1: never */
	int restart_on_exit; /* also when it ended by itself with status 0 */
	int ping_ms; /* between health checks; 0: none */
	int ping_timeout_ms; /* what does not answer within this is killed and restarted. 0: 5 s */
	int stop_ms; /* how long airlock_keeper_free() waits before it kills. 0: 2 s */
	void (*on_start)(void *arg, struct airlock_target *target); /* a new one runs */
	void (*on_end)(
		void *arg, struct airlock_target *target, const struct airlock_status *status, int restart_ms); /* -1:
			given up */
	void *arg;
};
#define AIRLOCK_KEEPER_OPTIONS_INIT                                                                                    \
	{                                                                                                              \
		sizeof(struct airlock_keeper_options), 0, 0, 0, -1, 0, 0, 0, 0, 0, 0, 0                                \
	}
/* Starts an AIRLOCK_ENTRY (or, entry NULL and argv, nothing else than airlock_start() does) and starts it again when it
 * ends. No thread, no signal handler: what is due is done in airlock_keeper_dispatch(). policy and what options point
 * to must live as long as it. */
int airlock_keeper_new(struct airlock_keeper **out, const struct airlock_policy *policy, const char *entry,
	char *const argv[], const struct airlock_options *options, const struct airlock_keeper_options *keep);
/* The one that runs; NULL between two and when it was given up. */
struct airlock_target *airlock_keeper_target(const struct airlock_keeper *keeper);
int airlock_keeper_fd(const struct airlock_keeper *keeper);
/* As airlock_dispatch(), 0 also when a target ended or was started; 2: given up. */
int airlock_keeper_dispatch(struct airlock_keeper *keeper, int timeout_ms);
void airlock_keeper_free(struct airlock_keeper *keeper);

/* One message of up to 64 KiB, with fd unless it is -1 (a copy is sent). Non-blocking: -EAGAIN. -EPIPE. */
int airlock_send(struct airlock_target *peer, const void *data, size_t len, int fd);
int airlock_recv(struct airlock_target *peer, struct airlock_message *message);

/* A descriptor that is readable when airlock_dispatch() has work. Borrowed; poll it, nothing else, and stop when
 * airlock_dispatch() has said 2. -EMFILE when none is left. */
int airlock_fd(const struct airlock_target *target);

/* Waits up to timeout_ms (-1: for ever) and takes in what came. 1: a message waits, 3: a call that airlock_call_begin()
 * began is answered or never will be, 2: the target ended and no such call is left, 0: nothing. */
int airlock_dispatch(struct airlock_target *target, int timeout_ms);

/* Waits for the end. 0 when it ended and *status (NULL: not wanted) is filled; -ETIMEDOUT when it still runs (then also
 * filled). */
int airlock_wait(struct airlock_target *target, struct airlock_status *status, int timeout_ms);

/* How the target ended, or what it does, for a person; buf is returned. */
const char *airlock_explain(const struct airlock_target *target, char *buf, size_t len);

/* The first refusals, one call at a time: index from 0, -ENOENT past the last. At most 64 are kept. */
int airlock_refusal(const struct airlock_target *target, unsigned index, char *buf, size_t len);

/* Asks the target to die, now. Nothing of it is left when airlock_free() returns. NULL is allowed. */
int airlock_kill(struct airlock_target *target);
void airlock_free(struct airlock_target *target);

/* ---- what holds --------------------------------------------------------------------------------------------- */

#define AIRLOCK_PREWARM_TIMEZONE 1
#define AIRLOCK_PREWARM_LOCALE 2
#define AIRLOCK_PREWARM_ICONV 4
#define AIRLOCK_PREWARM_NAMES 8
#define AIRLOCK_PREWARM_LIBGCC 16 /* backtrace(), pthread_cancel(), pthread_exit(), which load a library */
#define AIRLOCK_PREWARM_FONTS 32 /* FcInit(), when the program is linked with fontconfig */
/* Loads now what libc would open later: iconv's modules and libgcc would need prot_exec then. */
int airlock_prewarm(unsigned what);

/* The layers that this kernel and container can give, found by trying. */
int airlock_layers(void);
/* The word for one bit, or NULL. */
const char *airlock_layer_name(unsigned layer);
/* Why the layer cannot be had here and what would give it, or NULL when it can. */
const char *airlock_layer_missing(unsigned layer);

/* This thread's last failure in one line; never NULL. Valid until the thread's next failing call. After
 * airlock_start(), airlock_exec() and airlock_enter() that succeeded: what of the policy is served otherwise than
 * asked, or "". */
const char *airlock_message(void);

#ifdef __cplusplus
}
#endif
#endif
