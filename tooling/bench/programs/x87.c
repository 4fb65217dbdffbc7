/* The x87's loads, stores, arithmetic and transcendental functions, in the 80 bits that only it has. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static long double values[1024];

int main(int argc, char **argv) {
  long rounds = argc > 1 ? atol(argv[1]) : 1;
  for (int i = 0; i < 1024; i++) values[i] = 1.0L + i / 7.0L;
  long double sum = 0;
  for (long round = 0; round < rounds; round++) {
    for (int i = 1; i < 1024; i++) {
      values[i] = values[i - 1] * 0.5L + values[i] / 3.0L - 0.25L;
      sum += sqrtl(values[i] * values[i] + 1.0L);
    }
    if (round % 16 == 0) sum += sinl(sum) + atanl(sum);
  }
  printf("%.15Lg\n", sum);
  return 0;
}
