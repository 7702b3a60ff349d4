/* SPDX-License-Identifier: ISC */
/*
 * The examples' decoder: libpng and libjpeg as Debian ships them, unmodified. Runs in a target (worker.c, contain.c)
 * or in a process that has hardened itself (harden.c).
 */
#include "examples/decode.h"

#include <errno.h>
#include <png.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h> /* before jpeglib.h, which needs it */
#include <jpeglib.h>
#include <stdlib.h>
#include <string.h>

/* What both libraries read from and write to; they get a pointer to it. */
struct job {
	const uint8_t *in;
	size_t left;
	struct picture *answer;
	uint8_t *pixels;
	size_t room;
	picture_comment comment;
	jmp_buf failed;
};

/* Never returns: the libraries must not go on after an error. */
__attribute__((format(printf, 2, 3), noreturn)) static void job_fail(struct job *job, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(job->answer->error, sizeof(job->answer->error), format, args);
	va_end(args);
	longjmp(job->failed, 1);
}

/* Sizes come from the file: they are checked before anything is multiplied with them or written. */
static void job_size(struct job *job, uint32_t width, uint32_t height)
{
	if (width == 0 || height == 0 || width > PICTURE_SIDE_MAX || height > PICTURE_SIDE_MAX)
		job_fail(job, "%ux%u pixels are too many", width, height);
	if ((size_t)width * height * 3 > job->room)
		job_fail(job, "%ux%u pixels do not fit into the answer", width, height);
	job->answer->width = width;
	job->answer->height = height;
}

/* ---- PNG ---- */

static void png_failed(png_structp png, png_const_charp text)
{
	job_fail(png_get_error_ptr(png), "libpng: %s", text);
}

static void png_warned(png_structp png, png_const_charp text)
{
	(void)png;
	(void)text;
}

static void png_take(png_structp png, png_bytep to, size_t len)
{
	struct job *job = png_get_io_ptr(png);

	if (len > job->left)
		png_error(png, "the file ends early");
	memcpy(to, job->in, len);
	job->in += len;
	job->left -= len;
}

static void png_comments(struct job *job, png_structp png, png_infop info)
{
	png_textp text;
	int count = 0;

	if (job->comment == NULL)
		return;
	png_get_text(png, info, &text, &count);
	for (int i = 0; i < count; i++)
		job->comment(text[i].text, text[i].text_length, job->answer);
}

static void png_decode(struct job *job, png_structp png, png_infop info)
{
	uint32_t width, height;
	int passes;

	png_set_user_limits(png, PICTURE_SIDE_MAX, PICTURE_SIDE_MAX);
	png_set_read_fn(png, job, png_take);
	png_read_info(png, info);
	width = png_get_image_width(png, info);
	height = png_get_image_height(png, info);
	job_size(job, width, height);
	png_set_expand(png);
	png_set_strip_16(png);
	png_set_strip_alpha(png);
	png_set_gray_to_rgb(png);
	passes = png_set_interlace_handling(png);
	png_read_update_info(png, info);
	if (png_get_rowbytes(png, info) != (size_t)width * 3)
		png_error(png, "rows are not RGB");
	for (; passes > 0; passes--)
		for (uint32_t y = 0; y < height; y++)
			png_read_row(png, job->pixels + (size_t)y * width * 3, NULL);
	png_read_end(png, info);
	png_comments(job, png, info);
}

static int png_run(struct job *job)
{
	png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, job, png_failed, png_warned);
	png_infop info = png != NULL ? png_create_info_struct(png) : NULL;
	int failed = 1;

	if (info == NULL) {
		snprintf(job->answer->error, sizeof(job->answer->error), "no memory for libpng");
	} else if (setjmp(job->failed) == 0) {
		png_decode(job, png, info);
		png_destroy_read_struct(&png, &info, NULL);
		return 0;
	}
	png_destroy_read_struct(&png, &info, NULL);
	return failed;
}

/* ---- JPEG ---- */

/* Errors and, for libjpeg only warns of them, damaged data too: half a picture in grey is no picture. */
static void jpeg_failed(j_common_ptr common)
{
	char text[JMSG_LENGTH_MAX];

	common->err->format_message(common, text);
	job_fail(common->client_data, "libjpeg: %.100s", text);
}

static void jpeg_message(j_common_ptr common, int level)
{
	if (level < 0)
		jpeg_failed(common);
}

static void jpeg_comments(struct job *job, struct jpeg_decompress_struct *jpeg)
{
	if (job->comment == NULL)
		return;
	for (struct jpeg_marker_struct *m = jpeg->marker_list; m != NULL; m = m->next)
		job->comment((const char *)m->data, m->data_length, job->answer);
}

static void jpeg_decode(struct job *job, struct jpeg_decompress_struct *jpeg)
{
	jpeg_save_markers(jpeg, JPEG_COM, 1024);
	jpeg_mem_src(jpeg, job->in, job->left);
	jpeg_read_header(jpeg, TRUE);
	job_size(job, jpeg->image_width, jpeg->image_height);
	jpeg->out_color_space = JCS_RGB;
	jpeg_start_decompress(jpeg);
	if (jpeg->output_components != 3 || jpeg->output_width != job->answer->width ||
		jpeg->output_height != job->answer->height)
		job_fail(job, "libjpeg: rows are not RGB");
	while (jpeg->output_scanline < jpeg->output_height) {
		JSAMPROW row = job->pixels + (size_t)jpeg->output_scanline * jpeg->output_width * 3;

		jpeg_read_scanlines(jpeg, &row, 1);
	}
	jpeg_comments(job, jpeg); /* before the end, which frees them */
	jpeg_finish_decompress(jpeg);
}

static int jpeg_run(struct job *job)
{
	struct jpeg_decompress_struct jpeg;
	struct jpeg_error_mgr errors;

	memset(&jpeg, 0, sizeof(jpeg));
	jpeg.err = jpeg_std_error(&errors);
	errors.error_exit = jpeg_failed;
	errors.emit_message = jpeg_message;
	jpeg.client_data = job;
	if (setjmp(job->failed) != 0) {
		jpeg_destroy_decompress(&jpeg);
		return 1;
	}
	jpeg_create_decompress(&jpeg);
	jpeg_decode(job, &jpeg);
	jpeg_destroy_decompress(&jpeg);
	return 0;
}

/* ---- both ---- */

ssize_t picture_decode(const void *in, size_t len, void *out, size_t cap, picture_comment comment)
{
	struct job job = {.in = in, .left = len, .answer = out, .comment = comment};
	enum picture_format format = PICTURE_NONE;
	int failed = 1;

	if (cap < sizeof(struct picture))
		return -EMSGSIZE;
	memset(out, 0, sizeof(struct picture));
	job.pixels = (uint8_t *)out + sizeof(struct picture);
	job.room = cap - sizeof(struct picture);
	if (len >= 8 && memcmp(in, "\x89PNG\r\n\x1a\n", 8) == 0) {
		format = PICTURE_PNG;
		failed = png_run(&job);
	} else if (len >= 3 && memcmp(in, "\xff\xd8\xff", 3) == 0) {
		format = PICTURE_JPEG;
		failed = jpeg_run(&job);
	} else {
		snprintf(job.answer->error, sizeof(job.answer->error), "%s",
			len == 0 ? "the file is empty" : "neither PNG nor JPEG");
	}
	if (failed) {
		job.answer->format = PICTURE_NONE;
		return sizeof(struct picture);
	}
	job.answer->format = format;
	return (ssize_t)(sizeof(struct picture) + (size_t)job.answer->width * job.answer->height * 3);
}
