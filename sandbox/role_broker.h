/* SPDX-License-Identifier: ISC */
/* What the files of the broker's role share: role_broker.c (hello, set-up, the control loop), broker_grants.c (what a
 * loader and the image need, filters), children.c (targets), forker.c (the inits of all but the first), forks.c (forks
 * of zygotes), suspend.c, broker_lends.c (buffers), warden.c (cgroups), broker_nested.c (targets' own brokers),
 * broker_in_place.c. All run on the broker's first thread, or in forks of it. */
#ifndef AIRLOCK_ROLE_BROKER_H
#define AIRLOCK_ROLE_BROKER_H

#include "broker/broker.h"
#include "sandbox/direct.h"
#include "sandbox/nursery.h"
#include "sandbox/sandbox.h"

enum watch_kind {
	WATCH_CONTROL,
	WATCH_HOST,
	WATCH_STATUS,
	WATCH_INIT,
	WATCH_INIT_END,
	WATCH_LISTENER,
	WATCH_NEST,
	WATCH_NESTED_END,
	WATCH_LIMITS,
	WATCH_PARTING
};
struct child;
struct nested;
struct parting;
struct watch {
	enum watch_kind kind;
	struct child *child;
	struct nested *nested;
	struct parting *parting;
};

#define FILTER_DIRECT 2u
#define FILTER_ZYGOTE 4u
#define FILTERS 8
#define FILTER_OF(kind, direct) ((kind) + ((direct) ? FILTER_DIRECT : 0u))

/* One target: its init, its family, and the host's end. */
struct child {
	struct child *next;
	struct child *zygote; /* it is a fork of that one, and has no init and no family of its own; else NULL */
	struct instance *instance; /* with zygote */
	bool forks; /* it is a zygote */
	bool pool; /* or a pool's fresh target: each call has its own limit of wall time */
	bool family_runs;
	atomic_bool told; /* STARTED was sent */
	pthread_mutex_t birth; /* setup, and what is told of it */
	struct setup *setup; /* until it is served; then NULL */
	size_t setup_len;
	int status, init_socket, init_pidfd;
	pid_t init_pid;
	bool gone; /* it is; brokers that were nested in it are yet to end */
	int core; /* where a core file goes, or -1 */
	bool backtrace; /* is wanted of crashes */
	int err; /* a copy of its standard error, for lines about violations; or -1 */
	pid_t first; /* its first process, as the broker sees it */
	struct ipc_call *call;
	int cwd;
	mode_t umask;
	unsigned layers;
	int64_t deadline; /* CLOCK_MONOTONIC milliseconds, or -1 */
	int ward; /* the number of its cgroup; 0: none */
	bool warded; /* it began with one: not changed later, for the lane */
	bool unwarded; /* it should have one, which could not be made */
	bool suspended, asked; /* all of it is to stand still; the host waits to hear that it does */
	int64_t again; /* suspended: when to say so once more */
	int again_ms;
	_Atomic uint32_t why;
	bool seen;
	struct end end;
	pthread_mutex_t taking; /* lends, and what of the status socket is about them */
	struct lends *lends; /* broker_lends.c; NULL before the first */
	struct watch status_watch, init_watch, end_watch;
	struct family family; /* which is large */
};

extern struct broker_role {
	struct broker b;
	struct hello hello;
	struct nursery nursery;
	struct birth *birth; /* while it is made */
	bool mounts; /* there is a mount namespace in it, or is to be */
	struct direct direct;
	int control, host, image, program, setup_fd, epoll;
	int ruleset; /* Landlock: of all targets */
	int life; /* what tells workers that we are gone, or -1 */
	int warden; /* who keeps targets' cgroups, or -1 */
	int fdinfo; /* O_PATH of /proc/self/fdinfo: also holds on to the object that a Landlock rule names */
	struct child *children;
	int forker; /* the socket to the starter; 0: there is none */
	bool nested; /* it is a target's */
	bool guest; /* its targets are of another image, which is confined before it runs */
	int pidns; /* nested: of the target that asked */
	struct sock_filter *filter[FILTERS]; /* by enum start_kind and what there is besides */
	size_t filter_len[FILTERS];
	struct watch control_watch, host_watch, listener_watch, limits_watch;
	struct family in_place;
	char buffer[IPC_BYTES_MAX + 16];
} me;

