import * as S from "../../state.js";
import type { VcpuContext } from "../context/context.js";
import { push } from "../memory/operands.js";
import { ATTR_P, CR0_TS, Vector } from "../registers/constants.js";
import type { Halves } from "../registers/halves.js";
import { checkTargetReal } from "../segments/far.js";
import { TSS_WIDE } from "../segments/inner-stack.js";
import {
  attributesOfDescriptor,
  baseOf,
  type Descriptor,
  dpl,
  limitOf,
  readDescriptor,
  segmentOf,
} from "../segments/segments.js";
import { writeControlRegister } from "../system-registers/control-registers.js";
import { loadTaskSegments } from "./task-segments.js";
import { layoutOf, probe, probeSave, readTask, rememberTask, saveTask, type TaskState } from "./task-state.js";

/** What was read last. */
const found: Halves = { lo: 0, hi: 0 };

/** Types of system descriptors: a 16-bit TSS, to be combined with `TSS_WIDE` and `BUSY`, and a task gate (SDM vol. 3, table 3-2). */
const TSS_AVAILABLE = 1;
const BUSY = 2;
export const TASK_GATE = 5;

export const isTaskState = (type: number): boolean => (type & ~(TSS_WIDE | BUSY)) === TSS_AVAILABLE;

interface TaskSwitch {
  readonly selector: number;
  readonly descriptor: Descriptor;
  /** JMP leaves the old task available, CALL and events nest the new one in it, IRET goes back to it. */
  readonly means: "jump" | "call" | "return";
  /** EIP and EFLAGS to save for the old task. */
  readonly ip: number;
  readonly flags: number;
  /** Pushed on the new task's stack. */
  readonly errorCode: number | null;
}

/** What EFLAGS takes from a TSS; VIF and VIP come with VME only. */
const FLAGS = S.ARITH | S.TF | S.IF | S.DF | S.IOPL | S.NT | S.RF | S.VM | S.AC | S.ID;
/** Local breakpoints and LE of DR7, which belong to the task (SDM vol. 3, 17.2.4). */
const DR7_LOCAL = 0x155;
/** DR6: a task switch to a TSS with T set. */
const DR6_BT = 0x8000;

/** The TSS descriptor that a task gate, or with `busy` a back link, names; null with `vector`, #NP or a page fault pending. */
function taskDescriptor(vcpu: VcpuContext, selector: number, vector: Vector, busy: boolean): Descriptor | null {
  const error = selector & 0xfffc;
  if (selector & 4) return vcpu.raiseError(vector, error) || null;
  const d = readDescriptor(vcpu, selector, vector);
  if (d === null) return null;
  const attributes = attributesOfDescriptor(d);
  const right = isTaskState(attributes & 0x1f) && ((attributes & BUSY) !== 0) === busy;
  if (!right) return vcpu.raiseError(vector, error) || null;
  if (!(attributes & ATTR_P)) return vcpu.raiseError(Vector.NP, error) || null;
  return d;
}

/**
 * Far JMP or CALL to the task gate or TSS `d`: SDM vol. 2, JMP and CALL.
 * @param next EIP at which the old task goes on
 * @returns false with an exception or exit pending and nothing switched
 */
export function branchToTask(
  vcpu: VcpuContext,
  selector: number,
  d: Descriptor,
  means: "jump" | "call",
  next: number,
): boolean {
  const attributes = attributesOfDescriptor(d);
  const error = selector & 0xfffc;
  const level = dpl(attributes);
  if (level < vcpu.cpl || level < (selector & 3)) return vcpu.raiseError(Vector.GP, error);
  const gate = (attributes & 0x1f) === TASK_GATE;
  if (gate && !(attributes & ATTR_P)) return vcpu.raiseError(Vector.NP, error);
  const tss = gate ? d.lo >>> 16 : selector;
  const to = taskDescriptor(vcpu, tss, Vector.GP, false);
  return (
    to !== null &&
    switchTask(vcpu, { selector: tss, descriptor: to, means, ip: next, flags: vcpu.rflags, errorCode: null })
  );
}

/** IRET with NT: back to the task that the current TSS names. SDM vol. 2, IRET. */
export function returnToTask(vcpu: VcpuContext, next: number): boolean {
  if (!vcpu.linear.readSystem(vcpu.tr.baseLo, 0, 2, found)) return false;
  const selector = found.lo;
  const to = taskDescriptor(vcpu, selector, Vector.TS, true);
  const flags = vcpu.rflags & ~S.NT;
  return (
    to !== null && switchTask(vcpu, { selector, descriptor: to, means: "return", ip: next, flags, errorCode: null })
  );
}

