/* SPDX-License-Identifier: MIT */
/* The mean, minimum and maximum of a picture's luma, 0…255. No configuration. */
#include "luma.h"

#include <errno.h>
#include <stdlib.h>

struct brightness {
	uint8_t *scratch; /* one row */
};

static int set_format(void *state, const struct weir_format *format)
{
	struct brightness *brightness = state;

	free(brightness->scratch);
	brightness->scratch = malloc(format->width);
	return brightness->scratch != NULL ? 0 : -ENOMEM;
}

static int look(void *state, const struct weir_picture *picture, struct weir_result *result)
{
	struct brightness *brightness = state;
	uint64_t total = 0;
	uint8_t low = UINT8_MAX, high = 0;

	for (uint32_t y = 0; y < picture->height; y++) {
		const uint8_t *row = luma_row(picture, y, brightness->scratch);
		uint32_t sum = 0;

		for (uint32_t x = 0; x < picture->width; x++) {
			sum += row[x];
			low = row[x] < low ? row[x] : low;
			high = row[x] > high ? row[x] : high;
		}
		total += sum;
	}
	result->value_count = 3;
	result->value[0] = (struct weir_value){ "mean", (double)total / picture->width / picture->height };
	result->value[1] = (struct weir_value){ "min", low };
	result->value[2] = (struct weir_value){ "max", high };
	return 1;
}

static void finish(void *state)
{
	struct brightness *brightness = state;

	free(brightness->scratch);
}

__attribute__((visibility("default"))) const struct weir_analyzer weir_analyzer = {
	.abi = WEIR_ANALYZER_ABI,
	.name = "brightness",
	.state_bytes = sizeof(struct brightness),
	.format = set_format,
	.frame = look,
	.finish = finish,
};
