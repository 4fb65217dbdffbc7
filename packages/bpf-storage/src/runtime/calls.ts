import { LOOP } from "../engine/callees.js";
import { TAIL_CALL } from "../engine/tail-calls.js";
import { BpfError } from "../errors.js";
import { helperText } from "../helpers/prototypes.js";
import type { Insn } from "../isa/insn.js";
import { CALL, CallKind } from "../isa/opcodes.js";
import { HELPERS } from "./helpers/index.js";
import { REFUSED_HELPERS } from "./helpers/refused.js";
import { STORAGE_GET } from "./helpers/storage.js";
import type { RuntimeHost } from "./host.js";
import { KFUNCS } from "./kfuncs/index.js";
import { REFUSED_KFUNCS } from "./kfuncs/refused.js";

/** What a program is that calls. */
export interface Caller {
  readonly name: string;
  /** The name of the function of the kernel that a call names, by its number in the types of the kernel or of a module. */
  readonly kfunc: ((id: number, module: number) => string | undefined) | undefined;
}

/** Helpers that are no entry of the table: the engine's own, and generated code. */
const OTHERS: ReadonlySet<number> = new Set([TAIL_CALL, LOOP, ...STORAGE_GET]);
const KFUNC_LIST = [...KFUNCS.values()];
const KFUNC_NUMBERS = new Map(KFUNC_LIST.map(({ name }, number) => [name, number]));

/** The function of the kernel that a call in resolved instructions names. */
export const kfuncAt = (number: number): (typeof KFUNC_LIST)[number] | undefined => KFUNC_LIST[number];

/**
 * Checks that what a program calls is here, and puts numbers of the table of kfuncs in the place of numbers of types.
 * @throws {BpfError} EINVAL naming the function that is not here, EOPNOTSUPP naming what its host lacks
 */
export function resolveCalls(insns: readonly Insn[], caller: Caller, host: RuntimeHost): Insn[] {
  return insns.map((insn, pc) => {
    if (insn.code !== CALL) return insn;
    if (insn.src === CallKind.Helper) checkHelper(pc, insn.imm, caller, host);
    return insn.src === CallKind.Kfunc ? { ...insn, off: 0, imm: kfuncNumber(pc, insn, caller, host) } : insn;
  });
}

const because = (reason: string | undefined): string => (reason === undefined ? "" : `: ${reason}`);

function checkHelper(pc: number, id: number, { name }: Caller, host: RuntimeHost): void {
  const entry = HELPERS.get(id);
  if (entry === undefined && !OTHERS.has(id))
    throw new BpfError(
      "EINVAL",
      `program ${name}, instruction ${pc}: helper ${helperText(id)} is not here${because(REFUSED_HELPERS.get(id))}`,
    );
  checkNeeds(pc, entry?.needs, helperText(id), name, host);
}

function kfuncNumber(pc: number, { imm, off }: Insn, { name, kfunc }: Caller, host: RuntimeHost): number {
  const called = kfunc?.(imm, off);
  if (called === undefined)
    throw new BpfError("EINVAL", `program ${name}, instruction ${pc}: the kernel has no function ${imm}`);
  const number = KFUNC_NUMBERS.get(called);
  if (number === undefined)
    throw new BpfError(
      "EINVAL",
      `program ${name}, instruction ${pc}: kernel function ${called} is not here${because(REFUSED_KFUNCS.get(called))}`,
    );
  checkNeeds(pc, KFUNCS.get(called)?.needs, called, name, host);
  return number;
}

function checkNeeds(
  pc: number,
  needs: keyof RuntimeHost | undefined,
  called: string,
  name: string,
  host: RuntimeHost,
): void {
  if (needs !== undefined && host[needs] === undefined)
    throw new BpfError(
      "EOPNOTSUPP",
      `program ${name}, instruction ${pc}: ${called} asks the host for ${needs}, which it has not`,
    );
}
