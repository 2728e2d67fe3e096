/* SPDX-License-Identifier: MIT */
#include "frontend.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "death.h"

/* What dead children leave behind. This process is a subreaper: whatever they had forked becomes its own child. Members
 * of a dead one's process group die with it. Those that left the group (setsid()) are found by what they inherited: the
 * mapping of the page, or after an exec the environment. */

#define PATIENCE_NS (10 * CLOCK_S)
#define LOOK_NS	    CLOCK_S
#define STRANGER_NS (5 * CLOCK_S)
#define UNSURE_NS   (500 * CLOCK_MS)

void orphans_expect(struct weir_frontend *frontend, int pid)
{
	struct orphan *more = realloc(frontend->orphan, (frontend->orphans + 1) * sizeof(*more));

	frontend->must_look = true;
	frontend->unsure_until_ns = clock_ns() + UNSURE_NS;
	frontend_want_tick(frontend);
	if (more == NULL)
		return;
	frontend->orphan = more;
	frontend->orphan[frontend->orphans++] = (struct orphan){ .pid = pid, .until_ns = clock_ns() + PATIENCE_NS };
}

/* True when neither it nor a member of its group can still be waited for. */
static bool reap(const struct orphan *orphan)
{
	pid_t leader = waitpid(orphan->pid, NULL, WNOHANG), member;

	while ((member = waitpid(-orphan->pid, NULL, WNOHANG)) > 0)
		;
	if (leader == 0 || member == 0)
		return false;
	/* It may be somebody else's until that one is dead, too. */
	return leader > 0 || kill(orphan->pid, 0) < 0 || clock_ns() > orphan->until_ns;
}

/* --- those that left the group ----------------------------------------------------------------------------------- */

/* The number behind a mark, in a file of lines or of strings, where with is in there, too; 0: it is not there. empty:
 * nothing is. */
static uint32_t find_mark(int pid, const char *file, const char *mark, const char *with, bool *empty)
{
	char path[64], *text = NULL;
	size_t room = 0, length = strlen(mark);
	uint32_t life = 0;
	int end = strcmp(file, "environ") == 0 ? '\0' : '\n';
	FILE *stream;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	stream = fopen(path, "re");
	*empty = true;
	while (stream != NULL && life == 0 && getdelim(&text, &room, end, stream) > 0) {
		const char *at = strstr(text, mark);

		*empty = false;

		if (at != NULL && strstr(text, with) != NULL)
			life = (uint32_t)strtoul(at + length, NULL, 10);
	}
	if (stream != NULL)
		fclose(stream);
	free(text);
	return life;
}

/* unsure: in the middle of an exec it has neither. */
static bool belongs_to_a_dead_child(const struct weir_frontend *frontend, int pid, bool *unsure)
{
	char mark[64];
	uint32_t life;
	bool empty;

	snprintf(mark, sizeof(mark), PAGE_MARK, getpid());
	life = find_mark(pid, "maps", mark, " rw-s ", &empty); /* what we ourselves have forked may only read it */
	if (life == 0) {
		snprintf(mark, sizeof(mark), ZYGOTE_CHILD_ENV "=%d.", getpid());
		life = find_mark(pid, "environ", mark, "", &empty);
		*unsure |= life == 0 && empty && !death_has_come(pid, -1);
	}
	if (life == 0)
		return false;
	for (const struct weir_child *child = frontend->first_child; child != NULL; child = child->next)
		if (child->life == life && (child->pid != 0 || child->spawning != 0))
			return false;
	return true;
}

static bool is_known(const struct weir_frontend *frontend, int pid)
{
	if (pid == zygote_pid())
		return true;
	for (const struct weir_child *child = frontend->first_child; child != NULL; child = child->next)
		if (child->pid == pid)
			return true;
	for (size_t i = 0; i < frontend->orphans; i++)
		if (frontend->orphan[i].pid == pid)
			return true;
	return false;
}

static void look_for_strays(struct weir_frontend *frontend)
{
	bool unsure = false;
	char path[64];
	FILE *children;
	int pid;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	children = fopen(path, "re");
	if (children == NULL)
		return;
	while (fscanf(children, "%d", &pid) == 1) {
		if (is_known(frontend, pid) || !belongs_to_a_dead_child(frontend, pid, &unsure))
			continue;
		kill(pid, SIGKILL);
		orphans_expect(frontend, pid);
	}
	fclose(children);
	frontend->unsure = unsure && clock_ns() < frontend->unsure_until_ns;
}

/* --- others ------------------------------------------------------------------------------------------------------ */

/* Orphans of the program's own children come to us, too, because we are a subreaper. Which of the dead are such, and
 * which will still be waited for by another part of the program, cannot be seen: what nobody has fetched after a while
 * is taken to be the former. */
static void on_look(void *data)
{
	struct weir_frontend *frontend = data;
	siginfo_t info = { 0 };

	frontend->look.due_ns = clock_ns() + LOOK_NS;
	if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0 ||
		is_known(frontend, info.si_pid)) {
		frontend->stranger = 0;
		return;
	}
	if (frontend->stranger != info.si_pid) {
		frontend->stranger = info.si_pid;
		frontend->stranger_ns = clock_ns();
	} else if (clock_ns() - frontend->stranger_ns >= STRANGER_NS) {
		waitpid(info.si_pid, NULL, WNOHANG);
		frontend->look.due_ns = 0; /* there may be more */
	}
}

void orphans_init(struct weir_frontend *frontend)
{
	frontend->look = (struct loop_timer){ .due_ns = clock_ns() + LOOK_NS, .fn = on_look, .data = frontend };
}

bool orphans_are_gone(struct weir_frontend *frontend)
{
	if (frontend->orphans == 0 && frontend->must_look)
		orphans_tick(frontend);
	return frontend->orphans == 0 && !frontend->unsure;
}

void orphans_tick(struct weir_frontend *frontend)
{
	size_t kept = 0;

	if (frontend->must_look)
		look_for_strays(frontend);
	for (size_t i = 0; i < frontend->orphans; i++)
		if (!reap(&frontend->orphan[i]))
			frontend->orphan[kept++] = frontend->orphan[i];
	/* One that has gone may have had children of its own, which are ours only now. */
	frontend->must_look = kept < frontend->orphans || frontend->unsure;
	frontend->orphans = kept;
	if (kept > 0 || frontend->must_look)
		frontend_want_tick(frontend);
}
