import fc from "fast-check";
import type { Insn } from "../../../src/isa/insn.js";
import { CALL, EXIT, LD_IMM64, Pseudo } from "../../../src/isa/opcodes.js";
import { AttachType, ProgramType } from "../../../src/uapi/program-types.js";
import { type Case, FIRST_FD } from "./judge.js";

/** Small programs that ask one thing each: may this kind of program touch this field, call this helper with such arguments? */

const P = ProgramType;
const SLEEPABLE = 1 << 4;
type Kind = readonly [type: ProgramType, attach: number, flags: number];
const attached = (type: ProgramType, ...attach: readonly number[]): readonly Kind[] =>
  attach.map((each) => [type, each, 0]);

/** Kinds of programs that need no function of the kernel to be attached to. */
const KINDS: readonly Kind[] = [
  ...[P.SocketFilter, P.Kprobe, P.SchedCls, P.SchedAct, P.Tracepoint, P.PerfEvent, P.LwtIn, P.LwtOut, P.LwtXmit].map(
    (type): Kind => [type, 0, 0],
  ),
  ...[P.SockOps, P.SkSkb, P.CgroupDevice, P.SkMsg, P.RawTracepoint, P.RawTracepointWritable, P.LwtSeg6local].map(
    (type): Kind => [type, 0, 0],
  ),
  ...[P.FlowDissector, P.CgroupSysctl].map((type): Kind => [type, 0, 0]),
  ...attached(P.Xdp, 0, 33, AttachType.Xdp),
  ...attached(P.CgroupSkb, 0, 1),
  ...attached(P.CgroupSock, 2, 34, 12, 13),
  ...attached(P.CgroupSockAddr, 8, 9, 10, 11, 14, 15, 19, 20, 29, 30, 31, 32, 49),
  ...attached(P.SkReuseport, 39, 40),
  ...attached(P.CgroupSockopt, 21, 22),
  ...attached(P.SkLookup, 36),
  ...attached(P.Netfilter, 45),
  [P.Syscall, 0, SLEEPABLE],
];

const insn = (code: number, dst = 0, src = 0, off = 0, imm = 0): Insn => ({ code, dst, src, off, imm });
const RETURN_1 = [insn(0xb7, 0, 0, 0, 1), insn(EXIT)];
const SIZES: readonly (readonly [code: number, bytes: number])[] = [
  ...([[0x10, 1] as const, [0x08, 2] as const, [0x00, 4] as const, [0x18, 8] as const] as const),
];
/** Bytes of a context that are looked at; longer ones repeat themselves. */
const CONTEXT_END = 264;

/** Every kind of program, every field of its context, by loads and stores of every size. */
export function contextProbes(): Case[] {
  const cases: Case[] = [];
  for (const [type, attach, flags] of KINDS)
    for (let off = 0; off < CONTEXT_END; off++)
      for (const [code, bytes] of SIZES) {
        if (off % bytes !== 0 && off % 7 !== 0) continue;
        const load = insn(0x61 | code, 2, 1, off);
        const probe = (what: string, ...insns: readonly Insn[]): void => {
          const name = `${what} ${off} size ${bytes}, type ${type}/${attach}`;
          cases.push({ name, type, attach, flags, insns: [...insns, ...RETURN_1] });
        };
        probe("load", load);
        probe("load and follow", load, insn(0x15, 2, 0, 1, 0), insn(0x71, 3, 2, 4));
        probe("store", insn(0xb7, 2), insn(0x63 | code, 1, 2, off));
        probe("store immediate", insn(0x62 | code, 1, 0, off, 1));
        if (bytes < 8) probe("load signed", insn(0x81 | code, 2, 1, off));
      }
  return cases;
}

