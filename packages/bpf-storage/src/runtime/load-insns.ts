import { KERNEL_HIGH } from "../engine/layout.js";
import { BpfError } from "../errors.js";
import type { Insn } from "../isa/insn.js";
import { isWide } from "../isa/insn.js";
import { Pseudo } from "../isa/opcodes.js";
import { ArrayMap } from "../maps/array.js";
import type { BpfMap } from "../maps/map.js";
import { ProgramType } from "../uapi/program-types.js";
import type { VerifierMap, VerifyRequest } from "../verifier/request.js";
import { verify } from "../verifier/verify.js";
import type { BpfProgram } from "./program.js";
import type { BpfRuntime } from "./runtime.js";
import { VerifierError } from "./verify-program.js";

/** A program as BPF_PROG_LOAD gets it. */
export interface InsnsDesc extends Omit<VerifyRequest, "maps"> {
  readonly name: string;
  /** The map of a descriptor, by which instructions name it. */
  readonly map: (fd: number) => BpfMap | undefined;
}

/** A map as the verifier looks at it. */
function described(map: BpfMap | undefined): VerifierMap | undefined {
  if (map === undefined) return undefined;
  const { fields, ...desc } = map.desc;
  const lock = fields?.spinLock ?? null;
  return lock === null ? desc : { ...desc, fields: [{ kind: "bpf_spin_lock", offset: lock, size: 4 }] };
}

/**
 * Verifies and loads instructions that name maps by descriptors.
 * @throws {VerifierError} for a program that could do what it must not
 * @throws {BpfError} for one that calls what there is not
 */
export function loadInsns(runtime: BpfRuntime, { name, map, ...request }: InsnsDesc): BpfProgram {
  const verdict = verify({ ...request, maps: (fd) => described(map(fd)) });
  if (!verdict.accepted) throw new VerifierError(verdict.errno ?? "EINVAL", `program ${name} is refused`, verdict.log);
  const insns = [...verdict.insns];
  for (const [pc, insn] of insns.entries()) {
    if (!isWide(insn) || (insn.src !== Pseudo.MapFd && insn.src !== Pseudo.MapValue)) continue;
    const named = map(insn.imm);
    const next = insns[pc + 1] as Insn;
    if (named === undefined) throw new BpfError("EBADF", `instruction ${pc} names map ${insn.imm}, which is none`);
    const value = named instanceof ArrayMap ? named.elements + next.imm : 0;
    insns[pc] = { ...insn, src: 0, imm: insn.src === Pseudo.MapFd ? named.address : value };
    insns[pc + 1] = { ...next, imm: KERNEL_HIGH | 0 };
  }
  const recur = request.type !== ProgramType.Lsm && request.type !== ProgramType.StructOps;
  const subprograms = verdict.subprograms.map(({ start }) => start);
  return runtime.load({ name, type: request.type, recur, insns, subprograms, trusted: true });
}
