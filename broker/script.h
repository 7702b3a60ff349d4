/* SPDX-License-Identifier: ISC */
/* Scripts' first lines, for ops_exec.c. */
#ifndef AIRLOCK_SCRIPT_H
#define AIRLOCK_SCRIPT_H

#include "broker/broker.h"

#define SCRIPT_LINE 256 /* what the kernel reads of a program to see what it is */
#define SCRIPT_DEPTH 5 /* scripts run by scripts */

/* "#!interpreter argument", taken apart in place; line is filled up with NULs. 1; 0 when it is no script; -ENOEXEC as the
 * kernel says. */
int script_parse(char line[SCRIPT_LINE + 1], char **interpreter, char **argument);
int script_read(int fd, char line[SCRIPT_LINE + 1], char **interpreter, char **argument);
const struct interpreter *interpreter_find(const struct broker *b, const char *path);
#endif
