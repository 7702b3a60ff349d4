/* SPDX-License-Identifier: ISC */
/* The subcommands of airlock(1), each in a file of its own; all through the public interface, but for broker_forks. */
#ifndef AIRLOCK_TOOLS_H
#define AIRLOCK_TOOLS_H

#define STATUS_FAILED 125 /* airlock itself failed */
#define STATUS_DENIED 126 /* as a shell: found, not executable */
#define STATUS_MISSING 127

int command_run(int argc, char **argv);
int command_check(void);

#endif
