/* Code that writes code: an immediate of a function that is called at once, on a page that is being executed from, as small JITs do. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* mov eax, imm32; add eax, edi; ret */
static const uint8_t code[] = {0xb8, 0, 0, 0, 0, 0x01, 0xf8, 0xc3};
#define FUNCTIONS 16
#define STEP 128

int main(int argc, char **argv) {
  uint32_t rounds = argc > 1 ? atol(argv[1]) : 1;
  uint8_t *page = mmap(0, FUNCTIONS * STEP, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return 1;
  for (int i = 0; i < FUNCTIONS; i++) memcpy(page + i * STEP, code, sizeof code);
  uint32_t sum = 0;
  for (uint32_t round = 0; round < rounds; round++) {
    uint8_t *function = page + round % FUNCTIONS * STEP;
    memcpy(function + 1, &round, 4);
    for (int i = 0; i < 8; i++) sum = ((uint32_t(*)(uint32_t))(uintptr_t)function)(sum);
  }
  printf("%u\n", sum);
  return 0;
}
