/* SPDX-License-Identifier: MIT */
/* bench-elements [--seconds S] [--rounds N] [--only TEXT-OF-SCENE]: weirsink and weirsrc beside shmsink and shmsrc (and
 * unixfdsink, where there is one) of the same GStreamer, in interleaved rounds: every kind in every round, and the
 * median over the rounds. */
#include "elements.h"

#include <gst/gst.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS_MAX  32
#define READERS_MAX 4

struct kind {
	const char *name, *sink, *source;
};

static const struct kind kinds[] = {
	{ "shm", "shmsink shm-size=134217728 wait-for-connection=false", "shmsrc is-live=true" },
	{ "unixfd", "unixfdsink", "unixfdsrc" },
	{ "weir", "weirsink", "weirsrc leaky-type=none" },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

struct scene {
	const char *name;
	unsigned readers;
	bool reads;
	int64_t interval_ns;
};

static const struct scene scenes[] = {
	{ "untouched, 1 reader", 1, false, 0 },
	{ "untouched, 4 readers", 4, false, 0 },
	{ "every line read, 4 readers", 4, true, 0 },
	{ "100 fps, 1 reader", 1, false, 10000000 },
	{ "100 fps, 4 readers", 4, false, 10000000 },
};
#define SCENES (sizeof(scenes) / sizeof(scenes[0]))

/* Of one kind in one scene and one round. */
struct figures {
	double per_second;  /* buffers at the slowest reader */
	double producer_us; /* CPU time for each buffer */
	double reader_us;   /* of the mean reader */
	double p50_us;	    /* latency at the mean reader */
	double last_first;  /* p50 of the reader served last by that of the first */
};

struct process {
	pid_t pid;
	struct elements_counters *counters;
	uint64_t buffers;
	int64_t cpu_ns;
};

static void start(struct process *process, const char *program, const struct scene *scene, const char *description)
{
	char fd_text[16], interval[24];
	int fd = memfd_create("counters", 0);

	if (fd < 0 || ftruncate(fd, sizeof(struct elements_counters)) < 0)
		exit(1);
	process->counters = mmap(NULL, sizeof(struct elements_counters), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	process->counters->paced = scene->interval_ns != 0;
	snprintf(fd_text, sizeof(fd_text), "%d", fd);
	snprintf(interval, sizeof(interval), "%lld", (long long)scene->interval_ns);
	process->pid = fork();
	if (process->pid == 0) {
		execl(program, program, "--play", fd_text, description, scene->reads ? "1" : "0", interval, NULL);
		_exit(127);
	}
	close(fd);
}

static void stop(struct process *process)
{
	kill(process->pid, SIGTERM);
	waitpid(process->pid, NULL, 0);
	munmap(process->counters, sizeof(*process->counters));
}

static bool await_buffers(const struct process *process)
{
	for (int i = 0; i < 10000; i++) {
		if (process->counters->buffers > 10)
			return true;
		usleep(1000);
	}
	return false;
}

static int compare(const void *a, const void *b)
{
	double first = *(const double *)a, second = *(const double *)b;

	return first < second ? -1 : first > second;
}

static double median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare);
	return count == 0 ? 0 : values[count / 2];
}

static double p50_us(const struct elements_counters *counters)
{
	static double values[ELEMENTS_SAMPLES_MAX];
	size_t count = counters->samples;

	for (size_t i = 0; i < count; i++)
		values[i] = (double)counters->latency_ns[i] / 1000;
	return median(values, count);
}

static void note_start(struct process *process)
{
	process->buffers = process->counters->buffers;
	process->cpu_ns = process->counters->cpu_ns;
	process->counters->measuring = 1;
}

static double cpu_us_of(const struct process *process)
{
	uint64_t buffers = process->counters->buffers - process->buffers;

	return buffers == 0 ? 0 : (double)(process->counters->cpu_ns - process->cpu_ns) / 1000 / (double)buffers;
}

static void measure(struct process *producer, struct process *reader, const struct scene *scene, double seconds,
	struct figures *figures)
{
	double first = 0, last = 0;

	note_start(producer);
	for (unsigned i = 0; i < scene->readers; i++)
		note_start(&reader[i]);
	usleep((useconds_t)(seconds * 1e6));
	figures->producer_us = cpu_us_of(producer);
	figures->per_second = 0;
	for (unsigned i = 0; i < scene->readers; i++) {
		double rate = (double)(reader[i].counters->buffers - reader[i].buffers) / seconds;
		double p50 = p50_us(reader[i].counters);

		if (i == 0 || rate < figures->per_second)
			figures->per_second = rate;
		figures->reader_us += cpu_us_of(&reader[i]) / scene->readers;
		figures->p50_us += p50 / scene->readers;
		first = i == 0 || p50 < first ? p50 : first;
		last = p50 > last ? p50 : last;
	}
	figures->last_first = first > 0 ? last / first : 0;
}

