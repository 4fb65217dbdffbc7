// Records what the host processor's x87 instructions do to the whole unit: the vectors in fixtures/x87-states.txt.gz.
//   gcc -O1 -o record vectors-x87-record.c && ./record 3003 3600 | gzip -9n > fixtures/x87-states.txt.gz      (seed, count)
// Unlike the vectors of cpu-vectors.jsonl.gz, exceptions may be unmasked or pending, condition codes are set before, operands are of all
// kinds, and the instructions that store and load the environment are there.
// Line: instruction, FCW, FSW, abridged tag byte, arithmetic flags, AX, ST(0) to ST(3), memory operand; "=>"; then "MF", or FCW, FSW, tag
// byte, flags, AX, all of ST(0) to ST(7) that are no longer what was there under the same physical number (number:value), memory if it
// changed. All hex, bytes in memory order. ST(4) to ST(7) are 1.0 before.
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

static u64 state;
static u64 draw(void) { // splitmix64
  u64 z = (state += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}
static u32 below(u32 n) { return (u32)(draw() >> 33) % n; }

static u64 draw_significand(void) {
  switch (below(6)) {
    case 0: return 0;
    case 1: return 1;
    case 2: return ~0ull >> 1;
    case 3: return draw() & (~0ull << below(63));
    default: return draw();
  }
}

// An f80 of any class: zero, infinity, NaNs, denormals and pseudo-denormals, unnormals, the ends of every format's range, ordinary numbers.
static void draw80(u8 *to) {
  u64 m = draw_significand() | 1ull << 63;
  u16 e = 0x3fff - 10 + below(21);
  switch (below(18)) {
    case 0: m = 0; e = 0; break;
    case 1: m = 1ull << 63; e = 0x7fff; break;
    case 2: m |= 1ull << 62; e = 0x7fff; break;
    case 3: m = (m & ~(1ull << 62)) | 1; e = 0x7fff; break;
    case 4: m &= ~0ull >> 1; e = 0; break;
    case 5: e = 0; break;
    case 6: m &= ~0ull >> 1; e = 1 + below(0x7fff); break;
    case 7: m = 1ull << 63; e = 0x3fff - 70 + below(140); break;
    case 8: e = 0x7ffe - below(70); break;
    case 9: e = 1 + below(70); break;
    case 10: e = 0x3fff + below(68); break;
    case 11: e = 1 + below(0x7ffe); break;
    case 12: e = 0x3fff - 127 - below(30); break;
    case 13: e = 0x3fff - 1022 - below(60); break;
    case 14: e = 0x3fff + (below(2) ? 126 : 1022) + below(3); break;
  }
  if (below(2)) e |= 0x8000;
  memcpy(to, &m, 8);
  memcpy(to + 8, &e, 2);
}

// A memory operand: an f80, f64, f32, packed BCD, integer, or anything.
static void draw_memory(u8 *to, int size) {
  static const u64 integers[] = {0, ~0ull, 1ull << 63, 0x80000000, 0x8000, 1, 0x7fff};
  for (int i = 0; i < size; i++) to[i] = draw();
  u64 word = (u64)below(2) << 63 | (u64)(below(3) ? 1023 - 30 + below(60) : below(2) * 2047) << 52 | draw_significand() >> 12;
  u32 half = below(2) << 31 | (below(3) ? 127 - 20 + below(40) : below(2) * 255) << 23 | (u32)(draw_significand() >> 41);
  switch (below(6)) {
    case 0: draw80(to); break;
    case 1: memcpy(to, &word, 8); break;
    case 2: memcpy(to, &half, 4); break;
    case 3:
      for (int i = 0; i < 9; i++) to[i] = below(10) << 4 | below(10);
      to[9] = below(2) << 7;
      break;
    case 4: memcpy(to, &integers[below(7)], 8); break;
  }
}

static sigjmp_buf after_signal;
static volatile int caught;
static void on_signal(int number) {
  caught = number;
  siglongjmp(after_signal, 1);
}

static void print_hex(const u8 *bytes, int size) {
  for (int i = 0; i < size; i++) printf("%02x", bytes[i]);
}

enum { FX_REGISTERS = 32, FX_STRIDE = 16, ENVIRONMENT = 108, OPERAND = 10 };

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  state = strtoull(argv[1], 0, 0);
  static u8 in[512] __attribute__((aligned(16))), out[512] __attribute__((aligned(16))), before[ENVIRONMENT], memory[ENVIRONMENT];
  u8 *code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED) return 3;
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_NODEFER};
  sigaction(SIGFPE, &action, 0);
  sigaction(SIGILL, &action, 0);
  // fxrstor [rdi]; mov rax, [rcx+8]; push [rcx]; popfq; ...; pushfq; pop [rcx]; mov [rcx+8], rax; fxsave [rdx]; fninit; ret
  static const u8 prologue[] = {0x0f, 0xae, 0x0f, 0x48, 0x8b, 0x41, 0x08, 0xff, 0x31, 0x9d};
  static const u8 epilogue[] = {0x9c, 0x8f, 0x01, 0x48, 0x89, 0x41, 0x08, 0x0f, 0xae, 0x02, 0xdb, 0xe3, 0xc3};

  for (int left = atoi(argv[2]); left > 0;) {
    u8 insn[3];
    int length = 0, size = OPERAND;
    if (below(60) == 0) {
      insn[length++] = 0x9b;
    } else {
      u8 op = 0xd8 + below(8);
      // Memory operands are at [rsi]; registers beyond ST(3) only where the field selects an instruction.
      u8 modrm = below(5) < 2 ? below(8) << 3 | 6 : 0xc0 | below(8) << 3 | below(op == 0xd9 || op == 0xdb ? 8 : 4);
      if (modrm < 0xc0 && (op == 0xd9 || op == 0xdd) && (modrm >> 3 == 4 || modrm >> 3 == 6)) {
        size = ENVIRONMENT;
        if (below(2)) insn[length++] = 0x66;
      }
      insn[length++] = op;
      insn[length++] = modrm;
    }
    u16 fcw = 0x40 | (below(3) ? 0x3f : below(64)) | (below(3) ? 3 : below(4)) << 8 | below(4) << 10;
    u16 fsw = below(8) << 11 | (below(3) ? 0 : draw() & 0x4700) | (below(8) ? 0 : draw() & 0x7f);
    u8 tags = below(3) ? 0xff : draw();
    if (below(4) == 0) tags &= ~(1 << (((fsw >> 11) + 7) & 7)); // room for a push
    memset(in, 0, sizeof in);
    memcpy(in, &fcw, 2);
    memcpy(in + 2, &fsw, 2);
    in[4] = tags;
    memcpy(in + 24, &(u32){0x1f80}, 4);
    for (int i = 0; i < 4; i++) draw80(in + FX_REGISTERS + FX_STRIDE * i);
    for (int i = 4; i < 8; i++) memcpy(in + FX_REGISTERS + FX_STRIDE * i, "\0\0\0\0\0\0\0\x80\xff\x3f", 10);
    draw_memory(before, size);
    memcpy(memory, before, size);
    u64 flags_and_rax[2] = {(draw() & 0x8d5) | 0x202, draw() & 0xffff};
    u64 flags = flags_and_rax[0], ax = flags_and_rax[1];

    memcpy(code, prologue, sizeof prologue);
    memcpy(code + sizeof prologue, insn, length);
    memcpy(code + sizeof prologue + length, epilogue, sizeof epilogue);
    caught = 0;
    if (!sigsetjmp(after_signal, 1))
      __asm__ volatile("call *%0" ::"r"(code), "D"(in), "S"(memory), "d"(out), "c"(flags_and_rax)
                       : "rax", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",
                         "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    __asm__ volatile("fninit");
    if (caught == SIGILL) continue;
    left--;

    print_hex(insn, length);
    printf(" %x %x %x %x %x", fcw, fsw, tags, (u32)flags & 0x8d5, (u32)ax);
    for (int i = 0; i < 4; i++) putchar(' '), print_hex(in + FX_REGISTERS + FX_STRIDE * i, 10);
    putchar(' ');
    print_hex(before, size);
    printf(" =>");
    if (caught) {
      printf(" MF\n");
      continue;
    }
    u16 fsw_after = *(u16 *)(out + 2);
    printf(" %x %x %x %x %x", *(u16 *)out, fsw_after, out[4], (u32)flags_and_rax[0] & 0x8d5, (u32)flags_and_rax[1] & 0xffff);
    for (int i = 0; i < 8; i++) {
      const u8 *now = out + FX_REGISTERS + FX_STRIDE * i;
      if (memcmp(now, in + FX_REGISTERS + FX_STRIDE * ((i + (fsw_after >> 11) - (fsw >> 11)) & 7), 10) == 0) continue;
      printf(" %d:", i);
      print_hex(now, 10);
    }
    if (memcmp(memory, before, size) != 0) putchar(' '), print_hex(memory, size);
    putchar('\n');
  }
  return 0;
}