/**
 * An event whose gate is a task gate to `selector`: SDM vol. 3, 6.12.2.
 * @param flags EFLAGS to save for the task that is interrupted
 * @returns false with an exception or exit pending, in the new task if it was switched to
 */
export function enterTask(vcpu: VcpuContext, selector: number, flags: number, errorCode: number | null): boolean {
  const to = taskDescriptor(vcpu, selector, Vector.GP, false);
  if (to === null) return false;
  const switched = switchTask(vcpu, { selector, descriptor: to, means: "call", ip: vcpu.ripLo, flags, errorCode });
  return switched && vcpu.pending === null;
}

/**
 * Switches tasks: SDM vol. 3, 7.3. What is wrong with the new one's segments is found, and stays pending, in its own context.
 * @returns false with an exception or exit pending and no register changed
 */
function switchTask(vcpu: VcpuContext, { selector, descriptor, means, ip, flags, errorCode }: TaskSwitch): boolean {
  const { linear, tr, gdtr } = vcpu;
  const attributes = attributesOfDescriptor(descriptor);
  const [from, to] = [layoutOf(tr.attributes), layoutOf(attributes)];
  const base = baseOf(descriptor);
  if (limitOf(descriptor) < to.limit) return vcpu.raiseError(Vector.TS, selector & 0xfffc);
  if (tr.limit < from.limit) return vcpu.raiseError(Vector.TS, tr.selector & 0xfffc);
  // Where the two descriptors have the busy bit.
  const oldType = (gdtr.baseLo + (tr.selector & 0xfff8) + 5) | 0;
  const newType = (descriptor.atLo + 5) | 0;
  const possible =
    probeSave(vcpu, tr.baseLo, from) &&
    probe(vcpu, base, to.limit + 1, false) &&
    (means === "call" ? probe(vcpu, base, 2, true) : probe(vcpu, oldType, 1, true)) &&
    (means === "return" || probe(vcpu, newType, 1, true));
  if (!possible || !saveTask(vcpu, tr.baseLo, from, ip, flags)) return false;
  const task = readTask(vcpu, base, to);
  if (task === null) return false;
  if (means === "call" && !linear.writeSystem(base, 0, 2, tr.selector)) return false;
  if (means !== "call") {
    if (!linear.readSystem(oldType, 0, 1, found) || !linear.writeSystem(oldType, 0, 1, found.lo & ~BUSY)) return false;
  }
  if (means !== "return" && !linear.writeSystem(newType, 0, 1, (attributes | BUSY) & 0xff)) return false;
  const restore = rememberTask(vcpu);
  vcpu.tr = { ...segmentOf(selector, descriptor), attributes: attributes | BUSY };
  startTask(vcpu, task, to.word, means === "call", errorCode);
  if (!vcpu.leaving) return true;
  // A watched page is in the way: nothing has been done.
  restore();
  if (means !== "call") linear.writeSystem(oldType, 0, 1, tr.attributes & 0xff);
  if (means !== "return") linear.writeSystem(newType, 0, 1, attributes & 0xff);
  return false;
}

function startTask(vcpu: VcpuContext, task: TaskState, word: 2 | 4, nested: boolean, errorCode: number | null): void {
  vcpu.cr0 |= CR0_TS;
  vcpu.paging.cr0 = vcpu.cr0;
  vcpu.updateUnits();
  if (task.cr3 !== null && vcpu.pagingEnabled) writeControlRegister(vcpu, 3, task.cr3, 0);
  task.registers.forEach((value, r) => {
    vcpu.setReg(r, value, 0);
  });
  vcpu.rflags = (task.flags & (word === 4 ? FLAGS : FLAGS & 0xffff)) | 2 | (nested ? S.NT : 0);
  const dr7 = vcpu.dr[14] as number;
  if (dr7 & DR7_LOCAL) {
    vcpu.dr[14] = dr7 & ~DR7_LOCAL;
    vcpu.debugRegistersChanged();
  }
  const ready =
    loadTaskSegments(vcpu, task) &&
    (errorCode === null || push(vcpu, word, errorCode, 0)) &&
    checkTargetReal(vcpu, { lo: task.ip, hi: 0 });
  vcpu.setRip(task.ip, 0);
  vcpu.startedTask();
  if (ready && task.trap) vcpu.raiseDebugFault(DR6_BT);
}
