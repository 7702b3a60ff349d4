# SPDX-License-Identifier: ISC
# For the shell tests: one line for each thing tested, "ok NAME", "not ok NAME", "skip NAME: reason". Sourced.
failed=0

# is NAME COMMAND...: the command says whether.
is() {
	name=$1
	shift
	if "$@" >/dev/null 2>&1; then
		echo "ok $prefix$name"
	else
		failed=1
		echo "not ok $prefix$name"
		echo "# false: $*"
	fi
}

# same NAME FILE FILE
same() {
	if cmp -s "$2" "$3"; then
		echo "ok $prefix$1"
	else
		failed=1
		echo "not ok $prefix$1"
		diff "$2" "$3" 2>&1 | head -n 6 | sed 's/^/# /'
	fi
}

skip() {
	echo "skip $prefix$1: $2"
}
