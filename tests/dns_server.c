/* SPDX-License-Identifier: ISC */
/* The nameserver of live_names: one process, one table of names, each with what it answers. */
#include "tests/dns_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum how {
	ANSWERS,
	CHAIN, /* cname leads to the name in text4 */
	NO_NAME,
	FAILS,
	CUT, /* by UDP; all of it by TCP */
	SLOW,
	SILENT,
	HUGE, /* 1000 records by TCP */
	GARBAGE,
	WRONG_ID,
	LOOPS, /* a name that is a pointer to itself */
	FOREIGN, /* records of another name */
	ROTATES, /* another public address for each question */
	REBINDS, /* public in the first two answers, then the second text */
};

static const struct row {
	const char *name;
	enum how how;
	const char *v4, *v6; /* addresses with blanks between */
	uint32_t ttl;
} rows[] = {
	{"plain.test", ANSWERS, "93.184.216.34", "2606:2800:220:1::1", 300},
	{"four.test", ANSWERS, "93.184.216.34", "", 300},
	{"deep.sub.test", ANSWERS, "93.184.216.35", "", 300},
	{"chain.test", CHAIN, "chain2.test", "", 5},
	{"chain2.test", CHAIN, "plain.test", "", 5},
	{"circle.test", CHAIN, "circle.test", "", 5},
	{"zero.test", ANSWERS, "93.184.216.34", "", 0},
	{"negative.test", ANSWERS, "93.184.216.34", "", UINT32_C(0xffffffff)},
	{"brief.test", ANSWERS, "93.184.216.34", "", 1},
	{"none.test", NO_NAME, "", "", 0},
	{"fails.test", FAILS, "", "", 0},
	{"cut.test", CUT, "93.184.216.34", "", 60},
	{"slow.test", SLOW, "93.184.216.34", "", 60},
	{"silent.test", SILENT, "", "", 0},
	{"silent2.test", SILENT, "", "", 0},
	{"huge.test", HUGE, "93.184.216.34", "", 60},
	{"garbage.test", GARBAGE, "", "", 0},
	{"wrongid.test", WRONG_ID, "93.184.216.34", "", 60},
	{"loops.test", LOOPS, "93.184.216.34", "", 60},
	{"foreign.test", FOREIGN, "93.184.216.34", "", 60},
	{"rotates.test", ROTATES, "", "", 0},
	{"inside.test", ANSWERS,
		"127.0.0.1 127.0.0.2 169.254.169.254 10.0.0.1 0.0.0.0 192.168.1.1 100.64.0.1 172.16.0.1",
		"::1 ::ffff:127.0.0.1 64:ff9b::7f00:1 2002:7f00:1:: fe80::1 fd00::1 ::", 60},
	{"re4.test", REBINDS, "127.0.0.1 169.254.169.254 10.0.0.1 0.0.0.0", "", 0},
	{"re6.test", REBINDS, "", "::1 ::ffff:127.0.0.1 64:ff9b::7f00:1 2002:7f00:1:: fe80::1", 0},
	{"mixed.test", ANSWERS, "93.184.216.34 127.0.0.1", "", 60},
	{"dead.test", ANSWERS, "93.184.216.34", "", 60},
};

struct message {
	uint8_t bytes[65535];
	size_t len;
};

static void put(struct message *m, uint32_t value, size_t n)
{
	while (n-- > 0 && m->len < sizeof(m->bytes))
		m->bytes[m->len++] = (uint8_t)(value >> (8 * n));
}

static void put_name(struct message *m, const char *name)
{
	while (*name) {
		size_t label = strcspn(name, ".");
		put(m, (uint32_t)label, 1);
		for (size_t i = 0; i < label; i++)
			put(m, (uint8_t)name[i], 1);
		name += label + (name[label] == '.');
	}
	put(m, 0, 1);
}

