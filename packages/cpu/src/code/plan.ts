import { type Insn, Kind, type Operand } from "../decode/index.js";
import { handlerKey, handlerNumber } from "../interp/handlers.js";
import * as S from "../state.js";
import type { Template } from "./instance.js";
import { mmxSteps } from "./mmx.js";
import { numberOf, type Step, step, Uses } from "./step.js";
import { LEGACY, MODIFY, SSE, STACK } from "./traits.js";

/** Which address the memory operand stands for. */
export enum Address {
  /** There is none. */
  None,
  /** Of what is accessed. */
  Linear,
  /** The offset alone (LEA). */
  Offset,
}

/** How instructions of a template become records. */
export interface Plan {
  /** Records before the address. */
  readonly before: readonly Step[];
  readonly address: Address;
  /** Moves the address by a register. */
  readonly bits: Step | null;
  readonly steps: readonly Step[];
}

/** The plan for instructions of `template`, of which `insn` is one. */
export function planOf(template: Template, insn: Insn): Plan {
  switch (template.executor) {
    case "mmx":
      return mmxPlan(template, insn);
    case "helper":
      return { before: [], address: Address.None, bits: null, steps: [] };
    default:
      return rowPlan(template, insn);
  }
}

function mmxPlan({ memoryAt }: Template, insn: Insn): Plan {
  const legacy = insn.mode !== 64 && memoryAt >= 0;
  return {
    before: legacy ? (memoryAt === 0 ? ["mmx.check", "mmx.top"] : ["mmx.check"]).map((name) => step(name)) : [],
    address: memoryAt >= 0 ? Address.Linear : Address.None,
    bits: null,
    steps: mmxSteps(insn),
  };
}

function rowPlan(template: Template, insn: Insn): Plan {
  const { name, size, memoryAt } = template;
  if (name === "lea") return leaPlan(insn, size);
  return {
    before: memoryAt >= 0 && insn.mode !== 64 && SSE.has(name) ? [step("sse")] : [],
    address: memoryAt >= 0 ? Address.Linear : Address.None,
    bits: template.bitString ? filled(numberOf(handlerKey("bitaddr", size, "mr")), "mr") : null,
    steps: rowSteps(template, insn),
  };
}

function leaPlan({ addrSize }: Insn, size: number): Plan {
  const key = addrSize < size ? (addrSize === 4 ? "lea32" : "lea16") : handlerKey("lea", size, "rm");
  return { before: [], address: Address.Offset, bits: null, steps: [filled(numberOf(key), "rm")] };
}

function rowSteps({ name, size, form, memoryAt, aligned }: Template, insn: Insn): Step[] {
  const legacy = insn.mode !== 64 && LEGACY.has(name);
  const numberFor = (wanted: string): number | undefined => handlerNumber(handlerKey(name, size, wanted, legacy));
  // Outside 64-bit code an operand and the stack have bounds of their own, with exceptions of their own.
  const stack = insn.mode !== 64 && STACK.has(name);
  const straight = numberFor(form);
  if (memoryAt < 0 || (straight !== undefined && !stack))
    return [{ ...filled(straight ?? missing(insn), form), stack }];
  const vector = numberFor(form.replace("m", "r")) === undefined;
  const modifies = memoryAt === 0 && MODIFY.has(name);
  const operand = insn.operands[memoryAt] as Operand;
  const load = modifies ? `rmw${size}` : `ld${vector ? "x" : ""}${aligned ? "a" : ""}${operand.size}`;
  const fetched = form.replace("m", vector ? "x" : "r");
  const main = filled(numberFor(fetched) ?? missing(insn), fetched, memoryAt, vector ? S.XTMP : S.TMP);
  const steps = [step(load, { uses: Uses.Memory }), { ...main, stack }];
  return modifies ? [...steps, step(`wb${size}`, { uses: Uses.Memory, stack })] : steps;
}

/** A step that takes the operands as `form` has them; operand `replaced` was fetched into slot `temporary`. */
function filled(handler: number, form: string, replaced = -1, temporary = 0): Step {
  let [dst, src, imm, uses] = [0, 0, 0, Uses.Nothing];
  for (let k = 0; k < form.length; k++) {
    const slot = k === replaced ? temporary : ~k;
    switch (form[k]) {
      case "r":
      case "x":
        if (k === 0) dst = slot;
        else src = slot;
        break;
      case "m":
        uses = Uses.Memory;
        break;
      case "i":
        imm = -1;
        break;
      case "I":
        uses = Uses.Immediate;
    }
  }
  return { handler, dst, src, imm, uses, stack: false };
}

function missing({ op, operands, nops }: Insn): never {
  const kinds = operands.slice(0, nops).map(({ kind, size }) => `${Kind[kind]}:${size}`);
  throw new Error(`no handler for ${op} ${kinds.join()}`);
}
