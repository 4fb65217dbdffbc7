import type { BpfMap } from "../maps/map.js";
import type { VerifierMap, VerifyRequest } from "../verifier/request.js";
import { verify } from "../verifier/verify.js";
import { callTypes } from "./object-layout.js";
import { resolveMaps } from "./pointers.js";
import { type BpfProgram, recurs } from "./program.js";
import type { BpfRuntime } from "./runtime.js";
import { verifierMap } from "./verifier-map.js";
import { VerifierError } from "./verify-program.js";

/** A program as BPF_PROG_LOAD gets it. */
export interface InsnsDesc extends Omit<VerifyRequest, "maps"> {
  readonly name: string;
  /** The map of a descriptor, by which instructions name it. */
  readonly map: (fd: number) => BpfMap | undefined;
  /** How the verifier looks at the map of a descriptor, if it is to know more than how the map was made. */
  readonly maps?: VerifyRequest["maps"];
}

/**
 * Verifies and loads instructions that name maps by descriptors.
 * @throws {VerifierError} for a program that could do what it must not
 * @throws {BpfError} for one that calls what there is not
 */
export function loadInsns(runtime: BpfRuntime, { name, map, ...request }: InsnsDesc): BpfProgram {
  const described = (fd: number): VerifierMap | undefined => {
    const found = map(fd);
    return found === undefined ? undefined : verifierMap(found);
  };
  const verdict = verify({ maps: described, ...request });
  if (!verdict.accepted) throw new VerifierError(verdict.errno ?? "EINVAL", `program ${name} is refused`, verdict.log);
  const insns = [...verdict.insns];
  resolveMaps(insns, map);
  const { type, expectedAttachType: attach = 0, kernelBtf, programBtf } = request;
  return runtime.load({
    ...{ name, type, attach, recur: recurs(type, attach), insns, trusted: true },
    ...callTypes(kernelBtf, programBtf),
    subprograms: verdict.subprograms.map(({ start }) => start),
  });
}
