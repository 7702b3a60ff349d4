/* SPDX-License-Identifier: ISC */
/* Owns the names of functions, from the symbols of an ELF file. Runs in unwind.c's helper; the file may be anything. */
#include "broker/frames.h"

#include <elf.h>
#include <string.h>
#include <unistd.h>

#define SECTIONS 256
#define CHUNK 1024 /* symbols at a time */
#define SYMBOLS 400000 /* at most: larger tables take longer than there is time */

static bool file_read(int fd, uint64_t at, void *bytes, size_t len)
{
	return at <= INT64_MAX - len && pread(fd, bytes, len, (off_t)at) == (ssize_t)len;
}

static bool sections_read(int fd, Elf64_Ehdr *head, Elf64_Shdr all[SECTIONS], size_t *count)
{
	if (!file_read(fd, 0, head, sizeof(*head)) || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 ||
		head->e_ident[EI_CLASS] != ELFCLASS64 || head->e_shentsize != sizeof(*all))
		return false;
	*count = head->e_shnum < SECTIONS ? head->e_shnum : SECTIONS;
	return file_read(fd, head->e_shoff, all, *count * sizeof(*all));
}

bool section_find(int fd, const char *name, uint64_t *address, uint64_t *len)
{
	static Elf64_Shdr all[SECTIONS];
	Elf64_Ehdr head;
	size_t count;
	char text[16] = "";
	if (!sections_read(fd, &head, all, &count) || head.e_shstrndx >= count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (pread(fd, text, sizeof(text) - 1, (off_t)(all[head.e_shstrndx].sh_offset + all[i].sh_name)) > 0 &&
			strcmp(text, name) == 0) {
			*address = all[i].sh_addr;
			*len = all[i].sh_size;
			return true;
		}
	return false;
}

/* The full table, or else that of what others may link to. */
static bool table_find(int fd, Elf64_Shdr *symbols, Elf64_Shdr *strings)
{
	Elf64_Ehdr head;
	static Elf64_Shdr all[SECTIONS]; /* the helper has one thread, and little stack */
	Elf64_Shdr found = {.sh_type = SHT_NULL};
	size_t count;
	if (!sections_read(fd, &head, all, &count))
		return false;
	for (const Elf64_Shdr *s = all; s < all + count; s++)
		if ((s->sh_type == SHT_SYMTAB || (s->sh_type == SHT_DYNSYM && found.sh_type != SHT_SYMTAB)) &&
			s->sh_entsize == sizeof(Elf64_Sym))
			found = *s;
	*symbols = found;
	return found.sh_type != SHT_NULL && found.sh_link < head.e_shnum &&
	       file_read(fd, head.e_shoff + found.sh_link * sizeof(found), strings, sizeof(*strings));
}

static bool holds(const Elf64_Sym *s, uint64_t address)
{
	unsigned type = ELF64_ST_TYPE(s->st_info);
	return (type == STT_FUNC || type == STT_GNU_IFUNC) && s->st_shndx != SHN_UNDEF && address >= s->st_value &&
	       address - s->st_value < s->st_size;
}

bool function_find(int fd, uint64_t address, char name[SYMBOL_NAME], uint64_t *offset)
{
	static Elf64_Sym chunk[CHUNK]; /* the helper has one thread, and little stack */
	Elf64_Shdr symbols, strings;
	Elf64_Sym best = {.st_size = 0};
	if (!table_find(fd, &symbols, &strings))
		return false;
	uint64_t count = symbols.sh_size / sizeof(*chunk);
	for (uint64_t i = 0; i < count && i < SYMBOLS; i += CHUNK) {
		size_t n = count - i < CHUNK ? (size_t)(count - i) : CHUNK;
		if (!file_read(fd, symbols.sh_offset + i * sizeof(*chunk), chunk, n * sizeof(*chunk)))
			break;
		/* Of several names the global one: `open64`, not a local alias of it. */
		for (size_t k = 0; k < n; k++)
			if (holds(&chunk[k], address) &&
				(!best.st_size || ELF64_ST_BIND(chunk[k].st_info) == STB_GLOBAL))
				best = chunk[k];
	}
	if (!best.st_size || best.st_name >= strings.sh_size)
		return false;
	ssize_t n = pread(fd, name, SYMBOL_NAME - 1, (off_t)(strings.sh_offset + best.st_name));
	name[n > 0 ? n : 0] = 0;
	*offset = address - best.st_value;
	return name[0] != 0;
}
