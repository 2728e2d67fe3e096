/* SPDX-License-Identifier: MIT */
#include "bench.h"

#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct options {
	bool quick;
	enum style style;
	FILE *json;
	const char *only;
};

struct tally {
	uint32_t ok, missed, absent, failed;
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Linear between the two nearest values. */
static double quantile(const double *sorted, uint32_t count, double share)
{
	double place = share * (count - 1);
	uint32_t below = (uint32_t)place, above = below + 1 < count ? below + 1 : below;

	return sorted[below] + (place - below) * (sorted[above] - sorted[below]);
}

struct spread spread_of(double *values, uint32_t count)
{
	qsort(values, count, sizeof(*values), compare);
	return (struct spread){
		.min = values[0],
		.p10 = quantile(values, count, 0.1),
		.median = quantile(values, count, 0.5),
		.p90 = quantile(values, count, 0.9),
	};
}

/* Runs one contender once. False: it failed, and the group with it. */
static bool measure(struct figures *figures, uint32_t i, uint32_t round)
{
	const struct contender *contender = &figures->group->contenders[i];
	int r;

	if (figures->absent[i])
		return true;
	memset(page, 0, sizeof(*page));
	r = contender->run != NULL ? contender->run(&figures->value[i][round], contender->argument) : -ENOPKG;
	if (r == -ENOPKG) {
		figures->absent[i] = true;
		return true;
	}
	if (r < 0) {
		fprintf(stderr, "bench: %s, %s: %s\n", figures->group->name, contender->name,
			page->why[0] != '\0' ? page->why : strerror(-r));
		return false;
	}
	return true;
}

static struct result conclude(const struct figures *figures, const struct row *row, bool is_quick)
{
	double ours[ROUNDS_MAX], theirs[ROUNDS_MAX], ratio[ROUNDS_MAX];
	struct result result = { .figures = figures, .row = row };
	bool missed;

	memcpy(ours, figures->value[row->ours], sizeof(ours));
	if (row->peer != NO_PEER) {
		result.peer = figures->group->contenders[row->peer].name;
		result.verdict = VERDICT_ABSENT;
		if (!figures->absent[row->peer]) {
			memcpy(theirs, figures->value[row->peer], sizeof(theirs));
			for (uint32_t i = 0; i < figures->rounds; i++)
				ratio[i] = ours[i] / theirs[i];
			result.theirs = spread_of(theirs, figures->rounds);
			result.ratio = spread_of(ratio, figures->rounds);
			result.verdict = VERDICT_NONE;
		}
	}
	result.ours = spread_of(ours, figures->rounds);
	if (result.verdict == VERDICT_ABSENT || (row->bar == 0 && row->bar_ratio == 0) || is_quick)
		return result;
	missed = (row->bar != 0 && !(result.ours.median <= row->bar)) ||
		 (row->bar_ratio != 0 && !(result.ratio.median <= row->bar_ratio));
	result.verdict = missed ? VERDICT_MISSED : VERDICT_OK;
	return result;
}

static void run_group(const struct group *group, const struct options *options, struct tally *tally)
{
	struct figures figures = { .group = group, .rounds = bench_count(group->rounds, group->quick_rounds) };

	for (uint32_t round = 0; round < figures.rounds; round++)
		for (uint32_t i = 0; i < group->contender_count; i++)
			if (!measure(&figures, i, round)) {
				tally->failed++;
				return;
			}
	report_group(options->style, group);
	for (uint32_t i = 0; i < group->row_count; i++) {
		struct result result = conclude(&figures, &group->rows[i], options->quick);

		report_row(options->style, &result, options->json);
		tally->ok += result.verdict == VERDICT_OK;
		tally->missed += result.verdict == VERDICT_MISSED;
		tally->absent += result.verdict == VERDICT_ABSENT;
	}
	fflush(stdout);
}

static int parse(struct options *options, int argc, char **argv)
{
	static const struct option known[] = {
		{ "quick", no_argument, NULL, 'q' },
		{ "markdown", no_argument, NULL, 'm' },
		{ "json", required_argument, NULL, 'j' },
		{ "only", required_argument, NULL, 'o' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (c == 'q') {
			options->quick = true;
		} else if (c == 'm') {
			options->style = STYLE_MARKDOWN;
		} else if (c == 'o') {
			options->only = optarg;
		} else if (c == 'j') {
			options->json = fopen(optarg, "we");
			if (options->json == NULL) {
				fprintf(stderr, "bench: cannot write %s: %s\n", optarg, strerror(errno));
				return -1;
			}
		} else {
			fprintf(stderr, "usage: bench [--quick] [--markdown] [--json FILE] [--only GROUP]\n");
			return -1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *ci = getenv("CI");
	struct options options = { 0 };
	struct tally tally = { 0 };

	if (bench_begin() < 0 || parse(&options, argc, argv) < 0 || bench_init(options.quick) < 0)
		return 2;
	report_head(options.style, options.json);
	for (uint32_t i = 0; bench_groups[i] != NULL; i++)
		if (options.only == NULL || strcmp(options.only, bench_groups[i]->name) == 0)
			run_group(bench_groups[i], &options, &tally);
	if (options.json != NULL)
		fclose(options.json);
	if (options.quick)
		printf("A quick run shows that it works; its figures mean nothing.\n");
	else
		printf("%u bars met, %u missed.\n", tally.ok, tally.missed);
	if (tally.absent != 0)
		printf("%u rows have no peer here: ./.ci/install bench\n", tally.absent);
	if (tally.absent != 0 && ci != NULL && strcmp(ci, "true") == 0) {
		fprintf(stderr, "bench: with CI=true an absent peer is a failure.\n");
		return 1;
	}
	return tally.failed != 0;
}
