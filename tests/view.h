/* SPDX-License-Identifier: ISC */
/* A battery of calls whose results are written down, one line each: run natively and behind the door, the lines must be
 * the same. What a line says is a result, an errno's name, or what was found; never a number that differs by nature. */
#ifndef AIRLOCK_TESTS_VIEW_H
#define AIRLOCK_TESTS_VIEW_H

#include <stdbool.h>
#include <limits.h>
#include <stddef.h>
#include <stdint.h>

struct view {
	char *out;
	size_t len, cap;
	const char *top; /* the tree, which is also the working directory when a part begins */
};

void view_say(struct view *v, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* A system call's result: the number, or the errno's name. */
void view_result(struct view *v, const char *name, long result);
/* Makes the tree that the parts work on, as it was before. Runs natively. */
int view_tree(const char *top);

/* The parts. */
void view_open(struct view *v);
void view_open2(struct view *v);
void view_names(struct view *v);
void view_make(struct view *v);
void view_walk(struct view *v);
void view_process(struct view *v);
void view_cwd(struct view *v);
void view_proc(struct view *v);
#endif
