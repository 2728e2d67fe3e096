/* SPDX-License-Identifier: MIT */
/* The backend that hosts one analyzer in a process of its own. args is a JSON object:
 *	"analyzer"   required: a name ("motion", looked up as <dir>/analyzers/motion.so in $WEIR_PLUGIN_PATH and beside
 *		     this plugin) or a path with a slash in it ("./my.so")
 *	"config"     an object that is passed to the analyzer; default {}
 *	"wait"	     "eventfd" (default) or "semaphore": how the process waits for frames
 *	"snapshots"  a directory for pictures with the boxes drawn; default "": none */
#include "snapshot.h"

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <weir/backend.h>
#include <weir/log.h>

struct host {
	void *library;
	const struct weir_analyzer *analyzer;
	void *analyzer_state;
	bool begun; /* init has succeeded */
	bool snapshots;
	struct snapshot snapshot;
	struct weir_format format; /* kind 0: none yet */
	uint64_t lost;		   /* results that the frontend did not take in time */
};

__attribute__((visibility("default"))) extern const struct weir_backend weir_backend;

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Tries <directory>/<middle><name>.so and appends it to the list of places. 1: it is there, and stays in path. */
static int try_place(
	char **path, char **places, const char *directory, size_t length, const char *middle, const char *name)
{
	char *longer = NULL;

	if (asprintf(path, "%.*s/%s%s.so", (int)length, directory, middle, name) < 0) {
		*path = NULL;
		return -ENOMEM;
	}
	if (access(*path, F_OK) == 0)
		return 1;
	if (strstr(*places, *path) != NULL) {
		free(*path);
		*path = NULL;
		return 0;
	}
	if (asprintf(&longer, "%s%s%s", *places, **places != '\0' ? ", " : "", *path) < 0)
		return -ENOMEM;
	free(*places);
	*places = longer;
	free(*path);
	*path = NULL;
	return 0;
}

static int search(char **path, char **places, const char *name)
{
	const char *list = getenv("WEIR_PLUGIN_PATH");
	Dl_info self;
	int r = 0;

	while (r == 0 && list != NULL && *list != '\0') {
		const size_t length = strcspn(list, ":");

		if (length > 0)
			r = try_place(path, places, list, length, "analyzers/", name);
		list += length + (list[length] == ':');
	}
	if (r == 0 && dladdr(&weir_backend, &self) != 0 && strrchr(self.dli_fname, '/') != NULL)
		r = try_place(path, places, self.dli_fname, (size_t)(strrchr(self.dli_fname, '/') - self.dli_fname), "",
			name);
	return r;
}

/* Sets *path to the file of the analyzer; the caller frees it. -ENOENT: there is none, and the log says where it was
 * looked for. */
static int find(char **path, const char *name)
{
	char *found = NULL, *places = strdup("");
	int r = places != NULL ? 0 : -ENOMEM;

	if (r == 0 && strchr(name, '/') != NULL) {
		found = strdup(name);
		r = found == NULL ? -ENOMEM : access(found, F_OK) == 0;
	} else if (r == 0) {
		r = search(&found, &places, name);
	}
	if (r == 0)
		weir_log(WEIR_LOG_ERROR, "host", "there is no analyzer \"%s\"%s%s%s", name,
			*places != '\0' ? " (looked for " : "", places, *places != '\0' ? ")" : "");
	free(places);
	if (r <= 0) {
		free(found);
		return r < 0 ? r : -ENOENT;
	}
	*path = found;
	return 0;
}

static int load(struct host *host, const char *name)
{
	char *path = NULL;
	int r = find(&path, name);

	if (r < 0)
		return r;
	host->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	free(path);
	if (host->library == NULL) {
		weir_log(WEIR_LOG_ERROR, "host", "cannot load analyzer \"%s\": %s", name, dlerror());
		return -ENOEXEC;
	}
	host->analyzer = dlsym(host->library, "weir_analyzer");
	if (host->analyzer == NULL) {
		weir_log(WEIR_LOG_ERROR, "host", "\"%s\" is no analyzer: it does not export weir_analyzer", name);
		return -ENOEXEC;
	}
	if (host->analyzer->abi != WEIR_ANALYZER_ABI) {
		weir_log(WEIR_LOG_ERROR, "host", "analyzer \"%s\" has ABI %" PRIu32 ", this Weir has %d: build it anew",
			name, host->analyzer->abi, WEIR_ANALYZER_ABI);
		return -ENOEXEC;
	}
	if (host->analyzer->name == NULL || host->analyzer->name[0] == '\0' ||
		strlen(host->analyzer->name) >= sizeof((struct weir_result){ 0 }.type) ||
		host->analyzer->frame == NULL) {
		weir_log(WEIR_LOG_ERROR, "host", "analyzer \"%s\" lacks a name of 1 to 15 bytes or a frame function",
			name);
		return -ENOEXEC;
	}
	return 0;
}

static int begin(struct host *host, const char *name, json_t *config)
{
	char *text = config != NULL ? json_dumps(config, JSON_COMPACT) : strdup("{}");
	int r = 0;

	host->analyzer_state = calloc(1, host->analyzer->state_bytes + 1);
	if (text == NULL || host->analyzer_state == NULL)
		r = -ENOMEM;
	else if (host->analyzer->init != NULL)
		r = host->analyzer->init(host->analyzer_state, text);
	if (r < 0)
		weir_log(WEIR_LOG_ERROR, "host", "analyzer \"%s\" refuses its configuration %s: %s", name,
			text != NULL ? text : "", strerror(-r));
	host->begun = r == 0;
	free(text);
	return r;
}

