import { createHash } from "node:crypto";
import type { Insn } from "../../src/isa/insn.js";
import { Size } from "../../src/isa/opcodes.js";
import { ProgramType } from "../../src/uapi/program-types.js";
import { add, call, load, mov, set, store } from "./build.js";
import { keep, type NamedCase, program } from "./kernel-case.js";
import type { Ran } from "./kernel-run.js";
import { valueCases } from "./kernel-values.js";
import { insn } from "./random-program.js";

/** Programs that say in their map what helpers and contexts tell them. */

/** Frames of Ethernet of several protocols. */
export const FRAMES: readonly Uint8Array[] = (
  [
    [0x08, 0x00],
    [0x86, 0xdd],
    [0x08, 0x06],
    [0x81, 0x00],
    [0x00, 0x30],
    [0x05, 0xff],
  ] as const
).flatMap((type) =>
  [
    [0, 0, 0, 0, 0, 0],
    [2, 0, 0, 0, 0, 1],
    [1, 0, 0x5e, 0, 0, 1],
    [255, 255, 255, 255, 255, 255],
  ].map((to, k) => {
    const frame = Uint8Array.from({ length: 60 + k }, (_, at) => 3 * at + 1);
    frame.set(to, 0);
    frame.set(type, 12);
    if (k === 1) frame.set([0xff, 0xff], 14);
    return frame;
  }),
);

/** Words of `struct __sk_buff` that a program of the kind may load, and of the socket that it has. */
const WORDS: ReadonlyMap<ProgramType, readonly number[]> = new Map([
  [ProgramType.SocketFilter, [0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64, 68, 84, 164, 176]],
  [ProgramType.SchedCls, [0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44, 48, 52, 56, 60, 64, 68, 72, 84, 160, 164, 176]],
]);
/** Of `struct bpf_sock`, which every socket has: bound_dev_if, family, type, protocol, mark, priority, addresses, ports, state, queue. */
const SOCKET_WORDS = [0, 4, 8, 12, 16, 20, 24, 28, 40, 44, 52, 56, 68, 72, 76];

const fields = (): NamedCase[] =>
  FRAMES.flatMap((data, k) =>
    [...WORDS].map(([type, words]): NamedCase => {
      const loads = words.flatMap((word, index) => [load(Size.W, 0, 6, word), store(Size.W, 9, 4 * index, 0)]);
      const socket = [load(Size.Dw, 1, 6, 168), insn(0x15, { dst: 1, off: 2 + 2 * SOCKET_WORDS.length }), call(95)];
      const whole = [
        insn(0x15, { dst: 0, off: 2 * SOCKET_WORDS.length }),
        ...SOCKET_WORDS.flatMap((word, index) => [load(Size.W, 1, 0, word), store(Size.W, 9, 256 + 4 * index, 1)]),
      ];
      return {
        ...{
          name: `fields of frame ${k}, type ${type}`,
          type,
          insns: program(...loads, ...(type === ProgramType.SchedCls ? [...socket, ...whole] : [])),
        },
        ...{ data, context: new Uint8Array(192), value: new Uint8Array(512) },
      };
    }),
  );

const xdpFields = (): NamedCase[] =>
  FRAMES.map((data, k) => ({
    ...{
      name: `fields of xdp ${k}`,
      type: ProgramType.Xdp,
      data,
      context: new Uint8Array(),
      value: new Uint8Array(512),
    },
    insns: program(
      ...[load(Size.W, 1, 6, 4), load(Size.W, 2, 6, 0), insn(0x1f, { dst: 1, src: 2 }), store(Size.Dw, 9, 0, 1)],
      ...[load(Size.W, 1, 6, 12), store(Size.Dw, 9, 8, 1), load(Size.W, 1, 6, 16), store(Size.Dw, 9, 16, 1)],
    ),
  }));