static bool run(const char *program, const struct kind *kind, const struct scene *scene, double seconds,
	struct figures *figures)
{
	struct process producer, reader[READERS_MAX];
	char path[64], description[512];
	unsigned started = 0;
	bool ready = true;

	memset(figures, 0, sizeof(*figures));
	snprintf(path, sizeof(path), "/tmp/weir-bench-%d", (int)getpid());
	unlink(path);
	snprintf(description, sizeof(description), "stampsrc ! %s socket-path=%s sync=false", kind->sink, path);
	start(&producer, program, scene, description);
	ready = await_buffers(&producer);
	snprintf(description, sizeof(description),
		"%s socket-path=%s ! fakesink name=reader sync=false enable-last-sample=false", kind->source, path);
	for (; ready && started < scene->readers; started++)
		start(&reader[started], program, scene, description);
	for (unsigned i = 0; i < started; i++)
		ready = ready && await_buffers(&reader[i]);
	if (ready)
		measure(&producer, reader, scene, seconds, figures);
	for (unsigned i = 0; i < started; i++)
		stop(&reader[i]);
	stop(&producer);
	unlink(path);
	return ready;
}

static void print_line(const char *name, struct figures *rounds, unsigned count, const struct scene *scene)
{
	double column[5][ROUNDS_MAX];

	for (unsigned i = 0; i < count; i++) {
		column[0][i] = rounds[i].per_second;
		column[1][i] = rounds[i].producer_us;
		column[2][i] = rounds[i].reader_us;
		column[3][i] = rounds[i].p50_us;
		column[4][i] = rounds[i].last_first;
	}
	printf("  %-7s %9.0f buffers/s  producer %6.1f us/buffer  reader %6.1f us/buffer", name,
		median(column[0], count), median(column[1], count), median(column[2], count));
	if (scene->interval_ns != 0)
		printf("  latency p50 %6.1f us, last/first %.2f", median(column[3], count), median(column[4], count));
	printf("\n");
}

static int bench(const char *program, double seconds, unsigned rounds, const char *only)
{
	static struct figures figures[SCENES][KINDS][ROUNDS_MAX];
	bool have[KINDS];
	int status = 0;

	for (size_t k = 0; k < KINDS; k++) {
		GstElementFactory *factory = gst_element_factory_find(g_strsplit(kinds[k].sink, " ", 2)[0]);

		have[k] = factory != NULL || strcmp(kinds[k].name, "weir") == 0;
	}
	for (unsigned round = 0; round < rounds; round++)
		for (size_t s = 0; s < SCENES; s++)
			for (size_t k = 0; k < KINDS; k++)
				if (have[k] && strstr(scenes[s].name, only) != NULL &&
					!run(program, &kinds[k], &scenes[s], seconds, &figures[s][k][round])) {
					fprintf(stderr, "%s: %s: no buffers\n", kinds[k].name, scenes[s].name);
					status = 1;
				}
	for (size_t s = 0; s < SCENES; s++) {
		if (strstr(scenes[s].name, only) == NULL)
			continue;
		printf("%s\n", scenes[s].name);
		for (size_t k = 0; k < KINDS; k++)
			if (have[k])
				print_line(kinds[k].name, figures[s][k], rounds, &scenes[s]);
	}
	return status;
}

GType weirsink_get_type(void);
GType weirsrc_get_type(void);

int main(int argc, char **argv)
{
	double seconds = 2;
	const char *only = "";
	unsigned rounds = 7;

	gst_init(&argc, &argv);
	gst_element_register(NULL, "weirsink", GST_RANK_NONE, weirsink_get_type());
	gst_element_register(NULL, "weirsrc", GST_RANK_NONE, weirsrc_get_type());
	if (argc == 6 && strcmp(argv[1], "--play") == 0)
		return elements_play(mmap(NULL, sizeof(struct elements_counters), PROT_READ | PROT_WRITE, MAP_SHARED,
					     atoi(argv[2]), 0),
			argv[3], argv[4][0] == '1', atoll(argv[5]));
	for (int i = 1; i + 1 < argc; i += 2)
		if (strcmp(argv[i], "--seconds") == 0)
			seconds = atof(argv[i + 1]);
		else if (strcmp(argv[i], "--rounds") == 0)
			rounds = (unsigned)CLAMP(atoi(argv[i + 1]), 1, ROUNDS_MAX);
		else if (strcmp(argv[i], "--only") == 0)
			only = argv[i + 1];
	return bench("/proc/self/exe", seconds, rounds, only);
}
