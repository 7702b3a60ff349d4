/* SPDX-License-Identifier: ISC */
/* Live tests of sockets against the kernel's own behaviour: each body of net_*.c runs natively, in place, as a worker and
 * as a program of `airlock run`, under the rules that it needs and no others, and all four must have the same results. */
#include "tests/net.h"
#include "sandbox/airlock.h"
#include "tests/tap.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define TCP                                                                                                            \
	"connect tcp:127.0.0.0/8:0-65535\nconnect tcp:[::1]:0-65535\nbind tcp:127.0.0.0/8:0-65535\nbind "              \
	"tcp:[::1]:0-65535\n"
#define UDP                                                                                                            \
	"connect udp:127.0.0.0/8:0-65535\nconnect udp:[::1]:0-65535\nbind udp:127.0.0.0/8:0-65535\nbind "              \
	"udp:[::1]:0-65535\n"
#define ABSTRACT "connect unix:@%s\nbind unix:@%s\nconnect unix:@%s2\nbind unix:@%s2\n" /* with net->abstract */

static const struct body {
	const char *name, *promises, *rules;
	void (*run)(void);
} bodies[] = {
	{"socket", "stdio inet unix", TCP, net_socket},
	{"socket, table full", "stdio inet unix", TCP, net_socket_full},
	{"connect: errors", "stdio rpath inet", TCP, net_connect_errors},
	{"connect", "stdio inet", TCP, net_connect},
	{"options", "stdio inet", TCP, net_options},
	{"bind and listen", "stdio inet", TCP "bind tcp:192.0.2.1:0\nbind tcp:0.0.0.0:0\nbind tcp:[::]:0\n", net_bind},
	{"connects that wait", "stdio inet", TCP, net_waits},
	{"signals", "stdio inet proc", TCP, net_signals},
	{"cancellation", "stdio inet", TCP, net_cancel},
	{"callers that die", "stdio inet proc", TCP, net_killed},
	{"many that wait", "stdio inet proc", TCP, net_many_wait},
	{"accept", "stdio inet proc", TCP, net_accept},
	{"close", "stdio inet proc", TCP, net_close},
	{"streams", "stdio rpath wpath cpath inet", TCP "unveil . rwc\n", net_streams},
	{"happy eyeballs", "stdio inet", TCP, net_happy},
	{"loops", "stdio inet", TCP, net_loops},
	{"threads", "stdio inet", TCP, net_threads},
	{"children", "stdio inet proc", TCP, net_children},
	{"growth", "stdio inet", TCP, net_growth},
	{"udp", "stdio inet", UDP, net_udp},
	{"udp: errors", "stdio inet", UDP "connect udp:255.255.255.255:9\nconnect udp:[fe80::1]:9\n", net_udp_errors},
	{"udp: control data", "stdio inet", UDP "bind udp:0.0.0.0:0\nbind udp:[::]:0\n", net_udp_control},
	{"udp: a server", "stdio inet", "bind udp:127.0.0.0/8:0-65535\n", net_udp_server},
	{"multicast", "stdio inet mcast", UDP "connect udp:239.255.77.1:0-65535\nbind udp:239.255.77.1:0-65535\n",
		net_multicast},
	{"local", "stdio rpath wpath cpath unix proc", "unveil . rwc\n", net_local},
	{"local, with a network", "stdio rpath wpath cpath unix proc inet", TCP "unveil . rwc\n", net_local},
	{"abstract", "stdio unix", ABSTRACT, net_abstract},
	{"passing", "stdio unix proc sendfd recvfd", "", net_passing},
	{"passing, with a network", "stdio unix proc sendfd recvfd inet", TCP, net_passing},
};

struct net *net;
static char top[64], self[4096], called[64];

/* ---- a body's own process ---- */

static int body_main(const char *name)
{
	net = mmap(NULL, sizeof(*net), PROT_READ | PROT_WRITE, MAP_SHARED, 0, 0);
	if (net == MAP_FAILED)
		return 99;
	for (size_t i = 0; i < COUNT(bodies); i++)
		if (strcmp(bodies[i].name, name) == 0) {
			bodies[i].run();
			return 0;
		}
	return 98;
}

