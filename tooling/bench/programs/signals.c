/* Signals a program sends itself, and page faults it handles. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile long seen;
static char *page;

static void count(int number) { seen += number == SIGUSR1; }

static void open_page(int number, siginfo_t *info, void *context) {
  (void)number, (void)context;
  if (info->si_addr != page || mprotect(page, 4096, PROT_READ | PROT_WRITE)) _exit(1);
}

int main(int argc, char **argv) {
  long rounds = argc > 1 ? atol(argv[1]) : 1;
  struct sigaction usr = {.sa_handler = count}, segv = {.sa_sigaction = open_page, .sa_flags = SA_SIGINFO};
  page = mmap(0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED || sigaction(SIGUSR1, &usr, 0) || sigaction(SIGSEGV, &segv, 0)) return 1;
  for (long i = 0; i < rounds; i++) {
    kill(getpid(), SIGUSR1);
    if (i % 4 == 0) {
      page[0]++;
      if (mprotect(page, 4096, PROT_NONE)) return 1;
    }
  }
  printf("%ld\n", seen);
  return 0;
}
