/* SPDX-License-Identifier: ISC */
/* What abort.c, unwind.c and report.c share about a violation that is to end its process. */
#ifndef AIRLOCK_ABORT_H
#define AIRLOCK_ABORT_H

#include "broker/broker.h"
#include "broker/trace.h"

#define ABORT_FRAMES 800

/* unwind.c: where the held thread of r is in its program, innermost first: "parse+0x1f (prog), main+0x2a (prog)". "" when
 * it cannot be told. */
void unwind(const struct request *r, const struct trace *t, char *buf, size_t len);
/* report.c: counts and tells the one line, and what must be said after it. */
void report_abort(struct request *r, pid_t process, const char *frames, const char *note);
void report_abort_note(struct request *r, pid_t process, const char *note);
#endif
