/* SPDX-License-Identifier: ISC */
/* The process table below a test that is the subreaper of all it starts: an orphan becomes its child. */
#ifndef AIRLOCK_TESTS_PROCESSES_H
#define AIRLOCK_TESTS_PROCESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

extern size_t process_count; /* as of the last look */
extern pid_t processes_root;

void processes_begin(void);
/* Takes in all processes below this one. Their number. */
size_t processes_look(void);
/* The oldest living child of parent, other than but; 0 when there is none. */
pid_t process_child(pid_t parent, pid_t but);
/* Of the last look: the i-th, or 0 for a zombie; and the oldest whose title contains word, or 0. */
pid_t process_at(size_t i);
pid_t process_titled(const char *word);
size_t processes_titled(const char *word);
/* All of them in one line. */
const char *processes_text(void);
/* Waits up to two seconds until at most `most` are left, reaping its own zombies, save host. */
bool processes_shrink_to(size_t most, pid_t host);
void processes_kill(void);
#endif
