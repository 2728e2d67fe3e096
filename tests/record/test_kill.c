/* SPDX-License-Identifier: MIT */
/* The recorder, and the whole tree of processes, killed while writes are on their way and slots are reused. Long form:
 * tests/record/throttled, or --kills N --seed S --directory DIR. */
#include "process.h"

#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <weir/record.h>

#include "kill_backends.h"
#include "recording.h"

#define FILES_MAX 4096

static unsigned kills = 6, seed = 1;
static char directory[PATH_MAX], remover[PATH_MAX + 16];
static char name[FILES_MAX][256];

/* --- files ---------------------------------------------------------------------------------------------------------
 */

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static size_t list_files(void)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	size_t count = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		if (strstr(entry->d_name, ".mkv") != NULL && count < FILES_MAX)
			strcpy(name[count++], entry->d_name);
	closedir(dir);
	qsort(name, count, sizeof(name[0]), by_name);
	return count;
}

/* Every frame that is committed is its own: its number in its time and in each of its words. */
static uint64_t check_file(const char *file)
{
	struct recording recording;
	char path[PATH_MAX + 256];
	uint64_t frames = 0, last = 0;
	uint8_t *bytes;

	snprintf(path, sizeof(path), "%s/%s", directory, file);
	assert_int_equal(recording_open(&recording, AT_FDCWD, path), 0);
	bytes = malloc(recording.frame_bytes);
	for (size_t i = 0; i < recording.count; i++) {
		const struct recording_cluster *cluster = &recording.cluster[i];

		for (uint32_t j = 0; j < cluster->frames; j++) {
			struct weir_frame frame;
			off_t offset = (off_t)(cluster->offset + MATROSKA_PAGE + j * recording.frame_bytes);
			uint64_t number;

			assert_int_equal(
				pread(recording.fd, bytes, recording.frame_bytes, offset), recording.frame_bytes);
			assert_int_equal(parse_frame_page(&frame, bytes, recording.format.payload_bytes, 0), 0);
			number = (uint64_t)(frame.pts_ns / KILL_STEP);
			if (!kill_is_filled(bytes + MATROSKA_PAGE, recording.format.payload_bytes, number))
				fail_msg("%s: frame %llu is not its own", file, (unsigned long long)number);
			assert_true(number > last);
			last = number;
			frames++;
		}
	}
	free(bytes);
	recording_close(&recording);
	return frames;
}

static void assert_plays(const char *file, uint64_t frames)
{
	char command[PATH_MAX + 512];
	unsigned long long count = 0;
	char text[512] = "";
	FILE *pipe;

	snprintf(command, sizeof(command),
		"ffprobe -v error -count_packets -show_entries stream=nb_read_packets -of csv=p=0 %s/%s 2>/dev/null",
		directory, file);
	pipe = popen(command, "r");
	assert_non_null(pipe);
	text[fread(text, 1, sizeof(text) - 1, pipe)] = '\0';
	pclose(pipe);
	if (sscanf(text, "%llu", &count) != 1 || count < frames)
		fail_msg("%s: %llu of %llu frames play: %s", file, count, (unsigned long long)frames, text);
}

/* --- the scene -----------------------------------------------------------------------------------------------------
 */

struct scene {
	struct fixture *fixture;
	struct weir_child *pump, *checker, *recorder;
	struct weir_stream *stream;
};

static void begin(struct scene *scene, struct fixture *fixture)
{
	static const struct weir_policy all = { .mode = WEIR_POLICY_LOSSLESS, .depth = 4, .stall_ns = 60 * SECOND };
	static const struct weir_policy some = {
		.mode = WEIR_POLICY_DROP_OLDEST, .depth = 8, .max_held = 8, .async_io = 1
	};
	char args[PATH_MAX + 256];
	uint32_t input;

	snprintf(args, sizeof(args),
		"{\"directory\":\"%s\",\"name\":\"cam\",\"floor_mb\":0,\"segment_mb\":64,\"quota_mb\":1500}",
		directory);
	scene->fixture = fixture;
	scene->pump = fixture_add(fixture, (struct weir_child_config){ .backend = "pump" });
	scene->checker = fixture_add(fixture, (struct weir_child_config){ .backend = "checker" });
	scene->recorder = fixture_add(fixture, (struct weir_child_config){ .name = "recorder",
						       .backend = "record/recorder",
						       .args = args,
						       .intensity = 64,
						       .period_ns = SECOND / 10,
						       .stop_ns = 30 * SECOND });
	assert_int_equal(weir_stream_create(fixture->frontend, &scene->stream,
				 &(struct weir_stream_config){ .name = "pump", .writer = scene->pump }),
		0);
	assert_int_equal(weir_stream_add_reader(scene->stream, scene->checker, &all, &input), 0);
	assert_int_equal(weir_stream_add_reader(scene->stream, scene->recorder, &some, &input), 0);
}

