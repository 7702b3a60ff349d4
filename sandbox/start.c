/* SPDX-License-Identifier: ISC */
/* Owns airlock_start() and airlock_exec(): what a target gets from its host, gathered and sent to the broker. Runs in the
 * host. */
#include "sandbox/sandbox.h"

#include "broker/script.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))
#define SHARED_DEFAULT (32u << 20)
#define TAKES_MS 10000 /* a broker that lives takes what it is sent at once, if it gets to run */
#define WORDS_LEN_MAX (2u << 20) /* as much as exec takes */

/* ---- the words: entry, arguments, environment ---- */

struct words {
	char *bytes;
	size_t len, room;
	uint32_t count;
};

static int words_add(struct words *w, const char *word)
{
	size_t n = strlen(word) + 1;
	if (w->len + n > WORDS_LEN_MAX)
		return fail(-E2BIG, "the arguments are too long");
	if (w->len + n > w->room) {
		size_t room = (w->len + n) * 2;
		char *bytes = realloc(w->bytes, room);
		if (!bytes)
			return fail(-ENOMEM, "out of memory");
		w->bytes = bytes;
		w->room = room;
	}
	memcpy(w->bytes + w->len, word, n);
	w->len += n;
	w->count++;
	return 0;
}

/* NAME with the host's value, if it has one. */
static int words_pair(struct words *w, const char *name)
{
	const char *value = getenv(name);
	char *pair;
	if (!value)
		return 0;
	if (asprintf(&pair, "%s=%s", name, value) < 0)
		return fail(-ENOMEM, "out of memory");
	int r = words_add(w, pair);
	free(pair);
	return r;
}

/* For the image's own loading. A sanitizer's run time looks for leaks by ptrace, which no target may do, and for what makes
 * names of addresses in a program that it cannot execute: it need not try. */
static int words_image(struct words *w, const char *name)
{
	const char *value = getenv(name);
	const bool leaks = strcmp(name, "LSAN_OPTIONS") == 0;
	char *pair;
	if (!__sanitizer_symbolize_pc || !strstr(name, "SAN_OPTIONS"))
		return words_pair(w, name);
	if (asprintf(&pair, "%s=%s%s%s", name, leaks ? "" : "external_symbolizer_path=:", value ? value : "",
		    leaks ? ":detect_leaks=0" : "") < 0)
		return fail(-ENOMEM, "out of memory");
	int r = words_add(w, pair);
	free(pair);
	return r;
}

