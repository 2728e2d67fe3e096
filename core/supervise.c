/* SPDX-License-Identifier: MIT */
#include "supervise.h"

#include "clock.h"

#define HEALTHY_NS	(10 * CLOCK_S)
#define BACKOFF_MAX_NS	(1000 * CLOCK_MS)
#define BACKOFF_STEP_NS (10 * CLOCK_MS)

/* Short names, for the table only. */
#define SPAWN	WEIR_CHILD_STARTING, SUPERVISE_SPAWN | SUPERVISE_WAIT_READY
#define STOP	WEIR_CHILD_STOPPING, SUPERVISE_SEND_STOP | SUPERVISE_WAIT_STOP
#define TERM	WEIR_CHILD_TERMINATING, SUPERVISE_SEND_TERM | SUPERVISE_WAIT_TERM
#define KILL	WEIR_CHILD_KILLING, SUPERVISE_SEND_KILL | SUPERVISE_WAIT_KILL
#define AGAIN	WEIR_CHILD_BACKOFF, SUPERVISE_WAIT_BACKOFF
#define DONE	WEIR_CHILD_DONE, SUPERVISE_WAIT_NOTHING
#define FAILED	WEIR_CHILD_FAILED, SUPERVISE_WAIT_NOTHING
#define RUNNING WEIR_CHILD_RUNNING, SUPERVISE_WAIT_NOTHING
#define ENDS	[SUPERVISE_DEAD_AGAIN] = { AGAIN }, [SUPERVISE_DEAD_DONE] = { DONE }, [SUPERVISE_DEAD_FAILED] = { FAILED }

/* Cells that are not here change nothing. */
static const struct supervise_move table[SUPERVISE_STATES][SUPERVISE_EVENTS] = {
	[WEIR_CHILD_IDLE] = {
		[SUPERVISE_START] = { SPAWN },
		[SUPERVISE_STOP] = { DONE },
	},
	[WEIR_CHILD_STARTING] = {
		[SUPERVISE_STOP] = { STOP },
		[SUPERVISE_READY] = { RUNNING },
		[SUPERVISE_CLOSING] = { WEIR_CHILD_STARTING, SUPERVISE_WAIT_CLOSING },
		[SUPERVISE_VIOLATION] = { KILL },
		[SUPERVISE_TIMEOUT] = { KILL },
		[SUPERVISE_RECYCLE] = { STOP },
		ENDS,
	},
	[WEIR_CHILD_RUNNING] = {
		[SUPERVISE_STOP] = { STOP },
		[SUPERVISE_CLOSING] = { WEIR_CHILD_RUNNING, SUPERVISE_WAIT_CLOSING },
		[SUPERVISE_VIOLATION] = { KILL },
		[SUPERVISE_TIMEOUT] = { KILL },
		[SUPERVISE_HANG] = { TERM }, /* it does not hear a stop message */
		[SUPERVISE_RECYCLE] = { STOP },
		ENDS,
	},
	[WEIR_CHILD_STOPPING] = {
		[SUPERVISE_VIOLATION] = { KILL },
		[SUPERVISE_TIMEOUT] = { TERM },
		ENDS,
	},
	[WEIR_CHILD_TERMINATING] = {
		[SUPERVISE_VIOLATION] = { KILL },
		[SUPERVISE_TIMEOUT] = { KILL },
		ENDS,
	},
	[WEIR_CHILD_KILLING] = {
		[SUPERVISE_TIMEOUT] = { FAILED }, /* unkillable: it goes on without us */
		ENDS,
	},
	[WEIR_CHILD_BACKOFF] = {
		[SUPERVISE_START] = { SPAWN },
		[SUPERVISE_STOP] = { DONE },
		[SUPERVISE_TIMEOUT] = { SPAWN },
	},
	[WEIR_CHILD_DONE] = {
		[SUPERVISE_START] = { SPAWN },
	},
	[WEIR_CHILD_FAILED] = {
		[SUPERVISE_START] = { SPAWN },
	},
};

struct supervise_move supervise_move(enum weir_child_state state, enum supervise_event event)
{
	struct supervise_move move = table[state][event];

	/* No cell leads to IDLE, and each that is filled does something. */
	if (move.actions == 0)
		move.state = state;
	return move;
}

static bool too_often(struct supervise_deaths *deaths, const struct supervise_death *death)
{
	uint32_t kept = death->intensity + 1;
	int64_t oldest_ns;

	deaths->death_ns[deaths->count++ % kept] = death->now_ns;
	if (deaths->count < kept)
		return false;
	oldest_ns = deaths->death_ns[deaths->count % kept];
	return death->now_ns - oldest_ns <= death->period_ns;
}

enum supervise_event supervise_verdict(
	struct supervise_history *history, struct supervise_deaths *deaths, const struct supervise_death *death)
{
	if (death->stop_wanted)
		return SUPERVISE_DEAD_DONE;
	if (death->final)
		return SUPERVISE_DEAD_FAILED;
	if (death->restart == WEIR_RESTART_TEMPORARY)
		return death->success || death->recycled ? SUPERVISE_DEAD_DONE : SUPERVISE_DEAD_FAILED;
	if (death->recycled)
		return SUPERVISE_DEAD_AGAIN;
	if (death->restart == WEIR_RESTART_TRANSIENT && death->success)
		return SUPERVISE_DEAD_DONE;
	if (death->running_since_ns != 0 && death->now_ns - death->running_since_ns >= HEALTHY_NS)
		history->attempt = 0;
	history->attempt++;
	return too_often(deaths, death) ? SUPERVISE_DEAD_FAILED : SUPERVISE_DEAD_AGAIN;
}

bool supervise_is_poison(struct supervise_history *history, uint64_t position)
{
	if (position != history->position)
		history->deaths_there = 0;
	history->position = position;
	if (position == 0 || ++history->deaths_there < SUPERVISE_POISON)
		return false;
	history->deaths_there = 0;
	return true;
}

bool supervise_is_hung(struct supervise_pulse *pulse, const struct supervise_look *look)
{
	bool is_working = (look->work & 1) != 0;

	if (pulse->turns != look->turns)
		pulse->turns_ns = look->now_ns;
	if (pulse->work != look->work || !is_working)
		pulse->work_ns = look->now_ns;
	pulse->turns = look->turns;
	pulse->work = look->work;
	return look->now_ns - pulse->turns_ns >= look->limit_ns || look->now_ns - pulse->work_ns >= look->limit_ns;
}

int64_t supervise_backoff_ns(const struct supervise_history *history, uint32_t random)
{
	int64_t pause_ns = BACKOFF_STEP_NS;

	if (history->attempt <= 1)
		return 0;
	for (uint32_t i = 2; i < history->attempt && pause_ns < BACKOFF_MAX_NS; i++)
		pause_ns *= 2;
	if (pause_ns > BACKOFF_MAX_NS)
		pause_ns = BACKOFF_MAX_NS;
	return pause_ns - pause_ns / 4 * (random % 1024) / 1024;
}
