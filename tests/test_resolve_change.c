/* SPDX-License-Identifier: ISC */
/* Names that are made, removed, renamed and looked at; and policies that hide nothing, or more than at the start. */
#include "tests/resolve_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE 2
#endif

static void test_names(void **state)
{
	(void)state;
	struct stat st;
	READS("~/new", "ENOENT");
	OPENS("~/new", O_RDWR | O_CREAT, "");
	assert_int_equal(stat_at(AT_FDCWD, "~/new", 0, &st), 0);
	assert_int_equal(unlink_("~/new", 0), 0);
	assert_int_equal(unlink_("~/single", 0), -EACCES);
	assert_int_equal(stat_at(AT_FDCWD, "~/new", 0, &st), -ENOENT);
	/* a link put there leads where its target is judged */
	link_to("~/new", "secret/f");
	READS("~/new", "ENOENT");
	OPENS("~/new", O_WRONLY | O_CREAT, "ENOENT");
	assert_int_equal(unlink(expand(0, "~/new")), 0);
}

static void test_mkdir_unlink(void **state)
{
	(void)state;
	assert_int_equal(mkdir_("~/a/d", 0755), 0);
	assert_int_equal(mkdir_("~/a/d", 0755), -EEXIST);
	assert_int_equal(mkdir_("~/a/d/", 0755), -EEXIST);
	assert_int_equal(mkdir_("~/a/d/e/", 0755), 0);
	assert_int_equal(mkdir_("~/a/dir/via_link", 0755), 0);
	assert_int_equal(mkdir_("~/a/ok/x", 0755), -ENOTDIR);
	assert_int_equal(mkdir_("~/a/nosuch/x", 0755), -ENOENT);
	assert_int_equal(mkdir_("~/r/x", 0755), -EACCES);
	assert_int_equal(mkdir_("~/r", 0755), -EEXIST);
	assert_int_equal(mkdir_("~/a", 0755), -EEXIST);
	assert_int_equal(mkdir_("~", 0755), -EEXIST); /* a rule lies below: mkdir -p */
	assert_int_equal(mkdir_("/tmp", 0755), -EEXIST);
	assert_int_equal(mkdir_("~/elsewhere", 0755), -ENOENT);
	assert_int_equal(mkdir_("/", 0755), -EEXIST);
	assert_int_equal(mkdir_("~/a/d/.", 0755), -EEXIST);
	assert_int_equal(unlink_("~/a/d", 0), -EISDIR);
	assert_int_equal(unlink_("~/a/d", AT_REMOVEDIR), -ENOTEMPTY);
	assert_int_equal(unlink_("~/a/d/.", AT_REMOVEDIR), -EINVAL);
	assert_int_equal(unlink_("~/a/d/e/..", AT_REMOVEDIR), -ENOTEMPTY);
	assert_int_equal(unlink_("~/a/d/e/", AT_REMOVEDIR), 0);
	assert_int_equal(unlink_("~/a/d", AT_REMOVEDIR), 0);
	assert_int_equal(unlink_("~/a", AT_REMOVEDIR), -EBUSY);
	assert_int_equal(unlink_("~/r/f", 0), -EACCES);
	assert_int_equal(unlink_("~/a/ok/", 0), -ENOTDIR);
	file("~/a/removed", "");
	assert_int_equal(unlink_("~/a/removed", 0), 0);
	assert_int_equal(unlink_("~/a/removed", 0), -ENOENT);
	/* the link goes, not what it names */
	link_to("~/a/link", "~/secret/f");
	assert_int_equal(unlink_("~/a/link", 0), 0);
	assert_int_equal(access(expand(0, "~/secret/f"), F_OK), 0);
}

