/* Is unwound from a signal within the vDSO, by the unwinder of the compiler: prints the functions it finds. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static void handler(int sig)
{
	void *frames[32];
	int n = backtrace(frames, 32);
	(void)sig;
	for (int k = 0; k < n; k++) {
		Dl_info info;
		if (dladdr((char *)frames[k] - (k > 0), &info) && info.dli_sname) printf("%s\n", info.dli_sname);
	}
	fflush(stdout);
	_exit(0);
}

int asks(long nowhere);
int calls(long nowhere);
__attribute__((noinline)) int asks(long nowhere) { return clock_gettime(CLOCK_MONOTONIC, (struct timespec *)nowhere) + 1; }
__attribute__((noinline)) int calls(long nowhere) { return asks(nowhere) + 1; }

int main(void)
{
	signal(SIGSEGV, handler);
	return calls(8);
}
