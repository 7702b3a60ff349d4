/* SPDX-License-Identifier: ISC */
/* The host is asked about addresses that no rule covers. Runs in the host; what its targets do is in ask_target.c. */
#include "tests/ask.h"
#include "tests/tap.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the host's side ---- */

struct host host;

int port, other_listener;
static int listener, other_port, receiver[2], ports[2];
static struct airlock_policy *policy;

static pid_t parent_of(pid_t pid)
{
	char path[64], text[512] = "";
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	close(fd);
	char *end = n > 0 ? strrchr(text, ')') : NULL;
	return end ? atoi(end + 4) : 0;
}

/* -1 where this user may not look. */
static int descriptors(pid_t pid)
{
	char path[64];
	int n = 0;
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	DIR *d = opendir(path);
	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return d ? n : -1;
}

static long resident(pid_t pid)
{
	char path[64];
	long size = 0, pages = 0;
	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	FILE *f = fopen(path, "re");
	if (f && fscanf(f, "%ld %ld", &size, &pages) != 2)
		pages = 0;
	if (f)
		fclose(f);
	return pages * sysconf(_SC_PAGESIZE) / 1024;
}

static enum airlock_decision answer(void *arg, struct airlock_target *t, const struct airlock_question *q)
{
	struct host *h = arg;
	char text[400];
	snprintf(h->last, sizeof(h->last), "%s", q->address);
	snprintf(h->program, sizeof(h->program), "%s", q->program);
	h->bind = q->bind;
	h->pid = q->pid;
	h->of = t;
	h->asked++;
	/* The first thousand take what is taken once. */
	if (h->asked == 1000 || h->asked == MANY) {
		pid_t broker = parent_of(parent_of(q->pid));
		h->rss[h->asked == MANY] = resident(broker) + resident(getpid());
		h->open[h->asked == MANY] = descriptors(broker) + descriptors(getpid());
	}
	if (h->again) {
		struct airlock_status status = AIRLOCK_STATUS_INIT;
		h->busy[0] = airlock_dispatch(t, 0);
		h->busy[1] = airlock_wait(t, &status, 0);
		h->busy[2] = (int)airlock_call(t, "ask_connect", NULL, 0, NULL, 0);
		airlock_explain(t, text, sizeof(text));
		airlock_refusal(t, 0, text, sizeof(text));
	}
	usleep(h->sleep_ms * 1000);
	return h->decision;
}

struct airlock_target *start(const char *what)
{
	struct airlock_target *t = NULL;
	char one[16], two[16];
	char *argv[] = {(char *)(uintptr_t)what, one, two, NULL};
	snprintf(one, sizeof(one), "%d", strcmp(what, "datagrams") == 0 ? ports[0] : port);
	snprintf(two, sizeof(two), "%d", strcmp(what, "narrows") == 0 ? other_port : ports[1]);
	if (strcmp(what, "binds") == 0) {
		struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
		socklen_t len = sizeof(a);
		int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (bind(s, (struct sockaddr *)&a, len) == 0 && getsockname(s, (struct sockaddr *)&a, &len) == 0)
			snprintf(two, sizeof(two), "%d", ntohs(a.sin_port));
		close(s);
	}
	int e = airlock_start(&t, policy, "asker", argv, NULL);
	check(e == 0, "a target starts", "%s: %s", what, airlock_message());
	return t;
}

/* Its next record, with or without questions answered meanwhile. */
const char *hear(struct airlock_target *t, bool dispatches)
{
	static char text[4096];
	struct airlock_message m = AIRLOCK_MESSAGE_INIT;
	m.data = text;
	m.cap = sizeof(text) - 1;
	int e = -EAGAIN;
	for (int i = 0; i < WAITS && (e == -EAGAIN || e == -EPROTO); i++) {
		if (dispatches && airlock_dispatch(t, WAITS) == 2)
			break;
		e = airlock_recv(t, &m);
		if (e == -EAGAIN && !dispatches)
			usleep(1000);
	}
	text[e == 0 ? m.len : 0] = 0;
	return text;
}

