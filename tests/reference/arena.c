/*
 * The limit of what the harness does to a kernel: the same calls from C.
 *
 *   arena name VMAS LENGTH               clock around one prctl() a VMA
 *   arena build VMAS                     clock around making the VMAs
 *   arena fork VMAS SETTLE REST WARMUPS REPETITIONS LENGTH...
 *                                        clock around each clone(), for each
 *                                        LENGTH in a process of its own; 0 is
 *                                        unnamed, SETTLE and REST are in ms
 *
 * One number a line. Layout, names and order of calls are those of
 * harness/worker/measure/arena.py, experiment.py and worker.py; what is done to one is
 * done to the other, or they cannot be compared.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

#define PAGE 4096L
#define REST_EVERY 512
#define LONGEST 79
#define LENGTHS 8

static void fail(const char *what)
{
	perror(what);
	exit(2);
}

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000L + t.tv_nsec;
}

static void rest(long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&t, NULL);
}

/* Where the first VMA begins; a guard page lies on each side. */
static char *build(long vmas, long rest_ms)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	long length = (vmas + 2) * PAGE;
	char *outer = mmap(NULL, length + 2 * PAGE, PROT_NONE, flags, -1, 0);
	char *first = outer + 2 * PAGE;

	if (outer == MAP_FAILED)
		fail("mmap");
	if (munmap(outer, PAGE) || munmap(outer + PAGE + length, PAGE))
		fail("munmap");
	if (mprotect(first, vmas * PAGE, PROT_READ | PROT_WRITE))
		fail("mprotect");
	for (long i = 1; i < vmas; i += 2) {
		if (mprotect(first + i * PAGE, PAGE, PROT_READ))
			fail("mprotect");
		if (rest_ms && i % REST_EVERY == 1)
			rest(rest_ms);
	}
	return first;
}

/* The number, its last digit first, in as many digits as it has; then dots. */
static void write_name(char *text, long index, long length)
{
	static const char digits[] =
		"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	long at = 0;

	memset(text, '.', length);
	text[length] = 0;
	do {
		text[at++] = digits[index % 62];
		index /= 62;
	} while (index && at < length);
}

static int64_t name(char *first, long vmas, long length)
{
	long stride = length + 1;
	char *pool = mmap(NULL, vmas * stride, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int64_t before, after;

	if (pool == MAP_FAILED)
		fail("mmap");
	for (long i = 0; i < vmas; i++)
		write_name(pool + i * stride, i, length);
	before = now();
	for (long i = 0; i < vmas; i++)
		if (prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, first + i * PAGE,
			  PAGE, pool + i * stride))
			fail("prctl");
	after = now();
	munmap(pool, vmas * stride);
	return after - before;
}

static void set_policy(int policy, int priority)
{
	struct sched_param param = { priority };

	if (sched_setscheduler(0, policy, &param))
		fail("sched_setscheduler");
}

static int64_t timed_fork(volatile int64_t *child_ran)
{
	int64_t before, after;
	long pid;

	set_policy(SCHED_FIFO | SCHED_RESET_ON_FORK, 1);
	now();
	before = now();
	pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	after = now();
	if (pid == 0) {
		*child_ran = now();
		_exit(0);
	}
	set_policy(SCHED_OTHER, 0);
	if (pid < 0)
		fail("clone");
	if (syscall(SYS_wait4, pid, NULL, 0, NULL) != pid)
		fail("wait4");
	if (*child_ran < after) {
		fputs("the child ran before fork returned\n", stderr);
		exit(2);
	}
	return after - before;
}

/* A cell of harness/worker/measure/worker.py: its process prints its forks and is gone. */
static void forks(const long *n, long length)
{
	long vmas = n[0], settle = n[1], warmups = n[3], repetitions = n[4];
	volatile int64_t *child_ran;
	char *first;
	int status;
	pid_t pid = fork();

	if (pid < 0)
		fail("fork");
	if (pid) {
		if (waitpid(pid, &status, 0) != pid || status)
			exit(2);
		return;
	}
	first = build(vmas, n[2]);
	child_ran = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (child_ran == MAP_FAILED)
		fail("mmap");
	*child_ran = 0;
	if (length)
		name(first, vmas, length);
	for (long i = 0; i < warmups + repetitions; i++) {
		int64_t took;

		rest(settle);
		took = timed_fork(child_ran);
		if (i >= warmups)
			printf("%ld\n", (long)took);
	}
	fflush(stdout);
	_exit(0);
}

static void pin(void)
{
	cpu_set_t set;
	int cpu = 0;

	if (sched_getaffinity(0, sizeof(set), &set))
		fail("sched_getaffinity");
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		fail("sched_setaffinity");
}

int main(int argc, char **argv)
{
	long n[LENGTHS + 5] = { 0 };
	const char *what = argc > 2 ? argv[1] : "";

	for (int i = 2; i < argc && i < LENGTHS + 7; i++)
		n[i - 2] = atol(argv[i]);
	for (int i = strcmp(what, "name") ? 7 : 3; i < argc; i++)
		if (i >= LENGTHS + 7 || n[i - 2] < 0 || n[i - 2] > LONGEST)
			n[0] = 0;
	if (n[0] < 1) {
		fputs("arena name|build|fork VMAS ...\n", stderr);
		return 2;
	}
	pin();
	if (!strcmp(what, "build")) {
		int64_t before = now();

		build(n[0], 0);
		printf("%ld\n", (long)(now() - before));
	} else if (!strcmp(what, "name")) {
		printf("%ld\n", (long)name(build(n[0], 0), n[0], n[1]));
	} else if (!strcmp(what, "fork")) {
		for (int i = 7; i < argc && i < LENGTHS + 7; i++)
			forks(n, n[i - 2]);
	} else {
		return 2;
	}
	return 0;
}
