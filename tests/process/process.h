/* SPDX-License-Identifier: MIT */
#ifndef PROCESS_H
#define PROCESS_H

/* A frontend with children, and everything that it said, for the tests of core. */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <weir/frontend.h>
#include <weir/stream.h>

#define SECOND	     INT64_C(1000000000)
#define PATIENCE_S   20 /* for everything that must happen; never asserted the other way round */
#define MOVES_MAX    512
#define OUTPUT_BYTES 65536
#define MESSAGES_MAX 4096

struct move {
	const void *who;
	int from, to;
	char reason[256];
};

struct fixture {
	struct weir_frontend *frontend;
	struct move move[MOVES_MAX];
	size_t moves;
	char output[OUTPUT_BYTES]; /* lines of all children */
	size_t output_used, output_lines;
	uint32_t message_type[MESSAGES_MAX], message_value[MESSAGES_MAX];
	size_t messages;
	int signal_number;
	void (*hook)(struct fixture *fixture, const struct weir_event *event);
};

static inline int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * SECOND + now.tv_nsec;
}

static inline void fixture_event(void *data, const struct weir_event *event)
{
	struct fixture *fixture = data;

	switch (event->type) {
	case WEIR_EVENT_CHILD_STATE:
	case WEIR_EVENT_GROUP_STATE:
	case WEIR_EVENT_STREAM_STATE: {
		struct move *move = &fixture->move[fixture->moves % MOVES_MAX];

		fixture->moves++;
		move->who = event->child != NULL   ? (const void *)event->child
			    : event->group != NULL ? (const void *)event->group
						   : (const void *)event->stream;
		move->from = event->from;
		move->to = event->to;
		snprintf(move->reason, sizeof(move->reason), "%s", event->reason);
		break;
	}
	case WEIR_EVENT_OUTPUT:
		fixture->output_lines++;
		if (fixture->output_used + strlen(event->text) + 2 < OUTPUT_BYTES)
			fixture->output_used += (size_t)snprintf(fixture->output + fixture->output_used,
				OUTPUT_BYTES - fixture->output_used, "%s\n", event->text);
		break;
	case WEIR_EVENT_MESSAGE:
		if (fixture->messages < MESSAGES_MAX) {
			fixture->message_type[fixture->messages] = event->message->type;
			if (event->message->size >= sizeof(uint32_t))
				memcpy(&fixture->message_value[fixture->messages], event->message->data,
					sizeof(uint32_t));
		}
		fixture->messages++;
		break;
	case WEIR_EVENT_SIGNAL: fixture->signal_number = event->signal_number; break;
	default: break;
	}
	if (fixture->hook != NULL)
		fixture->hook(fixture, event);
}

static inline int fixture_setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct weir_frontend_config config = { .event = fixture_event, .data = fixture };

	if (weir_frontend_create(&fixture->frontend, &config) < 0) {
		free(fixture);
		return -1;
	}
	*state = fixture;
	return 0;
}

static inline int fixture_teardown(void **state)
{
	struct fixture *fixture = *state;

	weir_frontend_free(&fixture->frontend);
	free(fixture);
	return 0;
}

#define WITH_FRONTEND(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

static inline struct weir_child *fixture_add(struct fixture *fixture, struct weir_child_config config)
{
	struct weir_child *child;

	if (config.name == NULL)
		config.name = config.backend;
	assert_int_equal(weir_child_add(fixture->frontend, &child, &config), 0);
	return child;
}

/* Dispatches for a while, whatever happens. */
static inline void fixture_run(struct fixture *fixture, int64_t ns)
{
	int64_t end_ns = now_ns() + ns;

	while (now_ns() < end_ns)
		weir_frontend_dispatch(fixture->frontend, end_ns);
}

/* Dispatches until the condition holds; fails the test after PATIENCE_S. */
#define UNTIL(fixture, condition)                                                                                      \
	do {                                                                                                           \
		int64_t until_ns = now_ns() + PATIENCE_S * SECOND;                                                     \
		while (!(condition)) {                                                                                 \
			if (now_ns() > until_ns)                                                                       \
				fail_msg("in vain: %s", #condition);                                                   \
			weir_frontend_dispatch((fixture)->frontend, now_ns() + SECOND / 10);                           \
		}                                                                                                      \
	} while (0)

static inline void fixture_await(struct fixture *fixture, const struct weir_child *child, enum weir_child_state state)
{
	UNTIL(fixture, weir_child_state(child) == state);
}

/* The reason of the last move of this child or stream into this state, or NULL. */
static inline const char *fixture_reason(const struct fixture *fixture, const void *who, int to)
{
	for (size_t i = fixture->moves; i > 0 && i + MOVES_MAX > fixture->moves; i--) {
		const struct move *move = &fixture->move[(i - 1) % MOVES_MAX];

		if (move->who == who && move->to == to)
			return move->reason;
	}
	return NULL;
}

static inline size_t fixture_count(const struct fixture *fixture, const void *who, int to)
{
	size_t count = 0;

	for (size_t i = 0; i < fixture->moves && i < MOVES_MAX; i++)
		count += fixture->move[i].who == who && fixture->move[i].to == to;
	return count;
}

#define ASSERT_HAS(text, part)                                                                                         \
	do {                                                                                                           \
		const char *has_text = (text);                                                                         \
		if (has_text == NULL || strstr(has_text, part) == NULL)                                                \
			fail_msg("\"%s\" is not in \"%s\"", part, has_text != NULL ? has_text : "(null)");             \
	} while (0)

/* True if there is no such process any more (a zombie is none: it only waits for its parent). */
static inline int is_gone(int pid)
{
	char path[64], line[256] = "";
	const char *end;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (file == NULL)
		return 1;
	if (fgets(line, sizeof(line), file) == NULL)
		line[0] = '\0';
	fclose(file);
	end = strrchr(line, ')');
	return end == NULL || end[2] == 'Z' || end[2] == 'X';
}

static inline int find_zygote(void)
{
	char path[64], comm[32];
	FILE *children;
	int pid, found = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	children = fopen(path, "re");
	assert_non_null(children);
	while (fscanf(children, "%d", &pid) == 1) {
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		file = fopen(path, "re");
		if (file == NULL)
			continue;
		if (fgets(comm, sizeof(comm), file) != NULL && strcmp(comm, "zygote\n") == 0)
			found = pid;
		fclose(file);
	}
	fclose(children);
	return found;
}

/* main() of a program that runs its tests with these backends. */
static inline int run_with(int (*run)(void), const struct weir_backend *const *backends)
{
	struct weir_init_config init = { .backends = backends };

	if (weir_init(&init) < 0) {
		fprintf(stderr, "%s\n", weir_init_error());
		return 1;
	}
	return run();
}

#endif
