/*
 * Executes instructions on the processor this runs on, from a complete state derived from a seed, and writes the state it leaves.
 *
 *   cc -O2 -static -fno-stack-protector -fcf-protection=none -mno-avx -o recorder recorder.c
 *   recorder < cases > vectors.jsonl
 *
 * One case is one `struct request`; one line of output is one vector (packages/cpu/tools/replay/vector.ts).
 *
 * How: `raise(SIGUSR1)`; the handler overwrites its own signal frame with the state of the first case and returns into it. The case ends
 * with a signal, whose handler finds the state in its frame, writes it down and returns into the next case: no fork, no ptrace, one
 * signal a case. A single instruction is ended by the trap flag; a block runs freely to the INT3 behind it.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <cpuid.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

/* The two pages of a case. Their neighbours are unmapped. */
#define CODE 0x10000000ull
#define CODE_OFFSET 0x800
#define DATA 0x20000000ull
#define PAGE 0x1000
/* The part of the data page that is seeded; the rest is zero. */
#define SEEDED 0x600
#define SEEDED_BYTES 0x400
#define FS_BASE (DATA + 0x400)
#define GS_BASE (DATA + 0x800)

#define MAX_CODE 128
#define MAX_OVERRIDES 32
#define MAX_STEPS 4096

#define TF 0x100ull
#define RF 0x10000ull
/* Flags a case may choose: CF PF AF ZF SF DF OF. */
#define CASE_FLAGS 0xcd5ull

/* A descriptor. Attributes are its bits 40-55, shifted down by 40; 0: there is none. */
struct segment {
  u32 base, limit, attributes;
};
enum { ES, CS, SS, DS, FS, GS };
/* Local descriptors of a case: by number those of the segment registers (without one the register is flat), then others to be loaded. */
#define DESCRIPTORS 16

struct request {
  u64 seed;
  u32 id;
  u8 length;        /* bytes of code */
  u8 instructions;  /* 1: single-stepped; more: a block */
  u8 overrides;
  u8 mode;          /* bits of code: 64; 32 or 16 in compatibility mode */
  u8 what[MAX_OVERRIDES];
  u64 value[MAX_OVERRIDES];
  struct segment segments[DESCRIPTORS];
  u8 code[MAX_CODE];
};

/* Values of `what`; below 16 a general register. */
enum { FLAGS = 16, QWORD_800 = 17, BLANK = 18, MEMORY = 32 };
/* Bits of the value of BLANK: general registers from 0, XMM registers from 16, x87 registers (from the top) from 32, then these. */
enum { BLANK_FLAGS = 40, BLANK_MXCSR = 41, BLANK_X87 = 42, BLANK_MEMORY = 48 };

struct state {
  u64 gpr[16];
  u64 rip, flags;
  u16 selectors[6];
  u32 mxcsr;
  u16 fcw, fsw;
  u8 ftw;
  u8 st[8][10]; /* from the top of the stack */
  u8 xmm[16][16];
  u8 memory[PAGE];
};

static struct request *requests;
static u32 count, current, steps;
static int started;
static struct state before;
static ucontext_t home;
static u8 home_fpu[16384];
static u32 home_fpu_bytes;
static u64 host_fs;
static int have_fsgsbase;

/* Initial state: a function of the seed */

