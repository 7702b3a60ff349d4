/* SPDX-License-Identifier: ISC */
/* What the targets of live_names.c do: each argument is a thing to do, and says one word. */
#include "sandbox/airlock.h"
#include "tests/names.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *name_of(int e)
{
	const char *name = e ? strerrorname_np(e) : "ok";
	return name ? name : "?";
}

static int connect_to(const char *ip, int port)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	bool six = strchr(ip, ':');
	inet_pton(six ? AF_INET6 : AF_INET, ip, six ? (void *)&v6.sin6_addr : (void *)&v4.sin_addr);
	v6.sin6_scope_id = six && strncmp(ip, "fe80", 4) == 0 ? 1 : 0;
	int fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int e = connect(fd, six ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4, six ? sizeof(v6) : sizeof(v4)) < 0
			? errno
			: 0;
	close(fd);
	return e;
}

/* The addresses that a lookup finds; then whether each can be connected to. */
static void say_lookup(char *out, size_t len, const char *host, const char *port)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;
	if (getaddrinfo(host, port, &hints, &list)) {
		snprintf(out, len, "unknown");
		return;
	}
	out[0] = 0;
	for (struct addrinfo *i = list; i; i = i->ai_next) {
		char ip[INET6_ADDRSTRLEN] = "";
		getnameinfo(i->ai_addr, i->ai_addrlen, ip, sizeof(ip), NULL, 0, NI_NUMERICHOST);
		size_t used = strlen(out);
		snprintf(out + used, len - used, "%s%s=%s", used ? "+" : "", ip, name_of(connect_to(ip, atoi(port))));
	}
	freeaddrinfo(list);
}

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static atomic_bool over;
static void *connect_aside(void *arg)
{
	int e = connect_to(arg, 81);
	atomic_store(&over, true);
	return (void *)(intptr_t)e;
}

/* Others are served while one request waits for a nameserver that says nothing. */
static const char *aside(const char *ip, const char *other, int port)
{
	pthread_t thread;
	static char ip_copy[64];
	void *e;
	snprintf(ip_copy, sizeof(ip_copy), "%s", other);
	double slowest = 0;
	pthread_create(&thread, NULL, connect_aside, ip_copy);
	usleep(100000);
	for (int i = 0; i < 20; i++) {
		double before = seconds();
		if (connect_to(ip, port))
			return "refused";
		slowest = seconds() - before > slowest ? seconds() - before : slowest;
	}
	bool waited = !atomic_load(&over);
	pthread_join(thread, &e);
	return slowest > 1.5 ? "stalled" : !waited ? "early" : name_of((int)(intptr_t)e);
}

/* How many of so many lines of /etc/hosts have this name, and whether one has an address that is not public. */
static void say_hosts(char *out, size_t len, const char *host)
{
	char line[512];
	unsigned lines = 0, with = 0;
	FILE *f = fopen("/etc/hosts", "re");
	while (f && fgets(line, sizeof(line), f)) {
		size_t n = strcspn(line, "\n");
		line[n] = 0;
		lines += line[0] != '#';
		with += n > strlen(host) && strcmp(line + n - strlen(host), host) == 0;
	}
	if (f)
		fclose(f);
	snprintf(out, len, f ? "%u/%u" : "none", with, lines);
}

int names_client(int count, char *const *what)
{
	for (int i = 0; i < count; i++) {
		char copy[300], word[2000] = "", *rest = copy, *part[4] = {"", "", "", ""};
		snprintf(copy, sizeof(copy), "%s", what[i]);
		for (int k = 0; k < 4 && rest; k++)
			part[k] = strsep(&rest, ",");
		if (strcmp(part[0], "connect") == 0)
			snprintf(word, sizeof(word), "%s", name_of(connect_to(part[1], atoi(part[2]))));
		else if (strcmp(part[0], "lookup") == 0)
			say_lookup(word, sizeof(word), part[1], part[2]);
		else if (strcmp(part[0], "hosts") == 0)
			say_hosts(word, sizeof(word), part[1]);
		else if (strcmp(part[0], "aside") == 0)
			snprintf(word, sizeof(word), "%s", aside(part[1], part[3], atoi(part[2])));
		else if (strcmp(part[0], "kill") == 0)
			snprintf(word, sizeof(word), "%s", name_of(kill(atoi(part[1]), SIGKILL) < 0 ? errno : 0));
		else if (strcmp(part[0], "many") == 0) {
			int ok = 0;
			for (int k = 0; k < 100; k++)
				ok += connect_to(part[1], atoi(part[2])) == 0;
			snprintf(word, sizeof(word), "%d", ok);
		} else if (strcmp(part[0], "sleep") == 0) {
			usleep((useconds_t)atoi(part[1]) * 1000);
			continue;
		} else if (strcmp(part[0], "wait") == 0) { /* until the test says so */
			char c;
			if (write(1, "!", 1) != 1 || read(0, &c, 1) != 1)
				return 1;
			continue;
		}
		strcat(word, " ");
		if (write(1, word, strlen(word)) < 0)
			return 1;
	}
	return 0;
}

static int entry(struct airlock_target *host, int argc, char **argv)
{
	(void)host;
	return names_client(argc, argv);
}
AIRLOCK_ENTRY(entry)

/* Starts a target of its own, which has one of the rules that this has, and does it there. */
static int outer(struct airlock_target *host, int argc, char **argv)
{
	struct airlock_policy *p;
	struct airlock_target *t;
	struct airlock_status s = AIRLOCK_STATUS_INIT;
	(void)host;
	if (airlock_policy_parse(&p, argv[0]) < 0 ||
		airlock_start(&t, p, "entry", argc > 1 ? argv + 1 : NULL, NULL) < 0) {
		dprintf(1, "%s", airlock_message());
		return 1;
	}
	airlock_wait(t, &s, 60000);
	airlock_free(t);
	airlock_policy_free(p);
	return s.code;
}
AIRLOCK_ENTRY(outer)
