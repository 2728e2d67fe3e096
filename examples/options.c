/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weir/result.h>
#include <weir/ring.h>

#define PIPELINE "pipeline:"

static const char help[] =
	"Usage: camera-to-analyzer [OPTION]...\n"
	"Decodes a source in a process of its own and shows its frames to analyzers, each in a process of its own.\n"
	"\n"
	"  --source SOURCE     a file, a URI (rtsp://...), v4l2:/dev/videoN, test (test:WxH@FPS#FRAMES), a recording\n"
	"                      (a file, or a directory of --record: its files in order), or \"pipeline:DESCRIPTION\",\n"
	"                      a GStreamer pipeline without its sink; default test\n"
	"  --analyzer NAME     motion, brightness, or the path of your own (./my.so); may be repeated;\n"
	"                      default motion and brightness. They wait on a semaphore and on an eventfd in turn\n"
	"  --lossless          every analyzer gets every frame, and the decoder waits for it; else the newest\n"
	"  --size WxH          size of the frames that analyzers get; default as the source has it\n"
	"  --format FORMAT     I420, NV12, GRAY8 or RGB; default as the source has it\n"
	"  --slots N           frames that fit in the ring, 2 to 1024; default as many as are needed\n"
	"  --record DIR        write the source's packets (H.264, ...) to files in DIR, as they come\n"
	"  --record-raw        with --record: the decoded pictures instead\n"
	"  --record-events     with --record: only from 5 s before an analyzer draws a box until 5 s after the last "
	"one\n"
	"  --seconds S         stop after S seconds; default at the end of the source or at Ctrl-C\n"
	"  --json FILE         where results go, one JSON object a line; default - (standard output)\n"
	"  --snapshots DIR     write pictures with the boxes drawn, about one a second of stream time\n"
	"  --stats S           seconds between lines of statistics on standard error, 0: none;\n"
	"                      default 1 on a terminal, else 10\n"
	"  --help              this text\n"
	"\n"
	"Passwords in SOURCE are overwritten in this program's arguments at its start, and shown nowhere.\n"
	"Exit status: 0 at the end of the source, after --seconds, at Ctrl-C or SIGTERM; 1 if something failed;\n"
	"2 for bad usage.\n";

/* What a file of a recorder holds (weir/record.h says how it is marked): enum weir_kind, or 0: it is none. */
static int kind_of_file(const char *path)
{
	static const char mark[] = "WEIRFMT1";
	char head[8192];
	const char *found = NULL;
	ssize_t size;
	int fd = -1;

	if (strstr(path, ".mkv") != NULL && strstr(path, "://") == NULL)
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* it may be a pipe */
	if (fd < 0)
		return 0;
	size = read(fd, head, sizeof(head));
	close(fd);
	if (size > 0)
		found = memmem(head, (size_t)size, mark, strlen(mark));
	return found != NULL && found + strlen(mark) < head + size ? found[strlen(mark)] : 0;
}

static void look_at_source(struct options *options)
{
	DIR *directory = opendir(options->source);
	const struct dirent *entry;
	bool packets = false;
	char path[8192];

	if (directory == NULL)
		options->replay = kind_of_file(options->source) == WEIR_KIND_VIDEO;
	while (directory != NULL && (entry = readdir(directory)) != NULL) {
		int kind;

		snprintf(path, sizeof(path), "%s/%s", options->source, entry->d_name);
		kind = kind_of_file(path);
		options->replay |= kind == WEIR_KIND_VIDEO;
		packets |= kind != 0 && kind != WEIR_KIND_VIDEO;
	}
	options->mixed = options->replay && packets;
	if (directory != NULL)
		closedir(directory);
}

/* Rather a letter too many than one too few: a password may hold blanks and an @. */
void options_mask(char *text)
{
	char *uri = strstr(text, "://"), *at, *query;

	if (uri == NULL)
		return;
	at = strrchr(uri += 3, '@');
	query = strchr(at != NULL ? at : uri, '?');
	if (at != NULL)
		memset(uri, '*', (size_t)(at - uri));
	if (query != NULL)
		memset(query + 1, '*', strlen(query + 1));
}

/* A pipeline's passwords can stand anywhere in it. */
static void mask_pipeline(char *text)
{
	char *description = strstr(text, PIPELINE);

	if (description != NULL)
		memset(description + strlen(PIPELINE), '*', strlen(description + strlen(PIPELINE)));
}

static int set_label(struct options *options)
{
	char *label = strdup(options->source);

	if (label == NULL)
		return -ENOMEM;
	options_mask(label); /* whole, before it is cut */
	if (strncmp(label, PIPELINE, strlen(PIPELINE)) == 0)
		label[strlen(PIPELINE) - 1] = '\0';
	snprintf(options->label, sizeof(options->label), "%s", label);
	free(label);
	return 0;
}