void begin(enum airlock_decision decision)
{
	host = (struct host){.decision = decision};
}

const char *run(const char *what, enum airlock_decision decision, char *refusal, size_t len)
{
	static char text[4096];
	begin(decision);
	struct airlock_target *t = start(what);
	snprintf(text, sizeof(text), "%s", t ? hear(t, true) : "");
	if (refusal && airlock_refusal(t, 0, refusal, len) < 0)
		refusal[0] = 0;
	airlock_free(t);
	return text;
}

static void expect(const char *name, const char *what, enum airlock_decision decision, const char *says, unsigned asked)
{
	const char *text = run(what, decision, NULL, 0);
	check(strcmp(text, says) == 0 && host.asked == asked, name, "says '%s' after %u questions, the last %s", text,
		host.asked, host.last);
}

/* ---- the tests ---- */

static void decisions(void)
{
	char refusal[400], address[64], missing[80], self[400] = "";
	snprintf(address, sizeof(address), "tcp:127.0.0.1:%d", port);
	snprintf(missing, sizeof(missing), "connect %s", address);
	const char *text = run("twice", AIRLOCK_REFUSE, refusal, sizeof(refusal));
	check(strcmp(text, "13 13 done") == 0 && host.asked == 2, "what the host refuses is EACCES, and asked again",
		"'%s', %u", text, host.asked);
	check(strstr(refusal, missing) != NULL, "it is reported", "%s", refusal);
	check(strcmp(host.last, address) == 0 && !host.bind && host.pid > 1 && host.pid != getpid(),
		"the question says what it is about", "%s, bind %d, pid %d", host.last, host.bind, host.pid);
	(void)!readlink("/proc/self/exe", self, sizeof(self) - 1);
	check(strcmp(host.program, self) == 0, "and which program asks", "%s", host.program);
	expect("allowed once is once", "twice", AIRLOCK_ALLOW_ONCE, "0 0 done", 2);
	expect("allowed for the target is asked once", "twice", AIRLOCK_ALLOW_TARGET, "0 0 done", 1);
	expect("threads and children are the target", "family", AIRLOCK_ALLOW_TARGET, "0 0 0 done", 1);
	expect("threads and children ask for themselves", "family", AIRLOCK_ALLOW_ONCE, "0 0 0 done", 3);
	expect("a connect that does not block waits for the answer alone", "nonblocking", AIRLOCK_ALLOW_ONCE,
		"0 0 done", 1);
	expect("datagrams, refused", "datagrams", AIRLOCK_REFUSE, "13 13 -13 done", 3);
	expect("datagrams, once", "datagrams", AIRLOCK_ALLOW_ONCE, "0 0 2 done", 4);
	expect("datagrams, for the target", "datagrams", AIRLOCK_ALLOW_TARGET, "0 0 2 done", 2);
	int came = 0;
	char byte;
	for (int i = 0; i < 2; i++)
		while (recv(receiver[i], &byte, 1, MSG_DONTWAIT) == 1)
			came++;
	check(came == 8, "what was allowed arrived, and nothing else", "%d", came);
	/* Bound, what listens is what was bound; unbound, to listen is to bind. */
	expect("bind and listen, refused", "binds", AIRLOCK_REFUSE, "13 13 13 13 13 13 done", 6);
	expect("bind and listen, once", "binds", AIRLOCK_ALLOW_ONCE, "0 0 0 0 0 0 done", 3);
	check(host.bind && strcmp(host.last, "tcp:0.0.0.0:0") == 0, "listen names what it binds", "%s", host.last);
}

