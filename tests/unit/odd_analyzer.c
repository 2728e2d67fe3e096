/* SPDX-License-Identifier: MIT */
/* Analyzers that a host must refuse, one for each value of ODD, and one (5) whose results are no numbers. */
#include <math.h>
#include <weir/analyzer.h>

static int frame(void *state, const struct weir_picture *picture, struct weir_result *result)
{
	if (ODD == 5) {
		result->value_count = 1;
		result->value[0] = (struct weir_value){ "share", (double)NAN };
	} else {
		result->box_count = WEIR_BOXES_MAX + 1;
	}
	return 1;
}

__attribute__((visibility("default"))) extern const struct weir_analyzer weir_analyzer;
const struct weir_analyzer weir_analyzer = {
	.abi = ODD == 1 ? 99 : WEIR_ANALYZER_ABI,
	.name = ODD == 2 ? "a name that is too long" : "odd",
	.frame = ODD == 3 ? NULL : frame,
};