char **options_hide(int argc, char **argv)
{
	static char **copy; /* static: leak checkers look for it until the end */

	copy = calloc((size_t)argc + 1, sizeof(*copy));
	for (int i = 0; copy != NULL && i < argc; i++) {
		copy[i] = strdup(argv[i]);
		if (copy[i] == NULL)
			return NULL;
		options_mask(argv[i]);
		mask_pipeline(argv[i]);
	}
	return copy;
}

static int __attribute__((format(printf, 1, 2))) wrong(const char *format, ...)
{
	char *text = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&text, format, args) >= 0) {
		options_mask(text); /* whole, before anything is cut */
		mask_pipeline(text);
		fprintf(stderr, "camera-to-analyzer: %s (--help shows all options)\n", text);
		free(text);
	}
	va_end(args);
	return -EINVAL;
}

static bool number(const char *text, double least, double most, double *value)
{
	char *end;
	double v = strtod(text, &end);

	if (end == text || *end != '\0' || !(v >= least && v <= most))
		return false;
	*value = v;
	return true;
}

static bool whole(const char *text, uint32_t least, uint32_t most, uint32_t *value)
{
	double v;

	if (text[strspn(text, "0123456789")] != '\0' || !number(text, least, most, &v))
		return false;
	*value = (uint32_t)v;
	return true;
}

static bool size(const char *text, uint32_t *width, uint32_t *height)
{
	char copy[16], *x;

	if (strlen(text) >= sizeof(copy))
		return false;
	strcpy(copy, text);
	x = strchr(copy, 'x');
	if (x == NULL)
		return false;
	*x = '\0';
	return whole(copy, 1, 32768, width) && whole(x + 1, 1, 32768, height);
}

static int set(struct options *options, int which, const char *value)
{
	static const char *const formats[] = { "I420", "NV12", "GRAY8", "RGB" };

	switch (which) {
	case 's': options->source = value; return *value != '\0' ? 0 : wrong("--source must not be empty");
	case 'a':
		if (options->analyzers == ANALYZERS_MAX)
			return wrong("at most %d analyzers fit: leave out an --analyzer", ANALYZERS_MAX);
		options->analyzer[options->analyzers++] = value;
		return *value != '\0' ? 0 : wrong("--analyzer must not be empty");
	case 'l': options->lossless = true; return 0;
	case 't':
		if (!number(value, 0.001, 1e9, &options->seconds))
			return wrong("--seconds %s: give a number above 0, or leave it out to run until Ctrl-C", value);
		return 0;
	case 'n':
		if (!whole(value, 2, WEIR_SLOTS_MAX, &options->slots))
			return wrong("--slots %s: give 2 to %d, or leave it out", value, WEIR_SLOTS_MAX);
		return 0;
	case 'g':
		if (!size(value, &options->width, &options->height))
			return wrong("--size %s: give WIDTHxHEIGHT, each 1 to 32768, for example 640x480", value);
		return 0;
	case 'f':
		options->format = value;
		for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
			if (strcmp(value, formats[i]) == 0)
				return 0;
		return wrong("--format %s: give I420, NV12, GRAY8 or RGB", value);
	case 'r': options->record = value; return *value != '\0' ? 0 : wrong("--record must be a directory");
	case 'w': options->record_raw = true; return 0;
	case 'e': options->record_events = true; return 0;
	case 'j': options->json = value; return *value != '\0' ? 0 : wrong("--json must be a file or -");
	case 'p': options->snapshots = value; return *value != '\0' ? 0 : wrong("--snapshots must be a directory");
	case 'i':
		if (!number(value, 0, 1e6, &options->stats) || (options->stats > 0 && options->stats < 0.1))
			return wrong("--stats %s: give 0 or a number of seconds from 0.1", value);
		return 0;
	}
	return 0;
}

static void set_name(char *name, size_t room, const char *analyzer)
{
	const char *slash = strrchr(analyzer, '/'), *base = slash != NULL ? slash + 1 : analyzer;
	const size_t length = strlen(base);

	snprintf(name, room, "%.*s", (int)(length > 3 && strcmp(base + length - 3, ".so") == 0 ? length - 3 : length),
		base);
}

/* What is right by itself but not together. */
static int check(const struct options *options)
{
	struct stat status;

	if ((options->record_raw || options->record_events) && options->record == NULL)
		return wrong("--record-raw and --record-events say how: give also --record DIR");
	if (options->mixed)
		return wrong("--source %s: it holds raw pictures and packets: name one of its files, or keep them in "
			     "directories of their own",
			options->source);
	if (options->replay && (options->width != 0 || options->format != NULL))
		return wrong("--source %s: a recording of raw pictures has its size and format: leave out --size and "
			     "--format",
			options->source);
	if (options->replay && options->record != NULL && !options->record_raw)
		return wrong(
			"--source %s: a recording of raw pictures has no packets: add --record-raw", options->source);
	if (options->snapshots != NULL && stat(options->snapshots, &status) == 0 && !S_ISDIR(status.st_mode))
		return wrong("--snapshots %s: this is no directory", options->snapshots);
	if (options->snapshots != NULL && strcmp(options->snapshots, options->json) == 0)
		return wrong("--json and --snapshots both name %s: give a file and a directory", options->json);
	for (int i = 0; i < options->analyzers; i++)
		for (int j = 0; j < i; j++)
			if (strcmp(options->name[i], options->name[j]) == 0)
				return wrong("two analyzers are called %s: leave one out", options->name[i]);
	return 0;
}