static void nobody_waits(void)
{
	begin(AIRLOCK_ALLOW_ONCE);
	struct airlock_target *t = start("stalled");
	const char *text = hear(t, false);
	size_t zeros = 0;
	for (const char *c = text; strncmp(c, "0 ", 2) == 0; c += 2)
		zeros++;
	check(zeros == OTHERS && host.asked == 0, "another thread is served while the host answers nothing",
		"%zu, '%.40s'", zeros, text);
	/* The first question is still there. */
	text = hear(t, true);
	check(strcmp(text, "0 done") == 0 && host.asked == 1, "and the answer comes late", "'%s', %u", text,
		host.asked);
	airlock_free(t);

	begin(AIRLOCK_ALLOW_ONCE);
	struct airlock_status status = AIRLOCK_STATUS_INIT;
	t = start("stalled");
	hear(t, false);
	airlock_kill(t);
	int e = airlock_wait(t, &status, WAITS);
	check(e == 0 && status.end == AIRLOCK_KILLED, "a target that waits is killed", "%d, %d", e, status.end);
	airlock_free(t);

	begin(AIRLOCK_ALLOW_ONCE);
	t = start("stalled");
	hear(t, false);
	airlock_free(t);
	check(host.asked == 0, "a target that waits is freed, and nobody is asked any more", "%u", host.asked);
}

static void signals(void)
{
	begin(AIRLOCK_ALLOW_ONCE);
	host.sleep_ms = 600;
	struct airlock_target *t = start("interrupted");
	const char *text = hear(t, true);
	check(strcmp(text, "4 1 0 done") == 0 && host.asked == 1,
		"a signal interrupts who waits, and its question stays asked", "'%s', %u", text, host.asked);
	airlock_free(t);
	begin(AIRLOCK_ALLOW_ONCE);
	host.sleep_ms = 600;
	t = start("restarted");
	text = hear(t, true);
	check(strcmp(text, "0 1 done") == 0 && host.asked == 1, "with SA_RESTART it goes on to wait", "'%s', %u", text,
		host.asked);
	airlock_free(t);
}

static void calls(void)
{
	struct airlock_target *t = NULL;
	struct ask_call c = {.port = port};
	begin(AIRLOCK_ALLOW_ONCE);
	host.again = true;
	int e = airlock_start(&t, policy, NULL, NULL, NULL);
	check(e == 0, "a target for calls", "%s", airlock_message());
	ssize_t n = airlock_call(t, "ask_connect", &c, sizeof(c), NULL, 0);
	check(n == 0 && host.asked == 1, "airlock_call() asks", "%zd, %u", n, host.asked);
	check(host.of == t && host.busy[0] == -EBUSY && host.busy[1] == -EBUSY && host.busy[2] == -EBUSY,
		"and is not called again by whom it asks", "%d %d %d", host.busy[0], host.busy[1], host.busy[2]);
	host.again = false;
	host.decision = AIRLOCK_REFUSE;
	n = airlock_call(t, "ask_connect", &c, sizeof(c), NULL, 0);
	check(n == -EACCES && host.asked == 2, "a call that is refused", "%zd, %u", n, host.asked);
	airlock_free(t);
	/* Its targets' own targets: nobody is asked. */
	struct airlock_policy *outer = NULL;
	begin(AIRLOCK_ALLOW_TARGET);
	airlock_policy_new(&outer, "stdio inet proc exec sendfd recvfd");
	airlock_policy_ask(outer, answer, &host);
	e = airlock_start(&t, outer, NULL, NULL, NULL);
	n = e ? e : airlock_call(t, "ask_nested", &c, sizeof(c), NULL, 0);
	check(n == -EACCES && host.asked == 0, "a target's own target asks nobody", "%zd, %u: %s", n, host.asked,
		airlock_message());
	airlock_free(t);
	airlock_policy_free(outer);
}

