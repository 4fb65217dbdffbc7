/*
 * reads THREADS READS [syscall]: each thread, on a processor of its own, reads CLOCK_MONOTONIC, and looks whether that is before what any thread has read
 * until then. Prints how often it was. With "syscall" it asks the kernel each time.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Atomic uint64_t latest, backwards;
static uint64_t reads;
static int by_syscall;

static uint64_t now(void)
{
	struct timespec t;
	if (by_syscall) syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
	else clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void *reader(void *number)
{
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET((size_t)number, &one);
	if (sched_setaffinity(0, sizeof one, &one)) perror("sched_setaffinity");
	for (uint64_t k = 0; k < reads; k++) {
		uint64_t before = atomic_load(&latest), t = now();
		if (t < before) backwards++;
		while (t > before && !atomic_compare_exchange_weak(&latest, &before, t)) {}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc < 3) return 2;
	size_t threads = strtoul(argv[1], NULL, 10);
	pthread_t thread[64];
	by_syscall = argc > 3 && !strcmp(argv[3], "syscall");
	reads = strtoull(argv[2], NULL, 10) / threads;
	for (size_t k = 0; k < threads; k++)
		if (pthread_create(&thread[k], NULL, reader, (void *)k)) return 3;
	for (size_t k = 0; k < threads; k++) pthread_join(thread[k], NULL);
	printf("%lu reads, %lu backwards\n", reads * threads, backwards);
	return 0;
}
