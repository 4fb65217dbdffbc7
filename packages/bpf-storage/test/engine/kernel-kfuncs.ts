import { readFileSync } from "node:fs";
import { Btf } from "../../src/btf/btf.js";
import { BtfKind } from "../../src/btf/kinds.js";
import type { Insn } from "../../src/isa/insn.js";
import { CALL, CallKind, Class, Mode, Size } from "../../src/isa/opcodes.js";
import { ProgramType } from "../../src/uapi/program-types.js";
import { add, call, load, mov, set, store } from "./build.js";
import { keep, type NamedCase, program } from "./kernel-case.js";
import { insn } from "./random-program.js";

/** Programs that say in their map what functions of the running kernel tell them, which are named by their numbers in its types. */

/** The functions of the running kernel. */
export class KernelFunctions {
  readonly #btf = new Btf(new Uint8Array(readFileSync("/sys/kernel/btf/vmlinux")));

  /** @throws if there is none of the name */
  number(name: string): number {
    const id = this.#btf.find(name, BtfKind.Func);
    if (id === null) throw new Error(`the kernel has no ${name}`);
    return id;
  }

  name(id: number): string | undefined {
    const type = this.#btf.type(id);
    return type.kind === BtfKind.Func ? type.name : undefined;
  }
}

/** Where dynptrs and iterators are, from the frame pointer. */
const [FIRST, SECOND, BUFFER] = [-16, -32, -64];
const at = (register: number, place: number): Insn[] => [mov(register, 10), add(register, place)];
const zero = (place: number): Insn => insn(Class.St | Mode.Mem | Size.Dw, { dst: 10, off: place });
/** Skips so many instructions if r0 is 0. */
const unless = (count: number): Insn => insn(0x15, { dst: 0, off: count });
const value = (): Uint8Array => Uint8Array.from({ length: 512 }, (_, k) => 7 * k);
const frame = (): Uint8Array => {
  const bytes = Uint8Array.from({ length: 64 }, (_, k) => k + 1);
  bytes.set([8, 0], 12);
  return bytes;
};

export function kfuncCases(kernel: KernelFunctions): NamedCase[] {
  const kfunc = (name: string): Insn => insn(CALL, { src: CallKind.Kfunc, imm: kernel.number(name) });
  const cases: NamedCase[] = [];
  const packet = (name: string, type: ProgramType, ...body: readonly Insn[]): void => {
    cases.push({ name, type, insns: program(...body), data: frame(), context: new Uint8Array(), value: value() });
  };
  const syscall = (name: string, ...body: readonly Insn[]): void => {
    const none = { data: new Uint8Array(), context: new Uint8Array(8) };
    cases.push({ name, type: ProgramType.Syscall, insns: program(...body), ...none, value: value() });
  };
  const make = (type: ProgramType): Insn[] => [
    ...[mov(1, 6), set(2, 0), ...at(3, FIRST)],
    kfunc(type === ProgramType.Xdp ? "bpf_dynptr_from_xdp" : "bpf_dynptr_from_skb"),
    keep(0),
  ];
  /** What a dynptr says of itself. */
  const told = (place: number, k: number): Insn[] =>
    ["bpf_dynptr_size", "bpf_dynptr_is_null", "bpf_dynptr_is_rdonly"].flatMap((name, n) => [
      ...at(1, place),
      kfunc(name),
      keep(k + n),
    ]);

  for (const type of [ProgramType.SocketFilter, ProgramType.SchedCls, ProgramType.Xdp]) {
    const writes = type !== ProgramType.SocketFilter;
    packet(`dynptr of a packet, type ${type}`, type, ...make(type), ...told(FIRST, 1));
    for (const [start, end] of [
      [0, 10],
      [5, 5],
      [6, 5],
      [0, 50],
      [0, 64],
      [0, 65],
      [64, 64],
      [65, 65],
    ] as const) {
      const adjusted = [...at(1, FIRST), set(2, start), set(3, end), kfunc("bpf_dynptr_adjust"), keep(8)];
      const cloned = [...at(1, FIRST), ...at(2, SECOND), kfunc("bpf_dynptr_clone"), keep(9), ...told(SECOND, 10)];
      for (const offset of [0, 1, 46, 47, 60, 64, -1]) {
        const buffer = [zero(BUFFER), zero(BUFFER + 8)];
        const read = [...at(1, BUFFER), set(2, 4), ...at(3, FIRST), set(4, offset), set(5, 0), call(201), keep(13)];
        const word = [load(Size.W, 0, 10, BUFFER), keep(14)];
        const slice = [...at(1, FIRST), set(2, offset), ...at(3, BUFFER), set(4, 4), kfunc("bpf_dynptr_slice")];
        const byte = [unless(2), load(Size.W, 0, 0, 0), keep(15)];
        const write = [...at(1, FIRST), set(2, offset), ...at(3, BUFFER), set(4, 3), set(5, 0), call(202), keep(16)];
        const rdwr = [...at(1, FIRST), set(2, offset), set(3, 0), set(4, 4), kfunc("bpf_dynptr_slice_rdwr")];
        const put = [unless(2), load(Size.W, 7, 9, 0), store(Size.W, 0, 0, 7)];
        const body = [...buffer, ...make(type), ...adjusted, ...cloned, ...read, ...word, ...slice, ...byte];
        packet(
          `dynptr ${start} to ${end} at ${offset}, type ${type}`,
          type,
          ...body,
          ...(writes ? [...write, ...rdwr, ...put] : []),
        );
      }
    }
  }
  for (const [from, to] of [
    [0, 5],
    [-3, 3],
    [3, 3],
    [3, 2],
    [0, 1 << 23],
    [0, (1 << 23) + 1],
    [-0x80000000, 0x7fffffff],
    [0x7ffffffe, 0x7fffffff],
  ] as const) {
    const next = [
      ...at(1, FIRST),
      kfunc("bpf_iter_num_next"),
      unless(2),
      load(Size.W, 0, 0, 0),
      add(0, 1),
      store(Size.W, 9, 0, 0),
    ];
    const begin = [...at(1, FIRST), set(2, from), set(3, to), kfunc("bpf_iter_num_new"), keep(0)];
    const body = [1, 2, 3, 4].flatMap((k) => [...next.slice(0, -1), keep(k)]);
    syscall(`numbers from ${from} to ${to}`, ...begin, ...body, ...at(1, FIRST), kfunc("bpf_iter_num_destroy"));
  }
  for (const words of [0, 1, 2, 5, 511, 512]) {
    const begin = [...at(1, FIRST), mov(2, 9), set(3, words), kfunc("bpf_iter_bits_new"), keep(0)];
    const next = [...at(1, FIRST), kfunc("bpf_iter_bits_next"), unless(2), load(Size.W, 0, 0, 0), add(0, 1)];
    const body = [1, 2, 3, 4, 5, 6].flatMap((k) => [...next, keep(k)]);
    syscall(`bits of ${words} words`, ...begin, ...body, ...at(1, FIRST), kfunc("bpf_iter_bits_destroy"));
  }
  return cases;
}
