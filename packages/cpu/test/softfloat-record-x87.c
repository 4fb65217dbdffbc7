// Records what the host processor's x87 instructions do, one line a case: the vectors in softfloat-x87.vectors.txt.
//   gcc -O2 -o record softfloat-record-x87.c && ./record 2002 2960 40 > softfloat-x87.vectors.txt      (seed, count, percent unmasked)
// Line: operation, control word, operands a and b and result r (80 bits each), status word & 0x473f, all hex. ST(0) is a; b is ST(1) or, for
// operations named *_32, *_64, *_i16, *_i32, ld*, ild* and bld, the memory operand. r is ST(0) or the stored bytes (over 0xcc bytes).
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "softfloat-record.h"

typedef uint8_t u8;
typedef uint16_t u16;

static u8 A[16] __attribute__((aligned(16))), B[16] __attribute__((aligned(16))), R[16] __attribute__((aligned(16)));
static u16 control, status;
static const u16 DEFAULT_CONTROL = 0x37f;

// FNSTSW and FNCLEX do not wait, so unmasked exceptions are read and dropped without ever being delivered.
#define RUN(name, before, text, after)                                                                         \
  static void run_##name(void) {                                                                               \
    __asm__ volatile("fninit; " before "; fldcw %3; " text "; fnstsw %4; fnclex; fldcw %5; " after "; fninit"  \
                     : "+m"(R)                                                                                 \
                     : "m"(A), "m"(B), "m"(control), "m"(status), "m"(DEFAULT_CONTROL)                         \
                     : "memory", "cc");                                                                        \
  }
#define ON_STACK(name, kind, text) RUN(name, "fldt %2; fldt %1", text, "fstpt %0")
#define UNDER_TOP(name, kind, text) RUN(name, "fldt %2; fldt %1", text, "fstp %%st(0); fstpt %0")
#define LOAD(name, kind, text) RUN(name, "fldz", text " %2", "fstpt %0")
#define STORE(name, kind, text) RUN(name, "fldt %1", text " %0", "fnop")

// The kind says what operands look like.
enum kind { ANY, MEM32, MEM64, MEMINT, INTEGRAL, TO32, TO64, BCD, SCALE, REMAINDER };
#define OPERATIONS(ON_STACK, UNDER_TOP, LOAD, STORE)                                                                     \
  ON_STACK(add, ANY, "fadd %%st(1),%%st") ON_STACK(sub, ANY, "fsub %%st(1),%%st") ON_STACK(mul, ANY, "fmul %%st(1),%%st") \
  ON_STACK(div, ANY, "fdiv %%st(1),%%st") ON_STACK(sqrt, ANY, "fsqrt")                                                   \
  ON_STACK(add_32, MEM32, "fadds %2") ON_STACK(mul_64, MEM64, "fmull %2") ON_STACK(div_64, MEM64, "fdivl %2")            \
  ON_STACK(subr_32, MEM32, "fsubrs %2") ON_STACK(divr_i32, MEMINT, "fidivrl %2") ON_STACK(mul_i16, MEMINT, "fimuls %2")  \
  ON_STACK(rndint, INTEGRAL, "frndint") ON_STACK(com, ANY, "fcom %%st(1)") ON_STACK(ucom, ANY, "fucom %%st(1)")          \
  ON_STACK(com_32, MEM32, "fcoms %2") ON_STACK(com_64, MEM64, "fcoml %2") ON_STACK(com_i32, MEMINT, "ficoml %2")         \
  LOAD(ld32, MEM32, "flds") LOAD(ld64, MEM64, "fldl")                                                                    \
  LOAD(ild16, MEMINT, "filds") LOAD(ild32, MEMINT, "fildl") LOAD(ild64, MEMINT, "fildll") LOAD(bld, BCD, "fbld")         \
  STORE(st32, TO32, "fsts") STORE(st64, TO64, "fstl")                                                                    \
  STORE(ist16, INTEGRAL, "fists") STORE(ist32, INTEGRAL, "fistl") STORE(ist64, INTEGRAL, "fistpll")                      \
  STORE(istt16, INTEGRAL, "fisttps") STORE(istt32, INTEGRAL, "fisttpl") STORE(istt64, INTEGRAL, "fisttpll")              \
  STORE(bst, INTEGRAL, "fbstp")                                                                                          \
  ON_STACK(scale, SCALE, "fscale") ON_STACK(significand, ANY, "fxtract") UNDER_TOP(exponent, ANY, "fxtract")             \
  ON_STACK(prem, REMAINDER, "fprem") ON_STACK(prem1, REMAINDER, "fprem1")

OPERATIONS(ON_STACK, UNDER_TOP, LOAD, STORE)
#define ROW(name, kind, text) {#name, kind, run_##name},
static const struct {
  const char *name;
  enum kind kind;
  void (*run)(void);
} operations[] = {OPERATIONS(ROW, ROW, ROW, ROW)};
enum { COUNT = sizeof operations / sizeof *operations };

static int clamp(int v, int top) { return v < 0 ? 0 : v > top ? top : v; }

static u64 narrow(int exp_bits, int frac_bits) {
  int bias = (1 << (exp_bits - 1)) - 1, top = 2 * bias + 1, e;
  u64 f = fraction(frac_bits);
  switch (below(10)) {
    case 0: e = 0; break;
    case 1: e = top; if (below(2)) f = 0; break;
    case 2: e = 0, f = 0; break;
    case 3: e = below(top + 1); break;
    default: e = bias + below(64) - 32;
  }
  return rnd() >> 63 << (exp_bits + frac_bits) | (u64)clamp(e, top) << frac_bits | f;
}

