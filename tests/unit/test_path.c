/* SPDX-License-Identifier: MIT */
#include "socket_fixture.h"

#include <sys/file.h>
#include <sys/stat.h>

static void a_stale_path_is_taken_over_and_a_live_one_names_its_owner(void **state)
{
	struct weir_server_config server_config = { .path = path };
	struct weir_server *server, *second;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat st;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), owner = 0;

	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd); /* as a killed server leaves it */
	assert_int_equal(weir_server_create(&server, &server_config, &owner), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(weir_server_create(&second, &server_config, &owner), -EADDRINUSE);
	assert_int_equal(owner, getpid());

	/* What is not ours any more is not removed. */
	assert_int_equal(unlink(path), 0);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	weir_server_free(&server);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(weir_server_create(&server, &server_config, NULL), -EADDRINUSE); /* a file, not a socket */
	owner = 77;
	assert_int_equal(weir_server_create(&server, &server_config, &owner), -EADDRINUSE);
	assert_int_equal(owner, 0); /* nobody knows */
	assert_int_equal(unlink(path), 0);

	server_config.path = "@weir-test-abstract";
	assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
	assert_int_equal(weir_server_create(&second, &server_config, &owner), -EADDRINUSE);
	assert_int_equal(owner, getpid());
	weir_server_free(&server);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0); /* bound, but nobody listens */
	memcpy(address.sun_path, "\0weir-test-abstract", sizeof("@weir-test-abstract") - 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&address,
				 offsetof(struct sockaddr_un, sun_path) + sizeof("@weir-test-abstract") - 1),
		0);
	owner = 77;
	assert_int_equal(weir_server_create(&second, &server_config, &owner), -EADDRINUSE);
	assert_int_equal(owner, 0);
	close(fd);
	server_config.path = "/nonexistent-folder/ring";
	assert_int_equal(weir_server_create(&server, &server_config, NULL), -ENOENT);
	server_config.path = "";
	assert_int_equal(weir_server_create(&server, &server_config, NULL), -EINVAL);
}

static struct sockaddr_un address_of(const char *where)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strcpy(address.sun_path, where);
	return address;
}

/* What listens need not be a server of ours, nor have time for us, nor do we have to know who it is. */
static void whoever_listens_there_keeps_the_path(void **state)
{
	struct weir_server_config server_config = { .path = path };
	struct sockaddr_un address = address_of(path);
	struct weir_server *server;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), full, client[8];

	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(weir_server_create(&server, &server_config, NULL), -EADDRINUSE);
	close(fd);
	unlink(path);

	full = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(full, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(full, 0), 0);
	for (int i = 0; i < 8; i++) {
		client[i] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (connect(client[i], (struct sockaddr *)&address, sizeof(address)) < 0)
			assert_int_equal(errno, EAGAIN);
	}
	assert_int_equal(weir_server_create(&server, &server_config, NULL), -EADDRINUSE);
	for (int i = 0; i < 8; i++)
		close(client[i]);
	close(full);
	unlink(path);

	server_config.path = "@weir-test-abstract";
	assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
	assert_int_equal(weir_server_create(&(struct weir_server *){ NULL }, &server_config, NULL), -EADDRINUSE);
	weir_server_free(&server);
}

static void another_that_is_starting_is_waited_for_but_not_for_ever(void **state)
{
	struct weir_server_config server_config = { .path = path, .mode = 0640 };
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int64_t start_ns = fixture_now_ns();
	struct weir_server *server;
	struct stat st;
	pid_t pid;

	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(weir_server_create(&server, &server_config, NULL), -ETIMEDOUT);
	assert_in_range(fixture_now_ns() - start_ns, 500000000, INT64_C(20000000000));
	close(fd);
	pid = fork();
	if (pid == 0) {
		fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (flock(fd, LOCK_EX) < 0)
			_exit(1);
		kill(getpid(), SIGSTOP);
		poll(NULL, 0, 100);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, NULL, WUNTRACED), pid);
	kill(pid, SIGCONT);
	assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
	assert_int_equal(result_of(pid), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	weir_server_free(&server);
}

/* As somebody who may look into the folder, but change nothing. */
static int create_as_nobody(const char *where)
{
	struct weir_server_config server_config = { .path = where };
	struct weir_server *server;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
			_exit(99);
		_exit(-weir_server_create(&server, &server_config, NULL));
	}
	return result_of(pid);
}

static void what_may_not_be_looked_at_or_removed_stays(void **state)
{
	struct sockaddr_un address;
	char inner[64], where[80];
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(inner, sizeof(inner), "%s/inner", folder);
	snprintf(where, sizeof(where), "%s/ring", inner);
	address = address_of(where);
	assert_int_equal(mkdir(inner, 0755), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	assert_int_equal(chmod(inner, 0555), 0);
	assert_int_equal(chmod(folder, 0755), 0);
	assert_int_equal(chmod(where, 0000), 0);
	assert_int_equal(create_as_nobody(where), -EACCES); /* it may be alive */
	assert_int_equal(chmod(where, 0777), 0);
	assert_int_equal(create_as_nobody(where), -EACCES); /* it is not, but stays */
	assert_int_equal(chmod(inner, 0755), 0);
	assert_int_equal(unlink(where), 0);
	assert_int_equal(rmdir(inner), 0);
}

static void only_our_own_socket_file_is_removed(void **state)
{
	struct weir_server_config server_config = { .path = path };
	struct sockaddr_un address = address_of(path);
	struct weir_server *server;
	struct stat st;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
	assert_int_equal(unlink(path), 0);
	weir_server_free(&server); /* nothing is there */
	assert_int_equal(weir_server_create(&server, &server_config, NULL), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	weir_server_free(&server); /* another's */
	assert_int_equal(stat(path, &st), 0);
	close(fd);
	assert_int_equal(unlink(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stale_path_is_taken_over_and_a_live_one_names_its_owner),
		cmocka_unit_test(whoever_listens_there_keeps_the_path),
		cmocka_unit_test(another_that_is_starting_is_waited_for_but_not_for_ever),
		cmocka_unit_test(what_may_not_be_looked_at_or_removed_stays),
		cmocka_unit_test(only_our_own_socket_file_is_removed),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
