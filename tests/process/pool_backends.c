/* SPDX-License-Identifier: MIT */
#include "pool_backends.h"

#include <errno.h>
#include <stdbool.h>

/* --- the worker -------------------------------------------------------------------------------------------------- */

struct labourer {
	int active;
	bool quiet, lingering;
	char *eaten;
};

static int enter_labourer_back(struct weir_back *back, void *state, const char *args)
{
	struct labourer *own = state;

	own->quiet = strcmp(args, "quiet") == 0;
	own->lingering = strcmp(args, "lingering") == 0;
	if (!own->quiet)
		printf("%s enter %s\n", weir_back_name(back), args);
	return strcmp(args, "broken") == 0 ? -EIO : 0;
}

static int sleep_back(int64_t ms)
{
	struct timespec pause = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	return nanosleep(&pause, NULL);
}

static int eat_back(struct labourer *own, long mib)
{
	own->eaten = realloc(own->eaten, (size_t)mib << 20);
	if (own->eaten == NULL)
		return -ENOMEM;
	memset(own->eaten, 'x', (size_t)mib << 20);
	return 0;
}

static int forge_back(struct weir_back *back, const struct weir_message *message)
{
	/* As message.h has it: magic, version, type (a reply), id, status, size. */
	uint32_t forged[6] = { 0x47534d57u, 1, 49, message->id + 1, 0, 0 };

	return write(4, forged, sizeof(forged)) == sizeof(forged) ? 0 : -errno;
}

/* In what a signal would not end by itself: the telling has to. */
static void wait_until_late_back(struct weir_back *back)
{
	int nothing[2];
	char byte;

	if (pipe(nothing) < 0)
		return;
	while (!weir_job_late(back) && read(nothing[0], &byte, 1) < 0)
		;
	close(nothing[0]);
	close(nothing[1]);
}

static int work_back(struct weir_back *back, struct labourer *own, const struct weir_message *message)
{
	const char *text = message->data;
	const char *number = strchr(text, ' ');
	long value = number != NULL ? atol(number) : 0;

	if (strncmp(text, "pid", 3) == 0) {
		char pid[16];

		snprintf(pid, sizeof(pid), "%d", getpid());
		return weir_back_reply(back, message, 0, pid, strlen(pid) + 1);
	}
	if (strncmp(text, "echo", 4) == 0)
		return weir_back_reply(back, message, 0, message->data, message->size);
	if (strncmp(text, "fail", 4) == 0)
		return -(int)value;
	if (strncmp(text, "sleep", 5) == 0)
		return sleep_back(value) < 0 ? -EINTR : 0;
	if (strncmp(text, "hang", 4) == 0)
		for (;;)
			pause();
	if (strncmp(text, "stop", 4) == 0)
		return raise(SIGSTOP);
	if (strncmp(text, "answer", 6) == 0)
		weir_back_reply(back, message, 0, text, strlen(text) + 1);
	if (strncmp(text, "signal", 6) == 0 || strncmp(text, "answer", 6) == 0) {
		signal((int)value, SIG_DFL);
		return raise((int)value);
	}
	if (strncmp(text, "patient", 7) == 0) {
		wait_until_late_back(back);
		return weir_back_reply(back, message, 0, "late", 5);
	}
	if (strncmp(text, "late?", 5) == 0)
		return weir_job_late(back) ? -ETIME : 0;
	if (strncmp(text, "eat", 3) == 0)
		return eat_back(own, value);
	if (strncmp(text, "forge", 5) == 0)
		return forge_back(back, message);
	return -ENOSYS;
}

static int command_labourer_back(struct weir_back *back, void *state, const struct weir_message *message)
{
	struct labourer *own = state;

	switch (message->type) {
	case WEIR_COMMAND_JOB: return work_back(back, own, message);
	case WEIR_COMMAND_ACTIVATE: own->active = 1; return 0;
	case WEIR_COMMAND_DEACTIVATE: own->active = 0; return 0;
	case LABOURER_STATE: return weir_back_reply(back, message, 0, &own->active, sizeof(own->active));
	default: return -ENOSYS;
	}
}

static void leave_labourer_back(struct weir_back *back, void *state, int reason)
{
	struct labourer *own = state;

	if (!own->quiet)
		printf("%s leave %d\n", weir_back_name(back), reason);
	while (own->lingering)
		pause();
	free(own->eaten);
}

const struct weir_backend labourer = {
	.abi = WEIR_BACKEND_ABI,
	.name = "labourer",
	.state_bytes = sizeof(struct labourer),
	.enter = enter_labourer_back,
	.command = command_labourer_back,
	.leave = leave_labourer_back,
};

/* --- the pool ---------------------------------------------------------------------------------------------------- */

int crew_setup(void **state)
{
	struct crew *crew = calloc(1, sizeof(*crew));
	int r = fixture_setup((void **)&crew->fixture);

	*state = crew;
	return r;
}

int crew_teardown(void **state)
{
	struct crew *crew = *state;

	weir_pool_free(&crew->pool);
	fixture_teardown((void **)&crew->fixture);
	free(crew);
	return 0;
}

static void take_end(void *data, const struct weir_job_result *result)
{
	struct crew *crew = data;
	struct outcome *outcome = &crew->outcome[crew->ended % RESULTS_MAX];

	*outcome = (struct outcome){
		.end = result->end,
		.status = result->status,
		.worker_pid = result->worker != NULL ? weir_child_pid(result->worker) : 0,
		.attempts = result->attempts,
		.user = (size_t)(uintptr_t)result->user,
		.ran_ns = result->ran_ns,
	};
	snprintf(outcome->reason, sizeof(outcome->reason), "%s", result->reason);
	if (result->size > 0)
		snprintf(outcome->text, sizeof(outcome->text), "%.*s", (int)result->size, (const char *)result->data);
	crew->ended++;
	if (crew->hook != NULL)
		crew->hook(crew, result);
}

static void take_event(void *data, enum weir_pool_event event, const char *reason)
{
	struct crew *crew = data;

	crew->events |= 1u << event;
	snprintf(crew->reason, sizeof(crew->reason), "%s", reason);
}

void crew_create(struct crew *crew, struct weir_pool_config config)
{
	config.name = "crew";
	config.backend = "labourer";
	config.ended = take_end;
	config.event = take_event;
	config.data = crew;
	assert_int_equal(weir_pool_create(crew->fixture->frontend, &crew->pool, &config), 0);
}

struct weir_job *crew_submit_with(struct crew *crew, const char *text, struct weir_job_config config)
{
	struct weir_job *job;

	config.data = text;
	config.size = strlen(text) + 1;
	assert_int_equal(weir_pool_submit(crew->pool, &job, &config, now_ns() + PATIENCE_S * SECOND), 0);
	return job;
}

struct weir_job *crew_submit(struct crew *crew, const char *text)
{
	return crew_submit_with(crew, text, (struct weir_job_config){ 0 });
}

void crew_await(struct crew *crew, size_t ended)
{
	UNTIL(crew->fixture, crew->ended >= ended);
}

struct outcome *crew_do(struct crew *crew, const char *text)
{
	size_t before = crew->ended;

	crew_submit(crew, text);
	crew_await(crew, before + 1);
	return &crew->outcome[before % RESULTS_MAX];
}

struct weir_pool_counters crew_counters(const struct crew *crew)
{
	struct weir_pool_counters counters;

	weir_pool_counters(crew->pool, &counters);
	return counters;
}
