/* SPDX-License-Identifier: MIT */
/* Row 20: every call for a resource fails once in the frontend, the k-th for all k, and every fork in the zygote. Each
 * time there must be a clean error or, when what failed is done again, none; and nothing may be left. */
#include "../holdings.h"
#include "obedient.h"
#include "shm_kfail.h"
#include "stream_backends.h"

#include <sys/mman.h>
#include <sys/types.h>

#define PATIENCE_NS (10 * SECOND)

/* --- forks, in the zygote ---------------------------------------------------------------------------------------- */

static volatile int *forks_to_fail; /* shared with the zygote */

pid_t __real_fork(void);
pid_t __wrap_fork(void);
pid_t __wrap_fork(void)
{
	if (forks_to_fail != NULL && *forks_to_fail > 0 && --*forks_to_fail == 0) {
		errno = EAGAIN;
		return -1;
	}
	return __real_fork();
}

/* --- the operations ---------------------------------------------------------------------------------------------- */

static struct weir_frontend *frontend;

static void on_event(void *data, const struct weir_event *event)
{
}

static int start(struct weir_child **child, const char *backend, const char *args)
{
	return weir_child_add(frontend, child,
		&(struct weir_child_config){ .name = backend, .backend = backend, .args = args, .intensity = 64 });
}

static bool is_settled(const struct weir_child *child)
{
	enum weir_child_state state = weir_child_state(child);

	return state == WEIR_CHILD_RUNNING || state == WEIR_CHILD_FAILED;
}

/* 0: it works, perhaps at the second attempt; else an error that somebody was told. */
static int live(void)
{
	int64_t end_ns = now_ns() + PATIENCE_NS;
	struct weir_child *child;
	int r = start(&child, "obedient", NULL);

	if (r < 0)
		return r;
	while (!is_settled(child) && now_ns() < end_ns)
		weir_frontend_dispatch(frontend, end_ns);
	assert_true(is_settled(child));
	if (weir_child_state(child) == WEIR_CHILD_FAILED)
		return -ECHILD;
	return weir_child_call(child, ORDER_STATUS, NULL, 0, NULL, NULL, end_ns);
}

static int flow(void)
{
	static const struct weir_policy latest = { .mode = WEIR_POLICY_LATEST };
	struct weir_stream_config config = { .name = "s" };
	int64_t end_ns = now_ns() + PATIENCE_NS;
	struct weir_stream_stats stats = { 0 };
	struct weir_stream *stream;
	struct weir_child *reader;
	uint32_t input;
	int r = start(&config.writer, "source", "0 1000 0 0");

	if (r == 0)
		r = start(&reader, "sink", "eventfd");
	if (r == 0)
		r = weir_stream_create(frontend, &stream, &config);
	if (r == 0)
		r = weir_stream_add_reader(stream, reader, &latest, &input);
	if (r < 0)
		return r;
	while (stats.published < 3 && weir_stream_state(stream) != WEIR_STREAM_FAILED && now_ns() < end_ns) {
		weir_frontend_dispatch(frontend, now_ns() + SECOND / 100);
		weir_stream_stats(stream, &stats);
	}
	assert_true(now_ns() < end_ns);
	return weir_stream_state(stream) == WEIR_STREAM_FAILED ? -EPIPE : 0;
}

static int run(int (*operation)(void), long at, int forks)
{
	int r;

	calls = 0;
	failed = NULL;
	*forks_to_fail = forks;
	fails_at = at;
	r = weir_frontend_create(&frontend, &(struct weir_frontend_config){ .event = on_event });
	if (r == 0)
		r = operation();
	else
		assert_null(frontend);
	*forks_to_fail = 0;
	fails_at = 0;
	weir_frontend_free(&frontend);
	return r;
}

static void sweep(int (*operation)(void))
{
	struct holdings before;
	int refused = 0;
	long k;

	assert_int_equal(run(operation, 0, 0), 0);
	before = hold();
	for (k = 1; k == 1 || failed != NULL; k++) {
		char which[64];

		refused += run(operation, k, 0) < 0;
		snprintf(which, sizeof(which), "call %ld (%s) failed", k, failed != NULL ? failed : "none");
		assert_same(&before, which);
	}
	assert_true(k > 30);
	printf("# %ld calls failed, one at a time: %d times there was an error, else it worked\n", k - 2, refused);
	for (int i = 1; i <= 2; i++) {
		assert_int_equal(run(operation, 0, i), 0);
		assert_int_equal(count_children(), before.children);
	}
	assert_int_equal(run(operation, 0, 0), 0);
}

static void a_child_survives_the_failure_of_any_call(void **state)
{
	sweep(live);
}

static void a_stream_survives_the_failure_of_any_call(void **state)
{
	sweep(flow);
}

static int run_sweeps(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_survives_the_failure_of_any_call),
		cmocka_unit_test(a_stream_survives_the_failure_of_any_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	forks_to_fail = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return forks_to_fail == MAP_FAILED ? 1 : run_obedient(run_sweeps, stream_backends);
}
