import { type Insn, SHAPES } from "../decode/index.js";
import { type Template, templateOf } from "./instance.js";
import { type Plan, planOf } from "./plan.js";
import type { Step } from "./step.js";

/**
 * Plans as `lower()` reads them: a word of attributes and three words a step, so that most are one cache line. An instruction is lowered when
 * all of this has long been pushed out of the processor's caches.
 */

/** Attributes: a `Flow` and an `Address`. */
export const FLOW_MASK = 3;
export const ADDRESS_SHIFT = 2;
export const ADDRESS_MASK = 3;
/** A helper executes it: there are no steps. */
export const HELPER = 1 << 4;
/** As in `Template`. */
export const MEMORY = 1 << 5;
export const STACK = 1 << 6;
/** Immediates of more than 32 bits have another plan. */
const WIDE = 1 << 7;
/** Not to be used before the instruction itself has been put in order. */
const ADJUST = 1 << 8;
/** The step that moves the address by a register is the first one behind those before the address. */
export const BITS = 1 << 9;
/** Number of steps before the address, and of those behind it. */
export const BEFORE_SHIFT = 10;
export const BEFORE_MASK = 3;
export const STEPS_SHIFT = 12;
export const STEPS_MASK = 15;
/** As in `Template`, if there is an address. */
export const WRITES = 1 << 16;
export const ALIGNED = 1 << 17;
export const AT_SHIFT = 18;
export const AT_MASK = 3;

/** Steps: first word. */
export const HANDLER_MASK = 0xffff;
export const USES_SHIFT = 16;
export const USES_MASK = 3;
export const STEP_STACK = 1 << 18;
/** `Step.dst` and `Step.src` are the halves of the second word, signed; the third is `Step.imm`. */
export const STEP_WORDS = 3;

/** Plans start at multiples of it. */
const UNIT = 4;

/** All plans. The first unit stands for plans yet to be made. */
export let words: Int32Array = new Int32Array(1024);
words[0] = ADJUST;
let used = 1;
/** Units by shape. */
const byShape = new Uint16Array(SHAPES);
/** Units by number of the template. */
const byTemplate: number[] = [];

/** Where in `words` the plan for `insn` is, whose operands may be put in the order that rows want. */
export function planAt(insn: Insn): number {
  const at = (byShape[insn.shape] as number) * UNIT;
  const head = words[at] as number;
  if (head & ADJUST || (head & WIDE && insn.immHi !== insn.immLo >> 31)) return found(insn);
  return at;
}

function found(insn: Insn): number {
  const template = templateOf(insn);
  const unit = byTemplate[template.number] ?? pack(template, planOf(template, insn));
  byTemplate[template.number] = unit;
  // The wide template is the second one of its shape.
  if (template.name !== "movabs") byShape[insn.shape] = unit;
  return unit * UNIT;
}

function pack(template: Template, { before, address, bits, steps }: Plan): number {
  const head =
    template.flow |
    (address << ADDRESS_SHIFT) |
    (template.executor === "helper" ? HELPER : 0) |
    (template.memory ? MEMORY : 0) |
    (template.stack ? STACK : 0) |
    (template.writes ? WRITES : 0) |
    (template.aligned ? ALIGNED : 0) |
    (Math.max(template.memoryAt, 0) << AT_SHIFT) |
    (template.wide === null ? 0 : WIDE) |
    (template.adjust === null ? 0 : ADJUST) |
    (bits === null ? 0 : BITS) |
    (before.length << BEFORE_SHIFT) |
    (steps.length << STEPS_SHIFT);
  const count = before.length + (bits === null ? 0 : 1) + steps.length;
  const unit = used;
  used += Math.ceil((1 + STEP_WORDS * count) / UNIT);
  if (used * UNIT > words.length) {
    const more = new Int32Array(2 * words.length);
    more.set(words);
    words = more;
  }
  let at = unit * UNIT;
  words[at++] = head;
  for (const step of before) at = packStep(step, at);
  if (bits !== null) at = packStep(bits, at);
  for (const step of steps) at = packStep(step, at);
  return unit;
}

function packStep({ handler, dst, src, imm, uses, stack }: Step, at: number): number {
  words[at] = handler | (uses << USES_SHIFT) | (stack ? STEP_STACK : 0);
  words[at + 1] = (dst & 0xffff) | (src << 16);
  words[at + 2] = imm;
  return at + STEP_WORDS;
}
