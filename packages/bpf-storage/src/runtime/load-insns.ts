import type { Insn } from "../isa/insn.js";
import type { BpfMap } from "../maps/map.js";
import type { VerifierMap, VerifyRequest } from "../verifier/request.js";
import { verify } from "../verifier/verify.js";
import { resolveMaps } from "./pointers.js";
import { type BpfProgram, recurs } from "./program.js";
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
  resolveMaps(insns, map);
  const recur = recurs(request.type, request.expectedAttachType ?? 0);
  const subprograms = verdict.subprograms.map(({ start }) => start);
  return runtime.load({ name, type: request.type, recur, insns, subprograms, trusted: true });
}