static void put(u8 *to, u64 significand, int exponent) {
  u16 se = (u16)(clamp(exponent, 0x7fff) | below(2) << 15);
  memcpy(to, &significand, 8);
  memcpy(to + 8, &se, 2);
}

static void put_integer(u8 *to, u64 value) {
  memset(to, 0, 16);
  memcpy(to, &value, 8);
}

static void extended(u8 *to, enum kind kind, int near) {
  const u64 top = 1ull << 63;
  u64 m = fraction(63) | top;
  int e;
  switch (below(8)) {  // halfway and next to it, at 24 and 53 bits
    case 0: m &= ~0ull << 39; break;
    case 1: m &= ~0ull << 10; break;
    case 2: m = (m & ~0ull << 40) | (u64)below(2) << 39 | (u64)below(2); break;
    case 3: m = (m & ~0ull << 11) | 1ull << 10 | (u64)below(2); break;
  }
  switch (below(16)) {
    case 0:
      switch (below(10)) {
        case 0: e = 0, m = 0; break;
        case 1: e = 0x7fff, m = top; break;
        case 2: e = 0x7fff, m |= 3ull << 62; break;
        case 3: e = 0x7fff, m = (m | 1) & ~(1ull << 62); break;
        case 4: e = 0x7fff, m &= ~top; break;
        case 5: e = 1 + below(0x7ffe), m &= ~top; break;
        case 6: e = 0; break;
        case 7: e = 0x3fff, m = top; break;
        case 8: e = 0x7ffe, m = ~0ull; break;
        default: e = 0, m = 1;
      }
      break;
    case 1: e = 0, m &= ~top; if (below(2)) m >>= below(63); break;
    case 2: e = below(70); break;
    case 3: e = 0x7ffe - below(70); break;
    case 4: e = 1 + below(0x7ffe); break;
    case 5: e = 0x3fff + below(70) - 3; break;
    case 6: e = 0x1fff + below(80) - 40; break;
    case 7: e = 0x5fff + below(80) - 40; break;
    default: e = near >= 0 ? near + below(9) - 4 : 0x3fff + below(64) - 16;
  }
  if (kind == INTEGRAL && below(4)) {  // around the integers and their halves
    int k = below(68) - 2;
    e = 0x3fff + k;
    if (k >= 0 && k < 63 && below(2)) m = (m & ~0ull << (62 - k)) | (u64)below(2);
    m |= top;
  } else if (kind == TO32 && below(3)) {
    e = 0x3fff + (below(3) ? (below(2) ? -126 - below(26) : 125 + below(5)) : below(20));
    m = (m & ~0ull << below(41)) | top;
  } else if (kind == TO64 && below(3)) {
    e = 0x3fff + (below(3) ? (below(2) ? -1022 - below(56) : 1021 + below(5)) : below(20));
    m = (m & ~0ull << below(12)) | top;
  }
  put(to, m, e);
}

static int exponent_of(const u8 *p) { return (p[8] | p[9] << 8) & 0x7fff; }

static void choose_operands(enum kind kind) {
  extended(A, kind, -1);
  extended(B, kind, below(2) ? exponent_of(A) : -1);
  switch (below(32)) {
    case 0: memcpy(B, A, 10); break;
    case 1: memcpy(B, A, 10), B[0] ^= 1; break;
    case 2: memcpy(B, A, 10), B[9] ^= 0x80; break;
    case 3: memcpy(B, A, 8); break;
    case 4: memcpy(B + 8, A + 8, 2); break;
  }
  u64 v;
  switch (kind) {
    case MEM32: put_integer(B, narrow(8, 23)); break;
    case MEM64: put_integer(B, narrow(11, 52)); break;
    case MEMINT:
      v = below(8) ? rnd() >> below(64) : 0;
      put_integer(B, below(2) ? v : -v);
      break;
    case BCD:
      for (int i = 0; i < 9; i++) B[i] = (u8)(below(10) | below(10) << 4);
      for (int i = below(10); i < 9; i++) B[i] = 0;
      B[9] = below(2) ? 0x80 : 0;
      break;
    case SCALE:
      if (below(4)) put(B, rnd() | 1ull << 63, 0x3fff + below(18));
      break;
    case REMAINDER:
      if (below(4)) put(B, rnd() | 1ull << 63, exponent_of(A) - below(130) + 3);
      break;
    default: break;
  }
}

static void print(const u8 *p) {
  putchar(' ');
  for (int i = 9; i >= 0; i--) printf("%02x", p[i]);
}

int main(int argc, char **argv) {
  if (argc != 4) return fprintf(stderr, "usage: %s SEED COUNT PERCENT_UNMASKED\n", argv[0]), 2;
  state = strtoull(argv[1], 0, 0);
  for (u64 i = 0, n = strtoull(argv[2], 0, 0); i < n; i++) {
    int op = (int)(i % COUNT);
    choose_operands(operations[op].kind);
    control = (u16)(0x7f | (below(2) ? below(4) << 10 : 0) | (below(3) ? below(4) : 3) << 8);
    if (below(100) < atoi(argv[3])) control &= (u16)(below(2) ? ~(rnd() & 0x3f) : ~(1 << below(6)));
    memset(R, 0xcc, sizeof R);
    operations[op].run();
    printf("%s %x", operations[op].name, control);
    print(A), print(B), print(R);
    printf(" %x\n", status & 0x473f);
  }
  return 0;
}
