import type { Btf } from "../btf/btf.js";
import { BpfError, type Errno } from "../errors.js";
import type { LinkedProgram } from "../object/link.js";
import type { MapDefinition } from "../object/map-definition.js";
import type { BpfObject } from "../object/object.js";
import type { MapType } from "../uapi/map-types.js";
import type { ProgramType } from "../uapi/program-types.js";
import { verifierBtf } from "../verifier/btf-adapter.js";
import { mapFields } from "../verifier/map-fields.js";
import type { Verdict, VerifierMap, VerifyRequest } from "../verifier/request.js";
import { verifying } from "../verifier/verify.js";
import type { Work } from "../work.js";
import { attachTargetOf } from "./attach-target.js";
import type { NamedKind } from "./program-names.js";

/** Licenses that helpers for GPL programs are there for (`license_is_gpl_compatible`). */
export const GPL: ReadonlySet<string> = new Set([
  "GPL",
  "GPL v2",
  "GPL and additional rights",
  "Dual BSD/GPL",
  "Dual MIT/GPL",
  "Dual MPL/GPL",
]);

/** A program that the verifier refuses. */
export class VerifierError extends BpfError {
  /** @param log what the verifier has to say */
  constructor(
    code: Errno,
    message: string,
    readonly log: string,
  ) {
    super(code, message);
  }
}

/** What verifying the programs of an object takes. */
export interface ObjectContext {
  readonly object: BpfObject;
  /** Those of the object and of its configuration, in the order by which instructions name them. */
  readonly maps: readonly MapDefinition[];
  /** The kernel's types; null if there is no kernel. */
  readonly kernel: Btf | null;
}

/**
 * Verifies a linked program as Linux would when it is loaded.
 * @throws {VerifierError} which says why not
 */
export function* verifyLinked(linked: LinkedProgram, context: ObjectContext): Work<Verdict> {
  const verdict = yield* verifying(requestOf(linked, context));
  if (verdict.accepted) return verdict;
  const lines = verdict.log.trimEnd().split("\n");
  // The last line tells how much there was to verify.
  const why = lines.filter((line) => !line.startsWith("processed ")).at(-1) ?? "";
  throw new VerifierError(verdict.errno ?? "EINVAL", `program ${linked.program.name}: ${why}`, verdict.log);
}

/** Where the variables of a section are. */
const places = ({ variables }: MapDefinition): ReadonlyMap<string, number> =>
  new Map(variables.map(({ name, offset }) => [name, offset]));

/** What the verifier is asked about a linked program. */
export function requestOf(linked: LinkedProgram, { object, maps, kernel }: ObjectContext): VerifyRequest {
  const { program, insns, subprograms } = linked;
  const kernelBtf = kernel === null ? undefined : verifierBtf(kernel);
  const programBtf = object.btf === null ? undefined : verifierBtf(object.btf);
  const describe = (map: MapDefinition): VerifierMap => ({
    ...{ type: map.type as MapType, keySize: map.keySize, valueSize: map.valueSize },
    ...{ maxEntries: map.maxEntries, flags: map.flags, name: map.name },
    ...(programBtf === undefined || map.valueTypeId === 0
      ? {}
      : { fields: mapFields(programBtf, map.valueTypeId, kernelBtf, places(map)) }),
    ...(map.frozen && map.contents !== null ? { frozen: map.contents } : {}),
    ...(map.inner === null ? {} : { inner: describe(map.inner) }),
  });
  const described = maps.map(describe);
  const attachTo = attachTargetOf(program, kernel, object);
  const functions = subprograms.map(({ pc, typeId, global }) => ({
    ...{ insn: pc, type: typeId },
    isStatic: pc > 0 && !global,
  }));
  return {
    insns,
    type: program.type as ProgramType,
    expectedAttachType: program.attach,
    ...(attachTo === null ? {} : { attachTo }),
    maps: (fd) => described[fd],
    ...(kernelBtf === undefined ? {} : { kernelBtf }),
    ...(programBtf === undefined ? {} : { programBtf }),
    funcInfo: functions.every(({ type }) => type !== 0) ? functions : [],
    gpl: GPL.has(object.license),
    sleepable: program.sleepable,
  };
}

/** What the verifier is asked about a program of which no more than its kind is known. @throws {BpfError} ENOENT if the kernel has not what it is for */
export function requestOfKind(
  { type, attach, target, sleepable }: NamedKind,
  kernel: Btf | null,
): Pick<VerifyRequest, "type" | "expectedAttachType" | "attachTo" | "kernelBtf" | "sleepable"> {
  const attachTo = attachTargetOf({ name: "-", type, attach, target }, kernel, null);
  return {
    ...{ type, expectedAttachType: attach, sleepable },
    ...(attachTo === null ? {} : { attachTo }),
    ...(kernel === null ? {} : { kernelBtf: verifierBtf(kernel) }),
  };
}
