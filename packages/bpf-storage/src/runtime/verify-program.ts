import type { Btf } from "../btf/btf.js";
import { BtfKind } from "../btf/kinds.js";
import { BpfError, type Errno } from "../errors.js";
import type { LinkedProgram } from "../object/link.js";
import type { MapDefinition } from "../object/map-definition.js";
import type { BpfObject, ObjectProgram } from "../object/object.js";
import type { MapType } from "../uapi/map-types.js";
import { AttachType, ProgramType } from "../uapi/program-types.js";
import { verifierBtf } from "../verifier/btf-adapter.js";
import { mapFields } from "../verifier/map-fields.js";
import type { AttachTarget, Verdict, VerifierMap, VerifyRequest } from "../verifier/request.js";
import { verifying } from "../verifier/verify.js";
import type { Work } from "../work.js";

/** Licenses that helpers for GPL programs are there for (`license_is_gpl_compatible`). */
const GPL: ReadonlySet<string> = new Set([
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

/** What the verifier is asked about a linked program. */
export function requestOf(linked: LinkedProgram, { object, maps, kernel }: ObjectContext): VerifyRequest {
  const { program, insns, subprograms } = linked;
  const kernelBtf = kernel === null ? undefined : verifierBtf(kernel);
  const programBtf = object.btf === null ? undefined : verifierBtf(object.btf);
  const described = maps.map(
    (map): VerifierMap => ({
      ...{ type: map.type as MapType, keySize: map.keySize, valueSize: map.valueSize },
      ...{ maxEntries: map.maxEntries, flags: map.flags, name: map.name },
      ...(programBtf === undefined || map.valueTypeId === 0
        ? {}
        : { fields: mapFields(programBtf, map.valueTypeId, kernelBtf) }),
      ...(map.frozen && map.contents !== null ? { frozen: map.contents } : {}),
    }),
  );
  const attachTo = attachTargetOf(program, kernel);
  return {
    insns,
    type: program.type as ProgramType,
    expectedAttachType: program.attach,
    ...(attachTo === null ? {} : { attachTo }),
    maps: (fd) => described[fd],
    ...(kernelBtf === undefined ? {} : { kernelBtf }),
    ...(programBtf === undefined ? {} : { programBtf }),
    funcInfo: subprograms.filter(({ typeId }) => typeId !== 0).map(({ pc, typeId }) => ({ insn: pc, type: typeId })),
    gpl: GPL.has(object.license),
    sleepable: program.sleepable,
  };
}

/** What of the kernel a program is attached to, if that decides about it. @throws {BpfError} ENOENT if the kernel has no such thing */
function attachTargetOf({ name, type, attach, target }: ObjectProgram, kernel: Btf | null): AttachTarget | null {
  if (target === null || kernel === null) return null;
  const found = (function_: string, kind: BtfKind): AttachTarget => {
    const id = kernel.find(function_, kind);
    if (id === null) throw new BpfError("ENOENT", `program ${name}: the kernel has no ${function_}`);
    let proto = kernel.target(id);
    if (kernel.kind(proto) === BtfKind.Ptr) proto = kernel.target(proto);
    return { name: kind === BtfKind.Typedef ? target : function_, proto };
  };
  if (type === ProgramType.Lsm) return found(`bpf_lsm_${target}`, BtfKind.Func);
  if (type !== ProgramType.Tracing) return null;
  if (attach === AttachType.TraceRawTp) return found(`btf_trace_${target}`, BtfKind.Typedef);
  return found(attach === AttachType.TraceIter ? `bpf_iter_${target}` : target, BtfKind.Func);
}