static void test_rename(void **state) /* 41 */
{
	(void)state;
	file("~/a/from", "from");
	assert_int_equal(rename_("~/a/from", "~/a/to", 0), 0);
	READS("~/a/to", "from");
	assert_int_equal(rename_("~/a/to", "~/a/ok", 1 /* NOREPLACE */), -EEXIST);
	assert_int_equal(rename_("~/a/to", "~/a/ok", RENAME_EXCHANGE), 0);
	READS("~/a/ok", "from");
	assert_int_equal(rename_("~/a/to", "~/a/ok", RENAME_EXCHANGE), 0);
	assert_int_equal(rename_("~/a/to", "~/a/ok", 4), -EINVAL);
	assert_int_equal(rename_("~/a/to", "~/r/to", 0), -EACCES);
	assert_int_equal(rename_("~/r/f", "~/a/f", 0), -EACCES);
	assert_int_equal(rename_("~/a/to", "~/secret/to", 0), -ENOENT);
	assert_int_equal(rename_("~/secret/f", "~/a/stolen", 0), -ENOENT);
	assert_int_equal(rename_("~/n", "~/a/n", 0), -EBUSY);
	assert_int_equal(rename_("~/n/hidden", "~/n/seen", 0), -ENOENT);
	assert_int_equal(rename_("~/n/name", "~/n/seen", 0), -ENOENT);
	assert_int_equal(mkdir(expand(0, "~/n/p"), 0755), 0);
	assert_int_equal(rename_("~/n/p", "~/n/q", 0), 0);
	assert_int_equal(rename_("~/a/sub", "~/a/sub/deep/x", 0), -EINVAL);
	assert_int_equal(rename_("~/a/.", "~/a/x", 0), -EBUSY);
	unlink_("~/a/to", 0);
}

static void test_rename_keeps_nested_rules(void **state)
{
	(void)state;
	/* n/hidden lies in n: were n's parent movable, what is hidden would be seen under another name */
	struct policy *p = &b.policy;
	struct unveil *saved = p->unveils;
	struct unveil outer = {.path = strdup(top), .perms = PERM_R | PERM_C};
	struct unveil *more = calloc(p->unveil_count + 1, sizeof(*more));
	struct anchor *anchors = calloc(p->unveil_count + 1, sizeof(*anchors)), *before = b.anchors;
	more[0] = outer;
	memcpy(more + 1, saved, p->unveil_count * sizeof(*more));
	anchors[0] = (struct anchor){.fd = open(top, O_PATH | O_DIRECTORY)};
	memcpy(anchors + 1, before, p->unveil_count * sizeof(*anchors));
	p->unveils = more;
	p->unveil_count++;
	b.anchors = anchors;
	READS("~/n/hidden/f", "ENOENT");
	READS("~/data2/f", "SECRET");
	assert_int_equal(rename_("~/n", "~/m", 0), -EBUSY);
	assert_int_equal(rename_("~/data2", "~/data3", 0), 0);
	assert_int_equal(rename_("~/data3", "~/data2", 0), 0);
	close(anchors[0].fd);
	p->unveils = saved;
	p->unveil_count--;
	b.anchors = before;
	free(outer.path);
	free(more);
	free(anchors);
}

