import * as S from "../../state.js";
import type { VcpuContext } from "../context/context.js";
import {
  ATTR_CODE,
  ATTR_CONFORMING,
  ATTR_P,
  ATTR_READABLE,
  ATTR_S,
  ATTR_WRITABLE,
  Seg,
  Vector,
} from "../registers/constants.js";
import {
  attributesOfDescriptor,
  type Descriptor,
  dpl,
  markAccessed,
  readDescriptor,
  segmentOf,
  unusable,
} from "../segments/segments.js";
import { segment8086 } from "../segments/virtual-8086.js";
import type { TaskState } from "./task-state.js";

const LDT = 2;
const ALL: readonly Seg[] = [Seg.ES, Seg.CS, Seg.SS, Seg.DS, Seg.FS, Seg.GS];
const DATA: readonly Seg[] = [Seg.DS, Seg.ES, Seg.FS, Seg.GS];

/**
 * Loads LDTR and the segment registers of a task that was just switched to: SDM vol. 3, table 7-1. The selectors are in place whatever
 * happens; registers behind the first one that fails let nothing through.
 * @returns false with #TS, #NP, #SS or a page fault pending, in the context of the new task
 */
export function loadTaskSegments(vcpu: VcpuContext, { selectors, ldt }: TaskState): boolean {
  const selector = (seg: Seg): number => selectors[seg] as number;
  vcpu.ldtr = unusable(ldt);
  const from8086 = (vcpu.flags & S.VM) !== 0;
  for (const seg of ALL) vcpu.setSegment(seg, (from8086 ? segment8086 : unusable)(selector(seg)));
  if (!loadLdt(vcpu, ldt)) return false;
  if (from8086) return true;
  return (
    load(vcpu, Seg.CS, selector(Seg.CS), codeFault) &&
    load(vcpu, Seg.SS, selector(Seg.SS), stackFault) &&
    DATA.every((seg) => (selector(seg) & 0xfffc) === 0 || load(vcpu, seg, selector(seg), dataFault))
  );
}

function loadLdt(vcpu: VcpuContext, selector: number): boolean {
  const error = selector & 0xfffc;
  if (error === 0) return true;
  if (selector & 4) return vcpu.raiseError(Vector.TS, error);
  const d = readDescriptor(vcpu, selector, Vector.TS);
  if (d === null) return false;
  const attributes = attributesOfDescriptor(d);
  if ((attributes & 0x1f) !== LDT || !(attributes & ATTR_P)) return vcpu.raiseError(Vector.TS, error);
  vcpu.ldtr = segmentOf(selector, d);
  return true;
}

/** What is wrong with a segment: the exception that says so, or null. `attributes` are those of its descriptor. */
type Fault = (attributes: number, rpl: number, cpl: number) => Vector | null;

function load(vcpu: VcpuContext, seg: Seg, selector: number, faultOf: Fault): boolean {
  const error = selector & 0xfffc;
  if (error === 0) return vcpu.raiseError(Vector.TS, 0);
  const d: Descriptor | null = readDescriptor(vcpu, selector, Vector.TS);
  if (d === null) return false;
  const attributes = attributesOfDescriptor(d);
  const fault = attributes & ATTR_S ? faultOf(attributes, selector & 3, vcpu.cpl) : Vector.TS;
  if (fault !== null) return vcpu.raiseError(fault, error);
  if (!markAccessed(vcpu, d)) return false;
  vcpu.setSegment(seg, segmentOf(selector, d));
  return true;
}

const codeFault: Fault = (attributes, rpl) => {
  const level = dpl(attributes);
  const entered = attributes & ATTR_CONFORMING ? level <= rpl : level === rpl;
  if (!(attributes & ATTR_CODE) || !entered) return Vector.TS;
  return attributes & ATTR_P ? null : Vector.NP;
};

const stackFault: Fault = (attributes, rpl, cpl) => {
  if (attributes & ATTR_CODE || !(attributes & ATTR_WRITABLE)) return Vector.TS;
  if (dpl(attributes) !== cpl || rpl !== cpl) return Vector.TS;
  return attributes & ATTR_P ? null : Vector.SS;
};

const dataFault: Fault = (attributes, rpl, cpl) => {
  const code = (attributes & ATTR_CODE) !== 0;
  if (code && !(attributes & ATTR_READABLE)) return Vector.TS;
  const conforming = code && (attributes & ATTR_CONFORMING) !== 0;
  if (!conforming && (dpl(attributes) < rpl || dpl(attributes) < cpl)) return Vector.TS;
  return attributes & ATTR_P ? null : Vector.NP;
};
