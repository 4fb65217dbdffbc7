import type { Random } from "../random.js";

const le32 = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);
/** MOV r32, imm32 by register number. */
const mov = (register: number, value: number): number[] => [0xb8 | register, ...le32(value)];
const [EAX, ECX, EDX, EBX, ESI, EDI] = [0, 1, 2, 3, 6, 7] as const;

const RAM = 16 * 2 ** 20;
const LOCAL_APIC = 0xfee00000;
/** Device memory: virtio windows, I/O APIC, local APIC, and nothing. */
const DEVICES = [0xfeb00000, 0xfeb00070, 0xfeb00200, 0xfec00000, 0xfec00010, LOCAL_APIC, 0xfee00080, 0xd0000000];
const PORTS = [
  0x20, 0x21, 0x40, 0x43, 0x61, 0x70, 0x71, 0x80, 0xa1, 0xf4, 0x2f8, 0x3f8, 0x3f9, 0x3fa, 0x3fd, 0x402, 0xcf8, 0xcfc,
];
const MSRS = [0x10, 0x1b, 0x3b, 0x6e0, 0x80b, 0x830, 0x838, 0xc0000080, 0xc0000100, 0xc0000102, 0x12345678];
const DATA = 0x400000;

const address = (r: Random): number => DATA + 16 * r.below((RAM - DATA) / 16 - 4096);

