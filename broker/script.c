/* SPDX-License-Identifier: ISC */
/* Owns the first lines of scripts: which interpreter they name, and which interpreters may run for a script's sake though
 * they are not unveiled themselves (as on OpenBSD). Runs in the broker; the lines are a target's. */
#include "broker/script.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The first byte from at on that is no blank, and the first that is one or ends a text; NULL: none up to last. */
static char *not_blank(char *at, const char *last)
{
	while (at <= last && (*at == ' ' || *at == '\t'))
		at++;
	return at <= last ? at : NULL;
}

static char *terminator(char *at, const char *last)
{
	while (at <= last && *at && *at != ' ' && *at != '\t')
		at++;
	return at <= last ? at : NULL;
}

/* As load_script() of the kernel's fs/binfmt_script.c does it. */
int script_parse(char line[SCRIPT_LINE + 1], char **interpreter, char **argument)
{
	char *last = line + SCRIPT_LINE - 1, *end = line;
	if (line[0] != '#' || line[1] != '!')
		return 0;
	while (end <= last && *end && *end != '\n')
		end++;
	if (end > last || !*end) {
		/* A name that may go on beyond what was read is no name. */
		char *name = not_blank(line + 2, last);
		if (!name || !terminator(name, last))
			return -ENOEXEC;
		end = last;
	}
	while (end[-1] == ' ' || end[-1] == '\t')
		end--;
	char *name = not_blank(line + 2, end);
	if (!name || name == end)
		return -ENOEXEC;
	char *after = terminator(name, end);
	*interpreter = name;
	*argument = after && *after ? not_blank(after, end) : NULL;
	*end = 0;
	if (*argument)
		*after = 0;
	return 1;
}

int script_read(int fd, char line[SCRIPT_LINE + 1], char **interpreter, char **argument)
{
	memset(line, 0, SCRIPT_LINE + 1);
	*interpreter = *argument = NULL;
	if (pread(fd, line, SCRIPT_LINE, 0) < 0)
		return -errno;
	return script_parse(line, interpreter, argument);
}

const struct interpreter *interpreter_find(const struct broker *b, const char *path)
{
	for (size_t i = 0; i < b->interpreter_count; i++)
		if (strcmp(b->interpreters[i].path, path) == 0)
			return &b->interpreters[i];
	return NULL;
}

/* path, and what runs it in turn if it is a script, too. */
static void hold(struct broker *b, const char *path)
{
	char line[SCRIPT_LINE + 1], name[PATH_MAX], *argument;
	snprintf(name, sizeof(name), "%s", path);
	for (int depth = 0; depth < SCRIPT_DEPTH && name[0] == '/'; depth++) {
		char *interpreter;
		if (b->interpreter_count == INTERPRETERS_MAX || interpreter_find(b, name))
			return;
		int fd = open(name, O_PATH | O_CLOEXEC);
		if (fd < 0)
			return;
		struct interpreter *i = &b->interpreters[b->interpreter_count];
		*i = (struct interpreter){strdup(name), fd};
		if (!i->path) {
			close(fd);
			return;
		}
		b->interpreter_count++;
		int text = open(name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		int r = text < 0 ? 0 : script_read(text, line, &interpreter, &argument);
		if (text >= 0)
			close(text);
		if (r != 1)
			return;
		snprintf(name, sizeof(name), "%s", interpreter);
	}
}

void interpreters_hold(struct broker *b)
{
	if (!policy_executes(&b->policy))
		return;
	hold(b, "/bin/sh");
	for (size_t i = 0; i < b->policy.unveil_count; i++) {
		const struct unveil *rule = &b->policy.unveils[i];
		char line[SCRIPT_LINE + 1], *interpreter, *argument;
		if (!rule->name || !(rule->perms & PERM_X))
			continue;
		int fd = open(rule->path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (fd >= 0 && script_read(fd, line, &interpreter, &argument) == 1)
			hold(b, interpreter);
		if (fd >= 0)
			close(fd);
	}
}

void interpreters_release(struct broker *b)
{
	while (b->interpreter_count) {
		struct interpreter *i = &b->interpreters[--b->interpreter_count];
		free(i->path);
		close(i->fd);
	}
}