/* The policy's assignments, and the host's values of the names it lets pass. */
static int words_environment(struct words *w, const struct policy *p)
{
	for (size_t i = 0; i < p->env_count; i++) {
		int r = strchr(p->env[i], '=') ? words_add(w, p->env[i]) : words_pair(w, p->env[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- the broker of a policy ---- */

static int broker_get(struct broker_handle **out, const struct airlock_policy *policy, int program, const char *path)
{
	/* The lock and the handle are the only parts of a policy that change while it is shared. */
	struct airlock_policy *p = (struct airlock_policy *)(uintptr_t)policy;
	struct stat st = {0};
	int r = 0;
	if (program >= 0 && fstat(program, &st) < 0)
		return fail(-errno, "%s: %s", path, strerror(errno));
	pthread_mutex_lock(&p->lock);
	struct broker_handle *h = p->handle;
	if (h && (program >= 0) != (h->program_ino != 0))
		h = NULL;
	if (h && program >= 0 && (h->program_dev != st.st_dev || h->program_ino != st.st_ino))
		h = NULL;
	/* A broker that died is replaced; its targets are lost. */
	char byte;
	if (h && (broker_failed(h) || ipc_peek(h->control, &byte, 1) == 0))
		h = NULL;
	if (!h) {
		struct broker_birth birth = {.policy = policy, .program = program, .program_path = path, .setup = -1};
		r = broker_spawn(&h, &birth);
		if (r == 0) {
			broker_handle_free(p->handle);
			p->handle = h;
		}
	}
	if (r == 0) {
		atomic_fetch_add(&h->references, 1);
		*out = h;
	}
	pthread_mutex_unlock(&p->lock);
	return r;
}

/* ---- starting ---- */

/* What a target gets besides what its policy passes, and the host's ends of it. -1: not there (yet). */
struct ends {
	int status[2], channel[2]; /* the host's, the other's */
	int call, null, cwd;
	int stdio[3]; /* borrowed */
};

static int stdio_fd(int wanted, int number, int null)
{
	if (wanted == -2)
		return null;
	if (wanted >= 0)
		return wanted;
	return fcntl(number, F_GETFD) < 0 ? null : number;
}

static int stdio_check(const int fds[3])
{
	for (int i = 0; i < 3; i++) {
		struct stat st;
		if (fstat(fds[i], &st) < 0)
			return fail(-EBADF, "descriptor %d is not open", fds[i]);
		/* It would lead to everything above it. */
		if (S_ISDIR(st.st_mode))
			return fail(-EISDIR, "the target's descriptor %d is a directory", i);
	}
	return 0;
}

/* A broker that drops a start for want of descriptors goes on to take what it is sent. One that is dying takes nothing,
 * but may have closed this target's socket before the one that it is spoken to by. */
static bool broker_takes(const struct broker_handle *h)
{
	const int64_t until = ipc_now_ms() + TAKES_MS;
	struct pollfd p = {.fd = h->control, .events = POLLRDHUP};
	int unread = 0;
	if (h->nested)
		return false;
	ipc_send(h->control, &(struct ipc_message){.type = MESSAGE_NOTHING}, false);
	while (ipc_now_ms() < until) {
		/* The kernel throws away what was not taken after it has told us of the end, not before. */
		const bool taken = ioctl(h->control, SIOCOUTQ, &unread) == 0 && unread == 0;
		if (poll(&p, 1, taken ? 0 : 1) == 1)
			return false;
		if (taken)
			return true;
	}
	return false;
}

int worker_await(struct airlock_target *t, int64_t deadline)
{
	struct pollfd p = {.fd = t->status, .events = POLLIN};
	char *buffer = malloc(IPC_BYTES_MAX + 16);
	struct ipc_message m;
	struct refusal refusal = {.text = ""};
	int r;
	if (!buffer)
		return fail(-ENOMEM, "out of memory");
	for (;;) {
		if (poll(&p, 1, deadline_left(deadline)) < 1) {
			if (deadline_left(deadline) != 0)
				continue;
			r = fail(-ETIMEDOUT, "%s has not started by the deadline", t->name);
			break;
		}
		r = ipc_recv(t->status, buffer, IPC_BYTES_MAX + 16, 0, &m, true);
		if (r != 1) {
			r = broker_takes(t->broker)
				    ? fail(-EMFILE, "the broker has no room for another target" NO_DESCRIPTORS)
				    : fail(-ECHILD, "the broker died while the target started");
			break;
		}
		if (m.type == MESSAGE_REFUSAL && m.len == sizeof(refusal)) { /* of a zygote that prepares */
			memcpy(&refusal, m.data, sizeof(refusal));
			refusal.text[sizeof(refusal.text) - 1] = 0;
		}
		if (m.type != MESSAGE_STARTED || m.len != sizeof(struct outcome))
			continue;
		struct outcome o;
		memcpy(&o, m.data, sizeof(o));
		t->layers = o.layers;
		t->starting = false;
		/* What was not as asked, of a start that succeeded, is a message too. */
		o.text[sizeof(o.text) - 1] = 0;
		r = fail(o.error < 0 ? o.error : 0, "%s%s%s", o.error < 0 || o.text[0] ? o.text : t->broker->note,
			o.error < 0 && refusal.text[0] ? ": " : "", o.error < 0 ? refusal.text : "");
		break;
	}
	free(buffer);
	return r;
}

static int nested_send(struct broker_handle *h, struct start *start, const struct airlock_policy *policy,
	const struct ends *e, const struct words *words)
{
	int fds[6 + PASS_MAX] = {e->status[1], e->stdio[0], e->stdio[1], e->stdio[2], e->channel[1], e->call};
	start->words_len = (uint32_t)words->len;
	for (size_t i = 0; i < policy->pass_count; i++) {
		fds[6 + i] = policy->pass[i].fd;
		start->pass_as[i] = policy->pass[i].as;
	}
	return nested_start(h, start, words->bytes, fds, 6 + policy->pass_count);
}

static int send_start(struct broker_handle *h, struct start *start, const struct airlock_policy *policy,
	const struct ends *e, int core, const struct words *words)
{
	if (h->nested)
		return nested_send(h, start, policy, e, words);
	struct ipc_message m = {.type = MESSAGE_START, .len = sizeof(*start), .data = start};
	int memory = ipc_memfd("airlock-words", words->bytes, words->len, true);
	if (memory < 0)
		return fail(memory, "no memory for the arguments");
	const int fixed[] = {
		e->status[1], e->stdio[0], e->stdio[1], e->stdio[2], e->channel[1], e->call, e->cwd, memory};
	memcpy(m.fds, fixed, sizeof(fixed));
	m.fd_count = sizeof(fixed) / sizeof(fixed[0]);
	start->words_len = (uint32_t)words->len;
	start->pass_count = (uint32_t)policy->pass_count;
	for (size_t i = 0; i < policy->pass_count; i++) {
		m.fds[m.fd_count++] = policy->pass[i].fd;
		start->pass_as[i] = policy->pass[i].as;
	}
	start->core = core >= 0;
	if (core >= 0)
		m.fds[m.fd_count++] = core;
	int r = ipc_send(h->control, &m, true);
	close(memory);
	return r < 0 ? fail(r, "the broker is gone: %s", strerror(-r)) : 0;
}

static void ends_close(struct ends *e)
{
	int *const fds[] = {&e->status[0], &e->status[1], &e->channel[0], &e->channel[1], &e->call, &e->null, &e->cwd};
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

/* On failure what is there is to be closed all the same. */
static int ends_open(struct ends *e, const struct airlock_options *options, bool nested, size_t shared)
{
	*e = (struct ends){.status = {-1, -1}, .channel = {-1, -1}, .call = -1, .null = -1, .cwd = -1};
	e->null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int r = e->null < 0 ? -errno : 0;
	if (r == 0 && !nested) { /* a target's own broker knows where it stands */
		e->cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (e->cwd < 0)
			e->cwd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
		r = e->cwd < 0 ? -errno : 0;
	}
	if (r == 0)
		r = ipc_pair(e->status);
	if (r == 0)
		r = ipc_pair(e->channel);
	if (r < 0)
		return fail(r, "a target cannot be given descriptors%s: %s", e->null < 0 ? " (/dev/null)" : "",
			strerror(-r));
	e->call = ipc_memfd("airlock-call", NULL, ipc_call_total(shared), false);
	if (e->call < 0)
		return fail(e->call, "no shared memory for calls: %s", strerror(-e->call));
	for (int i = 0; i < 3; i++)
		e->stdio[i] = stdio_fd(options->stdio[i], i, e->null);
	return stdio_check(e->stdio);
}

/* The host's object, with the host's ends. */
static int target_of(struct airlock_target **out, struct ends *e, struct broker_handle *h, const struct start *start,
	const struct airlock_policy *policy, const struct airlock_options *options)
{
	struct airlock_target *t;
	int r = target_new(&t, e->status[0], e->channel[0], e->call, start->shared);
	if (r < 0)
		return r;
	e->status[0] = e->channel[0] = -1;
	snprintf(t->name, sizeof(t->name), "%s", start->name);
	memcpy(t->limits, policy->p.limits, sizeof(t->limits));
	t->program = start->kind == START_EXEC;
	t->callbacks = options->callbacks;
	t->callback_count = options->callback_count;
	t->ask = policy->ask;
	t->ask_arg = policy->ask_arg;
	atomic_fetch_add(&h->references, 1);
	t->broker = h;
	*out = t;
	return 0;
}

static int start_with(struct airlock_target **out, struct broker_handle *h, struct start *start,
	const struct airlock_policy *policy, const struct airlock_options *options, const struct words *words,
	bool waits)
{
	struct airlock_target *t = NULL;
	struct ends e;
	start->shared = options->shared ? options->shared : SHARED_DEFAULT;
	start->umask = h->nested ? 0 : umask_now();
	start->backtrace = options->backtrace != 0;
	if (options->core >= 0 && (h->nested || fcntl(options->core, F_GETFD) < 0))
		return h->nested ? fail(-EOPNOTSUPP, "in a target there are no core files")
				 : fail(-EBADF, "options.core is not open");
	int r = ends_open(&e, options, h->nested, start->shared);
	if (r == 0)
		r = target_of(&t, &e, h, start, policy, options);
	if (r == 0) {
		t->serves = !t->program && (start->pool != POOL_NONE || !*words->bytes);
		r = send_start(h, start, policy, &e, options->core, words);
		/* It was sent before the broker was ready, which then has more to say than that it is gone. */
		int ready = broker_ready(h);
		r = ready < 0 ? ready : r;
	}
	/* Only the broker's end is left, also of a start that failed: who waits is told when it goes. */
	ends_close(&e);
	if (r == 0) {
		t->starting = !waits;
		if (waits)
			r = worker_await(t, -1);
	}
	if (r < 0)
		airlock_free(t);
	else
		*out = t;
	return r;
}

int start_options(struct airlock_options *o, const struct airlock_options *given)
{
	*o = (struct airlock_options)AIRLOCK_OPTIONS_INIT;
	int r = given ? options_copy(o, sizeof(*o), given, "AIRLOCK_OPTIONS_INIT") : 0;
	return r == 0 && o->shared > UINT64_C(1) << 40 ? fail(-EINVAL, "options.shared is too large") : r;
}

static int start_worker(struct airlock_target **out, const struct airlock_policy *policy, const char *entry,
	char *const argv[], const struct airlock_options *options, enum start_pool pool, bool waits)
{
	struct airlock_options o;
	struct words words = {0};
	struct start start = {.kind = START_WORKER, .pool = pool};
	struct broker_handle *h = NULL;
	int r = start_options(&o, options);
	if (r < 0)
		return r;
	if (entry) {
		const struct airlock_symbol *s = symbol_find(entry);
		if (!s || !(pool ? s->function != NULL : s->entry != NULL))
			return fail(-ENOENT, "the program has no %s(%s)", pool ? "AIRLOCK_FUNCTION" : "AIRLOCK_ENTRY",
				entry);
	}
	snprintf(start.name, sizeof(start.name), "%s", o.name ? o.name : entry ? entry : "calls");
	r = words_add(&words, entry ? entry : "");
	for (char *const *a = argv; r == 0 && a && *a; a++)
		r = words_add(&words, *a);
	start.argc = words.count;
	if (r == 0)
		r = words_environment(&words, &policy->p);
	for (size_t i = 0; r == 0 && image_environment[i]; i++)
		r = words_image(&words, image_environment[i]);
	/* What the loader puts off would be done in each fork. */
	if (r == 0 && pool == POOL_ZYGOTE)
		r = words_add(&words, "LD_BIND_NOW=1");
	start.envc = words.count - start.argc;
	if (r == 0)
		r = broker_get(&h, policy, -1, NULL);
	if (h)
		r = start_with(out, h, &start, policy, &o, &words, waits);
	broker_handle_free(h);
	free(words.bytes);
	return r;
}

PUBLIC int airlock_start(struct airlock_target **out, const struct airlock_policy *policy, const char *entry,
	char *const argv[], const struct airlock_options *options)
{
	return start_worker(out, policy, entry, argv, options, POOL_NONE, true);
}

int worker_begin(struct airlock_target **out, const struct airlock_policy *policy, const char *entry,
	char *const argv[], const struct airlock_options *options)
{
	return start_worker(out, policy, entry, argv, options, POOL_NONE, false);
}

/* ---- zygotes ---- */

bool zygote_fits(const struct airlock_policy *policy, const char **why)
{
	const struct policy *p = &policy->p;
	const int whole[] = {LIMIT_PROCESSES, LIMIT_CONNECTS, LIMIT_TRAFFIC};
	*why = NULL;
	if (nested_inside())
		*why = "a target has no zygotes of its own";
	else if (!(p->promises & PROMISE_BIT(stdio)))
		*why = "without the promise stdio a fork cannot map its shared memory";
	else if (p->promises & (PROMISE_BIT(proc) | PROMISE_BIT(exec)))
		*why = "with the promises proc or exec a fork may leave processes behind, which nothing tells from its "
		       "siblings'";
	else if (policy->ask)
		*why = "questions of targets are asked of each";
	for (size_t i = 0; !*why && i < sizeof(whole) / sizeof(whole[0]); i++)
		if (p->limits[whole[i]] != LIMIT_NONE)
			*why = "the limits processes, connects and traffic are counted for each target";
	return !*why;
}

int worker_ahead(struct airlock_target **out, const struct airlock_policy *policy, const char *prepare,
	const struct airlock_options *options)
{
	return start_worker(out, policy, prepare, NULL, options, POOL_FRESH, false);
}

int zygote_start(struct airlock_target **out, const struct airlock_policy *policy, const char *prepare,
	const struct airlock_options *options)
{
	return start_worker(out, policy, prepare, NULL, options, POOL_ZYGOTE, false);
}

int zygote_fork_one(struct airlock_target **out, struct airlock_target *zygote)
{
	int status[2];
	struct airlock_target *t = NULL;
	int r = ipc_pair(status);
	if (r < 0)
		return fail(r, "a target cannot be given descriptors: %s", strerror(-r));
	int call = ipc_memfd("airlock-call", NULL, ipc_call_total(zygote->shared), false);
	r = call < 0 ? fail(call, "no shared memory for calls: %s", strerror(-call))
		     : target_new(&t, status[0], -1, call, zygote->shared);
	if (t) {
		status[0] = -1;
		snprintf(t->name, sizeof(t->name), "%s", zygote->name);
		memcpy(t->limits, zygote->limits, sizeof(t->limits));
		t->callbacks = zygote->callbacks;
		t->callback_count = zygote->callback_count;
		t->layers = zygote->layers;
		t->serves = true;
		atomic_fetch_add(&zygote->broker->references, 1);
		t->broker = zygote->broker;
		struct ipc_message m = {.type = MESSAGE_FORK, .fds = {status[1], call}, .fd_count = 2};
		r = ipc_send(zygote->status, &m, true);
		if (r < 0)
			fail(r, "the zygote's broker is gone: %s", strerror(-r));
	}
	if (call >= 0)
		close(call);
	for (int i = 0; i < 2; i++)
		if (status[i] >= 0)
			close(status[i]);
	if (r < 0)
		airlock_free(t);
	else
		*out = t;
	return r;
}

/* ---- programs ---- */

static int program_open(const char *name, char path[PATH_MAX])
{
	if (strchr(name, '/')) {
		int fd = open(name, O_PATH | O_CLOEXEC);
		if (fd < 0)
			return fail(-errno, "%s: %s", name, strerror(errno));
		snprintf(path, PATH_MAX, "%s", name);
		return fd;
	}
	const char *search = getenv("PATH");
	int error = ENOENT;
	if (!search)
		search = "/usr/local/bin:/usr/bin:/bin";
	for (const char *at = search; *name; at += strcspn(at, ":") + 1) {
		size_t n = strcspn(at, ":");
		snprintf(path, PATH_MAX, "%.*s/%s", n ? (int)n : 1, n ? at : ".", name);
		if (access(path, X_OK) == 0) {
			int fd = open(path, O_PATH | O_CLOEXEC);
			if (fd >= 0)
				return fd;
		} else if (errno == EACCES && access(path, F_OK) == 0) {
			error = EACCES; /* it is there; a directory that may not be searched says nothing */
		}
		if (!at[n])
			break;
	}
	return fail(-error, "%s: %s", name, error == ENOENT ? "command not found" : strerror(error));
}

/* A script's interpreter and its argument, as the kernel reads them. Whether it is one. */
static bool script_of(int program, char line[SCRIPT_LINE + 1], char **interpreter, char **argument)
{
	char self[64];
	snprintf(self, sizeof(self), "/proc/self/fd/%d", program);
	int fd = open(self, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false; /* executable but not readable: no script could run either */
	int r = script_read(fd, line, interpreter, argument);
	close(fd);
	return r == 1;
}

static int program_check(int fd, const char *path)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return fail(-errno, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fail(-EACCES, "%s: not a regular file", path);
	if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
		return fail(-errno, "%s: %s", path, strerror(errno));
	return 0;
}

/* Opens argv[0]; for a script its interpreter, whose arguments then precede the script's path. */
static int program_find(char *const argv[], char path[PATH_MAX], struct words *words)
{
	char line[SCRIPT_LINE + 1], *interpreter, *argument;
	int fd = program_open(argv[0], path);
	int r = fd < 0 ? fd : program_check(fd, path);
	if (r == 0 && script_of(fd, line, &interpreter, &argument)) {
		char script[PATH_MAX];
		memcpy(script, path, PATH_MAX);
		close(fd);
		fd = open(interpreter, O_PATH | O_CLOEXEC);
		if (fd < 0)
			return fail(-errno, "%s: %s", interpreter, strerror(errno));
		snprintf(path, PATH_MAX, "%s", interpreter);
		r = program_check(fd, path);
		if (r == 0)
			r = words_add(words, interpreter);
		if (r == 0 && argument)
			r = words_add(words, argument);
		if (r == 0)
			r = words_add(words, script);
	} else if (r == 0) {
		r = words_add(words, argv[0]);
	}
	for (char *const *a = argv + 1; r == 0 && *a; a++)
		r = words_add(words, *a);
	if (r < 0) {
		if (fd >= 0)
			close(fd);
		return r;
	}
	return fd;
}

PUBLIC int airlock_exec(struct airlock_target **out, const struct airlock_policy *policy, char *const argv[],
	const struct airlock_options *options)
{
	struct airlock_options o;
	struct words words = {0};
	struct start start = {.kind = START_EXEC};
	struct broker_handle *h = NULL;
	char path[PATH_MAX], real[PATH_MAX];
	int r = start_options(&o, options);
	if (r < 0)
		return r;
	if (!argv || !argv[0] || !*argv[0])
		return fail(-ENOENT, "no program was named");
	r = words_add(&words, "");
	int program = r < 0 ? r : program_find(argv, path, &words);
	r = program < 0 ? program : 0;
	start.argc = words.count;
	if (r == 0)
		r = words_environment(&words, &policy->p);
	start.envc = words.count - start.argc;
	const char *slash = r < 0 ? NULL : strrchr(path, '/');
	if (r == 0)
		snprintf(start.name, sizeof(start.name), "%.63s", o.name ? o.name : slash ? slash + 1 : path);
	if (r == 0)
		r = broker_get(&h, policy, program, realpath(path, real) ? real : path);
	if (h)
		r = start_with(out, h, &start, policy, &o, &words, true);
	broker_handle_free(h);
	if (program >= 0)
		close(program);
	free(words.bytes);
	return r;
}
