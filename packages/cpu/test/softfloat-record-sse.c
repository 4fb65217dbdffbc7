// Records what the host processor's SSE floating-point instructions do, one line a case: the vectors in softfloat-sse.vectors.txt.
//   gcc -O2 -msse4.1 -o record softfloat-record-sse.c && ./record 1001 2592 40 > softfloat-sse.vectors.txt
// Line: operation, MXCSR (hex), operands a and b and result r (hex, 64 bits, or 128 for packed p_* operations), MXCSR flags raised (hex),
// and the word "fault" if #XM was raised (r is then meaningless). A comparison's r is EFLAGS & (ZF | PF | CF).
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "softfloat-record.h"

typedef uint32_t u32;

static u64 A[2] __attribute__((aligned(16))), B[2] __attribute__((aligned(16))), R[2] __attribute__((aligned(16)));
static u32 mxcsr, mxcsr_after;
static const u32 DEFAULT_MXCSR = 0x1f80;
static sigjmp_buf resume;

static void on_fpe(int sig, siginfo_t *info, void *context) {
  (void)sig, (void)info;
  mxcsr_after = *(u32 *)((char *)((ucontext_t *)context)->uc_mcontext.fpregs + 24);
  siglongjmp(resume, 1);
}

#define RUN(name, text)                                                                                                   \
  static void run_##name(void) {                                                                                          \
    __asm__ volatile("movaps %1,%%xmm0; movaps %2,%%xmm1; movq %1,%%rax; ldmxcsr %3; " text "; stmxcsr %4; ldmxcsr %5"    \
                     : "=m"(R)                                                                                            \
                     : "m"(A), "m"(B), "m"(mxcsr), "m"(mxcsr_after), "m"(DEFAULT_MXCSR)                                   \
                     : "rax", "xmm0", "xmm1", "memory", "cc");                                                            \
  }
#define BINARY(name, kind, text) RUN(name, text " %%xmm1,%%xmm0; movaps %%xmm0,%0")
#define UNARY(name, kind, text) RUN(name, text " %%xmm0,%%xmm0; movaps %%xmm0,%0")
#define FROM_INT(name, kind, text) RUN(name, text ",%%xmm0; movaps %%xmm0,%0")
#define TO_INT(name, kind, text) RUN(name, text "; movq %%rax,%0; movq $0,8+%0")
#define TO_FLAGS(name, kind, text) RUN(name, text " %%xmm1,%%xmm0; lahf; movzbl %%ah,%%eax; andl $0x45,%%eax; movq %%rax,%0; movq $0,8+%0")