/* Returns whether it fitted. */
static void put_record(struct message *m, const char *owner, int type, uint32_t ttl, const void *data, size_t len)
{
	if (owner)
		put_name(m, owner);
	else
		put(m, 0xc00c, 2); /* the question's */
	put(m, (uint32_t)type, 2);
	put(m, 1, 2);
	put(m, ttl, 4);
	put(m, (uint32_t)len, 2);
	for (size_t i = 0; i < len; i++)
		put(m, ((const uint8_t *)data)[i], 1);
	m->bytes[7] = (uint8_t)(m->bytes[7] + 1);
	if (!m->bytes[7])
		m->bytes[6]++;
}

/* The addresses in list that are of this type. */
static void put_addresses(struct message *m, const char *owner, int type, uint32_t ttl, const char *list)
{
	char copy[512], *rest = copy;
	uint8_t ip[16];
	snprintf(copy, sizeof(copy), "%s", list);
	for (char *word; (word = strsep(&rest, " "));)
		if (*word && inet_pton(type == 1 ? AF_INET : AF_INET6, word, ip) == 1)
			put_record(m, owner, type, ttl, ip, type == 1 ? 4 : 16);
}

static void put_chain(struct message *m, const struct row *r, int type)
{
	struct message target = {.len = 0};
	const char *owner = NULL;
	for (int depth = 0; r && depth < 8; depth++) {
		if (r->how != CHAIN) {
			put_addresses(m, owner, type, r->ttl, type == 1 ? r->v4 : r->v6);
			return;
		}
		target.len = 0;
		put_name(&target, r->v4);
		put_record(m, owner, 5, r->ttl, target.bytes, target.len);
		owner = r->v4;
		const struct row *next = NULL;
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
			if (strcmp(rows[i].name, owner) == 0)
				next = &rows[i];
		r = next;
	}
}

/* Fills what follows the question; false: no answer at all. */
static bool respond(struct message *m, const struct row *r, int type, bool tcp, unsigned count)
{
	char text[64];
	const char *list = type == 1 ? r->v4 : r->v6;
	switch (r->how) {
	case SILENT:
		return false;
	case NO_NAME:
		m->bytes[3] |= 3;
		return true;
	case FAILS:
		m->bytes[3] |= 2;
		return true;
	case CHAIN:
		put_chain(m, r, type);
		return true;
	case CUT:
	case HUGE:
		if (!tcp) {
			m->bytes[2] |= 2;
			return true;
		}
		for (unsigned i = 0; r->how == HUGE && type == 1 && i < 1000; i++) {
			snprintf(text, sizeof(text), "93.184.%u.%u", 200 + i / 250, 1 + i % 250);
			put_addresses(m, NULL, 1, r->ttl, text);
		}
		break;
	case WRONG_ID:
		m->bytes[0] ^= 0x55;
		break;
	case LOOPS:
		put(m, 0xc000 | (uint32_t)m->len, 2);
		put(m, 0xffff, 2);
		m->bytes[7] = 5;
		return true;
	case GARBAGE:
		m->bytes[7] = 200;
		for (unsigned i = 0; i < 300; i++)
			put(m, i * 2654435761u >> 11, 1);
		return true;
	case FOREIGN:
		put_addresses(m, "elsewhere.test", type, r->ttl, list);
		return true;
	case ROTATES:
		snprintf(text, sizeof(text), "93.184.216.%u", 40 + count % 200);
		put_addresses(m, NULL, type, 0, type == 1 ? text : "");
		return true;
	case REBINDS:
		put_addresses(m, NULL, type, 0, count > 2 ? list : type == 1 ? "93.184.216.34" : "");
		return true;
	case SLOW:
	case ANSWERS:
		break;
	}
	put_addresses(m, NULL, type, r->ttl, list);
	return true;
}

