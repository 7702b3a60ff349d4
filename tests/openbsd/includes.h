/* SPDX-License-Identifier: ISC */
/* In the place of OpenSMTPD's own includes.h, which needs a configured tree: what lockspool takes from it. Its spool is
 * where the test says. */
#include <fcntl.h>
#include <paths.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#undef _PATH_MAILDIR
#define _PATH_MAILDIR getenv("SPOOL")
#define O_EXLOCK 0
