/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <weir/ring.h>

#include "store.h"

#define MB     1048576.0
#define NS     1e9
#define S_MAX  1e9
#define MB_MAX 1e9

static int wrong(char *error, size_t size, const char *what)
{
	snprintf(error, size, "bad arguments: %s", what);
	return -EINVAL;
}

static int load(json_t **object, const char *args, char *error, size_t size)
{
	json_error_t why;

	*object = json_loads(args, JSON_REJECT_DUPLICATES, &why);
	return *object != NULL ? 0 : wrong(error, size, why.text);
}

static int get_engine(const char *engine, bool *plain, char *error, size_t size)
{
	*plain = strcmp(engine, "plain") == 0;
	return *plain || strcmp(engine, "auto") == 0 ? 0 : wrong(error, size, "engine is \"auto\" or \"plain\"");
}

static int get_sync(const char *sync, enum segment_sync *value, char *error, size_t size)
{
	static const char *const names[] = { "file", "cluster", "never" };

	for (int i = 0; i < 3; i++) {
		if (strcmp(sync, names[i]) == 0) {
			*value = (enum segment_sync)i;
			return 0;
		}
	}
	return wrong(error, size, "sync is \"file\", \"cluster\" or \"never\"");
}

static bool is_name(const char *name)
{
	return name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL && strlen(name) < STORE_NAME_BYTES;
}

static bool within(double value, double least, double most)
{
	return value >= least && value <= most;
}

static int fill_recorder(struct recorder_options *options, json_t *object, char *error, size_t size)
{
	const char *directory = NULL, *name = "stream", *sync = "file", *engine = "auto";
	double segment_s = 60, segment_mb = 1024, quota_mb = 0, floor_mb = 256, memory_mb = 256, before_s = -1,
	       after_s = -1;
	int lossless = 0;
	json_error_t why;

	if (json_unpack_ex(object, &why, JSON_STRICT, "{s:s, s?s, s?s, s?s, s?F, s?F, s?F, s?F, s?F, s?F, s?F, s?b}",
		    "directory", &directory, "name", &name, "sync", &sync, "engine", &engine, "segment_s", &segment_s,
		    "segment_mb", &segment_mb, "quota_mb", &quota_mb, "floor_mb", &floor_mb, "memory_mb", &memory_mb,
		    "before_s", &before_s, "after_s", &after_s, "lossless", &lossless) < 0)
		return wrong(error, size, why.text);
	if (directory[0] == '\0' || !is_name(name))
		return wrong(error, size,
			"directory and name must not be empty, and name has no slash and 63 bytes at most");
	if (!within(segment_s, 0.1, S_MAX) || !within(segment_mb, 1, MB_MAX) || !within(quota_mb, 0, MB_MAX) ||
		!within(floor_mb, 0, MB_MAX) || !within(memory_mb, 1, MB_MAX))
		return wrong(error, size, "a size or time is out of range");
	if (before_s > S_MAX || after_s > S_MAX)
		return wrong(error, size, "before_s or after_s is out of range");
	options->events = before_s >= 0 || after_s >= 0;
	options->before_ns = (int64_t)(fmax(before_s, 0) * NS);
	options->after_ns = (int64_t)(fmax(after_s, 0) * NS);
	options->segment_ns = (int64_t)(segment_s * NS);
	options->segment_bytes = (uint64_t)(segment_mb * MB);
	options->quota_bytes = (uint64_t)(quota_mb * MB);
	/* Or whenever a file ends, all others would have to go. */
	if (quota_mb > 0 && options->segment_bytes > options->quota_bytes / 4)
		options->segment_bytes = options->quota_bytes / 4;
	options->floor_bytes = (uint64_t)(floor_mb * MB);
	options->memory_bytes = (uint64_t)(memory_mb * MB);
	options->lossless = lossless != 0;
	options->directory = strdup(directory);
	options->name = strdup(name);
	if (options->directory == NULL || options->name == NULL)
		return -ENOMEM;
	if (get_sync(sync, &options->sync, error, size) < 0)
		return -EINVAL;
	return get_engine(engine, &options->plain, error, size);
}

int recorder_options_parse(struct recorder_options *options, const char *args, char *error, size_t size)
{
	json_t *object;
	int r = load(&object, args, error, size);

	*options = (struct recorder_options){ 0 };
	if (r == 0)
		r = fill_recorder(options, object, error, size);
	json_decref(object);
	return r;
}

void recorder_options_finish(struct recorder_options *options)
{
	free(options->directory);
	free(options->name);
	options->directory = options->name = NULL;
}

/* --- player ------------------------------------------------------------------------------------------------------ */

static int fill_raw(struct weir_format *format, json_t *raw, char *error, size_t size)
{
	const char *pixel;
	int width, height;
	double fps = 0;
	json_error_t why;

	if (json_unpack_ex(raw, &why, JSON_STRICT, "{s:s, s:i, s:i, s?F}", "format", &pixel, "width", &width, "height",
		    &height, "fps", &fps) < 0)
		return wrong(error, size, why.text);
	if (width < 1 || height < 1 || !within(fps, 0, 1e6) ||
		weir_format_video(format, weir_pixel_from_name(pixel), (uint32_t)width, (uint32_t)height) < 0)
		return wrong(error, size, "raw is {\"format\":\"NV12\",\"width\":1920,\"height\":1080,\"fps\":25}");
	format->rate_num = (uint32_t)lround(fps * 1000);
	format->rate_den = fps > 0 ? 1000 : 0;
	return 0;
}

static int fill_player(struct player_options *options, json_t *object, char *error, size_t size)
{
	const char *source = NULL, *engine = "auto";
	int lossless = 0, loop = 0, slots = 0;
	double pace = INFINITY, start_s = 0; /* JSON has no infinity */
	json_t *raw = NULL;
	json_error_t why;

	if (json_unpack_ex(object, &why, JSON_STRICT, "{s:s, s?s, s?b, s?b, s?i, s?F, s?F, s?o}", "source", &source,
		    "engine", &engine, "lossless", &lossless, "loop", &loop, "slots", &slots, "pace", &pace, "start_s",
		    &start_s, "raw", &raw) < 0)
		return wrong(error, size, why.text);
	if (source[0] == '\0' || slots < 0 || slots > WEIR_SLOTS_MAX || !within(start_s, 0, S_MAX) ||
		(pace != 0 && pace != INFINITY && !within(pace, 1e-3, 1e6)))
		return wrong(error, size, "source is empty, or slots, pace or start_s is out of range");
	options->lossless = lossless != 0;
	options->loop = loop != 0;
	options->slots = (uint32_t)slots;
	options->start_ns = (int64_t)(start_s * NS);
	options->pace = pace != INFINITY ? pace : options->lossless ? 0 : 1;
	options->source = strdup(source);
	if (options->source == NULL)
		return -ENOMEM;
	if (raw != NULL && fill_raw(&options->raw, raw, error, size) < 0)
		return -EINVAL;
	return get_engine(engine, &options->plain, error, size);
}

int player_options_parse(struct player_options *options, const char *args, char *error, size_t size)
{
	json_t *object;
	int r = load(&object, args, error, size);

	memset(options, 0, sizeof(*options));
	if (r == 0)
		r = fill_player(options, object, error, size);
	json_decref(object);
	return r;
}

void player_options_finish(struct player_options *options)
{
	free(options->source);
	options->source = NULL;
}