static u64 splitmix(u64 *x) {
  u64 z = (*x += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

static const u64 SPECIAL[16] = {
    0,          1,           2,           0x7f,        0x80,        0xff,        0x7fff, 0x8000, 0xffff,
    0x7fffffff, 0x80000000u, 0xffffffffu, ~0ull >> 1, 1ull << 63, ~0ull,       0x5555555555555555ull};
static const u64 SPECIAL_F64[16] = {
    0,
    0x8000000000000000ull,
    0x3ff0000000000000ull,
    0xbff0000000000000ull,
    0x7ff0000000000000ull,
    0xfff0000000000000ull,
    0x7ff8000000000000ull,
    0x7ff4000000000001ull,
    1,
    0x000fffffffffffffull,
    0x0010000000000000ull,
    0x7fefffffffffffffull,
    0x41dfffffffc00000ull,
    0x43e0000000000000ull,
    0x3fe0000000000000ull,
    0xc1e0000000000000ull,
};
static const u32 SPECIAL_F32[16] = {0,           0x80000000u, 0x3f800000u, 0xbf800000u, 0x7f800000u, 0xff800000u,
                                    0x7fc00000u, 0x7fa00001u, 1,           0x007fffffu, 0x00800000u, 0x7f7fffffu,
                                    0x4effffffu, 0x5f000000u, 0x3f000000u, 0xcf000000u};

static u64 draw_integer(u64 *x) {
  u64 a = splitmix(x);
  if (a >> 62 == 0) return SPECIAL[(a >> 32) & 15];
  if (a >> 62 == 1) return (a >> 8) & 0xff;
  return splitmix(x);
}

static u32 draw_float(u64 *x) {
  u64 b = splitmix(x);
  if (b >> 60 < 6) return SPECIAL_F32[b & 15];
  return (u32)(b & 0x807fffffu) | (u32)((0x78 + ((b >> 32) & 0xf)) << 23);
}

/* Eight bytes: raw bits, a double or two floats. */
static u64 draw_lane(u64 *x, int kind) {
  u64 a = splitmix(x);
  if (kind == 0) return a;
  if (kind == 1) {
    if (a >> 60 < 6) return SPECIAL_F64[a & 15];
    return (splitmix(x) & 0x800fffffffffffffull) | ((0x3f0ull + ((a >> 8) & 0x1f)) << 52);
  }
  u64 low = draw_float(x);
  return low | (u64)draw_float(x) << 32;
}

static void draw_x87(u64 *x, u8 *to) {
  u64 a = splitmix(x), significand = splitmix(x);
  u16 exponent = 0;
  switch (a & 7) {
    case 0: significand = 0; break;
    case 1: significand = 1ull << 63; exponent = 0x7fff; break;
    case 2: significand = 3ull << 62 | significand >> 2; exponent = 0x7fff; break;
    case 3: significand = 1ull << 63; exponent = 0x3fff; break;
    case 4: significand >>= 1; break;
    default: significand |= 1ull << 63; exponent = (u16)(0x3fff - 16 + ((a >> 8) & 31));
  }
  if (a >> 63) exponent |= 0x8000;
  memcpy(to, &significand, 8);
  memcpy(to + 8, &exponent, 2);
}

static void blank(struct state *s, u64 mask) {
  for (int k = 0; k < 16; k++) {
    if (mask >> k & 1 && k != 4) s->gpr[k] = 0;
    if (mask >> (16 + k) & 1) memset(s->xmm[k], 0, 16);
    if (mask >> (BLANK_MEMORY + k) & 1) memset(s->memory + SEEDED + 64 * k, 0, 64);
  }
  for (int k = 0; k < 8; k++)
    if (mask >> (32 + k) & 1) memset(s->st[k], 0, 10);
  if (mask >> BLANK_FLAGS & 1) s->flags = 0x202;
  if (mask >> BLANK_MXCSR & 1) s->mxcsr = 0x1f80;
  if (mask >> BLANK_X87 & 1) s->fcw = 0x37f, s->fsw = 0, s->ftw = 0xff;
}

/* `blank` comes first, whatever the order. */
static void override(struct state *s, u8 what, u64 value) {
  if (what < 16) s->gpr[what] = value;
  else if (what == FLAGS) s->flags = (value & CASE_FLAGS) | 0x202;
  else if (what == QWORD_800) memcpy(s->memory + 0x800, &value, 8);
  else if (what >= MEMORY && what < MEMORY + SEEDED_BYTES / 8) memcpy(s->memory + SEEDED + 8 * (what - MEMORY), &value, 8);
}

static u16 selector_of(const struct request *r, int segment);

static void initial_state(const struct request *r, struct state *s) {
  u64 x = r->seed;
  memset(s, 0, sizeof *s);
  for (int k = 0; k < 16; k++) s->gpr[k] = draw_integer(&x);
  s->gpr[4] = DATA + 0x800;
  u64 f = splitmix(&x);
  s->flags = 0x202 | (f & 0x8d5) | ((f >> 20 & 7) == 0 ? 0x400 : 0);
  u64 m = splitmix(&x);
  s->mxcsr = 0x1f80 | (u32)((m & 3) << 13) | ((m >> 8 & 7) == 0 ? 0x8000 : 0) | ((m >> 16 & 7) == 0 ? 0x40 : 0);
  if ((m >> 24 & 15) == 0) s->mxcsr &= ~(0x80u << (m >> 32) % 6);
  u64 c = splitmix(&x);
  s->fcw = 0x37f;
  if ((c & 3) == 0) {
    u64 precision = c >> 16 & 3;
    s->fcw = (u16)(0x7f | (c >> 8 & 3) << 10 | (precision == 1 ? 3 : precision) << 8);
  }
  s->fsw = (u16)((c >> 24 & 7) << 11);
  s->ftw = (c >> 32 & 3) == 0 ? (u8)(c >> 40) : 0xff;
  for (int k = 0; k < 8; k++) draw_x87(&x, s->st[k]);
  for (int k = 0; k < 8; k++) draw_integer(&x); /* mask registers */
  for (int k = 0; k < 32; k++) {                /* vector registers of 64 bytes */
    int kind = (int)(splitmix(&x) % 3);
    for (int lane = 0; lane < 8; lane++) {
      u64 value = draw_lane(&x, kind);
      if (k < 16 && lane < 2) memcpy(s->xmm[k] + 8 * lane, &value, 8);
    }
  }
  int kind = (int)(splitmix(&x) % 3);
  for (int at = 0; at < SEEDED_BYTES; at += 8) {
    u64 value = draw_lane(&x, kind);
    memcpy(s->memory + SEEDED + at, &value, 8);
  }
  for (int k = 0; k < r->overrides; k++)
    if (r->what[k] == BLANK) blank(s, r->value[k]);
  for (int k = 0; k < r->overrides; k++) override(s, r->what[k], r->value[k]);
  if (r->mode != 64) {
    for (int k = 0; k < 8; k++) s->gpr[k] = (u32)s->gpr[k];
    for (int k = 8; k < 16; k++) s->gpr[k] = 0;
    for (int k = 8; k < 16; k++) memset(s->xmm[k], 0, 16);
  }
  for (int k = 0; k < 6; k++) s->selectors[k] = selector_of(r, k);
  s->rip = CODE + CODE_OFFSET - r->segments[CS].base;
}

/* Signal frames */

static const int GREG[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                             REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
/* Selectors of Linux: code of 64 and of 32 bits, data. */
enum { CS_64 = 0x33, CS_32 = 0x23, DS_USER = 0x2b };

static int has_xsave(const u8 *fpu) { return *(const u32 *)(fpu + 464) == 0x46505853u; }

static u16 selector_of(const struct request *r, int segment) {
  if (r->segments[segment].attributes) return (u16)(segment << 3 | 7);
  return segment == CS ? (r->mode == 64 ? CS_64 : CS_32) : segment < FS ? DS_USER : 0;
}

static void describe(u32 number, const struct segment *s) {
  int pages = s->attributes >> 15 & 1;
  struct user_desc d = {.entry_number = number, .read_exec_only = 1, .seg_not_present = 1};
  if (s->attributes) {
    d.base_addr = s->base;
    d.limit = pages ? s->limit >> 12 : s->limit;
    d.seg_32bit = s->attributes >> 14 & 1;
    d.contents = s->attributes >> 2 & 3;
    d.read_exec_only = !(s->attributes >> 1 & 1);
    d.limit_in_pages = pages & 1;
    d.seg_not_present = !(s->attributes >> 7 & 1);
    d.useable = s->attributes >> 12 & 1;
  }
  if (syscall(SYS_modify_ldt, 0x11, &d, sizeof d) != 0) {
    fprintf(stderr, "the kernel refuses local descriptors\n");
    _exit(3);
  }
}

static void describe_segments(const struct request *r) {
  static struct segment known[DESCRIPTORS];
  static int begun;
  for (u32 k = DESCRIPTORS; k-- > 0;) {
    const struct segment *s = &r->segments[k];
    if (s->attributes && !begun) {
      /* The table gets its size, whatever cases come. */
      struct segment any = {0, 0xfff, 0xf3};
      describe(DESCRIPTORS - 1, &any);
      known[DESCRIPTORS - 1] = any;
      begun = 1;
      k = DESCRIPTORS;
      continue;
    }
    if (!memcmp(s, &known[k], sizeof *s)) continue;
    describe(k, s);
    known[k] = *s;
  }
}

static void put_state(ucontext_t *u, const struct state *s, const struct request *r) {
  greg_t *g = u->uc_mcontext.gregs;
  for (int k = 0; k < 16; k++) g[GREG[k]] = (greg_t)s->gpr[k];
  g[REG_RIP] = (greg_t)s->rip;
  g[REG_EFL] = (greg_t)(s->flags | (r->instructions == 1 ? TF : 0));
  g[REG_CSGSFS] = (greg_t)(s->selectors[CS] | (u64)s->selectors[SS] << 48);
  u8 *fpu = (u8 *)u->uc_mcontext.fpregs;
  memset(fpu, 0, 24);
  memcpy(fpu, &s->fcw, 2);
  memcpy(fpu + 2, &s->fsw, 2);
  fpu[4] = s->ftw;
  memcpy(fpu + 24, &s->mxcsr, 4);
  for (int k = 0; k < 8; k++) {
    memset(fpu + 32 + 16 * k, 0, 16);
    memcpy(fpu + 32 + 16 * k, s->st[k], 10);
  }
  for (int k = 0; k < 16; k++) memcpy(fpu + 160 + 16 * k, s->xmm[k], 16);
  /* x87 and SSE are there; every further component is in its initial state. */
  if (has_xsave(fpu)) *(u64 *)(fpu + 512) = 3;
}

/* Those the frame does not hold. */
static u16 found_selectors[6];

static void get_state(const ucontext_t *u, const struct request *r, struct state *s) {
  const greg_t *g = u->uc_mcontext.gregs;
  for (int k = 0; k < 16; k++) s->gpr[k] = (u64)g[GREG[k]];
  /* Entering a 16-bit stack IRET leaves the upper half of RSP as it is: then it is the kernel's, which no such code can read. */
  if (r->mode != 64) s->gpr[4] = (u32)s->gpr[4];
  s->rip = (u64)g[REG_RIP];
  s->flags = (u64)g[REG_EFL] & ~(TF | RF);
  memcpy(s->selectors, found_selectors, sizeof s->selectors);
  s->selectors[CS] = (u16)g[REG_CSGSFS];
  s->selectors[SS] = (u16)((u64)g[REG_CSGSFS] >> 48);
  const u8 *fpu = (const u8 *)u->uc_mcontext.fpregs;
  u64 present = has_xsave(fpu) ? *(const u64 *)(fpu + 512) : 3;
  memset(s->st, 0, sizeof s->st);
  memset(s->xmm, 0, sizeof s->xmm);
  s->fcw = 0x37f, s->fsw = 0, s->ftw = 0;
  if (present & 1) {
    memcpy(&s->fcw, fpu, 2);
    memcpy(&s->fsw, fpu + 2, 2);
    s->ftw = fpu[4];
    for (int k = 0; k < 8; k++) memcpy(s->st[k], fpu + 32 + 16 * k, 10);
  }
  memcpy(&s->mxcsr, fpu + 24, 4);
  if (present & 2)
    for (int k = 0; k < 16; k++) memcpy(s->xmm[k], fpu + 160 + 16 * k, 16);
  memcpy(s->memory, (void *)DATA, PAGE);
}

/* Output: what changed */

static int listed;
static void put_hex(const u8 *bytes, int n) {
  for (int k = 0; k < n; k++) printf("%02x", bytes[k]);
}
static void open_list(void) { listed = 0; }
static void put_entry(const char *name, const char *key_format, int key, const u8 *bytes, int n) {
  if (listed++) printf(",");
  else printf(",\"%s\":{", name);
  printf("\"");
  printf(key_format, key);
  printf("\":\"");
  put_hex(bytes, n);
  printf("\"");
}
static void close_list(void) {
  if (listed) printf("}");
}

static void write_vector(const struct request *r, int exception, u64 error, u64 cr2, const struct state *s) {
  printf("{\"i\":%u,\"s\":\"%llx\",\"c\":\"", r->id, (unsigned long long)r->seed);
  put_hex(r->code, r->length);
  printf("\"");
  if (r->instructions > 1) printf(",\"b\":%u", r->instructions);
  if (r->mode != 64) printf(",\"mode\":%u", r->mode);
  int segments = 0;
  for (int k = 0; k < DESCRIPTORS; k++)
    if (r->segments[k].attributes) {
      const struct segment *g = &r->segments[k];
      printf("%s\"%d\":\"%x %x %x\"", segments++ ? "," : ",\"sg\":{", k, g->base, g->limit, g->attributes);
    }
  if (segments) printf("}");
  for (int k = 0; k < r->overrides; k++)
    printf("%s\"%u\":\"%llx\"%s", k ? "," : ",\"o\":{", r->what[k], (unsigned long long)r->value[k], k == r->overrides - 1 ? "}" : "");
  if (exception >= 0) {
    printf(",\"x\":[%d,%llu", exception, (unsigned long long)error);
    if (exception == 14) printf(",\"%llx\"", (unsigned long long)cr2);
    printf("]");
  }
  if (s->rip != before.rip + r->length) printf(",\"ip\":%lld", (long long)(s->rip - before.rip));
  open_list();
  for (int k = 0; k < 16; k++)
    if (s->gpr[k] != before.gpr[k])
      printf("%s\"%d\":\"%llx\"", listed++ ? "," : ",\"g\":{", k, (unsigned long long)s->gpr[k]);
  close_list();
  open_list();
  for (int k = 0; k < 6; k++)
    if (s->selectors[k] != before.selectors[k])
      printf("%s\"%d\":\"%x\"", listed++ ? "," : ",\"sl\":{", k, s->selectors[k]);
  close_list();
  if (s->flags != before.flags) printf(",\"f\":%llu", (unsigned long long)s->flags);
  open_list();
  for (int k = 0; k < 16; k++)
    if (memcmp(s->xmm[k], before.xmm[k], 16)) put_entry("z", "%d", k, s->xmm[k], 16);
  close_list();
  if (s->mxcsr != before.mxcsr) printf(",\"mx\":%u", s->mxcsr);
  if (s->fcw != before.fcw) printf(",\"fcw\":%u", s->fcw);
  if (s->fsw != before.fsw) printf(",\"fsw\":%u", s->fsw);
  if (s->ftw != before.ftw) printf(",\"ftw\":%u", s->ftw);
  open_list();
  for (int physical = 0; physical < 8; physical++) {
    const u8 *old = before.st[(physical - (before.fsw >> 11)) & 7], *new = s->st[(physical - (s->fsw >> 11)) & 7];
    if (memcmp(old, new, 10)) put_entry("st", "%d", physical, new, 10);
  }
  close_list();
  open_list();
  for (int at = 0; at < PAGE; at++) {
    int end = at;
    while (end < PAGE && end - at < 64 && s->memory[end] != before.memory[end]) end++;
    if (end > at) put_entry("m", "%x", at, s->memory + at, end - at), at = end - 1;
  }
  close_list();
  if (steps > 0) printf(",\"n\":%u", steps + 1);
  printf("}\n");
}

/* Running */

/* A repeated string instruction traps after each iteration. */
static int is_repeated_string(const struct request *r) {
  int repeated = 0;
  for (int k = 0; k < r->length; k++) {
    u8 c = r->code[k];
    if (c == 0xf2 || c == 0xf3) repeated = 1;
    else if (c == 0x66 || c == 0x67 || c == 0x2e || c == 0x36 || c == 0x3e || c == 0x26 || c == 0x64 || c == 0x65) continue;
    else if (r->mode == 64 && (c & 0xf0) == 0x40) continue;
    else return repeated && ((c >= 0xa4 && c <= 0xa7) || (c >= 0xaa && c <= 0xaf) || (c >= 0x6c && c <= 0x6f));
  }
  return 0;
}

static void finish_case(int signal, ucontext_t *u) {
  const struct request *r = &requests[current];
  int exception = (int)u->uc_mcontext.gregs[REG_TRAPNO];
  u64 error = (u64)u->uc_mcontext.gregs[REG_ERR];
  struct state after;
  get_state(u, r, &after);
  if (signal == SIGTRAP && exception != 3 && exception != 4) exception = 1, error = 0;
  if (r->instructions > 1 && exception == 3 && after.rip == before.rip + r->length + 1) after.rip--, exception = -1;
  /* The limit of CS may lie right behind a block, before the INT3. */
  if (r->instructions > 1 && exception == 13 && after.rip == before.rip + r->length) exception = -1;
  if (r->instructions == 1 && exception == 1) exception = -1;
  write_vector(r, exception, error, (u64)u->uc_mcontext.gregs[REG_CR2], &after);
}

static void begin_case(ucontext_t *u) {
  const struct request *r = &requests[current];
  initial_state(r, &before);
  memcpy((void *)DATA, before.memory, PAGE);
  u8 *code = (u8 *)(CODE + CODE_OFFSET);
  memset(code, 0xcc, MAX_CODE + 16);
  memcpy(code, r->code, r->length);
  steps = 0;
  describe_segments(r);
  put_state(u, &before, r);
}

/* Every case has been run: back to where the first signal came from. */
static void go_home(ucontext_t *u) {
  memcpy(u->uc_mcontext.gregs, home.uc_mcontext.gregs, sizeof(gregset_t));
  memcpy(u->uc_mcontext.fpregs, home_fpu, home_fpu_bytes);
}

/* What the frame does not hold; nothing but the return from the handler follows. */
static void load_segments(const struct request *r) {
  const u16 *to = before.selectors;
  __asm__ volatile("mov %0, %%es\n mov %1, %%ds\n mov %2, %%fs\n mov %3, %%gs" ::"m"(to[ES]), "m"(to[DS]), "m"(to[FS]),
                   "m"(to[GS]));
  if (!have_fsgsbase) return;
  if (!r->segments[FS].attributes) __asm__ volatile("wrfsbase %0" ::"r"(FS_BASE));
  if (!r->segments[GS].attributes) __asm__ volatile("wrgsbase %0" ::"r"(GS_BASE));
}

/* Instead of an exception: the host did not come back from the case. */
enum { NO_ANSWER = 256 };

/* The case during which the timer struck. */
static u32 ticked = ~0u;

/* Runs a case anew that the timer has interrupted, and gives up one that it interrupts again: a case takes microseconds. */
static void tick(ucontext_t *u) {
  const struct request *r = &requests[current];
  if (ticked == current) {
    write_vector(r, NO_ANSWER, 0, 0, &before);
    if (++current == count) {
      go_home(u);
      return;
    }
  }
  ticked = current;
  begin_case(u);
  load_segments(&requests[current]);
}

static void handler(int signal, siginfo_t *info, void *context) {
  __asm__ volatile("mov %%es, %0\n mov %%ds, %1\n mov %%fs, %2\n mov %%gs, %3"
                   : "=m"(found_selectors[ES]), "=m"(found_selectors[DS]), "=m"(found_selectors[FS]), "=m"(found_selectors[GS]));
  /* The interrupted code may have left DF, NT, AC or ID set, and any FS base: no thread-local storage before this. */
  __asm__ volatile("cld; pushfq; andl $~0x244000,(%%rsp); popfq" ::: "cc", "memory");
  if (have_fsgsbase) __asm__ volatile("wrfsbase %0" ::"r"(host_fs));
  (void)info;
  ucontext_t *u = context;
  if (signal == SIGPROF) {
    if (started && current < count) tick(u);
    return;
  }
  if (!started) {
    started = 1;
    u8 *fpu = (u8 *)u->uc_mcontext.fpregs;
    home_fpu_bytes = has_xsave(fpu) ? *(u32 *)(fpu + 464 + 4) : 512;
    memcpy(home.uc_mcontext.gregs, u->uc_mcontext.gregs, sizeof(gregset_t));
    memcpy(home_fpu, fpu, home_fpu_bytes);
  } else {
    const struct request *r = &requests[current];
    u64 rip = (u64)u->uc_mcontext.gregs[REG_RIP];
    if (signal == SIGTRAP && u->uc_mcontext.gregs[REG_TRAPNO] == 1 && rip == before.rip && r->instructions == 1 &&
        steps < MAX_STEPS && is_repeated_string(r)) {
      steps++;
      load_segments(r);
      return;
    }
    finish_case(signal, u);
    current++;
  }
  if (current < count) {
    begin_case(u);
    load_segments(&requests[current]);
  } else go_home(u);
}

static int map_page(u64 at, int protection) {
  return mmap((void *)at, PAGE, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == (void *)at;
}

static void read_requests(void) {
  size_t bytes = 0, room = 1 << 20, got;
  u8 *all = malloc(room);
  while ((got = fread(all + bytes, 1, room - bytes, stdin)) > 0) {
    bytes += got;
    if (bytes == room) all = realloc(all, room *= 2);
  }
  requests = (struct request *)all;
  count = (u32)(bytes / sizeof(struct request));
}

/* The heap may lie where a page should: it lies elsewhere in the next process. */
enum { ATTEMPTS = 20 };

/* Seconds of processor time for a batch: it must not run on for ever whatever its cases do, nor without whoever asked. */
enum { MOST_SECONDS = 120 };

static void keep_in_bounds(void) {
  const struct rlimit limit = {MOST_SECONDS, MOST_SECONDS};
  setrlimit(RLIMIT_CPU, &limit);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
}

int main(int argc, char **argv) {
  keep_in_bounds();
  if (!map_page(CODE, PROT_READ | PROT_WRITE | PROT_EXEC) || !map_page(DATA, PROT_READ | PROT_WRITE)) {
    char *again[ATTEMPTS + 1] = {0};
    for (int k = 0; k <= argc && k < ATTEMPTS; k++) again[k] = argv[0];
    if (argc < ATTEMPTS) execv("/proc/self/exe", again);
    fprintf(stderr, "the pages at 0x10000000 and 0x20000000 cannot be mapped\n");
    return 2;
  }
  u32 a, b, c, d;
  __cpuid_count(7, 0, a, b, c, d);
  have_fsgsbase = b & 1;
  read_requests();
  stack_t stack = {.ss_size = 1 << 20};
  stack.ss_sp = mmap(0, stack.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  sigaltstack(&stack, 0);
  struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  sigfillset(&action.sa_mask);
  const int signals[] = {SIGTRAP, SIGSEGV, SIGILL, SIGFPE, SIGBUS, SIGUSR1, SIGPROF};
  for (int k = 0; k < 7; k++) sigaction(signals[k], &action, 0);
  syscall(SYS_arch_prctl, ARCH_GET_FS, &host_fs);
  /* Of processor time, in the kernel as well. */
  const struct itimerval second = {{1, 0}, {1, 0}};
  setitimer(ITIMER_PROF, &second, 0);
  if (count > 0) raise(SIGUSR1);
  return fflush(stdout) == 0 ? 0 : 2;
}
