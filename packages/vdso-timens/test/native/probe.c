/*
 * Reads every clock through libc between two system calls, a thousand times in a row: probe MONOTONIC BOOTTIME COARSE, nanoseconds that what is between
 * them must be more than the kernel's. Prints a line for each clock, "ok" or what was wrong. Who copies the kernel's pages may be late by more than a
 * rounding: such a row is tried again.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NSEC 1000000000LL
#define TICK (20 * 1000000LL)
#define ROW 1000
#define ROWS 5000

static long long ns(const struct timespec *t) { return t->tv_sec * NSEC + t->tv_nsec; }

static long long kernel(int clock)
{
	struct timespec t;
	if (syscall(SYS_clock_gettime, clock, &t)) return -1;
	return ns(&t);
}

static long long libc(int clock)
{
	struct timespec t;
	if (clock_gettime(clock, &t)) return -1;
	return ns(&t);
}

static long long tod(int clock)
{
	struct timeval t;
	(void)clock;
	if (gettimeofday(&t, NULL)) return -1;
	return t.tv_sec * NSEC + t.tv_usec * 1000LL;
}

static long long seconds(int clock)
{
	(void)clock;
	return time(NULL) * NSEC;
}

static void check(const char *name, long long (*read)(int), int clock, long long offset, long long slack)
{
	long long before = 0, here = 0, after = 0;
	for (int row = 0; row < ROWS; row++) {
		int k = 0;
		for (; k < ROW; k++) {
			before = kernel(clock), here = read(clock) - offset, after = kernel(clock);
			if (here < before - slack || here > after) break;
		}
		if (k == ROW) {
			printf("%s ok\n", name);
			return;
		}
		sched_yield();
	}
	printf("%s %lld before, %lld, %lld after\n", name, before, here, after);
}

int main(int argc, char **argv)
{
	long long monotonic = argc > 1 ? atoll(argv[1]) : 0, boottime = argc > 2 ? atoll(argv[2]) : 0;
	check("realtime", libc, CLOCK_REALTIME, 0, 0);
	check("monotonic", libc, CLOCK_MONOTONIC, monotonic, 0);
	check("raw", libc, CLOCK_MONOTONIC_RAW, monotonic, 0);
	check("boottime", libc, CLOCK_BOOTTIME, boottime, 0);
	check("tai", libc, CLOCK_TAI, 0, 0);
	check("realtime coarse", libc, CLOCK_REALTIME_COARSE, 0, TICK);
	check("monotonic coarse", libc, CLOCK_MONOTONIC_COARSE, argc > 3 ? atoll(argv[3]) : monotonic, TICK);
	check("gettimeofday", tod, CLOCK_REALTIME, 0, 1000);
	check("time", seconds, CLOCK_REALTIME, 0, NSEC + TICK);
	for (int clock = 2; clock < 4; clock++) check(clock == 2 ? "process" : "thread", libc, clock, 0, 0);
	struct timespec fine, coarse, bad;
	clock_getres(CLOCK_MONOTONIC, &fine);
	clock_getres(CLOCK_MONOTONIC_COARSE, &coarse);
	printf("resolution %lld %lld %d %d\n", ns(&fine), ns(&coarse), clock_getres(CLOCK_REALTIME, NULL), clock_getres(99, &bad));
	unsigned here = 0, node = 0, there = 0;
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(sysconf(_SC_NPROCESSORS_ONLN) - 1, &one);
	sched_setaffinity(0, sizeof one, &one);
#ifdef __GLIBC__
	getcpu(&here, &node);
#else
	here = (unsigned)sched_getcpu();
#endif
	syscall(SYS_getcpu, &there, &node, NULL);
	printf("cpu %s\n", here == there ? "ok" : "wrong");
	printf("bad clock %d\n", clock_gettime(99, &bad));
	return 0;
}
