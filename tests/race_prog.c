/* SPDX-License-Identifier: ISC */
/* The program that the trees of the race tests hold. The byte after the mark, patched in each copy, is its exit code. */
static volatile const char mark[] = "AIRLOCK RACE PROGRAM:?";

int main(void)
{
	return mark[sizeof(mark) - 2];
}
