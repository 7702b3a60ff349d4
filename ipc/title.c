/* SPDX-License-Identifier: ISC */
/* Owns what ps shows of airlock's own processes. Runs in every role but the host's: before anything hostile has been read
 * title_init(), after forks of processes with threads too title_set(), which allocates nothing. */
#include "ipc/ipc.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *words; /* where the kernel looks: the arguments, and the environment behind them */
static size_t arguments, room;

/* Of what the words are copied, whoever has a pointer into them gets one into the copy. */
static void moved(char **pointer, const char *copy)
{
	const size_t at = (uintptr_t)*pointer - (uintptr_t)words;

	if (*pointer && at < room)
		*pointer = (char *)(uintptr_t)copy + at;
}

void title_init(int argc, char **argv, char **envp)
{
	if (words || argc < 1)
		return;
	words = argv[0];
	for (int i = 0; i < argc && argv[i] == words + arguments; i++)
		arguments += strlen(argv[i]) + 1;
	room = arguments;
	for (char **e = envp; *e; e++)
		if (*e == words + room)
			room += strlen(*e) + 1;
	char *copy = arguments ? malloc(room) : NULL;
	if (!copy) {
		words = NULL;
		return;
	}
	memcpy(copy, words, room);
	for (char **e = envp; *e; e++)
		moved(e, copy);
	moved(&program_invocation_name, copy);
	moved(&program_invocation_short_name, copy);
}

void title_set(const char *format, ...)
{
	char text[256];
	va_list args;

	if (!words)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	const size_t len = strnlen(text, room - 1);
	memcpy(words, text, len);
	memset(words + len, 0, room - len);
	/* By this the kernel knows that there is a title, and stops at its end. */
	if (len + 1 < arguments)
		words[arguments - 1] = '.';
}