static struct weir_record_status ask(struct scene *scene)
{
	struct weir_record_status status = { 0 };
	size_t size = sizeof(status);

	/* It may just have been killed. */
	(void)weir_child_call(
		scene->recorder, WEIR_COMMAND_RECORD_STATUS, NULL, 0, &status, &size, now_ns() + PATIENCE_S * SECOND);
	return status;
}

struct life {
	uint64_t committed; /* as its recorder told shortly before its end */
	char until[256];    /* names from here on are of its successors */
};

/* A name that a file of this moment would have. */
static void name_now(char text[256])
{
	struct timespec now;
	struct tm utc;
	size_t used;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	used = strftime(text, 256, "cam-%Y%m%dT%H%M%S", &utc);
	snprintf(text + used, 256 - used, ".%06ldZ.mkv", now.tv_nsec / 1000);
}

static void recorder_that_is_killed_leaves_nothing_foreign_and_loses_only_its_tail(void **state)
{
	struct life *life = calloc(kills, sizeof(*life));
	struct weir_stream_stats stream;
	struct weir_reader_stats stats;
	uint64_t count[2], committed = 0;
	size_t size = sizeof(count), files, file = 0, playing = 0;
	struct scene scene;

	begin(&scene, *state);
	for (unsigned i = 0; i < kills; i++) {
		struct weir_record_status status;

		fixture_await(scene.fixture, scene.recorder, WEIR_CHILD_RUNNING);
		do {
			fixture_run(scene.fixture, rand_r(&seed) % 100 * (SECOND / 1000));
			status = ask(&scene);
		} while (status.committed == 0);
		life[i].committed = status.committed;
		committed += status.committed;
		fixture_run(scene.fixture, rand_r(&seed) % 30 * (SECOND / 1000));
		kill(weir_child_pid(scene.recorder), SIGKILL);
		UNTIL(scene.fixture, weir_child_state(scene.recorder) != WEIR_CHILD_RUNNING);
		name_now(life[i].until);
	}
	fixture_await(scene.fixture, scene.recorder, WEIR_CHILD_RUNNING);
	weir_child_stop(scene.recorder);
	fixture_await(scene.fixture, scene.recorder, WEIR_CHILD_DONE);

	assert_int_equal(weir_child_call(scene.checker, ORDER_WRONG, NULL, 0, count, &size, now_ns() + SECOND), 0);
	assert_int_equal(count[1], 0);
	assert_int_equal(weir_stream_reader_stats(scene.stream, scene.checker, &stats), 0);
	assert_int_equal(stats.overtaken + stats.missed + stats.skipped, 0);
	/* A ring of which the dead recorder held slots was left for another one. */
	weir_stream_stats(scene.stream, &stream);
	assert_in_range(stream.generations, 2, kills + 1);
	weir_child_stop(scene.pump);
	fixture_await(scene.fixture, scene.pump, WEIR_CHILD_DONE);

	files = list_files();
	for (unsigned i = 0; i < kills; i++) {
		uint64_t frames = 0;

		for (; file < files && strcmp(name[file], life[i].until) < 0; file++) {
			uint64_t here = check_file(name[file]);

			if (playing++ % 8 == 0)
				assert_plays(name[file], here);
			frames += here;
		}
		/* The quota may have taken the oldest files of a long run. */
		if (frames < life[i].committed && kills <= 10)
			fail_msg("life %u: %llu frames, %llu were committed", i, (unsigned long long)frames,
				(unsigned long long)life[i].committed);
	}
	for (; file < files; file++)
		check_file(name[file]);
	printf("# %u kills, %llu frames told to be committed, %llu passed the other reader, %zu files left\n", kills,
		(unsigned long long)committed, (unsigned long long)count[0], files);
	free(life);
}