static void leave_back(struct weir_back *back, void *state, int reason)
{
	struct host *host = state;

	if (host->lost > 0)
		weir_log(WEIR_LOG_WARNING, "host", "%" PRIu64 " results were lost: the frontend did not read",
			host->lost);
	if (host->begun && host->analyzer->finish != NULL)
		host->analyzer->finish(host->analyzer_state);
	free(host->analyzer_state);
	snapshot_finish(&host->snapshot);
	if (host->library != NULL)
		(void)dlclose(host->library);
	*host = (struct host){ 0 };
}

static int enter_back(struct weir_back *back, void *state, const char *args)
{
	struct host *host = state;
	const char *analyzer = NULL, *wait = "eventfd", *directory = "";
	json_t *config = NULL, *json = json_loads(args, JSON_REJECT_DUPLICATES, NULL);
	int r = -EINVAL;

	if (json_unpack(json, "{s:s, s?o, s?s, s?s !}", "analyzer", &analyzer, "config", &config, "wait", &wait,
		    "snapshots", &directory) < 0 ||
		(config != NULL && !json_is_object(config)) ||
		(strcmp(wait, "eventfd") != 0 && strcmp(wait, "semaphore") != 0)) {
		weir_log(WEIR_LOG_ERROR, "host",
			"arguments must be {\"analyzer\": NAME, \"config\": {...}, \"wait\": \"eventfd\" or "
			"\"semaphore\", \"snapshots\": DIRECTORY}");
		goto fail;
	}
	r = load(host, analyzer);
	if (r < 0)
		goto fail;
	r = begin(host, analyzer, config);
	if (r < 0)
		goto fail;
	if (directory[0] != '\0') {
		r = snapshot_init(&host->snapshot, directory, weir_back_name(back));
		if (r < 0)
			goto fail;
		host->snapshots = true;
	}
	if (strcmp(wait, "semaphore") == 0)
		weir_back_set_wait(back, WEIR_WAIT_SEMAPHORE);
	json_decref(json);
	return 0;
fail:
	json_decref(json);
	leave_back(back, host, WEIR_LEAVE_ERROR);
	return r;
}

static int set_format(struct host *host, const struct weir_message *message)
{
	struct weir_format format;
	int r = 0;

	if (message->size != sizeof(format))
		return -EPROTO;
	memcpy(&format, message->data, sizeof(format));
	if (weir_format_check(&format) < 0)
		return -EPROTO;
	if (format.kind != WEIR_KIND_VIDEO)
		r = -EOPNOTSUPP;
	else if (host->analyzer->format != NULL)
		r = host->analyzer->format(host->analyzer_state, &format);
	if (r < 0) {
		weir_log(WEIR_LOG_ERROR, "host", "analyzer \"%s\" cannot work with %s %" PRIu32 "x%" PRIu32 ": %s",
			host->analyzer->name,
			format.kind == WEIR_KIND_VIDEO ? weir_pixel_name(format.pixel) : "what is no picture",
			format.width, format.height, strerror(-r));
		return r;
	}
	host->format = format;
	return 0;
}

static int command_back(struct weir_back *back, void *state, const struct weir_message *message)
{
	int r;

	switch (message->type) {
	case WEIR_COMMAND_FORMAT:
		r = set_format(state, message);
		if (r < 0)
			weir_back_exit(back, r);
		return r;
	case WEIR_COMMAND_END: return 0;
	default: return -ENOSYS;
	}
}

static int emit(struct weir_back *back, struct host *host, const struct weir_frame *frame, struct weir_result *result)
{
	int r;

	if (result->box_count > WEIR_BOXES_MAX || result->value_count > WEIR_VALUES_MAX) {
		weir_log(WEIR_LOG_ERROR, "host",
			"analyzer \"%s\" made a result of %" PRIu32 " boxes and %" PRIu32 " values",
			host->analyzer->name, result->box_count, result->value_count);
		return -EOVERFLOW;
	}
	result->age_ns = now_ns() - frame->capture_ns;
	r = weir_back_event(back, WEIR_EVENT_RESULT, result, weir_result_bytes(result));
	if (r != -ETIMEDOUT)
		return r;
	host->lost++;
	return 0;
}

static int frame_back(struct weir_back *back, void *state, uint32_t input, const struct weir_frame *frame)
{
	struct host *host = state;
	struct weir_frame stamped = *frame;
	struct weir_result result = { .sequence = frame->sequence, .pts_ns = frame->pts_ns, .score = -1 };
	struct weir_picture picture;
	int r;

	if (stamped.capture_ns == 0)
		stamped.capture_ns = now_ns();
	memcpy(result.type, host->analyzer->name, strlen(host->analyzer->name));
	r = weir_picture_init(&picture, &host->format, frame);
	if (r < 0)
		return r;
	r = host->analyzer->frame(host->analyzer_state, &picture, &result);
	if (r > 0)
		r = emit(back, host, &stamped, &result);
	if (r == 0 && host->snapshots)
		snapshot_offer(&host->snapshot, &picture, &result);
	return r;
}

const struct weir_backend weir_backend = {
	.abi = WEIR_BACKEND_ABI,
	.name = "analyzer host",
	.state_bytes = sizeof(struct host),
	.enter = enter_back,
	.command = command_back,
	.frame = frame_back,
	.leave = leave_back,
};
