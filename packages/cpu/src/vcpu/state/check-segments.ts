import type { VcpuPorts } from "../../ports.js";
import * as S from "../../state.js";
import { canonicalAtWidest } from "../registers/canonical.js";
import {
  ATTR_ACCESSED,
  ATTR_CODE,
  ATTR_G,
  ATTR_P,
  ATTR_READABLE,
  ATTR_S,
  ATTR_WRITABLE,
  CR0_PE,
  EFER_LMA,
  Seg,
} from "../registers/constants.js";
import { refuse } from "./shape.js";
import type { SegmentState, TableState, VcpuState } from "./vcpu-state.js";

/** Bits of a descriptor that say what it is; the others of the sixteen are of its limit. */
const ATTRIBUTES = 0xf0ff;
/** Type and S bit of an LDT, and of busy TSSs of 16 and 32 bits (SDM vol. 3, table 3-2). */
const LDT = 2;
const BUSY_TSS: readonly number[] = [3, 11];
/** Attributes of every segment in virtual-8086 mode. */
const ATTRIBUTES_8086 = 0xf3;

const NAMES: Readonly<Record<Seg, string>> = {
  [Seg.ES]: "es",
  [Seg.CS]: "cs",
  [Seg.SS]: "ss",
  [Seg.DS]: "ds",
  [Seg.FS]: "fs",
  [Seg.GS]: "gs",
};

/** Segment and table registers as SDM vol. 3, 26.3.1.2 and 26.3.1.3 want them, where something here depends on it. */
export function checkSegments(state: VcpuState, ports: Pick<VcpuPorts, "cpuid">): void {
  const virtual8086 = (state.rflags & S.VM) !== 0;
  for (const seg of [Seg.ES, Seg.CS, Seg.SS, Seg.DS, Seg.FS, Seg.GS]) {
    const held = state.segments[seg] as SegmentState;
    const path = `state.segments[${seg}] (${NAMES[seg]})`;
    checkAny(held, path, seg === Seg.FS || seg === Seg.GS ? ports : null);
    if (virtual8086) check8086(held, path);
    else if (seg === Seg.CS) checkCode(held, path, mayBeUnusable(state));
    else if (held.attributes & ATTR_P) checkData(held, path, seg === Seg.SS);
  }
  checkSystem(state, ports);
}

/** @param wide its base may have more than 32 bits, if it is canonical; null if it may not */
function checkAny(
  { base, limit, attributes }: SegmentState,
  path: string,
  wide: Pick<VcpuPorts, "cpuid"> | null,
): void {
  if (attributes & ~ATTRIBUTES) refuse(`${path}.attributes`, attributes, "bits 8-11 have to be zero");
  checkBase(base, `${path}.base`, wide);
  if (!(attributes & ATTR_P)) return;
  if (attributes & ATTR_G ? (limit & 0xfff) !== 0xfff : limit > 0xfffff)
    refuse(`${path}.limit`, limit, "with the G bit it ends in fff, without it is below 2^20");
}

function checkBase({ hi }: SegmentState["base"], path: string, wide: Pick<VcpuPorts, "cpuid"> | null): void {
  if (wide === null ? hi !== 0 : !canonicalAtWidest({ ports: wide }, hi | 0))
    refuse(`${path}.hi`, hi, wide === null ? "it has 32 bits" : "it has to be canonical");
}

/** Outside IA-32e mode: a task switch that found no code segment leaves CS like this, to what handles the fault. */
const mayBeUnusable = ({ cr0, efer }: VcpuState): boolean => (cr0 & CR0_PE) !== 0 && (efer & EFER_LMA) === 0;

function checkCode({ attributes }: SegmentState, path: string, mayBeNull: boolean): void {
  const wanted = ATTR_P | ATTR_S | ATTR_CODE | ATTR_ACCESSED;
  if ((attributes & wanted) === wanted || (attributes === 0 && mayBeNull)) return;
  refuse(`${path}.attributes`, attributes, "a present, accessed code segment is wanted");
}

function checkData({ attributes }: SegmentState, path: string, stack: boolean): void {
  const wanted = ATTR_S | ATTR_ACCESSED | (stack ? ATTR_WRITABLE : attributes & ATTR_CODE ? ATTR_READABLE : 0);
  if ((attributes & wanted) === wanted && !(stack && attributes & ATTR_CODE)) return;
  const right = stack ? "a writable data segment" : "a data segment or readable code";
  refuse(`${path}.attributes`, attributes, `${right}, accessed, is wanted`);
}

/** SDM vol. 3, 20.2.1. */
function check8086({ selector, base, limit, attributes }: SegmentState, path: string): void {
  if (base.lo !== selector * 16) refuse(`${path}.base.lo`, base.lo, "in virtual-8086 mode it is 16 times the selector");
  if (limit !== 0xffff) refuse(`${path}.limit`, limit, "in virtual-8086 mode it is 65535");
  if (attributes !== ATTRIBUTES_8086) refuse(`${path}.attributes`, attributes, "in virtual-8086 mode they are 243");
}

function checkSystem({ ldtr, tr, gdtr, idtr }: VcpuState, ports: Pick<VcpuPorts, "cpuid">): void {
  checkAny(ldtr, "state.ldtr", ports);
  if (ldtr.attributes & ATTR_P && (ldtr.attributes & 0x1f) !== LDT)
    refuse("state.ldtr.attributes", ldtr.attributes, "an LDT, or none, is wanted");
  checkAny(tr, "state.tr", ports);
  if (!(tr.attributes & ATTR_P) || !BUSY_TSS.includes(tr.attributes & 0x1f))
    refuse("state.tr.attributes", tr.attributes, "a present, busy TSS is wanted");
  const tables: readonly (readonly [string, TableState])[] = [
    ["state.gdtr", gdtr],
    ["state.idtr", idtr],
  ];
  for (const [path, { base }] of tables) checkBase(base, `${path}.base`, ports);
}
