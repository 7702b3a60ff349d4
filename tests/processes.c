/* SPDX-License-Identifier: ISC */
/* The process table below a test, which is the subreaper of all it starts. Runs in the test. */
#include "tests/processes.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct process {
	pid_t pid, parent;
	char state;
};
static struct process table[4096];
size_t process_count;
pid_t processes_root;

void processes_begin(void)
{
	processes_root = getpid();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
}

static bool below(pid_t pid)
{
	for (size_t i = 0, hops = 0; i < process_count && hops < 64; i++) {
		if (table[i].pid != pid)
			continue;
		if (table[i].parent == processes_root)
			return true;
		pid = table[i].parent;
		i = (size_t)-1;
		hops++;
	}
	return false;
}

/* All processes below this one, but zombies that wait for it alone, which it reaps. Their number. */
size_t processes_look(void)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	size_t kept = 0;

	process_count = 0;
	while (d && (e = readdir(d)) && process_count < sizeof(table) / sizeof(*table)) {
		char path[300], text[512] = "", *end;
		struct process p = {.pid = atoi(e->d_name)};

		if (!isdigit((unsigned char)*e->d_name))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = read(fd, text, sizeof(text) - 1);
		close(fd);
		end = n > 0 ? strrchr(text, ')') : NULL;
		if (end && sscanf(end + 1, " %c %d", &p.state, &p.parent) == 2)
			table[process_count++] = p;
	}
	if (d)
		closedir(d);
	for (size_t i = 0; i < process_count; i++)
		table[i].state = below(table[i].pid) ? table[i].state : 0;
	for (size_t i = 0; i < process_count; i++)
		if (table[i].state)
			table[kept++] = table[i];
	process_count = kept;
	return kept;
}

pid_t process_child(pid_t parent, pid_t but)
{
	pid_t least = 0;

	for (size_t i = 0; i < process_count; i++)
		if (table[i].parent == parent && table[i].pid != but && table[i].state != 'Z' &&
			(!least || table[i].pid < least))
			least = table[i].pid;
	return least;
}

pid_t process_at(size_t i)
{
	return i < process_count && table[i].state != 'Z' ? table[i].pid : 0;
}

static bool titled(size_t i, const char *word)
{
	char path[64], title[512] = "";

	if (!process_at(i))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/cmdline", table[i].pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool yes = fd >= 0 && read(fd, title, sizeof(title) - 1) > 0 && strstr(title, word);
	if (fd >= 0)
		close(fd);
	return yes;
}

pid_t process_titled(const char *word)
{
	pid_t found = 0;

	for (size_t i = 0; i < process_count; i++)
		if ((!found || table[i].pid < found) && titled(i, word))
			found = table[i].pid;
	return found;
}

size_t processes_titled(const char *word)
{
	size_t n = 0;

	for (size_t i = 0; i < process_count; i++)
		n += titled(i, word);
	return n;
}

static int64_t milliseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

const char *processes_text(void)
{
	static char text[512];
	size_t n = 0;

	text[0] = 0;
	for (size_t i = 0; i < process_count && n < sizeof(text) - 40; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, " %d(%c, child of %d)", table[i].pid, table[i].state,
			table[i].parent);
	return text;
}

/* Waits until at most `most` processes are below this one. Zombies of its own are reaped, save host, if that is set. */
bool processes_shrink_to(size_t most, pid_t host)
{
	int64_t limit = milliseconds() + 20000;

	do {
		processes_look();
		for (size_t i = 0; i < process_count; i++)
			if (table[i].parent == processes_root && table[i].state == 'Z' && table[i].pid != host)
				waitpid(table[i].pid, NULL, WNOHANG);
		if (processes_look() <= most)
			return true;
		nanosleep(&(struct timespec){0, 5000000}, NULL);
	} while (milliseconds() < limit);
	return false;
}

void processes_kill(void)
{
	for (int i = 0; i < 50 && processes_look(); i++) {
		for (size_t k = 0; k < process_count; k++)
			kill(table[k].pid, SIGKILL);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		nanosleep(&(struct timespec){0, 10000000}, NULL);
	}
}
