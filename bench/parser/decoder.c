/* SPDX-License-Identifier: ISC */
/* The parser that bench/parser.c measures: stb_image, from Debian's libstb-dev, compiled as it is. Natively for the host
 * and its targets, and by clang for wasm32, which wasm2c makes C of. */
#include "bench/parser/decoder.h"

#include <string.h>

#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ASSERT(x) ((void)0)
#define STBI_NO_FAILURE_STRINGS
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wshadow"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

int decode(const unsigned char *in, int len, unsigned char *out, int cap)
{
	int width, height, channels, size = -1;
	unsigned char *pixels = stbi_load_from_memory(in, len, &width, &height, &channels, 3);

	if (pixels && (long long)width * height * 3 <= cap) {
		size = width * height * 3;
		memcpy(out, pixels, (size_t)size);
	}
	stbi_image_free(pixels);
	return size;
}