// The kind says what operands look like.
enum kind { F32, F64, ROUND_F32, ROUND_F64, INTEGER };
#define OPERATIONS(BINARY, UNARY, FROM_INT, TO_INT, TO_FLAGS)                                                              \
  BINARY(add32, F32, "addss") BINARY(sub32, F32, "subss") BINARY(mul32, F32, "mulss") BINARY(div32, F32, "divss")          \
  BINARY(min32, F32, "minss") BINARY(max32, F32, "maxss") UNARY(sqrt32, F32, "sqrtss")                                     \
  BINARY(add64, F64, "addsd") BINARY(sub64, F64, "subsd") BINARY(mul64, F64, "mulsd") BINARY(div64, F64, "divsd")          \
  BINARY(min64, F64, "minsd") BINARY(max64, F64, "maxsd") UNARY(sqrt64, F64, "sqrtsd")                                     \
  UNARY(f32ToF64, F32, "cvtss2sd") UNARY(f64ToF32, F64, "cvtsd2ss")                                                        \
  TO_FLAGS(ucom32, F32, "ucomiss") TO_FLAGS(com32, F32, "comiss")                                                          \
  TO_FLAGS(ucom64, F64, "ucomisd") TO_FLAGS(com64, F64, "comisd")                                                          \
  BINARY(cmp32_0, F32, "cmpss $0,") BINARY(cmp32_1, F32, "cmpss $1,") BINARY(cmp32_2, F32, "cmpss $2,")                    \
  BINARY(cmp32_3, F32, "cmpss $3,") BINARY(cmp32_4, F32, "cmpss $4,") BINARY(cmp32_5, F32, "cmpss $5,")                    \
  BINARY(cmp32_6, F32, "cmpss $6,") BINARY(cmp32_7, F32, "cmpss $7,")                                                      \
  BINARY(cmp64_0, F64, "cmpsd $0,") BINARY(cmp64_1, F64, "cmpsd $1,") BINARY(cmp64_2, F64, "cmpsd $2,")                    \
  BINARY(cmp64_3, F64, "cmpsd $3,") BINARY(cmp64_4, F64, "cmpsd $4,") BINARY(cmp64_5, F64, "cmpsd $5,")                    \
  BINARY(cmp64_6, F64, "cmpsd $6,") BINARY(cmp64_7, F64, "cmpsd $7,")                                                      \
  FROM_INT(i32ToF32, INTEGER, "cvtsi2ssl %%eax") FROM_INT(i64ToF32, INTEGER, "cvtsi2ssq %%rax")                            \
  FROM_INT(i32ToF64, INTEGER, "cvtsi2sdl %%eax") FROM_INT(i64ToF64, INTEGER, "cvtsi2sdq %%rax")                            \
  TO_INT(f32ToI32, ROUND_F32, "cvtss2si %%xmm0,%%eax") TO_INT(f32ToI32t, ROUND_F32, "cvttss2si %%xmm0,%%eax")              \
  TO_INT(f32ToI64, ROUND_F32, "cvtss2si %%xmm0,%%rax") TO_INT(f32ToI64t, ROUND_F32, "cvttss2si %%xmm0,%%rax")              \
  TO_INT(f64ToI32, ROUND_F64, "cvtsd2si %%xmm0,%%eax") TO_INT(f64ToI32t, ROUND_F64, "cvttsd2si %%xmm0,%%eax")              \
  TO_INT(f64ToI64, ROUND_F64, "cvtsd2si %%xmm0,%%rax") TO_INT(f64ToI64t, ROUND_F64, "cvttsd2si %%xmm0,%%rax")              \
  UNARY(round32_0, ROUND_F32, "roundss $0,") UNARY(round32_1, ROUND_F32, "roundss $1,")                                    \
  UNARY(round32_2, ROUND_F32, "roundss $2,") UNARY(round32_3, ROUND_F32, "roundss $3,")                                    \
  UNARY(round32_4, ROUND_F32, "roundss $4,") UNARY(round32_9, ROUND_F32, "roundss $9,")                                    \
  UNARY(round32_12, ROUND_F32, "roundss $12,")                                                                             \
  UNARY(round64_0, ROUND_F64, "roundsd $0,") UNARY(round64_1, ROUND_F64, "roundsd $1,")                                    \
  UNARY(round64_2, ROUND_F64, "roundsd $2,") UNARY(round64_3, ROUND_F64, "roundsd $3,")                                    \
  UNARY(round64_4, ROUND_F64, "roundsd $4,") UNARY(round64_9, ROUND_F64, "roundsd $9,")                                    \
  UNARY(round64_12, ROUND_F64, "roundsd $12,")                                                                             \
  BINARY(p_add32, F32, "addps") BINARY(p_mul32, F32, "mulps") BINARY(p_div32, F32, "divps") UNARY(p_sqrt32, F32, "sqrtps") \
  BINARY(p_max32, F32, "maxps") BINARY(p_cmp32_1, F32, "cmpps $1,") BINARY(p_add64, F64, "addpd")                          \
  BINARY(p_div64, F64, "divpd") UNARY(p_f32ToI32, ROUND_F32, "cvtps2dq") UNARY(p_round32_4, ROUND_F32, "roundps $4,")

OPERATIONS(BINARY, UNARY, FROM_INT, TO_INT, TO_FLAGS)
#define ROW(name, kind, text) {#name, kind, run_##name},
static const struct {
  const char *name;
  enum kind kind;
  void (*run)(void);
} operations[] = {OPERATIONS(ROW, ROW, ROW, ROW, ROW)};
enum { COUNT = sizeof operations / sizeof *operations };

