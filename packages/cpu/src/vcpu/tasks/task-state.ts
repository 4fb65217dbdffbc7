import { Access } from "../../ports.js";
import * as S from "../../state.js";
import type { VcpuContext } from "../context/context.js";
import { Seg } from "../registers/constants.js";
import type { Halves } from "../registers/halves.js";
import { TSS_WIDE } from "../segments/inner-stack.js";

/** What was read last. */
const found: Halves = { lo: 0, hi: 0 };

/** The layout of a TSS: SDM vol. 3, 7.2.1 and 7.6. */
export interface TaskLayout {
  /** Bytes of EIP, EFLAGS and each general register. */
  readonly word: 2 | 4;
  /** Offset of EIP; EFLAGS, EAX to EDI in encoding order, the segment registers and LDTR follow, a word each. */
  readonly state: number;
  /** Segment registers held, in encoding order. */
  readonly segments: readonly Seg[];
  /** Least limit. */
  readonly limit: number;
}

const TSS16: TaskLayout = { word: 2, state: 0x0e, segments: [Seg.ES, Seg.CS, Seg.SS, Seg.DS], limit: 0x2b };
const TSS32: TaskLayout = {
  word: 4,
  state: 0x20,
  segments: [Seg.ES, Seg.CS, Seg.SS, Seg.DS, Seg.FS, Seg.GS],
  limit: 0x67,
};

/** The layout that descriptor attributes of a TSS imply. */
export const layoutOf = (attributes: number): TaskLayout => (attributes & TSS_WIDE ? TSS32 : TSS16);

const GENERAL_REGISTERS = 8;
/** Fields of the 32-bit TSS only. */
const CR3 = 0x1c;
const TRAP = 0x64;

/** What a TSS holds of a task. */
export interface TaskState {
  readonly ip: number;
  readonly flags: number;
  readonly registers: readonly number[];
  /** Selectors by segment register. */
  readonly selectors: readonly number[];
  readonly ldt: number;
  /** Null in a 16-bit TSS, whose tasks share their address space. */
  readonly cr3: number | null;
  /** T: a debug trap when the task starts. */
  readonly trap: boolean;
}

/** Whether the `size` bytes at `at` can be read, or written, by the processor itself. False with a page fault or exit pending. */
export function probe(vcpu: VcpuContext, at: number, size: number, write: boolean): boolean {
  const access = Access.Implicit | (write ? Access.Write : 0);
  return vcpu.linear.probe(at | 0, 0, access) && vcpu.linear.probe((at + size - 1) | 0, 0, access);
}

/** Whether `saveTask` will work. */
export const probeSave = (vcpu: VcpuContext, base: number, { state, limit }: TaskLayout): boolean =>
  probe(vcpu, base + state, limit + 1 - state, true);

/** Saves the registers of the current task, with `ip` and `flags`, in the TSS at `base`. */
export function saveTask(vcpu: VcpuContext, base: number, layout: TaskLayout, ip: number, flags: number): boolean {
  const { word, segments } = layout;
  let at = (base + layout.state) | 0;
  const write = (size: number, value: number): boolean => {
    const written = vcpu.linear.writeSystem(at, 0, size, value);
    at = (at + word) | 0;
    return written;
  };
  if (!write(word, ip) || !write(word, flags)) return false;
  for (let r = 0; r < GENERAL_REGISTERS; r++) if (!write(word, vcpu.regLo(r))) return false;
  // The upper halves of selector fields are reserved, and stay.
  return segments.every((seg) => write(2, vcpu.segments[seg]?.selector ?? 0));
}

/** Reads the TSS at `base`; null with a page fault or exit pending. */
export function readTask(vcpu: VcpuContext, base: number, { word, state, segments }: TaskLayout): TaskState | null {
  const { linear } = vcpu;
  const at = (field: number, size: number): number => {
    complete &&= linear.readSystem((base + field) | 0, 0, size, found);
    return found.lo;
  };
  const held = (k: number, size: number = word): number => at(state + k * word, size);
  let complete = true;
  const selectors = [0, 0, 0, 0, 0, 0];
  const task: TaskState = {
    ip: held(0),
    flags: held(1),
    registers: Array.from({ length: GENERAL_REGISTERS }, (_, r) => held(2 + r)),
    selectors,
    ldt: held(2 + GENERAL_REGISTERS + segments.length, 2),
    cr3: word === 4 ? at(CR3, 4) : null,
    trap: word === 4 && (at(TRAP, 2) & 1) !== 0,
  };
  segments.forEach((seg, k) => {
    selectors[seg] = held(2 + GENERAL_REGISTERS + k, 2);
  });
  return complete ? task : null;
}

/** Remembers the registers that a task switch loads. @returns what puts them back */
export function rememberTask(vcpu: VcpuContext): () => void {
  const { rflags, cr0, tr, ldtr, paging, dr } = vcpu;
  const { cr3Lo, cr3Hi } = paging;
  const state = vcpu.bytes(S.GPR, 8 * 16).slice();
  const [pcLo, pcHi, dr7] = [vcpu.i32(S.PC), vcpu.i32(S.PC + 4), dr[14] as number];
  const segments = [...vcpu.segments];
  return () => {
    vcpu.bytes(S.GPR, 8 * 16).set(state);
    Object.assign(vcpu, { rflags, cr0, tr, ldtr });
    Object.assign(paging, { cr0, cr3Lo, cr3Hi });
    segments.forEach((segment, seg) => {
      vcpu.setSegment(seg, segment);
    });
    vcpu.updateMode();
    vcpu.updateUnits();
    dr[14] = dr7;
    // Forgets translations too.
    vcpu.debugRegistersChanged();
    vcpu.setI32(S.PC, pcLo);
    vcpu.setI32(S.PC + 4, pcHi);
  };
}
