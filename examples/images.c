/* SPDX-License-Identifier: ISC */
/*
 * images DIRECTORY: makes the pictures that the other examples decode, good and broken and hostile, and prints for
 * each what a decoder must do with it: "FILE decoded" or "FILE rejected". Runs unconfined; reads nothing.
 */
#include "examples/buggy.h"

#include <png.h>
#include <stdint.h>
#include <stdio.h> /* before jpeglib.h, which needs it */
#include <jpeglib.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define WIDTH 96
#define HEIGHT 64

static const char *directory;

static uint8_t channel(int x, int y, int c)
{
	return (uint8_t)(c == 0 ? x * 255 / WIDTH : c == 1 ? y * 255 / HEIGHT : (x * y) & 255);
}

static void save(const char *name, const uint8_t *bytes, size_t len, const char *verdict)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "wb");
	if (file == NULL || fwrite(bytes, 1, len, file) != len || fclose(file) != 0) {
		perror(path);
		exit(1);
	}
	printf("%s %s\n", name, verdict);
}

struct buffer {
	uint8_t bytes[64 << 10];
	size_t len;
};

static void buffer_put(png_structp png, png_bytep bytes, size_t len)
{
	struct buffer *b = png_get_io_ptr(png);

	if (len > sizeof(b->bytes) - b->len)
		png_error(png, "too long");
	memcpy(b->bytes + b->len, bytes, len);
	b->len += len;
}

static void buffer_flush(png_structp png)
{
	(void)png;
}

