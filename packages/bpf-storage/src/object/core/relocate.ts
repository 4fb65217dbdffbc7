import type { Btf } from "../../btf/btf.js";
import { describeType } from "../../btf/describe.js";
import { essentialName } from "../../btf/names.js";
import type { Insn } from "../../isa/insn.js";
import { ObjectError, reading } from "../errors.js";
import type { CorePlace, LinkedProgram } from "../link.js";
import { Budget } from "./budget.js";
import { sameKind } from "./compatible.js";
import { CoreKind, coreKindName } from "./kinds.js";
import { logText } from "./log-text.js";
import { matchSpec } from "./match.js";
import { type Patch, patchInsn } from "./patch.js";
import { describeSpec, parseSpec, type Spec } from "./spec.js";
import { type CoreValue, coreValue } from "./value.js";

/** A type of the kernel that may be what the object means. */
interface Candidate {
  readonly btf: Btf;
  readonly id: number;
}

/** One relocation, for logs. */
export interface CoreRecord {
  readonly pc: number;
  /** What is asked: `byte_off`, as libbpf calls it. */
  readonly kind: string;
  /** Of what: `struct task_struct.pid`. */
  readonly what: string;
  /** Indices of members and elements: "0:55". */
  readonly access: string;
  /** All of that as libbpf's logs have it: `<byte_off> [7] struct task_struct.pid (0:55 @ offset 1256)`. */
  readonly text: string;
  /** The same in the kernel, with the number of the type; null if it has none. */
  readonly target: { readonly type: number; readonly what: string } | null;
  readonly result: CoreResult;
}

/** What the instruction got; or that it must not be reached, and why. */
export type CoreResult =
  | { readonly outcome: "patched"; readonly before: bigint; readonly after: bigint }
  | { readonly outcome: "poisoned"; readonly reason: string };

/** A program whose instructions fit the kernel, and what was done for it. */
export interface RelocatedProgram {
  readonly program: LinkedProgram;
  readonly records: readonly CoreRecord[];
}

/** The types of a kernel, and of its modules, that programs are fitted to. Knows what it has found before. */
export class CoreTarget {
  readonly #known = new WeakMap<Btf, Map<number, readonly Candidate[]>>();

  /**
   * @param kernel its own types
   * @param modules types of its modules, over the kernel's; they count where the kernel has none of a name
   */
  constructor(
    readonly kernel: Btf,
    readonly modules: readonly Btf[] = [],
  ) {}

  /**
   * Relocates a program (Documentation/bpf/llvm_reloc.rst; the rules are libbpf's).
   * @param local the type information of its object
   * @throws {ObjectError} core if a relocation makes no sense or candidates disagree, btf, limit
   */
  relocate(linked: LinkedProgram, local: Btf): RelocatedProgram {
    const insns = [...linked.insns];
    const budget = new Budget(linked.core.length);
    const records = linked.core.map((place) => {
      const { record, patch } = this.#relocate(local, place, insns, budget, linked.program.name);
      for (const [k, insn] of patch.insns.entries()) insns[place.pc + k] = insn;
      return record;
    });
    return { program: { ...linked, insns, core: [] }, records };
  }

  #relocate(
    local: Btf,
    { pc, relocation }: CorePlace,
    insns: readonly Insn[],
    budget: Budget,
    program: string,
  ): { record: CoreRecord; patch: Patch } {
    const at = `${program}, instruction ${pc}`;
    return within(at, () => {
      const spec = parseSpec(local, relocation);
      const target = this.#target(local, spec, budget);
      const what = describeSpec(spec);
      const missing = `${coreKindName(spec.kind)} of ${what}: the kernel has no such ${spec.accessors.length > 1 ? "field" : "type or value"}`;
      const patch = patchInsn(insns.slice(pc, pc + 2), coreValue(spec.kind, spec), target.value, missing);
      const result: CoreResult =
        patch.outcome === "patched"
          ? { outcome: "patched", before: patch.before, after: patch.after }
          : { outcome: "poisoned", reason: patch.reason };
      const found = target.spec === null ? null : { type: target.spec.root, what: describeSpec(target.spec) };
      return {
        patch,
        record: {
          pc,
          kind: coreKindName(spec.kind),
          what,
          access: relocation.access,
          text: logText(spec, relocation.access),
          target: found,
          result,
        },
      };
    });
  }

  /** What the kernel has, and its value; all candidates that have it have to agree. */
  #target(local: Btf, spec: Spec, budget: Budget): { spec: Spec | null; value: CoreValue | null } {
    if (spec.kind === CoreKind.TypeIdLocal) return { spec: null, value: coreValue(spec.kind, spec) };
    const candidates = this.#candidates(local, spec.root);
    const matching: Candidate[] = [];
    let first: { spec: Spec; value: CoreValue | null } | null = null;
    for (const candidate of candidates) {
      const found = matchSpec({ local, target: candidate.btf, budget }, spec, candidate.id);
      if (found === null) continue;
      const value = coreValue(spec.kind, found);
      if (first === null) first = { spec: found, value };
      else if (found.bitOffset !== first.spec.bitOffset || value?.value !== first.value?.value)
        throw new ObjectError(
          "core",
          `${coreKindName(spec.kind)} of ${describeSpec(spec)}: types ${first.spec.root} and ${found.root} of the kernel disagree`,
        );
      matching.push(candidate);
    }
    // Those that have had it are what the object means from now on.
    if (matching.length > 0) this.#cache(local).set(spec.root, matching);
    return first ?? { spec: null, value: coreValue(spec.kind, null) };
  }

  #candidates(local: Btf, root: number): readonly Candidate[] {
    const cache = this.#cache(local);
    let candidates = cache.get(root);
    if (candidates === undefined) {
      candidates = this.#find(local, root);
      cache.set(root, candidates);
    }
    return candidates;
  }

  #find(local: Btf, root: number): Candidate[] {
    const name = essentialName(local.name(root));
    if (name === "")
      throw new ObjectError("core", `${describeType(local, root)}: a type without name is not found in a kernel`);
    const kind = local.kind(root);
    const among = (btf: Btf, from: number): Candidate[] =>
      btf.flavours(name, from).flatMap((id) => (sameKind(btf.kind(id), kind) ? [{ btf, id }] : []));
    const own = among(this.kernel, 1);
    return own.length > 0 ? own : this.modules.flatMap((module) => among(module, module.firstId));
  }

  #cache(local: Btf): Map<number, readonly Candidate[]> {
    let cache = this.#known.get(local);
    if (cache === undefined) {
      cache = new Map();
      this.#known.set(local, cache);
    }
    return cache;
  }
}

/** Does something about an instruction, whose errors then say which. */
function within<T>(at: string, work: () => T): T {
  try {
    return reading(at, work);
  } catch (error) {
    if (error instanceof ObjectError && error.code !== "btf")
      throw new ObjectError(error.code, `${at}: ${error.message}`);
    throw error;
  }
}