struct dns_count *dns_count(struct dns_counts *counts, const char *name)
{
	for (unsigned i = 0; i < counts->used; i++)
		if (strcmp(counts->of[i].name, name) == 0)
			return &counts->of[i];
	struct dns_count *c = &counts->of[counts->used < DNS_NAMES - 1 ? counts->used++ : DNS_NAMES - 1];
	snprintf(c->name, sizeof(c->name), "%.63s", name);
	return c;
}

/* Makes the answer to what is in m. */
static bool answer(struct dns_counts *counts, struct message *m, bool tcp, bool *slow)
{
	char name[256] = "";
	size_t at = 12, used = 0;
	if (m->len < 17)
		return false;
	while (at < m->len && m->bytes[at] && used + m->bytes[at] + 2 < sizeof(name)) {
		size_t label = m->bytes[at++];
		if (used)
			name[used++] = '.';
		for (size_t i = 0; i < label && at < m->len; i++)
			name[used++] = (char)m->bytes[at++];
		name[used] = 0;
	}
	if (at + 5 > m->len)
		return false;
	int type = m->bytes[at + 1] << 8 | m->bytes[at + 2];
	m->len = at + 5; /* the question stays */
	m->bytes[2] = 0x84 | (m->bytes[2] & 1);
	m->bytes[3] = 0x80;
	memset(m->bytes + 6, 0, 6);
	struct dns_count *c = dns_count(counts, name);
	unsigned *count = type == 1 ? &c->a : &c->other;
	++*count;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcasecmp(rows[i].name, name) == 0) {
			*slow = rows[i].how == SLOW;
			return respond(m, &rows[i], type, tcp, c->a);
		}
	m->bytes[3] |= 3;
	return true;
}

static void by_udp(int fd, struct dns_counts *counts)
{
	static struct message m;
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	bool slow = false;
	ssize_t n = recvfrom(fd, m.bytes, sizeof(m.bytes), 0, (struct sockaddr *)&from, &len);
	m.len = n > 0 ? (size_t)n : 0;
	if (n <= 0 || !answer(counts, &m, false, &slow))
		return;
	if (slow) { /* others are answered meanwhile */
		if (fork() != 0)
			return;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		usleep(500000);
		sendto(fd, m.bytes, m.len, 0, (struct sockaddr *)&from, len);
		_exit(0);
	}
	sendto(fd, m.bytes, m.len, 0, (struct sockaddr *)&from, len);
}

static void by_tcp(int listener, struct dns_counts *counts)
{
	static struct message m;
	const struct timeval patience = {1, 0};
	uint8_t len[2];
	bool slow;
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	while (recv(fd, len, 2, MSG_WAITALL) == 2) {
		m.len = (size_t)(len[0] << 8 | len[1]);
		if (recv(fd, m.bytes, m.len, MSG_WAITALL) != (ssize_t)m.len || !answer(counts, &m, true, &slow))
			break;
		len[0] = (uint8_t)(m.len >> 8);
		len[1] = (uint8_t)m.len;
		if (send(fd, len, 2, MSG_NOSIGNAL | MSG_MORE) != 2 ||
			send(fd, m.bytes, m.len, MSG_NOSIGNAL) != (ssize_t)m.len)
			break;
	}
	close(fd);
}

pid_t dns_serve(struct dns_counts *counts)
{
	const struct sockaddr_in here = {
		.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid = -1;
	if (bind(udp, (const struct sockaddr *)&here, sizeof(here)) == 0 &&
		bind(tcp, (const struct sockaddr *)&here, sizeof(here)) == 0 && listen(tcp, 100) == 0)
		pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGCHLD, SIG_IGN);
		for (;;) {
			struct pollfd p[2] = {{udp, POLLIN, 0}, {tcp, POLLIN, 0}};
			poll(p, 2, -1);
			if (p[0].revents)
				by_udp(udp, counts);
			if (p[1].revents)
				by_tcp(tcp, counts);
		}
	}
	close(udp);
	close(tcp);
	return pid;
}