static void test_looking(void **state)
{
	(void)state;
	struct stat st, want;
	struct statx x;
	char buf[64];
	assert_int_equal(stat_at(AT_FDCWD, "~/a/in", 0, &st), 0);
	assert_int_equal(stat(expand(0, "~/a/in"), &want), 0);
	assert_memory_equal(&st, &want, sizeof(st));
	assert_int_equal(stat_at(AT_FDCWD, "~/a/out", AT_SYMLINK_NOFOLLOW, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(stat_at(AT_FDCWD, "~/a/out", 0, &st), -ENOENT);
	assert_int_equal(stat_at(AT_FDCWD, "~/a/ok", 0, NULL), -EFAULT);
	assert_int_equal(stat_at(AT_FDCWD, "~/a/ok", 1, &st), -EINVAL);
	assert_int_equal(statx_("~/a/ok", &x), 0);
	assert_int_equal(x.stx_size, 2);
	assert_int_equal(readlink_("~/a/out", buf, sizeof(buf)), strlen("../secret/f"));
	assert_memory_equal(buf, "../secret/f", strlen("../secret/f"));
	assert_int_equal(readlink_("~/a/out", buf, 3), 3);
	assert_int_equal(readlink_("~/a/ok", buf, sizeof(buf)), -EINVAL);
	assert_int_equal(readlink_("~/a/ok", buf, 0), -EINVAL);
	assert_int_equal(access_("~/a/ok", R_OK | W_OK), 0);
	assert_int_equal(access_("~/r/f", W_OK), -EACCES);
	assert_int_equal(access_("~/r/f", R_OK), 0);
	assert_int_equal(access_("~/a/ok", X_OK), -EACCES);
	assert_int_equal(access_("~/a/ok", 8), -EINVAL);
	assert_int_equal(access_("~/x/f", X_OK), -EACCES);
}

static void test_everything(void **state)
{
	(void)state;
	struct policy saved = b.policy;
	b.policy.everything = true;
	b.policy.unveil_count = 0;
	READS("~/secret/f", "SECRET");
	READS("~/a/out", "SECRET");
	READS("~/a/../secret/d/../f", "SECRET");
	READS("~/a/missing/../ok", "ENOENT");
	READS("~/bin/ok", "sub");
	READS("/proc/1/environ", "ENOENT");
	READS("~/a/environ", "ENOENT");
	int fd = open_at(AT_FDCWD, "/proc/cpuinfo", O_RDONLY, 0);
	assert_true(fd >= 0);
	close(fd);
	char buf[PATH_MAX];
	int secret = open_at(AT_FDCWD, "~/secret", O_RDONLY, 0);
	assert_string_equal(content(open_at(secret, "f", O_RDONLY, 0)), "SECRET");
	assert_string_equal(content(open_at(secret, "../a/in", O_RDONLY, 0)), "sub");
	close(secret);
	assert_int_equal(chdir_("~/secret"), 0);
	assert_int_equal(getcwd_(buf, sizeof(buf)), (int)strlen(expand(0, "~/secret")) + 1);
	READS("f", "SECRET");
	OPENS("made", O_RDWR | O_CREAT | O_EXCL, "");
	assert_int_equal(rename_("made", "../made", 0), 0);
	assert_int_equal(unlink_("~/made", 0), 0);
	assert_int_equal(chdir_("/"), 0);
	READS("tmp", "directory");
	READS("/", "directory");
	b.policy = saved;
}

static void test_narrowed(void **state)
{
	(void)state;
	struct policy narrow;
	struct anchor *anchors;
	policy_init(&narrow);
	narrow.promises = b.policy.promises;
	assert_int_equal(policy_unveil(&narrow, expand(0, "~/a/sub"), PERM_R, false), 0);
	assert_int_equal(policy_unveil(&narrow, expand(0, "~/a/ok"), PERM_R, true), 0);
	assert_int_equal(policy_unveil(&narrow, expand(0, "~/single"), PERM_R, true), 0);
	int old = open_at(AT_FDCWD, "~/a", O_RDONLY, 0);
	const struct held held = {&b.policy, b.anchors};
	assert_int_equal(anchors_narrow(&b, held, held, &narrow, &anchors), 0);
	s.policy = &narrow;
	s.anchors = anchors;
	READS("~/a/sub/ok", "sub");
	READS("~/a/ok", "ok");
	READS("~/single", "single");
	READS("~/a/in", "sub"); /* through the link, in a hidden directory */
	READS("~/r/f", "ENOENT");
	OPENS("~/a/sub/ok", O_WRONLY, "EACCES");
	assert_string_equal(content(open_at(old, "ok", O_RDONLY, 0)), "ok");
	assert_string_equal(content(open_at(old, "sub/ok", O_RDONLY, 0)), "sub");
	assert_string_equal(content(open_at(old, "hard", O_RDONLY, 0)), "ENOENT");
	s.policy = NULL;
	s.anchors = NULL;
	anchors_free(anchors, narrow.unveil_count);
	policy_clear(&narrow);
	close(old);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_mkdir_unlink),
		cmocka_unit_test(test_rename),
		cmocka_unit_test(test_rename_keeps_nested_rules),
		cmocka_unit_test(test_looking),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_narrowed),
	};
	return tree_run(tests, sizeof(tests) / sizeof(tests[0]));
}
