/* SPDX-License-Identifier: MIT */
#include "back.h"

#include <signal.h>
#include <stdatomic.h>

#include <weir/pool.h>

/* Two signals that a worker of a pool does not die of. */

static atomic_uint late_ticket; /* of the job that was told last */
static atomic_bool terminated;
static bool is_worker;

static void take_signal_back(int number, siginfo_t *info, void *context)
{
	if (number == SIGTERM)
		atomic_store(&terminated, true);
	else if (info->si_code == SI_QUEUE)
		atomic_store(&late_ticket, (unsigned int)info->si_value.sival_int);
}

void job_become_worker_back(void)
{
	struct sigaction action = { .sa_sigaction = take_signal_back, .sa_flags = SA_SIGINFO };

	is_worker = true;
	sigemptyset(&action.sa_mask);
	sigaction(SIGUSR1, &action, NULL); /* is to interrupt what the job waits for */
	action.sa_flags |= SA_RESTART;	   /* and this is not */
	sigaction(SIGTERM, &action, NULL);
}

bool job_is_worker_back(void)
{
	return is_worker;
}

bool job_is_terminated_back(void)
{
	return atomic_load(&terminated);
}

bool weir_job_late(const struct weir_back *back)
{
	return back->call_id != 0 && back->call_id == atomic_load(&late_ticket);
}