static int body(struct airlock_target *host, int argc, char **argv)
{
	(void)host;
	return argc == 2 ? body_main(argv[1]) : 97;
}
AIRLOCK_ENTRY(body)

/* ---- what drives them ---- */

enum way { NATIVE, IN_PLACE, WORKER, RUN };
static const char *const ways[] = {"native", "in place", "worker", "airlock run"};

/* Sums up the threads, descriptors and memory of this run's brokers, known by their titles. */
static void count_brokers(void)
{
	char name[300], text[4096];
	net->threads = net->descriptors = net->kilobytes = 0;
	DIR *proc = opendir("/proc");
	for (struct dirent *e; proc && (e = readdir(proc));) {
		int parts[3] = {0};
		snprintf(name, sizeof(name), "/proc/%s/cmdline", e->d_name);
		int fd = open(name, O_RDONLY);
		ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
		close(fd);
		text[n > 0 ? n : 0] = 0;
		if (!strstr(text, ": airlock broker") || strncmp(text, called, strlen(called)) != 0)
			continue;
		for (int i = 0; i < 2; i++) {
			snprintf(name, sizeof(name), "/proc/%s/%s", e->d_name, i ? "fd" : "task");
			DIR *list = opendir(name);
			while (list && readdir(list))
				parts[i]++;
			if (list)
				closedir(list);
		}
		snprintf(name, sizeof(name), "/proc/%s/statm", e->d_name);
		FILE *f = fopen(name, "r");
		if (f && fscanf(f, "%*d %d", &parts[2]) != 1)
			parts[2] = 0;
		if (f)
			fclose(f);
		net->threads += parts[0];
		net->descriptors += parts[1];
		net->kilobytes += parts[2] * 4;
	}
	if (proc)
		closedir(proc);
}

static void oblige(void)
{
	if (net->mark == MARK_COUNT) {
		count_brokers();
		net->mark = 0;
	} else if (net->mark == MARK_ASK) {
		struct sockaddr_in to = {.sin_family = AF_INET,
			.sin_port = htons((uint16_t)net->port),
			.sin_addr = {htonl(INADDR_LOOPBACK)}};
		static int fd = -1;
		if (fd < 0)
			sendto(fd = socket(AF_INET, SOCK_DGRAM, 0), "hello", 5, 0, (struct sockaddr *)&to, sizeof(to));
		char bytes[64];
		ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (n < 0)
			return; /* to be looked at again */
		close(fd);
		fd = -1;
		net->answer = (int)n;
		net->mark = 0;
	}
}

static struct airlock_policy *policy_of(const struct body *b)
{
	static char text[4096], filled[2048];
	struct airlock_policy *p = NULL;
	snprintf(filled, sizeof(filled), b->rules, net->abstract, net->abstract, net->abstract, net->abstract);
	snprintf(text, sizeof(text), "pledge %s\n%s", b->promises, filled);
	if (airlock_policy_parse(&p, text) < 0)
		printf("# %s: %s\n", b->name, airlock_message());
	return p;
}

