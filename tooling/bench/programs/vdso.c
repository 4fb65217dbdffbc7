/*
 * vdso PLAIN LAST TIMENS LAST PAGES FUNCTION CALLS: nanoseconds of a call of clock_gettime through two images with their pages, in front of which stand PAGES
 * bytes and whose function is at FUNCTION, and by a system call; the median of rounds in which they take turns. As the owner of such pages does, each
 * round begins by setting the counter from which they go on, which is at LAST. Prints three numbers.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { ROUNDS = 9 };
typedef int (*gettime)(clockid_t, struct timespec *);

static gettime load(const char *path, long pages, long function, uint64_t **last)
{
	int fd = open(path, O_RDONLY);
	void *at = mmap(NULL, pages + 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE, fd, 0);
	if (fd < 0 || at == MAP_FAILED) {
		perror(path);
		exit(1);
	}
	*last = (uint64_t *)((char *)at + (uintptr_t)*last);
	return (gettime)((char *)at + pages + function);
}

static int by_syscall(clockid_t clock, struct timespec *t) { return (int)syscall(SYS_clock_gettime, clock, t); }

static double measure(gettime f, uint64_t *last, long calls)
{
	*last = __builtin_ia32_rdtsc();
	struct timespec from, to, t;
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (long k = 0; k < calls; k++)
		if (f(CLOCK_MONOTONIC, &t)) exit(2);
	clock_gettime(CLOCK_MONOTONIC, &to);
	return ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) / (double)calls;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	if (argc != 8) return 3;
	long pages = atol(argv[5]), function = atol(argv[6]), calls = atol(argv[7]);
	uint64_t unused, *last[] = { (uint64_t *)atol(argv[2]), (uint64_t *)atol(argv[4]), &unused };
	gettime way[] = { load(argv[1], pages, function, &last[0]), load(argv[3], pages, function, &last[1]), by_syscall };
	double times[3][ROUNDS];
	/* Once for nothing: code is made for what is hot. */
	for (int k = 0; k < 3; k++) measure(way[k], last[k], calls);
	for (int round = 0; round < ROUNDS; round++)
		for (int k = 0; k < 3; k++) times[k][round] = measure(way[k], last[k], k == 2 ? calls / 10 : calls);
	for (int k = 0; k < 3; k++) {
		qsort(times[k], ROUNDS, sizeof(double), compare);
		printf("%.1f ", times[k][ROUNDS / 2]);
	}
	putchar('\n');
	return 0;
}
