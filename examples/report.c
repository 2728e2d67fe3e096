/* SPDX-License-Identifier: MIT */
#include "report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include <weir/result.h>

/* Text in a buffer; what does not fit is cut, which no caller lets happen. */
struct text {
	size_t size;
	char bytes[16384];
};

static void __attribute__((format(printf, 2, 3))) add(struct text *text, const char *format, ...)
{
	va_list args;
	int size;

	va_start(args, format);
	size = vsnprintf(text->bytes + text->size, sizeof(text->bytes) - text->size, format, args);
	va_end(args);
	text->size += size > 0 ? (size_t)size : 0;
	text->size = text->size < sizeof(text->bytes) ? text->size : sizeof(text->bytes) - 1;
}

static void add_string(struct text *text, const char *value)
{
	char json[4096];

	add(text, "%s", weir_json_string(value, json, sizeof(json)) == 0 ? json : "\"\"");
}

void report_init(struct report *report, struct output *output, const struct options *options)
{
	*report = (struct report){ .output = output, .source = options->label, .count = options->analyzers };
}

void report_state(const struct report *report, const struct weir_event *event)
{
	const bool child = event->type == WEIR_EVENT_CHILD_STATE;
	struct text text = { 0 };
	char why[1024];

	snprintf(why, sizeof(why), "%s", event->reason != NULL ? event->reason : "");
	options_mask(why);
	add(&text, "{\"type\":\"state\",\"process\":");
	add_string(&text, child ? weir_child_name(event->child) : weir_stream_name(event->stream));
	add(&text, ",\"from\":\"%s\",\"to\":\"%s\",\"reason\":",
		child ? weir_child_state_name(event->from) : weir_stream_state_name(event->from),
		child ? weir_child_state_name(event->to) : weir_stream_state_name(event->to));
	add_string(&text, why);
	add(&text, "}");
	output_line(report->output, text.bytes);
}

void report_status(struct report *report, int64_t now_ns)
{
	const double seconds = (double)(now_ns - report->then_ns) / 1e9;
	struct weir_stream_stats stream;
	struct text text = { 0 };

	weir_stream_stats(report->stream, &stream);
	add(&text, "%s %s %.1f fps", report->source, weir_stream_state_name(weir_stream_state(report->stream)),
		(double)(stream.published - report->published) / seconds);
	report->published = stream.published;
	for (int i = 0; i < report->count; i++) {
		struct weir_child *child = report->analyzer[i];
		struct weir_reader_stats stats = { 0 };

		(void)weir_stream_reader_stats(report->stream, child, &stats);
		add(&text, " | %s", weir_child_name(child));
		if (weir_child_state(child) != WEIR_CHILD_RUNNING)
			add(&text, " %s", weir_child_state_name(weir_child_state(child)));
		add(&text, " %.1f fps, age %.1f ms, dropped %" PRIu64,
			(double)(stats.delivered - report->delivered[i]) / seconds, (double)report->age_ns[i] / 1e6,
			stats.overtaken + stats.skipped + stats.missed);
		report->delivered[i] = stats.delivered;
	}
	report->then_ns = now_ns;
	output_status(report->output, text.bytes);
}

void report_summary(const struct report *report, const char *exit)
{
	struct weir_stream_stats stream;
	struct text text = { 0 };

	weir_stream_stats(report->stream, &stream);
	add(&text, "{\"type\":\"summary\",\"frames_published\":%" PRIu64 ",\"analyzers\":[", stream.published);
	for (int i = 0; i < report->count; i++) {
		struct weir_reader_stats stats = { 0 };

		(void)weir_stream_reader_stats(report->stream, report->analyzer[i], &stats);
		add(&text, "%s{\"name\":", i > 0 ? "," : "");
		add_string(&text, weir_child_name(report->analyzer[i]));
		add(&text,
			",\"delivered\":%" PRIu64 ",\"overtaken\":%" PRIu64 ",\"skipped\":%" PRIu64
			",\"missed\":%" PRIu64 ",\"pending\":%" PRIu64 ",\"bad_results\":%" PRIu64
			",\"restarts\":%" PRIu32 "}",
			stats.delivered, stats.overtaken, stats.skipped, stats.missed, stats.pending, report->bad[i],
			weir_child_restarts(report->analyzer[i]));
	}
	add(&text,
		"],\"copies_per_frame\":%.3g,\"generations\":%" PRIu64 ",\"source_lost\":%" PRIu64 ",\"slots\":%" PRIu32
		",\"free_slots_low_water\":%" PRIu32 ",\"wakeups\":{\"eventfd\":%" PRIu64 ",\"semaphore\":%" PRIu64
		"},\"output_lost\":%" PRIu64 ",\"exit\":\"%s\"}",
		stream.published > 0 ? (double)stream.copied / (double)stream.published : 0.0, stream.generations,
		stream.source_lost, stream.slot_count, stream.free_low_water, stream.rung_eventfd,
		stream.rung_semaphore, report->output->lost, exit);
	output_line(report->output, text.bytes);
}