/* What allowed it is in the log. */
static void logged(void)
{
	struct airlock_policy *p = NULL;
	struct airlock_target *t = NULL;
	struct ask_call c = {.port = port};
	char text[20000] = "", want[80];
	FILE *f = tmpfile();
	begin(AIRLOCK_ALLOW_ONCE);
	airlock_policy_new(&p, "stdio inet");
	airlock_policy_log(p, fileno(f));
	airlock_policy_ask(p, answer, &host);
	int e = airlock_start(&t, p, NULL, NULL, NULL);
	ssize_t n = e ? e : airlock_call(t, "ask_connect", &c, sizeof(c), NULL, 0);
	airlock_free(t);
	airlock_policy_free(p);
	e = (int)pread(fileno(f), text, sizeof(text) - 1, 0);
	fclose(f);
	snprintf(want, sizeof(want), "\"address\":\"tcp:127.0.0.1:%d\"", port);
	char *line = strstr(text, want), *end = line ? strchr(line, '\n') : NULL;
	if (end)
		*end = 0;
	check(n == 0 && line && strstr(line, "asked"), "the log says that the host was asked", "%zd, %.300s", n,
		line ? line : text);
}

static void programs(void)
{
	struct airlock_policy *p = NULL;
	struct airlock_target *t = NULL;
	struct airlock_status status = AIRLOCK_STATUS_INIT;
	char script[120], *argv[] = {"bash", "-c", script, NULL};
	snprintf(script, sizeof(script), "exec 3<>/dev/tcp/127.0.0.1/%d", port);
	for (int yes = 0; yes < 2; yes++) {
		begin(yes ? AIRLOCK_ALLOW_ONCE : AIRLOCK_REFUSE);
		struct airlock_options o = AIRLOCK_OPTIONS_INIT;
		o.stdio[2] = -2;
		airlock_policy_new(&p, "stdio inet");
		airlock_policy_ask(p, answer, &host);
		int e = airlock_exec(&t, p, argv, &o);
		e = e ? e : airlock_wait(t, &status, WAITS);
		check(e == 0 && status.end == AIRLOCK_EXITED && status.code == !yes && host.asked == 1,
			yes ? "a program asks while the host waits" : "a program is refused", "%d, %d, %d, %u", e,
			status.end, status.code, host.asked);
		check(strstr(host.program, "/bash") != NULL, "its path is told", "%s", host.program);
		airlock_free(t);
		airlock_policy_free(p);
	}
}

static void interface(void)
{
	struct airlock_policy *p = NULL;
	airlock_policy_new(&p, "stdio inet");
	int e = airlock_policy_ask(p, answer, &host), entered = airlock_enter(p);
	check(e == 0 && entered == -EINVAL && strstr(airlock_message(), "airlock_policy_ask"),
		"there is nobody to ask in place", "%d, %s", entered, airlock_message());
	airlock_policy_free(p);
	/* Nobody is asked any more. */
	airlock_policy_ask(policy, NULL, NULL);
	expect("without a callback all is refused at once", "twice", AIRLOCK_ALLOW_TARGET, "13 13 done", 0);
	airlock_policy_ask(policy, answer, &host);
	expect("a callback that comes later counts for what is started later", "twice", AIRLOCK_ALLOW_TARGET,
		"0 0 done", 1);
}

static int open_port(int type, int *number)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int s = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	if (s < 0 || bind(s, (struct sockaddr *)&a, len) < 0 || (type == SOCK_STREAM && listen(s, 4096) < 0) ||
		getsockname(s, (struct sockaddr *)&a, &len) < 0)
		exit(1);
	*number = ntohs(a.sin_port);
	return s;
}

int main(int argc, char **argv)
{
	airlock_init(argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	listener = open_port(SOCK_STREAM, &port);
	other_listener = open_port(SOCK_STREAM, &other_port);
	receiver[0] = open_port(SOCK_DGRAM, &ports[0]);
	receiver[1] = open_port(SOCK_DGRAM, &ports[1]);
	if (airlock_policy_new(&policy, "stdio rpath inet proc") < 0 ||
		airlock_policy_unveil(policy, READABLE, "r") < 0 || airlock_policy_ask(policy, answer, &host) < 0)
		return !!printf("not ok a policy\n# %s\n", airlock_message());
	decisions();
	nobody_waits();
	signals();
	calls();
	floods();
	several();
	hostile();
	programs();
	remembered();
	logged();
	many();
	interface();
	airlock_policy_free(policy);
	close(listener);
	return tap_failed != 0;
}
