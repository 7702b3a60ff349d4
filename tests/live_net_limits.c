/* SPDX-License-Identifier: ISC */
/*
 * Live tests of what the broker keeps about sockets besides their addresses: the limits connects and traffic, ports that take
 * a capability, and the lines of the log. As workers and in place.
 */
#include "sandbox/airlock.h"
#include "tests/net_limits.h"
#include "tests/processes.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static struct ports ports;
static pid_t server;

/* ---- the servers, in one process ---- */

static int serve(const void *address, socklen_t len, int type, int *port)
{
	struct sockaddr_in6 own;
	socklen_t own_len = sizeof(own);
	int fd = socket(((const struct sockaddr *)address)->sa_family, type, 0);
	if (fd < 0 || bind(fd, address, len) || (type == SOCK_STREAM && listen(fd, 1000)))
		return -1;
	getsockname(fd, (struct sockaddr *)&own, &own_len);
	*port = ntohs(own.sin6_port);
	return fd;
}

static _Noreturn void swallow(const int *listeners)
{
	static struct pollfd p[1000];
	static char bytes[65536];
	nfds_t n = 3;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (nfds_t i = 0; i < n; i++)
		p[i] = (struct pollfd){listeners[i], POLLIN, 0};
	while (poll(p, n, -1) > 0) {
		for (nfds_t i = 0; i < n; i++) {
			if (!p[i].revents)
				continue;
			if (i < 2) {
				p[n] = (struct pollfd){accept(p[i].fd, NULL, NULL), POLLIN, 0};
				n += n + 1 < 1000;
			} else if (read(p[i].fd, bytes, sizeof(bytes)) <= 0 && i > 2) {
				close(p[i].fd);
				p[i--] = p[--n];
			}
		}
	}
	_exit(0);
}

static void servers_start(void)
{
	struct sockaddr_in a = v4_of("127.0.0.1", 0);
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fds[3] = {serve(&a, sizeof(a), SOCK_STREAM, &ports.tcp), serve(&a6, sizeof(a6), SOCK_STREAM, &ports.tcp6),
		serve(&a, sizeof(a), SOCK_DGRAM, &ports.udp)};
	close(serve(&a, sizeof(a), SOCK_STREAM, &ports.refused));
	server = fork();
	if (server == 0)
		swallow(fds);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

/* From the host, to the port on which a target listens, as soon as it does. */
static pid_t pour_in(int connections, size_t len)
{
	pid_t pid = fork();
	if (pid)
		return pid;
	static char bytes[65536];
	struct sockaddr_in a = v4_of("127.0.0.1", atoi(OWN_PORT));
	for (int i = 0, tries = 0; i < connections && tries < 200; tries++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0) {
			for (size_t left = len; left;) {
				ssize_t n = send(fd, bytes, left < sizeof(bytes) ? left : sizeof(bytes), MSG_NOSIGNAL);
				if (n <= 0)
					_exit(0);
				left -= (size_t)n;
			}
			i++;
		} else {
			usleep(20000);
		}
		close(fd);
	}
	_exit(0);
}

/* ---- runs ---- */

static struct airlock_policy *policy_of(const char *limits)
{
	struct airlock_policy *p = NULL;
	char text[800];
	snprintf(text, sizeof(text),
		"pledge stdio inet unix rpath wpath proc\nunveil /run rw\nconnect tcp:127.0.0.1:%d\nconnect "
		"tcp:[::1]:%d\n"
		"connect udp:127.0.0.1:%d\nconnect tcp:127.0.0.1:%d\nconnect udp:127.0.0.1:%d\n"
		"connect udp:127.0.0.1:20000-20100\nbind tcp:127.0.0.1:" OWN_PORT "\nbind udp:0.0.0.0:0\n%s",
		ports.tcp, ports.tcp6, ports.udp, ports.refused, ports.refused, limits);
	if (airlock_policy_parse(&p, text)) {
		check(false, "a policy", "%s", airlock_message());
		exit(1);
	}
	return p;
}

struct outcome {
	struct airlock_status status;
	char why[400], refusals[2000];
};

