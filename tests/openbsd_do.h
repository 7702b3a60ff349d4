/* SPDX-License-Identifier: ISC */
/* The calls that openbsd_pledge_calls.c tries under each promise: each does what it can do, or is surprised (openbsd.h). */
#ifndef AIRLOCK_TESTS_OPENBSD_DO_H
#define AIRLOCK_TESTS_OPENBSD_DO_H

#include "tests/openbsd.h"

/* What they use that was open before the pledge: a file in the world, the world, a pair of sockets, a terminal, a page. */
extern struct opened {
	int file, dir, pair[2], terminal;
	char *memory;
} opened;

#define DO(name) void do_##name(void)
#define OPENS(path, flags) HOLDS(open(path, flags, 0644) >= 0)

DO(nothing);
DO(writes);
DO(descriptor_calls);
DO(process_calls);
DO(memory_calls);
DO(socket_calls);
DO(kill_self);
DO(kill_group);
DO(kill_parent);
DO(kill_child);
DO(forks);
DO(vforks);
DO(new_session);
DO(executes);
DO(priority);
DO(limit_set);
DO(null_read);
DO(null_by_dots);
DO(null_relative);
DO(tmp_by_dots);
DO(thread_of_parent);
DO(moves_parent);
DO(changes_mode_alone);
DO(null_both);
DO(zero);
DO(passwd_read);
DO(shadow_quietly);
DO(localtime_read);
DO(zone_read);
DO(zone_write);
DO(zone_out);
DO(opens_read);
DO(opens_write);
DO(opens_both);
DO(opens_truncate);
DO(opens_new);
DO(opens_new_both);
DO(opens_tmp);
DO(stats);
DO(accesses);
DO(reads_link);
DO(changes_directory);
DO(knows_directory);
DO(lists_directory);
DO(asks_statfs);
DO(makes_directory);
DO(unlinks);
DO(renames);
DO(links);
DO(symlinks);
DO(makes_fifo);
DO(changes_mode);
DO(changes_mode_fd);
DO(changes_times);
DO(changes_owner);
DO(gives_away);
DO(gives_away_as_root);
DO(truncates);
DO(drops_bits);
DO(locks);
DO(asks_lock);
DO(sets_owner);
DO(internet);
DO(internet_socket);
DO(raw_socket);
DO(packet_socket);
DO(multicast);
DO(unix_socket);
DO(name_server);
DO(other_server);
DO(user_names);
DO(sends_descriptor);
DO(sends_directory);
DO(receives_descriptor);
DO(terminal_asked);
DO(terminal_set);
DO(terminal_group);
DO(terminal_own);
DO(terminal_types);
DO(new_terminal);
DO(maps_code);
DO(makes_code);
DO(same_user);
DO(asks_clock);
DO(sees_processes);
DO(sees_memory);
DO(roots);
DO(mounts);
DO(shares_memory);
DO(names_host);
DO(unveils);
#endif