/** The pointer to a part of the stack, in a register. */
const stack = (register: number, off: number): Insn[] => [insn(0xbf, register, 10), insn(0x07, register, 0, 0, off)];
const number = (register: number, value: number): Insn[] => [insn(0xb7, register, 0, 0, value)];
const mapPointer = (register: number, fd: number, src: number = Pseudo.MapFd): Insn[] => [
  insn(LD_IMM64, register, src, 0, fd),
  insn(0),
];
/** An array whose value has 48 bytes, by its place in the judge's maps; and how many maps there are. */
export interface ProbeMaps {
  readonly array: number;
  readonly count: number;
}

const argument = (register: number, { array, count }: ProbeMaps): fc.Arbitrary<readonly Insn[]> => {
  const fd = fc.integer({ min: FIRST_FD, max: FIRST_FD + count - 1 });
  const length = fc.constantFrom(0, 1, 4, 8, 16, 48, 49, 64, -1);
  const next = register < 5 ? [register + 1] : [];
  const sized = (pointer: Insn[]): fc.Arbitrary<Insn[]> =>
    length.map((bytes) => [...pointer, ...next.flatMap((each) => number(each, bytes))]);
  const offset = fc.constantFrom(-8, -16, -48, -64, -72, -80);
  return fc.oneof(
    { weight: register === 1 ? 8 : 1, arbitrary: fc.constant([insn(0xbf, register, 6)]) },
    { weight: register === 2 ? 6 : 2, arbitrary: fd.map((each) => mapPointer(register, each)) },
    { weight: 2, arbitrary: fc.constantFrom(0, 1, 2, 4, 8, 16, 64, -1, 0x10000).map((each) => number(register, each)) },
    { weight: 2, arbitrary: offset.map((each) => stack(register, each)) },
    { weight: 2, arbitrary: offset.chain((each) => sized(stack(register, each))) },
    { weight: 2, arbitrary: fc.constant([insn(0xbf, register, 7)]) },
    { weight: 1, arbitrary: sized([insn(0xbf, register, 7)]) },
    { weight: 1, arbitrary: fc.constant(mapPointer(register, FIRST_FD + array, Pseudo.MapValue)) },
    { weight: 1, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.constant([insn(0xbf, register, 10)]) },
  );
};

/** What is done with a result: followed with and without a check for NULL, given back, or nothing. */
const USES: readonly (readonly Insn[])[] = [
  [],
  [],
  [insn(0x79, 1, 0)],
  [insn(0x15, 0, 0, 1), insn(0x79, 1, 0)],
  [insn(0x79, 1, 10, -80)],
  ...[86, 132, 133].map((release) => [insn(0x15, 0, 0, 2), insn(0xbf, 1, 0), insn(CALL, 0, 0, 0, release)]),
];
/** Numbers of helpers, and a few that are none. */
const HELPERS = { min: 1, max: 213 };

/** r6: the context, r7: a value of the array; 64 bytes of the stack are zero, 16 below them unwritten. */
const prologue = (array: number): Insn[] => [
  insn(0xbf, 6, 1),
  ...Array.from({ length: 8 }, (_, k) => insn(0x7a, 10, 0, -8 * (k + 1))),
  ...[...stack(2, -8), ...mapPointer(1, FIRST_FD + array), insn(CALL, 0, 0, 0, 1)],
  ...[insn(0x55, 0, 0, 2), insn(0xb7), insn(EXIT), insn(0xbf, 7, 0)],
];

/** Calls of helpers with arguments of many kinds. */
export const helperProbes = (maps: ProbeMaps): fc.Arbitrary<Case> =>
  fc
    .tuple(
      fc.constantFrom(...KINDS),
      fc.integer(HELPERS),
      fc.tuple(...[1, 2, 3, 4, 5].map((register) => argument(register, maps))),
      fc.constantFrom(...USES),
    )
    .map(([[type, attach, flags], id, given, use]) => ({
      ...{ name: `helper ${id}, type ${type}/${attach}`, type, attach, flags },
      insns: [...prologue(maps.array), ...given.flat(), insn(CALL, 0, 0, 0, id), ...use, ...RETURN_1],
    }));
