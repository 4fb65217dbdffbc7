// What the two recorders share: numbers that come from a seed.
#include <stdint.h>

typedef uint64_t u64;

static u64 state;
static u64 rnd(void) {  // splitmix64
  u64 z = (state += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}
static int below(int n) { return (int)(rnd() % (u64)n); }

// Fractions with few ones at either end round in interesting ways.
static u64 fraction(int bits) {
  u64 v = rnd() >> (64 - bits), all = (1ull << bits) - 1;
  switch (below(8)) {
    case 0: return 0;
    case 1: return v & ~((1ull << below(bits)) - 1);
    case 2: return all ^ (v >> below(bits));
    case 3: return v >> below(bits);
    case 4: return all;
    default: return v;
  }
}
