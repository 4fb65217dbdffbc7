/* clock_gettime, through the vDSO where the clock allows it. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv) {
  long rounds = argc > 1 ? atol(argv[1]) : 1;
  long backwards = 0;
  struct timespec last = {0, 0}, now;
  for (long i = 0; i < rounds; i++) {
    if (clock_gettime(CLOCK_MONOTONIC, &now)) return 1;
    if (now.tv_sec < last.tv_sec || (now.tv_sec == last.tv_sec && now.tv_nsec < last.tv_nsec)) backwards++;
    last = now;
  }
  printf("%ld backwards\n", backwards);
  return 0;
}
