/* SPDX-License-Identifier: MIT */
/* Runs two commands in turn and compares their CPU time (user and system, with all their descendants), round by round.
 *
 *	cpu-per-frame FRAMES ROUNDS COMMAND_A COMMAND_B		(each command for sh -c; its output is thrown away) */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS_MAX 100

static double cpu_seconds(const char *command)
{
	struct rusage usage;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &usage) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		fprintf(stderr, "It failed: %s\n", command);
		exit(1);
	}
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void print(const char *name, double *value, int count, double scale, const char *unit)
{
	qsort(value, (size_t)count, sizeof(*value), ascending);
	printf("%-22s median %8.3f %s  [%.3f … %.3f]\n", name, value[count / 2] * scale, unit, value[0] * scale,
		value[count - 1] * scale);
}

int main(int argc, char **argv)
{
	double a[ROUNDS_MAX], b[ROUNDS_MAX], ratio[ROUNDS_MAX], load[1] = { 0 };
	int frames = argc == 5 ? atoi(argv[1]) : 0, rounds = argc == 5 ? atoi(argv[2]) : 0;

	if (frames < 1 || rounds < 1 || rounds > ROUNDS_MAX) {
		fprintf(stderr, "Usage: cpu-per-frame FRAMES ROUNDS COMMAND_A COMMAND_B\n");
		return 2;
	}
	cpu_seconds(argv[3]); /* warms the file cache and GStreamer's registry */
	cpu_seconds(argv[4]);
	for (int i = 0; i < rounds; i++) {
		a[i] = cpu_seconds(argv[3]) / frames;
		b[i] = cpu_seconds(argv[4]) / frames;
		ratio[i] = a[i] / b[i];
	}
	getloadavg(load, 1);
	printf("%d rounds, load %.2f\n", rounds, load[0]);
	print("A, CPU per frame", a, rounds, 1e6, "us");
	print("B, CPU per frame", b, rounds, 1e6, "us");
	print("A / B", ratio, rounds, 1, "  ");
	return 0;
}
