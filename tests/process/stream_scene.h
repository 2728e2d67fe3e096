/* SPDX-License-Identifier: MIT */
#ifndef STREAM_SCENE_H
#define STREAM_SCENE_H

/* A stream from a "source" to some "sinks". */

#include "process.h"
#include "stream_backends.h"

static const struct weir_policy lossless = { .mode = WEIR_POLICY_LOSSLESS, .stall_ns = 60 * SECOND };
static const struct weir_policy latest = { .mode = WEIR_POLICY_LATEST };

struct scene {
	struct fixture *fixture;
	struct weir_child *source, *sink[4];
	struct weir_stream *stream;
};

static inline struct scene set_scene(struct fixture *fixture, const char *source_args, struct weir_stream_config config)
{
	struct scene scene = { .fixture = fixture };

	scene.source = fixture_add(
		fixture, (struct weir_child_config){
				 .backend = "source", .args = source_args, .restart = WEIR_RESTART_TRANSIENT });
	config.name = "stream";
	config.writer = scene.source;
	assert_int_equal(weir_stream_create(fixture->frontend, &scene.stream, &config), 0);
	return scene;
}

static inline void add_sink(struct scene *scene, int i, const char *args, const struct weir_policy *policy)
{
	char name[16];
	uint32_t input = 99;

	snprintf(name, sizeof(name), "sink %d", i);
	scene->sink[i] = fixture_add(
		scene->fixture, (struct weir_child_config){ .name = name, .backend = "sink", .args = args });
	assert_int_equal(weir_stream_add_reader(scene->stream, scene->sink[i], policy, &input), 0);
	assert_int_equal(input, 0);
}

static inline struct report ask(struct weir_child *sink)
{
	struct report report = { 0 };
	size_t size = sizeof(report);

	assert_int_equal(
		weir_child_call(sink, ORDER_REPORT, NULL, 0, &report, &size, now_ns() + PATIENCE_S * SECOND), 0);
	return report;
}

static inline struct weir_stream_stats stream_stats(const struct scene *scene)
{
	struct weir_stream_stats stats;

	weir_stream_stats(scene->stream, &stats);
	return stats;
}

static inline struct weir_reader_stats reader_stats(const struct scene *scene, int i)
{
	struct weir_reader_stats stats;

	assert_int_equal(weir_stream_reader_stats(scene->stream, scene->sink[i], &stats), 0);
	return stats;
}

static inline void assert_adds_up(const struct weir_reader_stats *stats)
{
	assert_int_equal(stats->published,
		stats->delivered + stats->overtaken + stats->skipped + stats->missed + stats->pending);
}

static inline void send_int(struct weir_child *child, uint32_t type, int value)
{
	assert_int_equal(weir_child_send(child, type, &value, sizeof(value)), 0);
}

static inline void await_published(struct scene *scene, uint64_t more)
{
	uint64_t goal = stream_stats(scene).published + more;

	UNTIL(scene->fixture, stream_stats(scene).published >= goal);
}

#endif
