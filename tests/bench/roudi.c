/* SPDX-License-Identifier: MIT */
#include "roudi.h"

#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "bench.h"

#define PROGRAM	     "/usr/bin/iox-roudi"
#define ITS_LOCK     "/tmp/iox-unique-roudi.lock"
#define LOCK_SECONDS 60

/* Twenty pictures, as many as our ring has slots. */
static const char config[] = "[general]\nversion = 1\n[[segment]]\n"
			     "[[segment.mempool]]\nsize = 128\ncount = 64\n"
			     "[[segment.mempool]]\nsize = 3110400\ncount = 20\n";

static void exec_back(bool monitoring)
{
	const char *mode = monitoring ? "on" : "off";
	int config_fd = memfd_create("roudi.toml", 0), null_fd = open("/dev/null", O_RDWR);
	char path[32];

	if (config_fd < 0 || write(config_fd, config, sizeof(config) - 1) < 0)
		_exit(1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", config_fd);
	prctl(PR_SET_PDEATHSIG, SIGTERM); /* it tidies up */
	dup2(null_fd, 0);
	dup2(null_fd, 1);
	dup2(null_fd, 2);
	execl(PROGRAM, PROGRAM, "-m", mode, "-l", "off", "-c", path, (char *)NULL);
	_exit(1);
}

/* One that somebody else runs would serve our processes, too. */
static bool another_runs(void)
{
	int fd = open(ITS_LOCK, O_RDWR | O_CLOEXEC);
	bool held = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0;

	if (fd >= 0)
		close(fd);
	return held;
}

static int lock(void)
{
	int fd = open(PROGRAM, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -ENOPKG;
	for (int i = 0; i < LOCK_SECONDS * 50; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return fd;
		sleep_until_ns(now_ns() + 20000000);
	}
	close(fd);
	return bench_fail("another bench keeps " PROGRAM " to itself");
}

int roudi_start(struct roudi *roudi, bool monitoring)
{
	int fd = lock();

	if (fd < 0)
		return fd;
	if (another_runs()) {
		close(fd);
		return bench_fail("an iox-roudi runs that is not ours: end it first");
	}
	roudi->lock_fd = fd;
	roudi->pid = bench_fork();
	if (roudi->pid == 0)
		exec_back(monitoring);
	return 0;
}

/* Processes that take leave of it hang now and then, and it aborts over those that do not: so all are killed, and what
 * lies about then is swept up here. */
static void sweep(void)
{
	static const char *const files[] = { ITS_LOCK, "/tmp/roudi", "/tmp/roudi.lock", "/tmp/" ROUDI_WRITER,
		"/tmp/" ROUDI_WRITER ".lock", "/tmp/" ROUDI_READER, "/tmp/" ROUDI_READER ".lock" };
	const struct passwd *user = getpwuid(geteuid());

	shm_unlink("/iceoryx_mgmt");
	if (user != NULL)
		shm_unlink(user->pw_name);
	for (uint32_t i = 0; i < COUNT_OF(files); i++)
		unlink(files[i]);
}

void roudi_stop(struct roudi *roudi)
{
	bench_end(roudi->pid);
	sweep();
	close(roudi->lock_fd);
}
