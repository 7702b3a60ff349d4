/* SPDX-License-Identifier: ISC */
/*
 * Owns what the promise dns speaks to: the servers that resolv.conf names. Runs in the broker. Whoever could write that
 * file could name any host in it; so where a target may, the servers are those that it named before there was one.
 */
#include "broker/broker.h"
#include "broker/nameservers.h"
#include "policy/promises.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX 16384

static bool from_text(const char *word, struct nameserver *out)
{
	char text[INET6_ADDRSTRLEN + IF_NAMESIZE];
	struct in_addr v4;
	size_t len = strcspn(word, "%");
	*out = (struct nameserver){.ip = {[10] = 0xff, [11] = 0xff}};
	if (len >= sizeof(text))
		return false;
	memcpy(text, word, len);
	text[len] = 0;
	if (word[len]) {
		out->scope = (uint32_t)strtoul(word + len + 1, NULL, 10);
		if (!out->scope)
			out->scope = if_nametoindex(word + len + 1);
		if (!out->scope) /* of an interface that is not there */
			out->scope = UINT32_MAX;
	}
	if (inet_pton(AF_INET6, text, out->ip) == 1) {
		/* What is sent to the unspecified address reaches this machine. */
		if (IN6_IS_ADDR_UNSPECIFIED((struct in6_addr *)out->ip))
			out->ip[15] = 1;
		return true;
	}
	/* As libc does: "127.1" is an address. */
	if (word[len] || inet_aton(text, &v4) == 0)
		return false;
	if (v4.s_addr == INADDR_ANY)
		v4.s_addr = htonl(INADDR_LOOPBACK);
	memcpy(out->ip + 12, &v4, 4);
	return true;
}

size_t nameservers_parse(char *text, struct nameserver out[NAMESERVERS_MAX])
{
	size_t count = 0;
	bool libc_has = false; /* libc takes the word at the beginning of a line alone, others after blanks as well */
	for (char *line = text, *end; line; line = end) {
		end = strchr(line, '\n');
		if (end)
			*end++ = 0;
		char *word = line + strspn(line, " \t\r"), *server = word + strlen("nameserver");
		if (strncmp(word, "nameserver", strlen("nameserver")) != 0 || (*server != ' ' && *server != '\t'))
			continue;
		server += strspn(server, " \t");
		server[strcspn(server, " \t\r;#")] = 0;
		if (count == NAMESERVERS_MAX - 1 || !from_text(server, &out[count]))
			continue;
		count++;
		libc_has = libc_has || word == line;
	}
	if (!libc_has)
		from_text("127.0.0.1", &out[count++]);
	return count;
}

static size_t read_file(const struct broker *b, int file, struct nameserver out[NAMESERVERS_MAX])
{
	char text[TEXT_MAX];
	size_t len = 0;
	int fd = file >= 0 ? fd_reopen(b, file, O_RDONLY | O_NONBLOCK) : -1;
	for (ssize_t n = 1; fd >= 0 && n > 0 && len<sizeof(text) - 1; len += n> 0 ? (size_t)n : 0)
		n = read(fd, text + len, sizeof(text) - 1 - len);
	if (fd >= 0)
		close(fd);
	text[len] = 0;
	return nameservers_parse(text, out);
}

/* Whether no target can write the file, by whatever name. */
static bool is_others(const struct broker *b, int file)
{
	const struct policy *p = &b->policy;
	struct stat st;
	bool writes = p->everything || (p->promises & PROMISE_BIT(tmppath));
	for (size_t i = 0; i < p->unveil_count && !writes; i++)
		writes = p->unveils[i].perms & (PERM_W | PERM_C);
	if (!writes)
		return true;
	return geteuid() != 0 && fstat(file, &st) == 0 && st.st_uid != geteuid() && !(st.st_mode & (S_IWGRP | S_IWOTH));
}

void nameservers_hold(struct broker *b, int file)
{
	struct nameserver list[NAMESERVERS_MAX];
	b->resolv = file;
	if (!(b->policy.promises & PROMISE_BIT(dns)) || (file >= 0 && is_others(b, file)))
		return;
	/* A file that is not there is not waited for either. */
	size_t count = read_file(b, file, list);
	b->nameservers = calloc(count, sizeof(*list));
	b->nameserver_count = b->nameservers ? count : 0;
	b->resolv = -1;
	if (b->nameservers)
		memcpy(b->nameservers, list, count * sizeof(*list));
}

void nameservers_release(struct broker *b)
{
	free(b->nameservers);
	b->nameservers = NULL;
	b->nameserver_count = 0;
	b->resolv = -1;
}

bool nameserver_is(const struct broker *b, const uint8_t ip[16], uint32_t scope)
{
	struct nameserver now[NAMESERVERS_MAX];
	const struct nameserver *list = now;
	size_t count = b->nameserver_count;
	if (b->resolv >= 0)
		count = read_file(b, b->resolv, now);
	else
		list = b->nameservers;
	for (size_t i = 0; i < count; i++)
		if (memcmp(list[i].ip, ip, 16) == 0 && (!list[i].scope || list[i].scope == scope))
			return true;
	return false;
}