/** Calls of packet helpers with arguments at their limits. */
const limits = (): NamedCase[] => {
  const [data] = FRAMES as [Uint8Array];
  const value = Uint8Array.from({ length: 512 }, (_, k) => k);
  const cases: NamedCase[] = [];
  const packet = (name: string, type: ProgramType, ...body: readonly Insn[]): void => {
    cases.push({ name, type, insns: program(...body, keep(0)), data, context: new Uint8Array(), value });
  };
  const cls = ProgramType.SchedCls;
  for (const length of [-1, 0, 13, 14, 15, 60, 61, 1000, 16064, 16065, 20000]) {
    for (const flags of [0, 1])
      packet(`change_tail ${length} ${flags}`, cls, mov(1, 6), set(2, length), set(3, flags), call(38));
    packet(`change_head ${length}`, cls, mov(1, 6), set(2, length), set(3, 0), call(43));
    packet(`pull_data ${length}`, cls, mov(1, 6), set(2, length), call(39));
    packet(`redirect ${length}`, cls, set(1, 1), set(2, length), call(23));
    packet(`redirect_peer ${length}`, cls, set(1, 1), set(2, length), call(155));
    packet(`change_type ${length}`, cls, mov(1, 6), set(2, length & 7), call(32));
    packet(`xdp redirect ${length}`, ProgramType.Xdp, set(1, 1), set(2, length), call(23));
  }
  for (const by of [-260, -256, -217, -216, -215, -100, -1, 0, 1, 40, 46, 47, 60, 300, 3459, 3460, 3461])
    for (const helper of [44, 54, 65]) {
      packet(`xdp ${helper} by ${by}`, ProgramType.Xdp, mov(1, 6), set(2, by), call(helper));
      const head = [mov(1, 6), set(2, -60), call(44), mov(1, 6), set(2, -8), call(54)];
      packet(`xdp ${helper} by ${by} with meta data`, ProgramType.Xdp, ...head, mov(1, 6), set(2, by), call(helper));
    }
  for (const at of [0, 24, 25, 58, 59, 60, 0xfffe, 0x10000, -2])
    for (const flags of [0, 1, 2, 4, 0x10, 0x14, 0x20, 0x22, 0x24, 0x60, 0x64, 0x80, 0x100, 8])
      for (const helper of [10, 11])
        packet(
          `csum ${helper} at ${at} flags ${flags}`,
          cls,
          mov(1, 6),
          set(2, at),
          set(3, (flags & 15) === 0 ? 0 : 0x1234567),
          set(4, -77),
          set(5, flags),
          call(helper),
        );
  const level = (by: number): Insn[] => [mov(1, 6), set(2, by), call(135)];
  for (const levels of [[0], [1, 0], [1, 1, 1, 1, 1, 0], [2, 0], [1, 2, 0], [1, 1, 2, 0], [1, 1, 3, 0], [4], [-1]])
    packet(`csum_level ${levels.join()}`, cls, ...levels.flatMap(level));
  for (const helper of [17, 24, 151]) packet(`class ${helper}`, cls, mov(1, 6), call(helper));
  // The kernel forgets where it knows of no header when it makes room in front of a packet.
  for (const [first, second] of [
    [16, 48],
    [64, 1],
    [64, 16],
    [100, 100],
    [65, 200],
  ] as const)
    for (const length of [10, 15, 30, 63, 80, 130, 300]) {
      const grow = (by: number): Insn[] => [mov(1, 6), set(2, by), set(3, 0), call(43)];
      packet(
        `change_both ${length}, ${first}, ${second}`,
        cls,
        ...grow(first),
        ...grow(second),
        mov(1, 6),
        set(2, length),
        set(3, 0),
        call(38),
      );
    }
  for (const zero of [0x20, 0x22, 0x60, 0x24])
    packet(
      `csum of nothing, flags ${zero}`,
      cls,
      mov(1, 6),
      set(2, 24),
      mov(3, 10),
      add(3, -8),
      insn(0x7a, { dst: 10, off: -8 }),
      set(4, 2),
      set(5, 0),
      call(9),
      mov(1, 6),
      set(2, 24),
      set(3, 0),
      set(4, (zero & 15) === 0 ? -1 : 0),
      set(5, zero),
      call(11),
    );
  return cases;
};

export const kernelCases = (): NamedCase[] => [...valueCases(), ...fields(), ...xdpFields(), ...limits()];

/** What became of cases, by what their names begin with, in short. */
export function digests(cases: readonly NamedCase[], ran: readonly Ran[]): Readonly<Record<string, string>> {
  const groups = new Map<string, Ran[]>();
  for (const [k, { name }] of cases.entries()) {
    const group = name.split(" ").slice(0, 2).join(" ");
    groups.set(group, [...(groups.get(group) ?? []), ran[k] as Ran]);
  }
  const digest = (told: readonly Ran[]): string =>
    createHash("sha256")
      .update(JSON.stringify(told.map((one) => Object.entries(one).sort())))
      .digest("hex")
      .slice(0, 16);
  return Object.fromEntries([...groups].map(([group, told]) => [group, digest(told)]));
}