/** Instructions that cost the host much more than the guest, each as the guest would repeat it. */
const DEAR: readonly ((r: Random) => readonly number[])[] = [
  // CPUID, RDTSC, RDPMC, RDRAND, WBINVD.
  (r) => [...mov(EAX, r.pick([0, 1, 4, 7, 0xd, 0x40000001, 0x80000008])), ...mov(ECX, 0), 0x0f, 0xa2],
  () => [0x0f, 0x31],
  () => [0x0f, 0xc7, 0xf0],
  (r) => [0x0f, r.pick([0x08, 0x09])],
  // x87 in software: FLDPI, one of FSIN, FCOS, FPATAN ..., FNINIT.
  (r) => [
    0xd9,
    0xeb,
    0xd9,
    0xeb,
    0xd9,
    r.pick([0xf0, 0xf1, 0xf2, 0xf3, 0xf5, 0xf8, 0xf9, 0xfb, 0xfe, 0xff]),
    0xdb,
    0xe3,
  ],
  // FXSAVE and FXRSTOR.
  (r) => [...mov(EBX, address(r)), 0x0f, 0xae, 0x03, 0x0f, 0xae, 0x0b],
  // RDMSR, WRMSR of what was read.
  (r) => [...mov(ECX, r.pick(MSRS)), 0x0f, 0x32, ...(r.chance(50) ? [0x0f, 0x30] : [])],
  // MOV CR3, CR3; MOV CR4 with PGE changed; then touch memory all over.
  () => [0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8],
  (r) => [0x0f, 0x20, 0xe0, 0x0f, 0xba, 0xf8, 7, 0x0f, 0x22, 0xe0, ...touch(r, 8)],
  (r) => [...mov(EBX, address(r)), 0x0f, 0x01, 0x3b, 0x8b, 0x03],
  (r) => touch(r, 32),
  // Accesses that cross a page.
  (r) => [...mov(EBX, (address(r) & ~0xfff) + 0xffd), 0x48, 0x8b, 0x03, 0x48, 0x89, 0x03],
  // Device memory and ports.
  (r) => [...mov(EBX, r.pick(DEVICES)), 0x8b, 0x03],
  (r) => [
    ...mov(EBX, r.pick(DEVICES) + 4 * r.below(64)),
    ...mov(EAX, r.chance(50) ? r.below(64) : r.word()),
    0x89,
    0x03,
  ],
  (r) => [...mov(EDX, r.pick(PORTS)), 0xec],
  (r) => [...mov(EDX, r.pick(PORTS)), ...mov(EAX, r.word()), 0xee],
  // REP over RAM, devices, ports: counts up to what 64 bits hold.
  (r) => [...mov(ESI, address(r)), ...mov(EDI, address(r)), ...count(r), 0xf3, r.pick([0xa4, 0xaa, 0xab, 0xac])],
  (r) => [...mov(ESI, address(r)), ...mov(EDI, address(r)), ...count(r), r.pick([0xf2, 0xf3]), r.pick([0xa6, 0xae])],
  (r) => [...mov(ESI, address(r)), ...mov(EDI, r.pick(DEVICES)), ...count(r), 0xf3, r.pick([0xa4, 0xa5, 0xaa, 0xab])],
  (r) => [
    ...mov(EDX, r.pick(PORTS)),
    ...mov(ESI, address(r)),
    ...mov(EDI, address(r)),
    ...count(r),
    0xf3,
    r.pick([0x6c, 0x6e]),
  ],
  // Interrupt command register: fixed, NMI and INIT to all, itself included or not.
  (r) => [
    ...mov(EBX, LOCAL_APIC + 0x300),
    ...mov(EAX, r.pick([0x40030, 0x80030, 0xc0030, 0x80400, 0xc0400, 0xc0500])),
    0x89,
    0x03,
  ],
  // The APIC timer: periodic or once, with a count of next to nothing.
  (r) => [
    ...mov(EBX, LOCAL_APIC),
    ...mov(EAX, r.pick([0x20030, 0x30, 0x40030])),
    0x89,
    0x83,
    ...le32(0x320),
    ...mov(EAX, 1 + r.below(4)),
    0x89,
    0x83,
    ...le32(0x380),
  ],
  // STI; NOP; CLI, so that what waits is taken.
  () => [0xfb, 0x90, 0xfa],
  // Exceptions that start the program over.
  (r) =>
    r.pick([
      [0x0f, 0x0b],
      [0xcc],
      [0xcd, 0x30],
      [0x31, 0xd2, 0xf7, 0xf2],
      [0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x8b, 0x00],
    ]),
  // Code that writes code: its own page, and far away one that it calls.
  () => [0x48, 0x8d, 0x1d, 0, 0, 0, 0, 0x8a, 0x03, 0x88, 0x03],
  (r) => [...mov(EBX, address(r) & ~0xfff), 0xc6, 0x03, 0xc3, 0xff, 0xd3],
  // CMPXCHG16B, PCMPISTRI, ENTER with all levels, XLAT, DIV of 128 bits.
  (r) => [...mov(EBX, address(r)), 0xf0, 0x48, 0x0f, 0xc7, 0x0b],
  (r) => [0x66, 0x0f, 0x3a, r.pick([0x60, 0x61, 0x62, 0x63]), 0xc1, r.below(128)],
  () => [0xc8, 0x10, 0, 31, 0xc9],
  (r) => [...mov(EAX, r.word()), ...mov(EDX, 0), ...mov(EBX, 1 + r.below(1000)), 0x48, 0xf7, 0xf3],
  // VMCALL.
  (r) => [...mov(EAX, r.pick([1, 5, 9, 10, 11, 12])), ...mov(EBX, r.word()), 0x0f, 0x01, 0xc1],
];

/** Reads of `pages` pages that lie anywhere. */
function touch(r: Random, pages: number): number[] {
  return Array.from({ length: pages }, () => [0x8b, 0x04, 0x25, ...le32(address(r))]).flat();
}

/** MOV RCX, some number. */
function count(r: Random): number[] {
  if (r.chance(70)) return mov(ECX, r.pick([0, 1, 100, 4096, 1_000_000]));
  return [0x48, 0xc7, 0xc1, ...le32(r.pick([-1, 0x7fffffff]))];
}

/** Bytes of a sequence that may be repeated as often as one likes. It keeps RBP and RSP. */
export function dear(random: Random): readonly number[] {
  return random.pick(DEAR)(random);
}
