/* SPDX-License-Identifier: MIT */
/* What recording and replay cost and reach, beside fio, plain O_DIRECT writes and filesink, in one run on one disk.
 * tests/bench/recording runs it. Every contender of ours is a process that takes 1080p frames from a ring; its CPU time
 * is that of the whole process, its kernel threads included.
 *
 *	bench-record PLUGINS DIRECTORY MIB ROUNDS */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <weir/backend.h>
#include <weir/record.h>

#include "filesink.h"

#define WIDTH	   1920
#define HEIGHT	   1080
#define DEPTH	   8 /* frames on their way at a time; no rate counts the first of them */
#define SLOTS	   (2 * DEPTH + 6)
#define ROUNDS_MAX 32
#define MIB	   1048576.0
#define PAGE	   4096u

struct figure {
	double mib_s, cpu_s_gib;
};

static const char *plugins, *directory;
static uint64_t total_bytes;
static uint32_t frame_count, frame_bytes;

static void die(const char *what)
{
	fprintf(stderr, "bench-record: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static const struct weir_backend *load(const char *name)
{
	char path[4096];
	void *library;

	snprintf(path, sizeof(path), "%s/record/%s.so", plugins, name);
	library = dlopen(path, RTLD_NOW);
	if (library == NULL) {
		fprintf(stderr, "bench-record: %s\n", dlerror());
		exit(1);
	}
	return dlsym(library, "weir_backend");
}

/* Another reader, with nothing to do but to look at what it gets; exits with 0 if that was every frame. */
static pid_t start_another(struct weir_ring *ring)
{
	struct weir_policy policy = { .mode = WEIR_POLICY_LOSSLESS };
	struct weir_reader *reader;
	struct weir_ring_fds fds;
	struct weir_frame frame;
	uint64_t frames = 0;
	uint32_t end;
	pid_t pid;
	int r;

	if (weir_ring_attach(ring, &policy, &end) < 0 || weir_ring_reader_fds(ring, end, &fds) < 0)
		die("another reader");
	pid = fork();
	if (pid != 0) {
		weir_ring_fds_close(&fds);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (weir_reader_open(&reader, &fds) < 0)
		_exit(1);
	while ((r = weir_reader_acquire(reader, &frame)) != -ENODATA) {
		if (r == -EAGAIN) {
			weir_reader_wait(reader, INT64_MAX);
			continue;
		}
		if (r < 0 || frame.dropped_before > 0 || (frame.flags & WEIR_FRAME_DEGRADED) != 0)
			_exit(1);
		frames++;
		weir_reader_release(reader, &frame);
	}
	_exit(frames == frame_count ? 0 : 1);
}

static struct weir_ring *make_ring(struct weir_ring_fds *reader, struct weir_ring_fds *writer)
{
	struct weir_ring_config config = { .slot_count = SLOTS, .loans = DEPTH };
	struct weir_policy policy = {
		.mode = WEIR_POLICY_LOSSLESS, .max_held = DEPTH, .stall_ns = INT64_C(60000000000), .async_io = 1
	};
	struct weir_ring *ring;
	uint32_t end;

	weir_format_video(&config.format, WEIR_PIXEL_NV12, WIDTH, HEIGHT);
	errno = -weir_ring_create(&ring, &config);
	if (errno != 0 || weir_ring_attach(ring, &policy, &end) < 0 || weir_ring_reader_fds(ring, end, reader) < 0 ||
		weir_ring_writer_fds(ring, writer) < 0)
		die("ring");
	return ring;
}

/* --- processes that write ------------------------------------------------------------------------------------------
 */

static void run_backend_back(struct weir_back *back)
{
	int r;

	while ((r = weir_back_local_run(back, INT64_MAX)) == 0)
		;
	weir_back_local_free(&back);
	_exit(r == 1 ? 0 : 1);
}

static uint64_t recorded; /* frames in files that are complete */

static void on_recorder_event(void *data, const struct weir_message *message)
{
	struct weir_record_status status;

	if (message->type != WEIR_EVENT_RECORD || message->size != sizeof(status))
		return;
	memcpy(&status, message->data, sizeof(status));
	recorded = status.files > 0 ? status.committed : 0;
}

static void recorder_back(struct weir_ring_fds *fds, const char *engine)
{
	struct weir_back *back;
	char args[4096];

	snprintf(args, sizeof(args),
		"{\"directory\":\"%s\",\"name\":\"bench\",\"lossless\":true,\"sync\":\"never\",\"engine\":\"%s\","
		"\"segment_s\":100000,\"segment_mb\":%.0f}",
		directory, engine, (double)total_bytes / MIB * 1.1 + 64);
	if (weir_back_create_local(&back, load("recorder"), args, on_recorder_event, NULL) < 0 ||
		weir_back_local_ring(back, 0, fds) < 0)
		_exit(1);
	while (recorded < frame_count && weir_back_local_run(back, INT64_MAX) == 0)
		;
	weir_back_local_free(&back);
	_exit(0);
}

/* The same frames, page for page, by the plainest program there is. */
static void writer_back(struct weir_ring_fds *fds, size_t block_bytes)
{
	struct weir_reader *reader;
	struct weir_frame frame;
	uint64_t offset = 0;
	size_t bytes = (frame_bytes + PAGE - 1) / PAGE * PAGE;
	char path[4096];
	int fd, r;

	snprintf(path, sizeof(path), "%s/plain", directory);
	fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC | O_DIRECT, 0600);
	if (fd < 0 || weir_reader_open(&reader, fds) < 0)
		_exit(1);
	if (fallocate(fd, 0, 0, (off_t)(bytes * frame_count)) < 0)
		_exit(1);
	while ((r = weir_reader_acquire(reader, &frame)) != -ENODATA) {
		if (r == -EAGAIN) {
			weir_reader_wait(reader, INT64_MAX);
			continue;
		}
		for (size_t at = 0, size; r == 0 && at < bytes; at += size, offset += size) {
			size = bytes - at < block_bytes ? bytes - at : block_bytes;
			if (pwrite(fd, frame.data + at, size, (off_t)offset) != (ssize_t)size)
				_exit(1);
		}
		weir_reader_release(reader, &frame);
	}
	weir_reader_free(&reader);
	_exit(0);
}

static void read_into_filesink_back(struct weir_ring_fds *fds)
{
	struct weir_reader *reader;
	char path[4096];

	snprintf(path, sizeof(path), "%s/plain", directory);
	if (weir_reader_open(&reader, fds) < 0)
		_exit(1);
	filesink_back(reader, path);
}

enum way { WAY_URING, WAY_THREAD, WAY_DIRECT, WAY_FRAMES, WAY_FILESINK };

static void cleanup(void)
{
	char command[4200];

	snprintf(command, sizeof(command), "rm -f %s/bench* %s/plain %s/fio*", directory, directory, directory);
	if (system(command) != 0)
		die("rm");
}

/* When a contender had the first frames, and what it had cost until then: loading and mapping is not what is measured.
 */
struct start {
	double at, cpu;
};

static struct start start_of(pid_t pid)
{
	unsigned long long ns = 0;
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	file = fopen(path, "re");
	if (file == NULL || fscanf(file, "%llu", &ns) != 1)
		die(path);
	fclose(file);
	return (struct start){ .at = seconds(), .cpu = (double)ns / 1e9 };
}

/* Publishes all frames. */
static struct start feed(struct weir_writer *writer, const struct weir_ring *ring, uint32_t end, pid_t pid)
{
	struct weir_end_stats stats = { 0 };
	struct weir_frame frame;
	uint8_t *payload;
	struct start start = { 0 };

	for (uint32_t i = 0; i < frame_count;) {
		if (weir_writer_claim(writer, &frame, &payload) < 0) {
			weir_writer_wait(writer, INT64_MAX);
			continue;
		}
		if (i < SLOTS)
			memset(payload, (int)i + 1, frame_bytes);
		frame.size_bytes = frame_bytes;
		frame.pts_ns = (int64_t)i * 1000000;
		weir_writer_publish(writer, &frame, false);
		if (start.at == 0 && weir_ring_end_stats(ring, end, &stats) == 0 && stats.delivered >= DEPTH)
			start = start_of(pid);
		i++;
	}
	weir_writer_end(writer);
	return start;
}

static struct figure finish(pid_t pid, struct start start)
{
	struct rusage usage;
	double cpu;
	int status;

	if (wait4(pid, &status, 0, &usage) != pid || status != 0)
		die("a contender failed");
	cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	      (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
	return (struct figure){
		.mib_s = (double)(frame_count - DEPTH) * frame_bytes / MIB / (seconds() - start.at),
		.cpu_s_gib = (cpu - start.cpu) / ((double)(frame_count - DEPTH) * frame_bytes / MIB / 1024),
	};
}

/* lost: whether a frame passed another reader by, or NULL: there is to be none. */
static struct figure write_frames(enum way way, bool *lost)
{
	struct weir_ring_fds reader_fds, writer_fds;
	struct weir_ring *ring;
	struct weir_writer *writer;
	struct figure figure;
	struct start start;
	pid_t pid, another = -1;
	int status = 0;

	ring = make_ring(&reader_fds, &writer_fds);
	if (weir_writer_open(&writer, &writer_fds) < 0)
		die("writer");
	if (lost != NULL)
		another = start_another(ring);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (way == WAY_URING || way == WAY_THREAD)
			recorder_back(&reader_fds, way == WAY_URING ? "auto" : "plain");
		if (way == WAY_FILESINK)
			read_into_filesink_back(&reader_fds);
		writer_back(&reader_fds, way == WAY_FRAMES ? SIZE_MAX : 1 << 20);
	}
	start = feed(writer, ring, reader_fds.end, pid);
	figure = finish(pid, start);
	if (another > 0)
		*lost = waitpid(another, &status, 0) != another || status != 0;
	weir_ring_fds_close(&reader_fds);
	weir_writer_free(&writer);
	weir_ring_free(&ring);
	return figure;
}

/* --- replay --------------------------------------------------------------------------------------------------------
 */

static struct weir_ring_fds player_fds;
static struct weir_back *player;

static void on_player_event(void *data, const struct weir_message *message)
{
}

static struct figure replay(const char *engine)
{
	struct weir_ring_fds reader_fds;
	struct weir_reader *reader;
	struct weir_ring *ring = make_ring(&reader_fds, &player_fds);
	struct weir_frame frame;
	uint32_t frames = 0;
	struct figure figure;
	struct start start = { 0 };
	pid_t pid = fork();
	int r;

	if (pid == 0) {
		char args[4096];

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		snprintf(args, sizeof(args), "{\"source\":\"%s\",\"lossless\":true,\"engine\":\"%s\"}", directory,
			engine);
		if (weir_back_create_local(&player, load("player"), args, on_player_event, NULL) < 0 ||
			weir_back_local_ring(player, 0, &player_fds) < 0)
			_exit(1);
		run_backend_back(player);
	}
	if (weir_reader_open(&reader, &reader_fds) < 0)
		die("reader");
	while ((r = weir_reader_acquire(reader, &frame)) != -ENODATA) {
		if (r == -EAGAIN)
			weir_reader_wait(reader, INT64_MAX);
		else
			frames++, weir_reader_release(reader, &frame);
		if (frames == DEPTH && start.at == 0)
			start = start_of(pid);
	}
	if (frames != frame_count)
		die("frames are missing");
	figure = finish(pid, start);
	weir_reader_free(&reader);
	weir_ring_fds_close(&player_fds);
	weir_ring_free(&ring);
	return figure;
}

/* --- fio -----------------------------------------------------------------------------------------------------------
 */

static double fio(const char *engine, const char *rw)
{
	char command[8192], line[4096];
	double kib_s = 0;
	FILE *pipe;

	snprintf(command, sizeof(command),
		"fio --name=fio --directory=%s --filename=fio --direct=1 --rw=%s --bs=%u --iodepth=%d --ioengine=%s "
		"--size=%llu --fallocate=native --thread --minimal --invalidate=1 2>/dev/null",
		directory, rw, (frame_bytes + PAGE - 1) / PAGE * PAGE, DEPTH, engine, (unsigned long long)total_bytes);
	pipe = popen(command, "r");
	if (pipe == NULL)
		die("fio");
	/* Notes come first. */
	do
		if (fgets(line, sizeof(line), pipe) == NULL)
			die("fio");
	while (strncmp(line, "3;", 2) != 0);
	/* Field 7 is the bandwidth of reading in KiB/s, field 48 that of writing. */
	for (int i = 1, wanted = strcmp(rw, "read") == 0 ? 7 : 48; i < wanted; i++) {
		char *at = strchr(line, ';');

		if (at == NULL)
			die("fio's output");
		memmove(line, at + 1, strlen(at));
	}
	kib_s = atof(line);
	pclose(pipe);
	return kib_s / 1024;
}

/* --- the run -------------------------------------------------------------------------------------------------------
 */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(const double *values, int count)
{
	double sorted[ROUNDS_MAX];

	memcpy(sorted, values, (size_t)count * sizeof(*values));
	qsort(sorted, (size_t)count, sizeof(*sorted), compare);
	return count % 2 != 0 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

enum row {
	URING,
	THREAD,
	DIRECT,
	FRAMES,
	FILESINK,
	FIO_URING,
	FIO_AIO,
	FIO_SYNC,
	REPLAY,
	REPLAY_THREAD,
	FIO_READ,
	ROWS,
};

/* Contenders in an order that turns by one from round to round: a disk is not the same after a gigabyte. */
#define STEPS 8

/* The player and fio read one file, in turning order, after it was read once: the first one to read it finds no disk
 * that remembers it. */
static void read_in_turns(struct figure *figure, int round)
{
	char command[8500];

	snprintf(command, sizeof(command), "ln %s/bench*.mkv %s/fio", directory, directory);
	if (system(command) != 0)
		die("ln");
	fio("io_uring", "read");
	if (round % 2 != 0)
		figure[FIO_READ].mib_s = fio("io_uring", "read");
	figure[REPLAY] = replay("auto");
	if (round % 2 == 0)
		figure[FIO_READ].mib_s = fio("io_uring", "read");
	figure[REPLAY_THREAD] = replay("plain");
}

static void run_step(int step, struct figure *figure, int round)
{
	cleanup();
	switch (step) {
	case 0: figure[FIO_URING].mib_s = fio("io_uring", "write"); break;
	case 1: figure[THREAD] = write_frames(WAY_THREAD, NULL); break;
	case 2: figure[DIRECT] = write_frames(WAY_DIRECT, NULL); break;
	case 3: figure[FIO_AIO].mib_s = fio("libaio", "write"); break;
	case 4:
		figure[URING] = write_frames(WAY_URING, NULL);
		read_in_turns(figure, round);
		break;
	case 5: figure[FRAMES] = write_frames(WAY_FRAMES, NULL); break;
	case 6: figure[FIO_SYNC].mib_s = fio("psync", "write"); break;
	default: figure[FILESINK] = write_frames(WAY_FILESINK, NULL); break;
	}
}

static int judge(const char *what, const double *ours, const double *theirs, int rounds, double bar, bool at_least)
{
	double ratio[ROUNDS_MAX], middle;
	bool met;

	for (int i = 0; i < rounds; i++)
		ratio[i] = ours[i] / theirs[i];
	middle = median(ratio, rounds);
	qsort(ratio, (size_t)rounds, sizeof(*ratio), compare);
	met = at_least ? middle >= bar : middle <= bar;
	printf("%-50s %5.2f [%.2f…%.2f]   wanted %s %.2f   %s\n", what, middle, ratio[0], ratio[rounds - 1],
		at_least ? ">=" : "<=", bar, met ? "ok" : "MISSED");
	return met ? 0 : 1;
}

int main(int argc, char **argv)
{
	static const char *const names[ROWS] = { "recorder, io_uring", "recorder, plain writes",
		"pwrite O_DIRECT, 1 MiB at a time", "pwrite O_DIRECT, a frame at a time", "filesink",
		"fio, io_uring, depth 8", "fio, libaio, depth 8", "fio, psync", "player, io_uring",
		"player, plain reads", "fio, reading, io_uring, depth 8" };
	static double mib_s[ROWS][ROUNDS_MAX], cpu[ROWS][ROUNDS_MAX];
	struct weir_format format;
	int rounds, missed = 0, best = FIO_URING;
	bool lost = true;

	if (argc != 5 || (rounds = atoi(argv[4])) < 1 || rounds > ROUNDS_MAX)
		return fprintf(stderr, "Usage: bench-record PLUGINS DIRECTORY MIB ROUNDS\n") > 0 ? 2 : 2;
	plugins = argv[1];
	directory = argv[2];
	weir_format_video(&format, WEIR_PIXEL_NV12, WIDTH, HEIGHT);
	frame_bytes = format.payload_bytes;
	frame_count = (uint32_t)(atof(argv[3]) * MIB / frame_bytes);
	total_bytes = (uint64_t)frame_count * frame_bytes;
	for (int i = 0; i < rounds; i++) {
		struct figure figure[ROWS] = { 0 };

		for (int step = 0; step < STEPS; step++)
			run_step((step + i) % STEPS, figure, i);
		for (int row = 0; row < ROWS; row++) {
			mib_s[row][i] = figure[row].mib_s;
			cpu[row][i] = figure[row].cpu_s_gib;
		}
	}
	cleanup();
	for (int row = 0; row < ROWS; row++)
		printf("%-42s %8.0f MiB/s   %6.3f CPU s/GiB\n", names[row], median(mib_s[row], rounds),
			median(cpu[row], rounds));
	for (int row = FIO_URING; row <= FIO_SYNC; row++)
		if (median(mib_s[row], rounds) > median(mib_s[best], rounds))
			best = row;
	missed += judge("throughput: recorder / the best fio", mib_s[URING], mib_s[best], rounds, 0.95, true);
	missed +=
		judge("CPU: recorder / pwrite O_DIRECT, 1 MiB at a time", cpu[URING], cpu[DIRECT], rounds, 0.6, false);
	missed += judge("CPU: recorder / filesink", cpu[URING], cpu[FILESINK], rounds, 0.25, false);
	missed += judge("throughput: player / fio", mib_s[REPLAY], mib_s[FIO_READ], rounds, 0.9, true);
	write_frames(WAY_URING, &lost);
	missed += lost;
	printf("%-52s%s\n", "another reader, while the recorder runs flat out",
		lost ? "lost frames   MISSED" : "got every frame   ok");
	printf("%d of 5 bars missed, %d rounds of %.0f MiB\n", missed, rounds, (double)total_bytes / MIB);
	return 0;
}