static struct outcome worker_of(struct airlock_policy *p, const char *body)
{
	struct outcome o = {.status = AIRLOCK_STATUS_INIT};
	struct airlock_target *t;
	char tcp[16], tcp6[16], udp[16], refused[16], name[32], *argv[] = {name, tcp, tcp6, udp, refused, NULL};
	snprintf(name, sizeof(name), "%s", body);
	snprintf(tcp, sizeof(tcp), "%d", ports.tcp);
	snprintf(tcp6, sizeof(tcp6), "%d", ports.tcp6);
	snprintf(udp, sizeof(udp), "%d", ports.udp);
	snprintf(refused, sizeof(refused), "%d", ports.refused);
	if (airlock_start(&t, p, "net_body", argv, NULL)) {
		snprintf(o.why, sizeof(o.why), "%s", airlock_message());
		return o;
	}
	airlock_wait(t, &o.status, 20000);
	airlock_explain(t, o.why, sizeof(o.why));
	for (unsigned i = 0; i < 64; i++) {
		size_t at = strlen(o.refusals);
		if (at + 1 >= sizeof(o.refusals) || airlock_refusal(t, i, o.refusals + at, sizeof(o.refusals) - at))
			break;
	}
	airlock_free(t);
	return o;
}

static struct outcome worker(const char *body, const char *limits)
{
	struct airlock_policy *p = policy_of(limits);
	struct outcome o = worker_of(p, body);
	airlock_policy_free(p);
	return o;
}

/* The status that waitpid() gives. */
static int in_place(const char *body, const char *limits)
{
	int status = -1;
	pid_t pid = fork();
	if (pid == 0) {
		close(2);
		open("/dev/null", O_WRONLY);
		struct airlock_policy *p = policy_of(limits);
		if (airlock_enter(p) < 0)
			_exit(100);
		_exit(body_run(body, &ports));
	}
	for (int i = 0; i < 2000 && waitpid(pid, &status, WNOHANG) == 0; i++)
		usleep(10000);
	return status;
}

static void kept(const char *name, const char *body, const char *limits)
{
	char label[100];
	struct outcome o = worker(body, limits);
	snprintf(label, sizeof(label), "worker: %s", name);
	check(o.status.end == AIRLOCK_EXITED && o.status.code == 0, label, "%s; %s", o.why, o.refusals);
	int status = in_place(body, limits);
	snprintf(label, sizeof(label), "in place: %s", name);
	check(status == 0, label, "status %#x", status);
}

static void ended(const char *name, const char *body)
{
	char label[100];
	bool accepts = !strcmp(body, "accepts"), nests = !strcmp(body, "nests");
	pid_t pourer = accepts ? pour_in(30, 60000) : 0;
	struct outcome o = worker(body, "limit traffic 1M\n");
	if (pourer)
		waitpid(pourer, NULL, 0);
	snprintf(label, sizeof(label), "worker: %s", name);
	check(o.status.end == AIRLOCK_VIOLATED && strstr(o.why, "traffic limit") &&
			!strcmp(o.status.violation, "limit traffic 1048576") && o.status.signal == SIGKILL,
		label, "%s; %s", o.why, o.refusals);
	if (nests)
		return;
	pourer = accepts ? pour_in(30, 60000) : 0;
	int status = in_place(body, "limit traffic 1M\n");
	if (pourer)
		waitpid(pourer, NULL, 0);
	snprintf(label, sizeof(label), "in place: %s", name);
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, label, "status %#x", status);
}

static unsigned times(const char *text, const char *word)
{
	unsigned n = 0;
	for (; (text = strstr(text, word)) != NULL; text++)
		n++;
	return n;
}

static void limits(void)
{
	struct outcome o = worker("connects", "limit connects 10\n");
	check(times(o.refusals, "EAGAIN, limit connects 10") == 1, "connections beyond the limit are told once", "%s",
		o.refusals);
	kept("connections a second", "connects", "limit connects 10\n");
	kept("of all its processes together", "family", "limit connects 10\n");
	kept("new destinations of datagrams", "datagrams", "limit connects 10\n");
	kept("other sockets", "others", "limit connects 10\n");
	kept("none at all", "none", "limit connects 0\n");
	kept("fewer bytes than allowed", "little", "limit traffic 1M\n");
	kept("without a limit", "much", "");
	ended("more bytes", "much");
	ended("more bytes, v6", "much6");
	ended("on many short connections", "many");
	ended("on many connections of one socket", "again");
	ended("on a socket that does not wait", "not_waiting");
	ended("in datagrams", "udp");
	ended("on connections that it accepts", "accepts");
	ended("by another of its processes", "forks");
	ended("by a target that it starts", "nests");
	kill(server, SIGKILL);
	check(processes_shrink_to(0, 0), "nothing is left of those", "%s", processes_text());
}

/* ---- ports that take a capability ---- */

