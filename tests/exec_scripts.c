/* SPDX-License-Identifier: ISC */
/* First lines of scripts, taken apart as the kernel does it: a battery for live_exec. @ stands for the interpreter. */
#include "tests/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE(text)                                                                                                     \
	{                                                                                                              \
		text, sizeof(text) - 1, 0, 0                                                                           \
	}
/* The same, with so many times a byte after it. */
#define LONG(text, byte, times)                                                                                        \
	{                                                                                                              \
		text, sizeof(text) - 1, byte, times                                                                    \
	}
static const struct {
	const char *text;
	size_t len;
	char byte;
	int times;
} lines[] = {LINE("#!@\n"), LINE("#!@"), LINE("#! @\n"), LINE("#!\t @ \t\n"), LINE("#!@ one\n"), LINE("#!@ one"),
	LINE("#!@ one two  three\n"), LINE("#!@\tone\ttwo\t \n"), LINE("#!@ 'one two' $HOME #x\n"), LINE("#!@ \n"),
	LINE("#!@\r\n"), LINE("#!@ one\r\n"), LINE("#!"), LINE("#!\n"), LINE("#! \n"), LINE("#!  "), LINE("#!\n@\n"),
	LINE("#"), LINE("# !@\n"), LINE(" #!@\n"), LINE("#!@\nnext\n"), LINE("#!\0@\n"), LINE("#!@\0 one\n"),
	LINE("#!@ one\0two\n"), LINE("#!@ one \0two\n"), LINE("#!@\0\n"), LINE("#! \0\n"), LINE("#!@ \0\n"),
	LINE("#!probe\n"), LINE("#!./probe x\n"), LINE("#!dir/../probe\n"), LINE("#!link y\n"), LINE("#!script z\n"),
	LINE("#!dir\n"), LINE("#!nowhere\n"), LINE("#!nowhere one\n"), LINE("#!plain\n"), LINE("#!garbage\n"),
	LINE("#!loop\n"), LINE("#!probe/\n"), LINE("#!/\n"), LINE("#!.\n"), LINE("#!fifo\n"), LINE("#!elf-short\n"),
	LINE("#!/dev/null\n"), LINE("#!/proc/self/exe\n"), LINE("#!/bin/sh\n"), LINE("#!/bin/sh -e\nexit 3\n"),
	LINE("#!/usr/bin/env sh\necho env\n"),
	LINE("\x7f"
	     "ELF"),
	LONG("#!probe ", 'a', 230), LONG("#!probe ", 'a', 246), LONG("#!probe ", 'a', 247), LONG("#!probe ", 'a', 248),
	LONG("#!probe ", 'a', 249), LONG("#!probe ", 'a', 400), LONG("#!", 'a', 252), LONG("#!", 'a', 253),
	LONG("#!", 'a', 254), LONG("#!", 'a', 255), LONG("#!", 'a', 300), LONG("#!probe", ' ', 246),
	LONG("#!probe", ' ', 247), LONG("#!probe", ' ', 248), LONG("#!probe", ' ', 249), LONG("#!probe", ' ', 300),
	LONG("#!", ' ', 253), LONG("#!", ' ', 254), LONG("#!", ' ', 300), LONG("#!./", '/', 246),
	LONG("#!probe x", ' ', 300)};
#define LINES (sizeof(lines) / sizeof(lines[0]))

static size_t make(size_t i, bool newline, const char *top, char *out, size_t cap)
{
	size_t n = 0;

	for (size_t k = 0; k < lines[i].len; k++)
		if (lines[i].text[k] == '@')
			n += (size_t)snprintf(out + n, cap - n, "%s/probe", top);
		else
			out[n++] = lines[i].text[k];
	for (int k = 0; k < lines[i].times; k++)
		out[n++] = lines[i].byte;
	if (newline)
		out[n++] = '\n';
	return n;
}

/* With a newline at the end, and without: which lines[] has where it matters. */
static bool ends(size_t i, int variant)
{
	return !variant || lines[i].times;
}

static void name_of(size_t i, int variant, char name[32])
{
	snprintf(name, 32, "./line-%zu%s", i, variant ? "n" : "");
}

void exec_lines_make(const char *top)
{
	char bytes[2048], name[32];

	for (size_t i = 0; i < LINES; i++)
		for (int variant = 0; variant < 2; variant++) {
			if (!ends(i, variant))
				continue;
			size_t n = make(i, variant, top, bytes, sizeof(bytes));

			name_of(i, variant, name);
			int fd = open(name, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0755);
			if (fd < 0 || write(fd, bytes, n) != (ssize_t)n)
				fprintf(stderr, "# %s: %s\n", name, strerror(errno));
			close(fd);
		}
}

static int plain(const void *arg)
{
	return run(arg, NULL);
}

static int with_arguments(const void *arg)
{
	char *argv[] = {"zero", "first", "", "third", NULL};

	return run(arg, argv);
}

void exec_scripts(struct battery *b)
{
	char name[32], what[300];

	for (size_t i = 0; i < LINES; i++)
		for (int variant = 0; variant < 2; variant++) {
			if (!ends(i, variant))
				continue;
			name_of(i, variant, name);
			/* Only the start, and that in a form that is one line. */
			snprintf(what, sizeof(what), "%s %.40s", name, lines[i].text);
			for (char *c = what; *c; c++)
				*c = *c < ' ' ? '?' : *c;
			child(b, what, plain, name);
			child(b, what, with_arguments, name);
		}
}
