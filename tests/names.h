/* SPDX-License-Identifier: ISC */
/* What live_names.c, the targets that it starts and its world share. */
#ifndef AIRLOCK_TESTS_NAMES_H
#define AIRLOCK_TESTS_NAMES_H

#include <stdbool.h>
#include <sys/types.h>

/* names_client.c: does what it is told to, as "connect,IP,PORT"; its entries are "entry" and "outer". */
int names_client(int count, char *const *what);

/* names_world.c */
bool names_namespaces(void);
bool names_network(void);
bool names_files(const char *directory); /* written there, bound over those in /etc */
pid_t names_connections(void); /* takes connections to every address there is, at port 80 */
#endif
