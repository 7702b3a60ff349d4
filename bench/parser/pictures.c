/* SPDX-License-Identifier: ISC */
/* Writes the pictures that bench/parser.c decodes, the same each time: pictures DIRECTORY. Some sky, some edges, some
 * noise, by stb_image_write from Debian's libstb-dev. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wshadow"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

static unsigned char *paint(int width, int height)
{
	unsigned char *pixels = malloc((size_t)width * (size_t)height * 3), *p = pixels;
	uint32_t noise = 1;

	if (!pixels)
		abort();
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++) {
			double u = (double)x / width, v = (double)y / height;
			int dot = hypot(u - 0.6, v - 0.4) < 0.2, stripe = x / 24 % 2 && v > 0.7;

			noise = noise * 1664525 + 1013904223;
			int grain = v > 0.5 ? (int)(noise >> 29) : 0;
			*p++ = (unsigned char)(dot ? 220 : 60 + 90 * u + grain);
			*p++ = (unsigned char)(stripe ? 200 : 90 + 60 * v + grain);
			*p++ = (unsigned char)(200 - 100 * v + 30 * sin(9 * u + 7 * v) + grain);
		}
	return pixels;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int width, height;
	} pictures[] = {
		{"tiny.png", 12, 8}, {"small.png", 96, 64}, {"large.png", 1600, 1200}, {"large.jpeg", 1600, 1200}};
	char path[4096];

	for (size_t i = 0; argc == 2 && i < sizeof(pictures) / sizeof(*pictures); i++) {
		int w = pictures[i].width, h = pictures[i].height, good;
		unsigned char *pixels = paint(w, h);

		snprintf(path, sizeof(path), "%s/%s", argv[1], pictures[i].name);
		if (i < 3)
			good = stbi_write_png(path, w, h, 3, pixels, 3 * w);
		else
			good = stbi_write_jpg(path, w, h, 3, pixels, 90);
		free(pixels);
		if (!good)
			return 1;
	}
	return argc != 2;
}
