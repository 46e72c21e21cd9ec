/*
 * Stands before a program of its own name in PATH, runs it, and appends how long it
 * ran, in ns, to $BENCH_TIMES: "NAME NS". The program is found in $BENCH_PATH.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv)
{
	const char *times = getenv("BENCH_TIMES"), *path = getenv("BENCH_PATH");
	const char *name = strrchr(argv[0], '/');
	long long began = now();
	int status, fd;
	pid_t pid;

	(void)argc;
	name = name ? name + 1 : argv[0];
	if (!times || !path)
		return 127;
	pid = fork();
	if (pid == 0) {
		setenv("PATH", path, 1);
		execvp(name, argv);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 126;
	fd = open(times, O_WRONLY | O_APPEND | O_CREAT, 0644);
	if (fd < 0 || dprintf(fd, "%s %lld\n", name, now() - began) < 0)
		return 125;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