/* role_broker.c */
void outcome_set(struct outcome *o, int error, unsigned layers, const char *text);
_Noreturn void give_up(int error, const char *text); /* before READY */
void watch(int fd, uint32_t events, struct watch *w);
void unwatch(int fd); /* and close it */
pid_t pid_of(int pidfd); /* as the broker sees it; -ESRCH: it has ended, or another negative errno */
void limits_watch(void); /* what tells of bytes, once there is an epoll */
_Noreturn void broker_loop(void);

/* broker_grants.c */
size_t interpreters_open(int *fds, const char **paths, size_t max);
int filter_for(unsigned which); /* compiles once, into me.filter */

/* forker.c */
void forker_begin(void); /* once there is a target: who has one may have many */
int forker_fork(const struct starting *s, int words, int *pidfd);

/* children.c */
void child_start(struct ipc_message *m);
/* False: it is a fork that never began, and now never will; there is no end to wait for. */
bool child_kill(struct child *c, enum ended_why why);
void init_says(struct child *c);
void status_says(struct child *c);
void child_ended(struct child *c);
void child_report(struct child *c, const struct report *r); /* on a lane or slow worker */
void child_crash(struct child *c, const struct crash *crash);
void child_started(struct child *c, int error, const char *text); /* tells it once */
void child_finish(struct child *c); /* nothing of it is left: tells, and frees it */

/* life.c: a descriptor for workers, whom it tells when this thread ends, and with it the broker; or a negative errno */
int life_begin(void);

/* telling.c */
void child_tell(struct child *c, enum message_type type, const void *data, size_t len); /* what there is little of */
bool child_room(const struct child *c); /* for what a target can bring about often */
void child_answered(void *arg, struct instance *i); /* family.on_answered */
bool ended_tell(int status, const struct ended *ended); /* false: there is no room */
void child_part(struct child *c, const struct ended *ended); /* tells it later, and takes the status socket for that */
void parting_again(struct parting *p);

/* suspend.c */
void child_suspend(struct child *c, bool suspended);
void child_suspended(struct child *c); /* init has signalled all its processes */
void child_serves(struct child *c); /* init is there */
void child_term(struct child *c);
int64_t suspend_tick(struct child *c, int64_t now); /* when it wants to be called again, or -1 */

/* forks.c */
void fork_start(struct child *zygote, struct ipc_message *m);
void fork_ended(struct child *zygote, const struct end *end); /* one of its forks */
void forks_gone(struct child *zygote); /* with its init, all of them */
void fork_report(void *arg, const struct report *r);
void fork_crash(void *arg, struct instance *i, const struct crash *crash);
void fork_barren(struct instance *i, int error);
void forks_ready(void *arg); /* the zygote waits for the first time: on a lane */

/* broker_lends.c */
void lends_prepare(struct child *c);
/* Of status_says(): receives into me.buffer what waits, as ipc_recv(). */
int lends_recv(struct child *c, struct ipc_message *m);
int lends_attach(void *arg, uint64_t id); /* family.on_attach */
void lends_stop(struct child *c);

/* broker_nested.c */
extern const struct nest_ops nested_ops;
int nested_prepare(void); /* before a family has nested_ops */
void nested_wake(void);
void nested_ended(struct nested *n);
bool nested_end_of(const struct child *c); /* whether there are any yet to end */
bool nested_any(void);
int64_t nested_tick(int64_t now); /* when it wants to be called again, or -1 */
void nested_end_all(void);
void nested_await_all(void);
void nested_await(int init_pidfd); /* for a target's end, and whatever was nested in it */
bool nested_may_start(void);
void orphans_expect(void); /* a child of the first thread ends soon that nobody waits for */

/* broker_in_place.c */
void in_place(void);
void in_place_end(void); /* all its processes: their bytes are used up */

#endif
