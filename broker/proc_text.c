/* SPDX-License-Identifier: ISC */
/* Owns what of /proc is told in other words than the kernel's. The broker's procfs writes the numbers of the broker's pid
 * namespace, and a target knows itself by others: stat and status are given as copies with its own. Mounts are those
 * that its rules reach. Runs in the broker; what it reads is the kernel's, but the names in it are the target's. */
#include "broker/broker.h"
#include "ipc/ipc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT 8192 /* more than either file has */

static ssize_t text_of(int fd, char text[TEXT])
{
	size_t len = 0;
	ssize_t n;
	while (len < TEXT - 1 && (n = read(fd, text + len, TEXT - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = 0;
	return len ? (ssize_t)len : -ENOENT;
}

static ssize_t status_of(const struct broker *b, const char *process, char text[TEXT])
{
	char path[96];
	snprintf(path, sizeof(path), "%s/status", process);
	int fd = openat(b->proc, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -ENOENT;
	ssize_t n = text_of(fd, text);
	close(fd);
	return n;
}

/* The last number of the line that begins with key, which is the innermost namespace's; how many there are. */
static unsigned numbers(const char *text, const char *key, pid_t *last)
{
	const char *at = strstr(text, key);
	unsigned count = 0;
	char *end;
	*last = 0;
	if (!at)
		return 0;
	for (at += strlen(key); *at == '\t' || *at == ' '; at = end, count++) {
		*last = (pid_t)strtol(at, &end, 10);
		if (end == at)
			break;
	}
	return count;
}

struct own {
	pid_t process, thread, parent, group, session;
};

/* 0: the numbers are the same inside and outside. */
static int own_numbers(const struct broker *b, const char *process, struct own *own)
{
	char text[TEXT], path[16];
	pid_t parent;
	if (status_of(b, process, text) < 0)
		return -ENOENT;
	unsigned depth = numbers(text, "\nNSpid:", &own->thread);
	numbers(text, "\nNStgid:", &own->process);
	numbers(text, "\nNSpgid:", &own->group);
	numbers(text, "\nNSsid:", &own->session);
	numbers(text, "\nPPid:", &parent);
	if (depth < 2)
		return 0;
	/* Whoever is further out has no number in there. */
	snprintf(path, sizeof(path), "%d", (int)parent);
	if (status_of(b, path, text) < 0 || numbers(text, "\nNSpid:", &own->parent) < depth)
		own->parent = 0;
	return 1;
}

static int stat_text(const char *in, const struct own *own, char out[TEXT])
{
	const char *name = strchr(in, '('), *end = strrchr(in, ')');
	int skipped = 0;
	/* number (name) state parent group session terminal foreground ... */
	if (!name || !end || sscanf(end, ") %*c %*d %*d %*d%n", &skipped) < 0 || !skipped)
		return -ENOENT;
	return snprintf(out, TEXT, "%d %.*s %c %d %d %d%s", (int)own->thread, (int)(end + 1 - name), name, end[2],
		(int)own->parent, (int)own->group, (int)own->session, end + skipped);
}

static int status_text(const char *in, const struct own *own, char out[TEXT])
{
	const struct {
		const char *key;
		pid_t number;
	} lines[] = {{"Tgid:", own->process}, {"Ngid:", 0}, {"Pid:", own->thread}, {"PPid:", own->parent},
		{"TracerPid:", 0}, {"NStgid:", own->process}, {"NSpid:", own->thread}, {"NSpgid:", own->group},
		{"NSsid:", own->session}};
	size_t len = 0;
	while (*in && len < TEXT) {
		size_t n = strcspn(in, "\n"), i = 0, count = sizeof(lines) / sizeof(lines[0]);
		while (i < count && strncmp(in, lines[i].key, strlen(lines[i].key)) != 0)
			i++;
		if (i < count)
			len += (size_t)snprintf(out + len, TEXT - len, "%s\t%d\n", lines[i].key, (int)lines[i].number);
		else
			len += (size_t)snprintf(out + len, TEXT - len, "%.*s\n", (int)n, in);
		in += n + (in[n] == '\n');
	}
	return len < TEXT ? (int)len : -ENOENT;
}

/* mountinfo and mounts write blanks and backslashes of paths as octal escapes. */
static void unescape(char *path)
{
	char *to = path;
	for (; *path; path++) {
		if (path[0] == '\\' && path[1] >= '0' && path[1] <= '3' && path[2] && path[3]) {
			*to++ = (char)((path[1] - '0') * 64 + (path[2] - '0') * 8 + (path[3] - '0'));
			path += 3;
		} else {
			*to++ = *path;
		}
	}
	*to = 0;
}

/* Whether the line's mount point is one that the process may know, or has something below that it may. */
static bool mount_known(const struct request *r, const char *line, int field)
{
	char path[PATH_MAX];
	while (field-- > 0) {
		line += strcspn(line, " \n");
		line += *line == ' ';
	}
	size_t n = strcspn(line, " \n");
	if (*line != '/' || n >= sizeof(path))
		return false;
	memcpy(path, line, n);
	path[n] = 0;
	unescape(path);
	return judge(r, path, 0, NULL) == 0 || policy_below(policy_of(r), path);
}

/* The target's own table has an empty root or nothing of its rules: it is shown the broker's, which is what its files
 * lie on, as far as its rules reach. */
static int mounts(const struct request *r, bool info)
{
	const struct broker *b = r->family->broker;
	int fd = openat(b->proc, info ? "self/mountinfo" : "self/mounts", O_RDONLY | O_CLOEXEC), copy = -ENOENT;
	FILE *in = fd < 0 ? NULL : fdopen(fd, "r");
	char *line = NULL, *text = NULL;
	size_t cap = 0, len = 0;
	FILE *out = in ? open_memstream(&text, &len) : NULL;
	while (out && getline(&line, &cap, in) > 0)
		if (mount_known(r, line, info ? 4 : 1))
			fputs(line, out);
	if (out && fclose(out) == 0 && len)
		copy = ipc_memfd("mounts", text, len, true);
	free(line);
	free(text);
	if (in)
		fclose(in);
	else if (fd >= 0)
		close(fd);
	return copy;
}

int proc_copy(const struct request *r, int fd, const char *process, const char *file)
{
	const struct broker *b = r->family->broker;
	char in[TEXT], out[TEXT];
	struct own own;
	bool is_stat = strcmp(file, "stat") == 0, info = strcmp(file, "mountinfo") == 0;
	int copy = -ENOENT;
	if (info || strcmp(file, "mounts") == 0) {
		copy = mounts(r, info);
	} else if (is_stat || strcmp(file, "status") == 0) {
		int len = own_numbers(b, process, &own);
		if (len == 0)
			return fd;
		if (len > 0)
			len = text_of(fd, in) < 0 ? -ENOENT
			      : is_stat           ? stat_text(in, &own, out)
						  : status_text(in, &own, out);
		if (len > 0 && len < TEXT)
			copy = ipc_memfd(file, out, (size_t)len, true);
	} else {
		return fd;
	}
	close(fd);
	int again = copy < 0 ? copy : fd_reopen(b, copy, O_RDONLY);
	if (copy >= 0)
		close(copy);
	return again;
}
