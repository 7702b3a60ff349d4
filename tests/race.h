/* SPDX-License-Identifier: ISC */
/*
 * What the race tests share. The judge (live_race.c) makes a world of trees that look alike (race_world.c), lets
 * processes outside of the door swap things in it (race_swap.c), and a target work on it (race_target.c) with one row
 * for each operation (race_ops.c). Judge and target speak through one piece of shared memory.
 *
 * base/A is the target's (rwxc), base/R may be read, base/S and base/O do not exist for it. In each of them a tree `t`
 * (base/O and base/A/m are such trees themselves) holds the same names: what an operation reaches tells where it was.
 * Names that begin with "only" exist where nothing is visible, and nowhere else.
 */
#ifndef AIRLOCK_TESTS_RACE_H
#define AIRLOCK_TESTS_RACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define RACE_FD 20 /* where the target finds the shared memory */
#define RACE_ROWS 64
#define RACE_OBJECTS 64
#define RACE_SECRET "SECRET"
#define RACE_HONEST "HONEST"
#define RACE_READABLE "READABLE"
#define RACE_MARK_ATTRIBUTE "user.mark"
#define RACE_MANY_PROCESSES 1000
#define RACE_CODE_HONEST 7 /* what the programs of the trees exit with */
#define RACE_CODE_SECRET 66
#define RACE_CODE_READABLE 9

/* Who swaps what. */
enum race_kind {
	RACE_STILL, /* nobody, nothing */
	RACE_LINKED, /* nobody: the component is a link for good. Natively everything must get through */
	RACE_ABSOLUTE, /* A/hot/D, a directory, with an absolute link to S/t */
	RACE_RELATIVE, /* with a relative one */
	RACE_RELINK, /* the same by unlink, symlink and rename, so that for a moment there is nothing */
	RACE_CHAIN, /* with a link to a link to a link, the last of which is swapped as well */
	RACE_READ_ONLY, /* with a link to R/t */
	RACE_FINAL, /* each name in A/hot/F with a link to the same name in S/t */
	RACE_FINAL_READ_ONLY, /* or in R/t */
	RACE_MOVED, /* A/m/b with O/b: ".." of it leads elsewhere then */
	RACE_ROOT, /* A itself with a link to S */
	RACE_INSIDE, /* a thread of the target, through the door, does what RACE_ABSOLUTE does */
	RACE_MEMORY, /* a thread of the target rewrites A/t into S/t and R/t in the strings of calls under way */
	RACE_KINDS,
	RACE_AWAY = RACE_KINDS, /* once, for good: A/m/b to O/b and A/hot/D to R/b, while the target holds them */
	/* race_state.c's: nobody swaps anything */
	RACE_THREADS, /* a thread changes directory and umask that others use */
	RACE_NARROWING, /* a thread narrows while others open and fork */
	RACE_CHURN, /* processes change more often than the broker can remember */
	RACE_MANY, /* a thousand processes, each with a directory and a umask of its own */
	RACE_MANY_LOW, /* the same where the hard limit of descriptors is 4096 */
	RACE_ALL
};
extern const char *const race_names[RACE_ALL];

struct race_object {
	uint64_t device, inode;
};
struct race_count {
	uint64_t attempts; /* of all kinds */
	uint64_t tries, good; /* on what is swapped, of names that are there */
	uint64_t calm_tries, calm_good; /* on what nobody swaps */
	uint64_t escapes,
		strange; /* strange: an errno that the kernel would not have given, or a calm one that failed */
	int errno_seen; /* the last strange one; 0: a success that was none */
};
struct race_shared {
	char base[200];
	enum race_kind kind;
	bool confined; /* else natively, to prove that the rows can tell */
	bool in_place;
	bool no_attributes, no_temporary; /* this file system has no user attributes, no O_TMPFILE */
	uint64_t tries; /* how many operations to try */
	int only_row; /* or -1 */
	atomic_bool begun; /* the target is in place: what its host resolved is not what is raced */
	atomic_bool stop; /* the swappers */
	atomic_bool swapping;
	atomic_uint_fast64_t swaps;
	uint64_t next_name; /* of files to make */
	uint64_t away_sum; /* of what was moved away */
	struct race_object secrets[RACE_OBJECTS], readable[RACE_OBJECTS];
	size_t secret_count, readable_count;
	struct race_count counts[RACE_ROWS];
	struct {
		atomic_uint checks, wrong, ready;
		atomic_bool churn;
		atomic_int pending; /* children that have not answered yet */
	} state;
	char evidence[400]; /* of the last escape */
};

/* Some time, most often short, in which things stay: windows are of all lengths, some let a whole request pass. */
void race_spin(void);

/* ---- in the target ---- */
struct race_row {
	const char *name;
	/* Works on names in directory. 0: honest success; 1: something was reached that is not the target's; else a negative
	 * errno. only: on names that are not there, in the target's eyes; then every success is one too many. */
	int (*attempt)(const char *directory, bool only);
	const char *errors; /* what may be answered where somebody swaps, other than ENOENT */
	bool both; /* has a meaning for names that are not there */
	unsigned rare; /* tried in one of so many rounds; 0: in each */
	bool relative; /* asks from a directory it holds */
};
extern const struct race_row race_rows[];
extern const size_t race_row_count;
bool race_row_works(size_t i); /* on this file system */
extern struct race_shared *race; /* the shared memory, wherever it is mapped */
/* Buffers of paths under construction: RACE_MEMORY rewrites the byte after base's slash. */
#define RACE_PATHS 4
extern char race_paths[RACE_PATHS][512];
extern int race_home; /* where the target stands when it does nothing */
extern bool race_calm; /* this attempt is one on what nobody swaps */
int race_escape(const char *format, ...) __attribute__((format(printf, 1, 2))); /* notes it; 1 */
int race_target(void);
int race_states(void); /* those of race_state.c */
int race_away(void); /* RACE_AWAY's: by the descriptors that lead there now */

/* ---- in the judge ---- */
int race_world_make(struct race_shared *s, const char *program);
void race_world_reset(struct race_shared *s); /* A as at the start; S, R and O are made when they are not there */
void race_world_end(struct race_shared *s);
/* S, R and O in one number: contents, modes, owners, times, links, attributes. */
uint64_t race_world_sum(const struct race_shared *s);
uint64_t race_world_sum_of(const struct race_shared *s, const char *tree);
/* A swapper of this kind, outside of the door. The process, or 0 where the kind has none. */
pid_t race_swapper(struct race_shared *s, enum race_kind kind);

#endif
