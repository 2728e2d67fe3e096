/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <gst/gst.h>
#include <weir/backend.h>

extern const struct weir_backend weir_backend;

static int count_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	int count = 0;

	for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

/* Preloads in a child, as GStreamer can be initialised once only. Returns bits: 1 preload failed, 2 there are threads,
 * 4 no decoder is loaded. */
static int preload_in_child(const char *registry)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		setenv("GST_REGISTRY", registry, 1);
		status = weir_backend.preload() < 0 ? 1 : 0;
		status |= count_threads() > 1 ? 2 : 0;
		status |= gst_is_initialized() && gst_registry_find_plugin(gst_registry_get(), "playback") != NULL &&
					  gst_plugin_is_loaded(gst_registry_find_plugin(gst_registry_get(), "playback"))
				  ? 0
				  : 4;
		_exit(status);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void plugins_are_loaded_without_a_thread_even_where_there_is_no_registry(void **state)
{
	char dir[] = "/tmp/weir-registry-XXXXXX", path[64];

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/registry.bin", dir);
	assert_int_equal(preload_in_child(path), 0);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(preload_in_child(path), 0);
	remove(path);
	remove(dir);
}

static void no_thread_is_left_where_no_registry_can_be_written(void **state)
{
	assert_int_equal(preload_in_child("/proc/none/registry.bin") & 2, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plugins_are_loaded_without_a_thread_even_where_there_is_no_registry),
		cmocka_unit_test(no_thread_is_left_where_no_registry_can_be_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
