/* SPDX-License-Identifier: MIT */
#include "../seccomp.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Runs a program with some system calls answered by an error, for it and all that it starts:
 *
 *	filtered docker PROGRAM…	as Docker's default profile answers without privileges
 *	filtered old PROGRAM…		as if the kernel had neither pidfds, nor close_range(), nor clone3() */

static struct sock_filter docker[] = {
	FILTER_CALL,
	FILTER_ANSWER(clone3, ENOSYS),
	FILTER_ANSWER(unshare, EPERM),
	FILTER_ANSWER(setns, EPERM),
	FILTER_ANSWER(mount, EPERM),
	FILTER_ANSWER(io_uring_setup, EPERM),
	FILTER_ANSWER(io_uring_enter, EPERM),
	FILTER_ANSWER(io_uring_register, EPERM),
	FILTER_ANSWER(userfaultfd, EPERM),
	FILTER_ANSWER(perf_event_open, EPERM),
	FILTER_ANSWER(bpf, EPERM),
	FILTER_ANSWER(keyctl, EPERM),
	FILTER_ALLOW,
};

static struct sock_filter old[] = {
	FILTER_CALL,
	FILTER_ANSWER(clone3, ENOSYS),
	FILTER_ANSWER(unshare, EPERM),
	FILTER_ANSWER(pidfd_open, ENOSYS),
	FILTER_ANSWER(pidfd_send_signal, ENOSYS),
	FILTER_ANSWER(pidfd_getfd, ENOSYS),
	FILTER_ANSWER(close_range, ENOSYS),
	FILTER_ANSWER(io_uring_setup, ENOSYS),
	FILTER_ALLOW,
};

int main(int argc, char **argv)
{
	int r;

	if (argc > 2 && strcmp(argv[1], "docker") == 0)
		r = FILTER(docker);
	else if (argc > 2 && strcmp(argv[1], "old") == 0)
		r = FILTER(old);
	else
		return 2;
	if (r < 0) {
		fprintf(stderr, "seccomp: %s\n", strerror(-r));
		return 1;
	}
	execv(argv[2], argv + 2);
	perror(argv[2]);
	return 127;
}
