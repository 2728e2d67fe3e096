/* SPDX-License-Identifier: MIT */
#include "bench.h"

#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static void cpu_model(char *model, size_t bytes)
{
	FILE *info = fopen("/proc/cpuinfo", "re");
	char line[256];

	snprintf(model, bytes, "unknown CPU");
	while (info != NULL && fgets(line, sizeof(line), info) != NULL)
		if (strncmp(line, "model name", 10) == 0 && strchr(line, ':') != NULL) {
			snprintf(model, bytes, "%s", strchr(line, ':') + 2);
			model[strcspn(model, "\n")] = '\0';
			break;
		}
	if (info != NULL)
		fclose(info);
}

static void load_average(char *load, size_t bytes)
{
	FILE *file = fopen("/proc/loadavg", "re");
	double one = -1, five = -1, fifteen = -1;

	if (file != NULL) {
		if (fscanf(file, "%lf %lf %lf", &one, &five, &fifteen) < 3)
			one = -1;
		fclose(file);
	}
	snprintf(load, bytes, "%.2f %.2f %.2f", one, five, fifteen);
}

void report_head(enum style style, FILE *json)
{
	char model[128], load[64];
	struct utsname system;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	cpu_model(model, sizeof(model));
	load_average(load, sizeof(load));
	uname(&system);
	printf("%s, %ld CPUs, %s %s; load average before: %s\n", model, cpus, system.sysname, system.release, load);
	if (style == STYLE_MARKDOWN)
		printf("\n| what | ours: median [p10…p90] | beside it | ours ÷ that [p10…p90] | wanted | |\n"
		       "|---|---|---|---|---|---|\n");
	else
		printf("%-52s %-27s %-28s %-20s %-9s\n", "what", "ours: median [p10…p90]", "beside it: median",
			"ratio [p10…p90]", "wanted");
	if (json != NULL)
		fprintf(json, "{\"cpu\":\"%s\",\"cpus\":%ld,\"kernel\":\"%s\",\"load\":\"%s\"}\n", model, cpus,
			system.release, load);
}

void report_group(enum style style, const struct group *group)
{
	if (style == STYLE_TABLE)
		printf("-- %s: %s, %u rounds\n", group->name, group->unit,
			bench_count(group->rounds, group->quick_rounds));
}

/* Three digits that count. */
static const char *number(char text[24], double value)
{
	int decimals = value >= 100 ? 0 : value >= 10 ? 1 : value >= 1 ? 2 : 3;

	snprintf(text, 24, "%.*f", decimals, value);
	return text;
}

static void spread_text(char *text, size_t bytes, const struct spread *spread)
{
	char median[24], low[24], high[24];

	if (spread->p10 == spread->p90)
		snprintf(text, bytes, "%s", number(median, spread->median));
	else
		snprintf(text, bytes, "%s [%s…%s]", number(median, spread->median), number(low, spread->p10),
			number(high, spread->p90));
}

/* printf counts bytes: … has two more than it shows columns. */
static int width(const char *text, int columns)
{
	return strstr(text, "…") != NULL ? columns + 2 : columns;
}

static void json_spread(FILE *json, const char *name, const struct spread *spread)
{
	fprintf(json, ",\"%s\":{\"min\":%.6g,\"p10\":%.6g,\"median\":%.6g,\"p90\":%.6g}", name, spread->min,
		spread->p10, spread->median, spread->p90);
}

static void report_json(const struct result *result, const char *verdict, FILE *json)
{
	const struct figures *figures = result->figures;

	fprintf(json, "{\"group\":\"%s\",\"row\":\"%s\",\"unit\":\"%s\",\"rounds\":%u,\"verdict\":\"%s\"",
		figures->group->name, result->row->name, figures->group->unit, figures->rounds, verdict);
	json_spread(json, "ours", &result->ours);
	if (result->peer != NULL)
		fprintf(json, ",\"peer\":\"%s\"", result->peer);
	if (result->peer != NULL && result->verdict != VERDICT_ABSENT) {
		json_spread(json, "theirs", &result->theirs);
		json_spread(json, "ratio", &result->ratio);
	}
	if (result->row->bar != 0)
		fprintf(json, ",\"bar\":%g", result->row->bar);
	if (result->row->bar_ratio != 0)
		fprintf(json, ",\"bar_ratio\":%g", result->row->bar_ratio);
	fprintf(json, ",\"values\":[");
	for (uint32_t i = 0; i < figures->rounds; i++)
		fprintf(json, "%s%.6g", i == 0 ? "" : ",", figures->value[result->row->ours][i]);
	fprintf(json, "]}\n");
}

void report_row(enum style style, const struct result *result, FILE *json)
{
	static const char *const verdicts[] = { "", "ok", "MISSED", "absent" };
	char ours[80], theirs[80] = "", ratio[80] = "", wanted[40] = "", digits[24];
	const char *verdict = verdicts[result->verdict];

	spread_text(ours, sizeof(ours), &result->ours);
	if (result->peer != NULL && result->verdict == VERDICT_ABSENT) {
		snprintf(theirs, sizeof(theirs), "%s: not installed", result->peer);
	} else if (result->peer != NULL) {
		snprintf(theirs, sizeof(theirs), "%s %s", result->peer, number(digits, result->theirs.median));
		spread_text(ratio, sizeof(ratio), &result->ratio);
	}
	if (result->row->bar != 0)
		snprintf(wanted, sizeof(wanted), "≤ %g", result->row->bar);
	else if (result->row->bar_ratio != 0)
		snprintf(wanted, sizeof(wanted), "≤ %.4g ×", result->row->bar_ratio);
	if (style == STYLE_MARKDOWN)
		printf("| %s, %s | %s | %s | %s | %s | %s |\n", result->row->name, result->figures->group->unit, ours,
			theirs, ratio, wanted, verdict);
	else
		printf("%-52s %-*s %-28s %-*s %-11s %s\n", result->row->name, width(ours, 27), ours, theirs,
			width(ratio, 20), ratio, wanted, verdict);
	if (json != NULL)
		report_json(result, verdict, json);
}
