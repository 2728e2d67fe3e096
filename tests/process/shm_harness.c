/* SPDX-License-Identifier: MIT */
#include "shm_harness.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

char harness_why[256];
static unsigned bound_seconds = 60;

bool harness_fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(harness_why, sizeof(harness_why), format, arguments);
	va_end(arguments);
	return false;
}

bool harness_is_long(void)
{
	const char *value = getenv("WEIR_LONG");

	return value != NULL && *value != '\0' && *value != '0';
}

uint64_t harness_option(int argc, char **argv, const char *name, uint64_t otherwise)
{
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return strtoull(argv[i + 1], NULL, 0);
	return otherwise;
}

int64_t harness_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

void harness_sleep_ns(int64_t ns)
{
	struct timespec left = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };

	while (ns > 0 && nanosleep(&left, &left) < 0 && errno == EINTR)
		;
}

/* splitmix64 */
uint64_t harness_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

void harness_bound(unsigned seconds)
{
	bound_seconds = seconds;
	alarm(seconds);
}

pid_t harness_fork(void)
{
	static const int fatal[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS };
	pid_t parent = getpid(), pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	alarm(bound_seconds);
	/* cmocka's handlers would go on with the next test in the child. */
	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		signal(fatal[i], SIG_DFL);
	return 0;
}

int harness_wait(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR)
		;
	return status;
}

int harness_kill(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	do
		status = harness_wait(pid);
	while (WIFSTOPPED(status));
	return status;
}

void *harness_shared(size_t bytes)
{
	void *made = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (made == MAP_FAILED)
		abort();
	return made;
}

struct weir_ring_config harness_config(uint32_t slots, uint32_t backing)
{
	struct weir_ring_config config = { .slot_count = slots, .backing = backing, .ends = 6, .loans = 3 };

	weir_format_video(&config.format, WEIR_PIXEL_GRAY8, 32, 4);
	return config;
}

bool harness_open_writer(struct weir_ring *ring, struct weir_writer **writer)
{
	struct weir_ring_fds fds;
	int r = weir_ring_writer_fds(ring, &fds);

	if (r == 0)
		r = weir_writer_open(writer, &fds);
	return r == 0 || harness_fail("writer: %s", strerror(-r));
}

bool harness_open_reader(struct weir_ring *ring, uint32_t end, struct weir_reader **reader)
{
	struct weir_ring_fds fds;
	int r = weir_ring_reader_fds(ring, end, &fds);

	if (r == 0)
		r = weir_reader_open(reader, &fds);
	return r == 0 || harness_fail("reader of end %u: %s", end, strerror(-r));
}

static uint64_t word_of(uint64_t generation, uint64_t sequence, uint32_t i)
{
	return (generation << 48 ^ sequence << 12 ^ i) * UINT64_C(0x9e3779b97f4a7c15);
}

void harness_fill(uint8_t *payload, uint32_t bytes, uint64_t generation, uint64_t sequence)
{
	for (uint32_t i = 0; i < bytes / 8; i++)
		((uint64_t *)(void *)payload)[i] = word_of(generation, sequence, i);
}

bool harness_is_whole(const uint8_t *payload, uint32_t bytes, uint64_t generation, uint64_t sequence)
{
	for (uint32_t i = 0; i < bytes / 8; i++)
		if (((const volatile uint64_t *)(const void *)payload)[i] != word_of(generation, sequence, i))
			return harness_fail("torn: frame %ju, word %u", (uintmax_t)sequence, i);
	return true;
}

int harness_publish(struct weir_writer *writer, uint64_t sequence, bool keep)
{
	struct weir_frame frame;
	uint8_t *payload;
	int r = weir_writer_claim(writer, &frame, &payload);

	if (r < 0)
		return r;
	harness_fill(payload, HARNESS_BYTES, weir_writer_generation(writer), sequence);
	frame.size_bytes = HARNESS_BYTES;
	frame.pts_ns = (int64_t)sequence * 40;
	frame.flags = WEIR_FRAME_KEY;
	return weir_writer_publish(writer, &frame, keep);
}

bool harness_frame_is_whole(const struct weir_frame *frame, uint64_t generation)
{
	if (frame->size_bytes != HARNESS_BYTES || frame->pts_ns != (int64_t)frame->sequence * 40 ||
		(frame->flags & ~(uint32_t)WEIR_FRAME_DEGRADED) != WEIR_FRAME_KEY)
		return harness_fail("descriptor: frame %ju says pts %jd, %u bytes, flags %x",
			(uintmax_t)frame->sequence, (intmax_t)frame->pts_ns, frame->size_bytes, frame->flags);
	return harness_is_whole(frame->data, frame->size_bytes, generation, frame->sequence);
}

static unsigned count_names(const char *path, const char *prefix)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	unsigned count = 0;

	while (directory != NULL && (entry = readdir(directory)) != NULL)
		count += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
	if (directory != NULL)
		closedir(directory);
	return count;
}

struct harness_holdings harness_holdings(void)
{
	struct harness_holdings holdings = { .fds = count_names("/proc/self/fd", "") };
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];

	while (maps != NULL && fgets(line, sizeof(line), maps) != NULL)
		holdings.maps += strstr(line, "/memfd:weir") != NULL || strstr(line, "/dev/shm/") != NULL;
	if (maps != NULL)
		fclose(maps);
	return holdings;
}

unsigned harness_count_names(void)
{
	return count_names("/dev/shm", "weir") + count_names("/dev/shm", "#");
}
