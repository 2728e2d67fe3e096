/* SPDX-License-Identifier: MIT */
#ifndef OPTIONS_H
#define OPTIONS_H

/* The command line of camera-to-analyzer. Nothing here is about Weir. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANALYZERS_MAX 8
#define ARGS_BYTES    20480

struct options {
	const char *source;		     /* as given: may hold a password, so it is never shown */
	char label[256];		     /* the source, for people: without credentials */
	const char *analyzer[ANALYZERS_MAX]; /* as given: a name or a path */
	char name[ANALYZERS_MAX][64];	     /* of it, for people: without directory and .so */
	int analyzers;
	bool lossless;
	double seconds;		/* 0: until the end or Ctrl-C */
	uint32_t slots;		/* 0: as many as are needed */
	uint32_t width, height; /* 0: as the source has it */
	const char *format;	/* NULL: as the source has it */
	const char *json;	/* "-" or a file */
	const char *snapshots;	/* NULL: none */
	const char *record;	/* directory; NULL: nothing is recorded */
	bool record_raw, record_events;
	bool replay;  /* the source is a recording of raw pictures */
	bool mixed;   /* it is a directory of both pictures and packets */
	double stats; /* seconds between two lines of statistics; 0: never */
};

/* Overwrites what must not be shown: user:password@ and queries in URIs, and password properties of elements. */
void options_mask(char *text);

/* Copies the arguments and overwrites the credentials in the originals, so that ps does not show them. Call it before
 * any process is forked. The copy is never freed. */
char **options_hide(int argc, char **argv);

/* 0; 1: --help was given and printed; -EINVAL: bad usage, and one line on stderr says what would be right. */
int options_parse(struct options *options, int argc, char **argv);

/* Which backend gives the frames of the source. */
const char *options_source_backend(const struct options *options);

/* The arguments of that, of the recorder and of analyzer number i, as the JSON objects that they take. -ENAMETOOLONG.
 */
int options_recorder_args(const struct options *options, char args[ARGS_BYTES]);
int options_decoder_args(const struct options *options, char args[ARGS_BYTES]);
int options_analyzer_args(const struct options *options, int i, char args[ARGS_BYTES]);

#endif