/* In a process of its own: never returns. */
static _Noreturn void run_body(const struct body *b, enum way way, int notes, const char *airlock)
{
	static char filled[2048];
	struct airlock_policy *p;
	dup2(notes, 0);
	close(notes);
	if (way == NATIVE) {
		execl(self, self, "body", b->name, (char *)NULL);
		_exit(96);
	}
	if (way == RUN) {
		char *argv[64] = {called, "run", "-p", (char *)(uintptr_t)b->promises};
		size_t n = 4;
		snprintf(filled, sizeof(filled), b->rules, net->abstract, net->abstract, net->abstract, net->abstract);
		for (char *rest, *line = strtok_r(filled, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
			char *address = strchr(line, ' ') + 1;
			argv[n++] = line[0] == 'u' ? "-v" : line[0] == 'c' ? "-c" : "-b";
			argv[n++] = line[0] == 'u' ? "rwc:." : address;
		}
		argv[n++] = "--";
		argv[n++] = self;
		argv[n++] = "body";
		argv[n++] = (char *)(uintptr_t)b->name;
		execv(airlock, argv);
		_exit(96);
	}
	p = policy_of(b);
	if (!p)
		_exit(95);
	if (way == IN_PLACE) {
		if (airlock_enter(p) < 0) {
			printf("# %s\n", airlock_message());
			exit(94);
		}
		exit(body_main(b->name));
	}
	struct airlock_target *t = NULL;
	struct airlock_status s = AIRLOCK_STATUS_INIT;
	struct airlock_options o = AIRLOCK_OPTIONS_INIT;
	char *argv[] = {"body", (char *)(uintptr_t)b->name, NULL};
	o.stdio[0] = 0;
	int r = airlock_start(&t, p, "body", argv, &o);
	if (r == 0)
		r = airlock_wait(t, &s, 60000);
	if (r < 0)
		printf("# %s\n", airlock_message());
	fflush(stdout);
	_exit(r < 0 ? 93 : s.end == AIRLOCK_EXITED ? s.code : 92);
}

static int run(const struct body *b, enum way way, const char *airlock)
{
	int status = -1, fd = memfd_create("notes", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, sizeof(*net)))
		exit(1);
	if (net)
		munmap(net, sizeof(*net));
	net = mmap(NULL, sizeof(*net), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (net == MAP_FAILED)
		exit(1);
	net->confined = way != NATIVE;
	snprintf(net->abstract, sizeof(net->abstract), "airlock-net-%d", (int)getpid());
	fflush(stdout);
	pid_t pid = fork();
	if (pid == 0) {
		char directory[128];
		snprintf(directory, sizeof(directory), "%s/%d-%d", top, (int)(b - bodies), way);
		if (mkdir(directory, 0700) || chdir(directory))
			_exit(91);
		int log = open("stderr", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
		dup2(log, 2);
		close(log);
		run_body(b, way, fd, airlock);
	}
	close(fd);
	for (int i = 0; i < 6000 && waitpid(pid, &status, WNOHANG) == 0; i++) {
		oblige();
		usleep(5000);
	}
	if (status == -1) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	return status;
}

static void compare(const struct body *b, enum way way, int status, const char *native, size_t len)
{
	size_t at = 0, line = 0;
	char name[128];
	for (; at < len && at < net->used && native[at] == net->notes[at]; at++)
		line = native[at] == '\n' ? at + 1 : line;
	snprintf(name, sizeof(name), "%s, %s", b->name, ways[way]);
	check(status == 0 && len == net->used && at == len, name, "status %#x; natively: %.*s\n# behind the door: %.*s",
		status, (int)strcspn(native + line, "\n"), native + line, (int)strcspn(net->notes + line, "\n"),
		net->notes + line);
}

int main(int argc, char **argv)
{
	static char native[NOTES], line[256];
	airlock_init(argc, argv);
	if (argc == 3 && strcmp(argv[1], "body") == 0)
		return body_main(argv[2]);
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	snprintf(called, sizeof(called), "live_net-%d", (int)getpid());
	if (n > 0 && strcmp(argv[0], called) != 0) {
		argv[0] = called; /* as its brokers are */
		execv(self, argv);
	}
	const char *airlock = argc > 1 && strcmp(argv[1], "-") != 0 ? realpath(argv[1], NULL) : NULL;
	struct rlimit files = {1024, 4096};
	setrlimit(RLIMIT_NOFILE, &files);
	strcpy(top, "/tmp/net.XXXXXX");
	if (n <= 0 || !mkdtemp(top))
		return 1;
	for (size_t i = 0; i < COUNT(bodies); i++) {
		const struct body *b = &bodies[i];
		if (argc > 2 && !strstr(b->name, argv[2]))
			continue;
		int64_t began = net_ms();
		int status = run(b, NATIVE, airlock);
		size_t len = net->used;
		memcpy(native, net->notes, sizeof(native));
		snprintf(line, sizeof(line), "%s, native", b->name);
		check(status == 0 && len > 0, line, "status %#x, noted %.300s", status, native);
		if (argc > 3)
			printf("%s", native);
		for (enum way way = IN_PLACE; way <= RUN; way++)
			if (way != RUN || airlock) {
				status = run(b, way, airlock);
				compare(b, way, status, native, len);
			}
		if (argc > 2)
			printf("# %s: %d ms\n", b->name, (int)(net_ms() - began));
	}
	if (!airlock)
		printf("skip airlock run: its path was not given\n");
	snprintf(line, sizeof(line), "rm -rf %s", top);
	return (!tap_failed && system(line)) || tap_failed;
}