/* As with a debugger, or a laptop that sleeps: its writes go on, then so does it. */
static void recorder_that_is_stopped_for_a_while_goes_on(void **state)
{
	struct weir_record_status before, after;
	struct weir_reader_stats stats;
	uint64_t count[2], frames = 0;
	size_t size = sizeof(count), files;
	struct scene scene;

	begin(&scene, *state);
	fixture_await(scene.fixture, scene.recorder, WEIR_CHILD_RUNNING);
	for (int i = 0; i < 3; i++) {
		UNTIL(scene.fixture, (before = ask(&scene)).committed > 0);
		kill(weir_child_pid(scene.recorder), SIGSTOP);
		fixture_run(scene.fixture, SECOND / 2);
		kill(weir_child_pid(scene.recorder), SIGCONT);
		UNTIL(scene.fixture, (after = ask(&scene)).committed > before.committed);
		assert_true(after.overtaken > before.overtaken);
	}
	weir_child_stop(scene.recorder);
	fixture_await(scene.fixture, scene.recorder, WEIR_CHILD_DONE);
	assert_int_equal(weir_child_call(scene.checker, ORDER_WRONG, NULL, 0, count, &size, now_ns() + SECOND), 0);
	assert_int_equal(count[1], 0);
	assert_int_equal(weir_stream_reader_stats(scene.stream, scene.checker, &stats), 0);
	assert_int_equal(stats.overtaken + stats.missed + stats.skipped, 0);
	files = list_files();
	for (size_t i = 0; i < files; i++)
		frames += check_file(name[i]);
	assert_true(frames >= after.committed);
}

/* --- the whole tree ------------------------------------------------------------------------------------------------
 */

static char *own_path;

/* In a process of its own. */
static int run_tree(void)
{
	void *state;
	struct scene scene;

	if (fixture_setup(&state) < 0)
		return 1;
	begin(&scene, state);
	fixture_run(state, 60 * SECOND);
	return 0;
}

static void tree_that_is_killed_leaves_files_that_play(void **state)
{
	const unsigned times = kills < 10 ? 1 : kills / 5;
	uint64_t frames = 0;
	size_t files;

	for (unsigned i = 0; i < times; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			execl(own_path, own_path, "--tree", "--directory", directory, NULL);
			_exit(127);
		}
		usleep(400000 + (unsigned)rand_r(&seed) % 400000);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
	}
	usleep(300000); /* the children die of the death of their parent */
	files = list_files();
	for (size_t i = 0; i < files; i++) {
		uint64_t here = check_file(name[i]);

		frames += here;
		if (here > 0)
			assert_plays(name[i], here);
	}
	assert_true(frames > 0);
}

/* --- */

static int make_directory(void **state)
{
	if (directory[0] != '/' && (getcwd(directory, sizeof(directory) - 32) == NULL ||
					   strcat(directory, "/kill-XXXXXX") == NULL || mkdtemp(directory) == NULL))
		return -1;
	return 0;
}

static int remove_directory(void **state)
{
	snprintf(remover, sizeof(remover), "rm -rf %s/cam*", directory);
	if (system(remover) != 0)
		return -1;
	if (rmdir(directory) == 0)
		directory[0] = '\0';
	return 0;
}

static int setup(void **state)
{
	return make_directory(state) < 0 ? -1 : fixture_setup(state);
}

static int teardown(void **state)
{
	fixture_teardown(state);
	return remove_directory(state);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "kills", required_argument, NULL, 'k' },
		{ "seed", required_argument, NULL, 's' },
		{ "directory", required_argument, NULL, 'd' },
		{ "tree", no_argument, NULL, 't' },
		{ 0 },
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			recorder_that_is_killed_leaves_nothing_foreign_and_loses_only_its_tail, setup, teardown),
		cmocka_unit_test_setup_teardown(recorder_that_is_stopped_for_a_while_goes_on, setup, teardown),
		cmocka_unit_test_setup_teardown(
			tree_that_is_killed_leaves_files_that_play, make_directory, remove_directory),
	};
	bool tree = false;
	int which;

	if (weir_init(&(struct weir_init_config){ .backends = kill_backends }) < 0)
		return 1;
	own_path = argv[0];
	while ((which = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (which == 'k')
			kills = (unsigned)atoi(optarg);
		else if (which == 's')
			seed = (unsigned)atoi(optarg);
		else if (which == 'd')
			snprintf(directory, sizeof(directory), "%s", optarg);
		else if (which == 't')
			tree = true;
		else
			return 2;
	}
	if (tree)
		return run_tree();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
