import type { Btf } from "../btf/btf.js";
import { describeType } from "../btf/describe.js";
import { BtfKind } from "../btf/kinds.js";
import type { Insn } from "../isa/insn.js";
import { CALL, CallKind, Pseudo } from "../isa/opcodes.js";
import { Budget } from "./core/budget.js";
import { typesCompatible } from "./core/compatible.js";
import { ObjectError, reading } from "./errors.js";
import type { Extern, KsymExtern } from "./externs.js";
import type { LinkedProgram } from "./link.js";

/** A variable or function in the types of the kernel or of a module. */
export interface KernelType {
  readonly btf: Btf;
  readonly id: number;
  /** Of a module: what tells its types apart (a file descriptor, or its place among them); 0: the kernel's own. */
  readonly module: number;
}

/** What the kernel has. */
export interface KernelPort {
  /** Address of a symbol. */
  address(name: string): bigint | undefined;
  /** A variable (`BtfKind.Var`), or a function that programs may call (`BtfKind.Func`). */
  type(name: string, kind: typeof BtfKind.Var | typeof BtfKind.Func): KernelType | undefined;
}

/** Something that is not in the kernel, and that the object can do without. */
export interface MissingExtern {
  readonly pc: number;
  readonly name: string;
  readonly reason: string;
}

/** Number of the helper that a call of a missing function calls, which no kernel has; the place of the extern is added. */
export const MISSING_KFUNC = 2_002_000_000;

/** A program with what it expects of the kernel, and what the kernel does not have. */
export interface ResolvedProgram {
  readonly program: LinkedProgram;
  readonly missing: readonly MissingExtern[];
}

/** What an extern is in the kernel; null: not there. */
type Found = { readonly address: bigint } | KernelType | null;

/**
 * Puts what the kernel has into the instructions: numbers of kfuncs and variables in its types, addresses of symbols.
 * What is weak and missing becomes 0, and its calls must not be reached.
 * @param externs all of the object's, by which missing ones are told apart
 * @param local the object's type information
 * @throws {ObjectError} extern for what is missing or of another type, and not weak
 */
export function resolveExterns(
  linked: LinkedProgram,
  externs: readonly Extern[],
  local: Btf | null,
  port: KernelPort,
): ResolvedProgram {
  const insns = [...linked.insns];
  const missing: MissingExtern[] = [];
  const known = new Map<Extern, Found>();
  for (const { pc, extern } of linked.externs) {
    if (extern.kind === "kconfig") continue;
    let found = known.get(extern);
    if (found === undefined) {
      found = find(extern, local, port);
      known.set(extern, found);
    }
    if (found === null) missing.push({ pc, name: extern.name, reason: `the kernel has no ${extern.name}` });
    const insn = insns[pc] as Insn;
    if (insn.code === CALL) insns[pc] = call(insn, found, externs.indexOf(extern));
    else [insns[pc], insns[pc + 1]] = load(insn, insns[pc + 1] as Insn, found);
  }
  return { program: { ...linked, insns, externs: [] }, missing };
}

function find(extern: KsymExtern, local: Btf | null, port: KernelPort): Found {
  const { name, essential, kind, weak, typeId } = extern;
  if (kind === "address") {
    const address = port.address(essential);
    if (address !== undefined) return { address };
  } else {
    const isFunction = kind === "kfunc";
    const type = port.type(isFunction ? essential : name, isFunction ? BtfKind.Func : BtfKind.Var);
    if (type !== undefined && local !== null) {
      const pair = { local, target: type.btf, budget: new Budget() };
      const same = reading(name, () => typesCompatible(pair, typeId, type.btf.resolve(type.btf.target(type.id))));
      if (same) return type;
      if (!(isFunction && weak))
        throw new ObjectError(
          "extern",
          `${name}: the object expects ${describeType(local, typeId, name)}, the kernel has ${describeType(type.btf, type.id)}`,
        );
    }
  }
  if (!weak) throw new ObjectError("extern", `${name}: the kernel has no such ${kind === "address" ? "symbol" : kind}`);
  return null;
}

function call(insn: Insn, found: Found, index: number): Insn {
  if (found !== null && "id" in found) return { ...insn, src: CallKind.Kfunc, off: found.module, imm: found.id };
  return { code: CALL, dst: 0, src: CallKind.Helper, off: 0, imm: MISSING_KFUNC + index };
}

function load(low: Insn, high: Insn, found: Found): [Insn, Insn] {
  if (found !== null && "id" in found)
    return [
      { ...low, src: Pseudo.BtfId, imm: found.id },
      { ...high, imm: found.module },
    ];
  const address = found?.address ?? 0n;
  return [
    { ...low, imm: Number(BigInt.asIntN(32, address)) },
    { ...high, imm: Number(BigInt.asIntN(32, address >> 32n)) },
  ];
}

/** What types of a kernel and its modules have; the modules are told apart by their place, from 1 on. */
export function portOf(kernel: Btf, modules: readonly Btf[], address: KernelPort["address"]): KernelPort {
  return {
    address,
    type(name, kind) {
      for (const [module, btf] of [kernel, ...modules].entries()) {
        const id = btf.all(name, kind).find((one) => one >= btf.firstId);
        if (id !== undefined) return { btf, id, module };
      }
      return undefined;
    },
  };
}