int options_parse(struct options *options, int argc, char **argv)
{
	static const struct option names[] = {
		{ "source", required_argument, NULL, 's' },
		{ "analyzer", required_argument, NULL, 'a' },
		{ "lossless", no_argument, NULL, 'l' },
		{ "seconds", required_argument, NULL, 't' },
		{ "slots", required_argument, NULL, 'n' },
		{ "size", required_argument, NULL, 'g' },
		{ "format", required_argument, NULL, 'f' },
		{ "json", required_argument, NULL, 'j' },
		{ "snapshots", required_argument, NULL, 'p' },
		{ "record", required_argument, NULL, 'r' },
		{ "record-raw", no_argument, NULL, 'w' },
		{ "record-events", no_argument, NULL, 'e' },
		{ "stats", required_argument, NULL, 'i' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	bool seen[UCHAR_MAX + 1] = { false };
	int which, index = 0;

	*options = (struct options){ .source = "test", .json = "-", .stats = isatty(STDERR_FILENO) ? 1 : 10 };
	opterr = 0;
	while ((which = getopt_long(argc, argv, ":", names, &index)) != -1) {
		if (which == 'h') {
			fputs(help, stdout);
			return 1;
		}
		if (which == ':')
			return wrong("%s needs a value", argv[optind - 1]);
		if (which == '?')
			return wrong("%s is no option, or takes no value", argv[optind - 1]);
		if (seen[which] && which != 'a')
			return wrong("--%s is given twice: decide for one", names[index].name);
		seen[which] = true;
		if (set(options, which, optarg) < 0)
			return -EINVAL;
	}
	if (optind < argc)
		return wrong("\"%s\" belongs to no option: a source is given with --source", argv[optind]);
	if (options->analyzers == 0) {
		options->analyzer[options->analyzers++] = "motion";
		options->analyzer[options->analyzers++] = "brightness";
	}
	for (int i = 0; i < options->analyzers; i++)
		set_name(options->name[i], sizeof(options->name[i]), options->analyzer[i]);
	look_at_source(options);
	return set_label(options) < 0 ? -ENOMEM : check(options);
}

const char *options_source_backend(const struct options *options)
{
	return options->replay ? "record/player" : "gst/decoder";
}

int options_recorder_args(const struct options *options, char args[ARGS_BYTES])
{
	char directory[8192];

	if (weir_json_string(options->record, directory, sizeof(directory)) < 0 ||
		snprintf(args, ARGS_BYTES, "{\"directory\":%s,\"lossless\":%s%s}", directory,
			options->lossless ? "true" : "false",
			options->record_events ? ",\"before_s\":5,\"after_s\":5" : "") >= ARGS_BYTES)
		return -ENAMETOOLONG;
	return 0;
}

int options_decoder_args(const struct options *options, char args[ARGS_BYTES])
{
	char source[8192];

	if (weir_json_string(options->source, source, sizeof(source)) < 0)
		return -ENAMETOOLONG;
	if (options->replay)
		return snprintf(args, ARGS_BYTES, "{\"source\":%s,\"lossless\":%s}", source,
			       options->lossless ? "true" : "false") < ARGS_BYTES
			       ? 0
			       : -ENAMETOOLONG;
	if (snprintf(args, ARGS_BYTES,
		    "{\"source\":%s,\"packets\":%s,\"width\":%" PRIu32 ",\"height\":%" PRIu32 ",\"lossless\":%s%s%s%s}",
		    source, options->record != NULL && !options->record_raw ? "true" : "false", options->width,
		    options->height, options->lossless ? "true" : "false",
		    options->format != NULL ? ",\"format\":\"" : "", options->format != NULL ? options->format : "",
		    options->format != NULL ? "\"" : "") >= ARGS_BYTES)
		return -ENAMETOOLONG;
	return 0;
}

int options_analyzer_args(const struct options *options, int i, char args[ARGS_BYTES])
{
	char analyzer[8192], directory[8192];

	if (weir_json_string(options->analyzer[i], analyzer, sizeof(analyzer)) < 0 ||
		weir_json_string(options->snapshots != NULL ? options->snapshots : "", directory, sizeof(directory)) <
			0)
		return -ENAMETOOLONG;
	if (snprintf(args, ARGS_BYTES, "{\"analyzer\":%s,\"wait\":\"%s\",\"snapshots\":%s}", analyzer,
		    i % 2 == 0 ? "semaphore" : "eventfd", directory) >= ARGS_BYTES)
		return -ENAMETOOLONG;
	return 0;
}