/* type: PNG_COLOR_TYPE_RGB, _RGB_ALPHA or _GRAY. */
static void png_make(struct buffer *b, int type, int interlace, const char *comment)
{
	png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
	png_infop info = png_create_info_struct(png);
	int channels = type == PNG_COLOR_TYPE_GRAY ? 1 : type == PNG_COLOR_TYPE_RGB ? 3 : 4;
	static uint8_t pixels[HEIGHT][WIDTH * 4], *rows[HEIGHT];
	png_text text = {
		.compression = PNG_TEXT_COMPRESSION_NONE, .key = "Comment", .text = (char *)(uintptr_t)comment};

	b->len = 0;
	for (int y = 0; y < HEIGHT; y++) {
		for (int x = 0; x < WIDTH; x++)
			for (int c = 0; c < channels; c++)
				pixels[y][x * channels + c] = channel(x, y, c);
		rows[y] = pixels[y];
	}
	png_set_write_fn(png, b, buffer_put, buffer_flush);
	png_set_IHDR(
		png, info, WIDTH, HEIGHT, 8, type, interlace, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
	if (comment != NULL)
		png_set_text(png, info, &text, 1);
	png_write_info(png, info);
	png_write_image(png, rows);
	png_write_end(png, NULL);
	png_destroy_write_struct(&png, &info);
}

static void jpeg_make(struct buffer *b, int components, const char *comment)
{
	struct jpeg_compress_struct jpeg;
	struct jpeg_error_mgr errors;
	unsigned char *out = NULL;
	unsigned long len = 0;

	jpeg.err = jpeg_std_error(&errors);
	jpeg_create_compress(&jpeg);
	jpeg_mem_dest(&jpeg, &out, &len);
	jpeg.image_width = WIDTH;
	jpeg.image_height = HEIGHT;
	jpeg.input_components = components;
	jpeg.in_color_space = components == 1 ? JCS_GRAYSCALE : JCS_RGB;
	jpeg_set_defaults(&jpeg);
	jpeg_set_quality(&jpeg, 90, TRUE);
	jpeg_start_compress(&jpeg, TRUE);
	if (comment != NULL)
		jpeg_write_marker(&jpeg, JPEG_COM, (const JOCTET *)comment, (unsigned)strlen(comment));
	while (jpeg.next_scanline < jpeg.image_height) {
		uint8_t row[WIDTH * 3];
		JSAMPROW rows = row;

		for (int x = 0; x < WIDTH; x++)
			for (int c = 0; c < components; c++)
				row[x * components + c] = channel(x, (int)jpeg.next_scanline, c);
		jpeg_write_scanlines(&jpeg, &rows, 1);
	}
	jpeg_finish_compress(&jpeg);
	b->len = len < sizeof(b->bytes) ? len : 0;
	memcpy(b->bytes, out, b->len);
	jpeg_destroy_compress(&jpeg);
	free(out);
}

/* A PNG's header says how large it is, with a checksum: this one lies, correctly. */
static void png_resize(struct buffer *b, uint32_t width, uint32_t height)
{
	png_save_uint_32(b->bytes + 16, width);
	png_save_uint_32(b->bytes + 20, height);
	png_save_uint_32(b->bytes + 29, (uint32_t)crc32(crc32(0, NULL, 0), b->bytes + 12, 17));
}

/* The same for a JPEG, in the frame header after its marker. */
static void jpeg_resize(struct buffer *b, unsigned width, unsigned height)
{
	uint8_t *sof = memmem(b->bytes, b->len, "\xff\xc0", 2);

	if (sof == NULL)
		return;
	sof[5] = (uint8_t)(height >> 8);
	sof[6] = (uint8_t)height;
	sof[7] = (uint8_t)(width >> 8);
	sof[8] = (uint8_t)width;
}

static void make_broken(struct buffer *b)
{
	png_make(b, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, NULL);
	save("cut.png", b->bytes, b->len / 2, "rejected");
	b->bytes[b->len / 2] ^= 0x55;
	save("flipped.png", b->bytes, b->len, "rejected");
	png_make(b, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, NULL);
	png_resize(b, 0x7fffffff, 0x7fffffff);
	save("giant.png", b->bytes, b->len, "rejected");
	png_make(b, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, NULL);
	png_resize(b, WIDTH, 8000);
	save("tall.png", b->bytes, b->len, "rejected");
	jpeg_make(b, 3, NULL);
	save("cut.jpg", b->bytes, b->len / 2, "rejected");
	memset(b->bytes + b->len / 2, 0xff, 64);
	save("flipped.jpg", b->bytes, b->len, "rejected");
	jpeg_make(b, 3, NULL);
	jpeg_resize(b, 65000, 65000);
	save("giant.jpg", b->bytes, b->len, "rejected");
	save("empty.png", b->bytes, 0, "rejected");
	save("text.jpg", (const uint8_t *)"this is no picture\n", 19, "rejected");
}

int main(int argc, char **argv)
{
	static struct buffer b;

	if (argc != 2) {
		fprintf(stderr, "usage: images DIRECTORY\n");
		return 1;
	}
	directory = argv[1];
	png_make(&b, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, NULL);
	save("good.png", b.bytes, b.len, "decoded");
	png_make(&b, PNG_COLOR_TYPE_RGB_ALPHA, PNG_INTERLACE_ADAM7, "made at run time");
	save("interlaced.png", b.bytes, b.len, "decoded");
	png_make(&b, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE, NULL);
	save("grey.png", b.bytes, b.len, "decoded");
	jpeg_make(&b, 3, "made at run time");
	save("good.jpg", b.bytes, b.len, "decoded");
	jpeg_make(&b, 1, NULL);
	save("grey.jpg", b.bytes, b.len, "decoded");
	make_broken(&b);
	for (int i = EXPLOIT_none + 1; i < EXPLOIT_COUNT; i++) {
		char name[32], comment[32];

		snprintf(comment, sizeof(comment), EXPLOIT_MARK "%d.", i);
		snprintf(name, sizeof(name), "hostile-%02d.%s", i, i % 2 ? "png" : "jpg");
		if (i % 2)
			png_make(&b, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, comment);
		else
			jpeg_make(&b, 3, comment);
		save(name, b.bytes, b.len, "decoded");
	}
	return 0;
}
