/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Runs a program with some system calls answered by an error, for it and all that it starts:
 *
 *	filtered docker PROGRAM…	as Docker's default profile answers without privileges
 *	filtered old PROGRAM…		as if the kernel had neither pidfds, nor close_range(), nor clone3() */

#define ANSWER(call, error)                                                                                            \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##call, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))

static struct sock_filter docker[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	ANSWER(clone3, ENOSYS),
	ANSWER(unshare, EPERM),
	ANSWER(setns, EPERM),
	ANSWER(mount, EPERM),
	ANSWER(io_uring_setup, EPERM),
	ANSWER(io_uring_enter, EPERM),
	ANSWER(io_uring_register, EPERM),
	ANSWER(userfaultfd, EPERM),
	ANSWER(perf_event_open, EPERM),
	ANSWER(bpf, EPERM),
	ANSWER(keyctl, EPERM),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

static struct sock_filter old[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	ANSWER(clone3, ENOSYS),
	ANSWER(unshare, EPERM),
	ANSWER(pidfd_open, ENOSYS),
	ANSWER(pidfd_send_signal, ENOSYS),
	ANSWER(pidfd_getfd, ENOSYS),
	ANSWER(close_range, ENOSYS),
	ANSWER(io_uring_setup, ENOSYS),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

int main(int argc, char **argv)
{
	struct sock_fprog program = { 0 };

	if (argc > 2 && strcmp(argv[1], "docker") == 0)
		program = (struct sock_fprog){ sizeof(docker) / sizeof(docker[0]), docker };
	else if (argc > 2 && strcmp(argv[1], "old") == 0)
		program = (struct sock_fprog){ sizeof(old) / sizeof(old[0]), old };
	else
		return 2;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) {
		perror("seccomp");
		return 1;
	}
	execv(argv[2], argv + 2);
	perror(argv[2]);
	return 127;
}
