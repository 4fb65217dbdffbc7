import { Vcpu } from "@vm/cpu";

/** Host layout: state blocks, code cache and guest frames, each between two guards. */
export const GUARD = 0x10000;
export const MAX_CPUS = 2;
const BLOCK = Math.ceil(Vcpu.bytes / 0x10000) * 0x10000;

/** First byte of a vCPU's state block. */
export const block = (id: number): number => GUARD + id * (BLOCK + GUARD);
/** Small, so that it runs full. */
const CACHE_BYTES = 0x80000;
export const CACHE_AT = block(MAX_CPUS);
export const CACHE_END = CACHE_AT + CACHE_BYTES;
export const ARENA_AT = CACHE_END + GUARD;
export const ARENA_END = ARENA_AT + 0x130000;
export const HOST_BYTES = ARENA_END + GUARD;

/** Guards: first bytes, and first bytes behind. */
export const guards: readonly (readonly [number, number])[] = [
  [0, GUARD],
  ...Array.from({ length: MAX_CPUS }, (_, id): [number, number] => [block(id) + Vcpu.bytes, block(id) + BLOCK + GUARD]),
  [CACHE_END, ARENA_AT],
  [ARENA_END, HOST_BYTES],
];

/** Guest-physical layout. */
export const RAM = 0xc0000;
/** Behind a hole of device memory. */
export const UPPER_RAM = 0x100000;
export const UPPER_BYTES = 0x40000;
export const READ_ONLY = 0x180000;
export const READ_ONLY_BYTES = 0x10000;
/** Above 4 GiB. */
export const HIGH_RAM = 0x1_0000_0000;
export const HIGH_BYTES = 0x10000;

export const GDT = 0x1000;
export const GDT_ENTRIES = 32;
export const IDT = 0x2000;
export const TSS = 0x3000;
export const TSS_LIMIT = 0x20ff;
export const LDT = 0x5800;
export const LDT_ENTRIES = 16;
/** Handler of vector v at HANDLERS + 32 * v. */
export const HANDLERS = 0x6000;
export const STACKS = 0x8000;
export const STACKS_END = 0x10000;
export const PAGE_TABLES = 0x10000;
export const CODE = 0x20000;
export const CODE_BYTES = 0x3000;
export const DATA = 0x30000;

/** Where code begins, as an offset in CS. */
export const codeOffset = ({ kind }: { readonly kind: string }): number => (kind === "real" ? 0 : CODE);