static u64 number(int exp_bits, int frac_bits, int integral, int near) {
  int bias = (1 << (exp_bits - 1)) - 1, top = 2 * bias + 1, e;
  u64 f = fraction(frac_bits), quiet = 1ull << (frac_bits - 1);
  switch (below(16)) {
    case 0:
      switch (below(8)) {
        case 0: e = 0, f = 0; break;
        case 1: e = top, f = 0; break;
        case 2: e = top, f |= quiet; break;
        case 3: e = top, f = (f | 1) & ~quiet; break;
        case 4: e = bias, f = 0; break;
        case 5: e = top - 1, f = 2 * quiet - 1; break;
        case 6: e = 1, f = 0; break;
        default: e = 0, f = 1;
      }
      break;
    case 1: e = 0; break;
    case 2: e = below(frac_bits + 3); break;
    case 3: e = top - 1 - below(frac_bits + 3); break;
    case 4: case 5: e = below(top); break;
    case 6: case 7: e = bias + below(70) - 3; break;
    case 8: e = bias / 2 + below(60) - 30; break;
    case 9: e = bias + bias / 2 + below(60) - 30; break;
    default: e = near >= 0 ? near + below(9) - 4 : bias + below(64) - 16;
  }
  if (integral && below(4)) {  // around the integers and their halves
    int k = below(68) - 2;
    e = bias + k;
    if (k >= 0 && k < frac_bits && below(2)) f = (f & ~((1ull << (frac_bits - k - 1)) - 1)) | (u64)below(2);
  }
  e = e < 0 ? 0 : e > top ? top : e;
  return rnd() >> 63 << (exp_bits + frac_bits) | (u64)e << frac_bits | f;
}

static u64 word(enum kind kind, u64 near) {
  if (kind == F64 || kind == ROUND_F64) return number(11, 52, kind == ROUND_F64, near ? (int)(near >> 52 & 0x7ff) : -1);
  if (kind == INTEGER) {
    u64 v = rnd() >> below(64);
    if (below(2)) v &= ~0ull << below(64);
    return below(2) ? v : -v;
  }
  u64 low = number(8, 23, kind == ROUND_F32, near ? (int)(near >> 23 & 0xff) : -1);
  return low | number(8, 23, kind == ROUND_F32, near ? (int)(near >> 55 & 0xff) : -1) << 32;
}

static void print(const u64 *v, int packed) {
  if (packed) printf(" %016llx%016llx", (unsigned long long)v[1], (unsigned long long)v[0]);
  else printf(" %llx", (unsigned long long)v[0]);
}

int main(int argc, char **argv) {
  if (argc != 4) return fprintf(stderr, "usage: %s SEED COUNT PERCENT_UNMASKED\n", argv[0]), 2;
  state = strtoull(argv[1], 0, 0);
  struct sigaction action = {.sa_sigaction = on_fpe, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGFPE, &action, 0);
  for (volatile u64 i = 0, n = strtoull(argv[2], 0, 0); i < n; i++) {
    int op = (int)(i % COUNT), packed = !strncmp(operations[op].name, "p_", 2);
    enum kind kind = operations[op].kind;
    int related = below(2);
    for (int j = 0; j < 2; j++) {
      A[j] = word(kind, 0);
      B[j] = word(kind, related ? A[j] : 0);
      switch (below(32)) {
        case 0: B[j] = A[j]; break;
        case 1: B[j] = A[j] ^ 1; break;
        case 2: B[j] = A[j] ^ 1ull << 63; break;
      }
    }
    mxcsr = DEFAULT_MXCSR | (below(2) ? (u32)below(4) << 13 : 0) | (below(4) ? 0 : 0x8000) | (below(4) ? 0 : 0x40);
    if (below(100) < atoi(argv[3])) mxcsr &= below(2) ? ~(u32)(rnd() & 0x1f80) : ~(0x80u << below(6));
    memcpy(R, A, sizeof R);
    int fault = sigsetjmp(resume, 0);
    if (fault) __asm__ volatile("ldmxcsr %0" ::"m"(DEFAULT_MXCSR));
    else operations[op].run();
    printf("%s %x", operations[op].name, mxcsr);
    print(A, packed), print(B, packed), print(R, packed);
    printf(" %x%s\n", mxcsr_after & 0x3f, fault ? " fault" : "");
  }
  return 0;
}