static void low_ports(void)
{
	struct sockaddr_in a = v4_of("127.0.0.9", LOW);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	bool may = bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
	int error = errno;
	char rule[100];
	close(fd);
	if (!may && error != EACCES) {
		dprintf(1, "skip ports that take a capability: port %d of 127.0.0.9: %s\n", LOW, strerror(error));
		return;
	}
	snprintf(rule, sizeof(rule), "bind tcp:127.0.0.9:%d\n", LOW);
	struct outcome o = worker("low", rule);
	int want = may ? 0 : EACCES;
	check(o.status.end == AIRLOCK_EXITED && o.status.code == want, "worker: a low port by a rule, as natively",
		"%s; %s", o.why, o.refusals);
	o = worker("low_others", rule);
	check(o.status.end == AIRLOCK_EXITED && o.status.code == 0, "worker: no other low port", "%s", o.why);
	o = worker("low", "");
	check(o.status.end == AIRLOCK_EXITED && o.status.code == EACCES, "worker: none without a rule", "%s", o.why);
	o = worker("low_nested", rule);
	check(o.status.end == AIRLOCK_EXITED && o.status.code == EACCES, "worker: none for one that it starts", "%s",
		o.why);
	check(in_place("low", rule) == want << 8, "in place: a low port by a rule, as natively", "%d", want);
	check(in_place("low_others", rule) == 0, "in place: no other low port", "it is bound");
	check(processes_shrink_to(0, 0), "no binder is left", "%s", processes_text());
}

/* ---- the log ---- */

static const char reads[] =
	"import json,sys\n"
	"rows = [json.loads(line) for line in open(sys.argv[1], 'rb')]\n"
	"def any_of(**want): return [r for r in rows if all(r.get(k) == v for k, v in want.items())]\n"
	"tcp, udp, no = ('%s:127.0.0.1:' % k for k in ('tcp', 'udp', 'tcp'))\n"
	"tcp, udp, no = tcp + sys.argv[2], udp + sys.argv[3], no + sys.argv[4]\n"
	"assert any_of(call='connect', address=tcp, rule='connect ' + tcp, answer='0'), 'allowed'\n"
	"assert any_of(call='connect', address=no, to_allow='connect ' + no, answer='EACCES'), 'refused'\n"
	"sent = [r for r in rows if r['call'] == 'sendmmsg']\n"
	"assert [r.get('address') for r in sent] == [udp, udp, no.replace('tcp', 'udp'), None], sent\n"
	"assert [r['answer'] for r in sent] == ['10', '10', 'EACCES', '2'], sent\n"
	"assert sent[1]['rule'] == 'connect ' + udp and sent[2]['to_allow'], sent\n"
	"assert any_of(call='socket', socket='AF_INET, SOCK_STREAM, 0', answer='descriptor'), 'socket'\n"
	"assert any(r['call'] == 'socket' and 'AF_PACKET' in r['socket'] and 'to_allow' in r for r in rows), 'packet'\n"
	"assert len([r for r in rows if r.get('address', '').startswith('unix:')]) > 500, 'local'\n"
	"assert all('pid' in r and 'answer' in r for r in rows)\n";

static void log_lines(void)
{
	char path[] = "/tmp/airlock-log-XXXXXX", text[300], tcp[16], udp[16], refused[16];
	int fd = mkstemp(path), status = -1;
	struct airlock_policy *p = NULL;
	snprintf(text, sizeof(text),
		"pledge stdio inet unix rpath wpath cpath\nconnect tcp:127.0.0.1:%d\nconnect udp:127.0.0.1:%d\n"
		"bind udp:0.0.0.0:0\n",
		ports.tcp, ports.udp);
	if (airlock_policy_parse(&p, text) || airlock_policy_log(p, fd)) {
		check(false, "a log", "%s", airlock_message());
		return;
	}
	struct outcome o = worker_of(p, "logged");
	check(o.status.end == AIRLOCK_EXITED && o.status.code == 0, "what the log is about", "%s", o.why);
	airlock_policy_free(p);
	snprintf(tcp, sizeof(tcp), "%d", ports.tcp);
	snprintf(udp, sizeof(udp), "%d", ports.udp);
	snprintf(refused, sizeof(refused), "%d", ports.refused);
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		execl("/usr/bin/python3", "python3", "-I", "-c", reads, path, tcp, udp, refused, NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	check(status == 0, "each line of the log is JSON and says what was decided", "status %#x", status);
	close(fd);
	unlink(path);
}

int main(int argc, char **argv)
{
	airlock_init(argc, argv);
	processes_begin();
	servers_start();
	log_lines();
	limits();
	low_ports();
	return tap_failed != 0;
}
