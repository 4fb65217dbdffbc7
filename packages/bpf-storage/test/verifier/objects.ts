import { readFileSync } from "node:fs";
import { Btf } from "../../src/btf/btf.js";
import { BtfKind } from "../../src/btf/kinds.js";
import { CoreTarget } from "../../src/object/core/relocate.js";
import { kconfigMap } from "../../src/object/kconfig.js";
import { linkProgram } from "../../src/object/link.js";
import { loadObject } from "../../src/object/load.js";
import type { MapDefinition } from "../../src/object/map-definition.js";
import type { BpfObject, ObjectProgram } from "../../src/object/object.js";
import { portOf, resolveExterns } from "../../src/object/resolve.js";
import type { MapType } from "../../src/uapi/map-types.js";
import { ProgramType } from "../../src/uapi/program-types.js";
import { verifierBtf } from "../../src/verifier/btf-adapter.js";
import type { VerifierBtf } from "../../src/verifier/btf-port.js";
import { mapFields } from "../../src/verifier/map-fields.js";
import type { AttachTarget, VerifierMap, VerifyRequest } from "../../src/verifier/request.js";

/** Programs of compiled objects as requests to the verifier, fitted to a kernel as libbpf does. */

/** The kernel whose types programs are verified against. */
export interface Kernel {
  readonly btf: Btf;
  readonly port: VerifierBtf;
  readonly core: CoreTarget;
}

export const readKernel = (path: string): Kernel => {
  const btf = new Btf(new Uint8Array(readFileSync(path)));
  return { btf, port: verifierBtf(btf), core: new CoreTarget(btf) };
};

const PREFIXES: Readonly<Record<number, string>> = { 23: "btf_trace_", 27: "bpf_lsm_", 28: "bpf_iter_" };
const RAW_TP = 23;
/** First of the numbers that stand for maps. */
const FD = 100;
/** Symbols are somewhere; where does not matter to the verifier. */
const SOMEWHERE = 0xffff_ffff_8100_0000n;
/** KERNEL_VERSION(6, 12, 0), and what that kernel has. */
const KCONFIG: Readonly<Record<string, number>> = {
  ...{ LINUX_KERNEL_VERSION: 0x06_0c_00, LINUX_HAS_BPF_COOKIE: 1, LINUX_HAS_SYSCALL_WRAPPER: 1, CONFIG_HZ: 250 },
  ...{ CONFIG_BPF_SYSCALL: 1, CONFIG_TCP_CONG_CUBIC: 1 },
};

const verifierMap = (kernel: Kernel, types: VerifierBtf | undefined, map: MapDefinition): VerifierMap => {
  const isData = map.origin === "kconfig";
  const fields = isData
    ? []
    : types !== undefined && map.valueTypeId !== 0
      ? mapFields(types, map.valueTypeId, kernel.port, new Map(map.variables.map(({ name, offset }) => [name, offset])))
      : map.origin === "data"
        ? []
        : undefined;
  return {
    ...{ name: map.name, type: map.type as MapType, keySize: map.keySize, valueSize: map.valueSize },
    ...{ maxEntries: map.maxEntries, flags: map.flags },
    ...(fields === undefined ? {} : { fields }),
    ...(map.inner === null ? {} : { inner: verifierMap(kernel, types, map.inner) }),
    ...(map.frozen && map.contents !== null ? { frozen: map.contents } : {}),
  };
};

/** The function of the kernel that a program is attached to; of tracepoints, the type that says what it shows. */
const attachTarget = (kernel: Kernel, { attach, target }: ObjectProgram): AttachTarget | undefined => {
  const name = `${PREFIXES[attach] ?? ""}${target ?? ""}`;
  const id = kernel.btf.find(name, attach === RAW_TP ? BtfKind.Typedef : BtfKind.Func);
  if (id === null) return undefined;
  const proto = kernel.btf.target(id);
  // The typedef of a tracepoint is a pointer to its function.
  return attach === RAW_TP ? { name: target ?? "", proto: kernel.btf.target(proto) } : { name, proto };
};

/** The member of a structure of functions that a program is. */
const structTarget = ({ kernel, object }: Shared, { name }: ObjectProgram): AttachTarget | undefined => {
  for (const map of object.maps) {
    const slot = map.slots.find((each) => map.origin === "struct_ops" && each.name === name);
    const local = slot === undefined ? undefined : object.btf?.resolved(map.valueTypeId);
    if (slot === undefined || local?.kind !== BtfKind.Struct) continue;
    const struct = local.name.replace(/___.*$/, "");
    const id = kernel.port.structByName(struct);
    const member =
      id === undefined
        ? undefined
        : kernel.port.members(id).find((each) => each.name === local.members[slot.index]?.name);
    const shape = member === undefined ? undefined : kernel.port.shape(member.type);
    if (member === undefined || shape?.kind !== "pointer") return undefined;
    return { name: member.name, proto: kernel.port.resolve(shape.to), struct };
  }
  return undefined;
};

/** One program, and what the declaration of its function is tagged with. */
export interface ObjectCase {
  readonly name: string;
  readonly section: string;
  /** Loaded without being asked for. */
  readonly autoload: boolean;
  readonly tags: readonly string[];
  /** Undefined for what cannot be made into a request; then `why` says so. */
  readonly request: VerifyRequest | undefined;
  readonly why: string;
}

const tagsByFunction = (btf: Btf | null): Map<number, string[]> => {
  const out = new Map<number, string[]>();
  for (let id = 1; btf !== null && id < btf.count; id++) {
    if (btf.kind(id) !== BtfKind.DeclTag) continue;
    const type = btf.type(id);
    if (type.kind === BtfKind.DeclTag && type.component === -1)
      out.set(type.type, [...(out.get(type.type) ?? []), type.name]);
  }
  return out;
};

interface Shared {
  readonly kernel: Kernel;
  readonly object: BpfObject;
  readonly types: VerifierBtf | undefined;
  readonly maps: readonly VerifierMap[];
}

const requestOf = (
  { kernel, object, types, maps }: Shared,
  program: ObjectProgram,
  tags: readonly string[],
): VerifyRequest => {
  if (program.type === null) throw new Error(`section ${program.section} names no kind of programs`);
  const linked = linkProgram(object, program);
  const relocated = object.btf === null ? { program: linked, records: [] } : kernel.core.relocate(linked, object.btf);
  const { program: fitted, records } = relocated;
  if (records.some(({ what, result }) => result.outcome === "poisoned" && what.includes("core_reloc_")))
    throw new Error("fitted to types of a module that only tests have");
  const port = portOf(kernel.btf, [], () => SOMEWHERE);
  const { program: ready } = resolveExterns(fitted, object.externs, object.btf, port);
  const isStructOps = program.type === ProgramType.StructOps;
  const target = isStructOps
    ? structTarget({ kernel, object, types, maps }, program)
    : program.btfTarget
      ? attachTarget(kernel, program)
      : undefined;
  if ((isStructOps || program.btfTarget) && target === undefined)
    throw new Error(`the kernel has no ${program.target}`);
  const insns = [...ready.insns];
  for (const { pc } of ready.maps) {
    const insn = insns[pc];
    if (insn !== undefined) insns[pc] = { ...insn, imm: FD + insn.imm };
  }
  const infos = ready.subprograms.map(({ pc, typeId, global }) => ({
    insn: pc,
    type: typeId,
    isStatic: pc > 0 && !global,
  }));
  return {
    ...{ insns, type: program.type as ProgramType, expectedAttachType: program.attach },
    ...{ maps: (fd: number) => maps[fd - FD], kernelBtf: kernel.port },
    funcInfo: infos.every(({ type }) => type !== 0) ? infos : [],
    ...(types === undefined ? {} : { programBtf: types }),
    ...(program.sleepable ? { sleepable: true } : {}),
    gpl: /GPL/.test(object.license),
    strictAlignment: tags.some((tag) => tag.includes("prog_flags=BPF_F_STRICT_ALIGNMENT")),
    ...(target === undefined ? {} : { attachTo: target }),
  };
};

/** All programs of an object. */
export const objectCases = (kernel: Kernel, bytes: Uint8Array): ObjectCase[] => {
  const object = loadObject(bytes);
  const types = object.btf === null ? undefined : verifierBtf(object.btf);
  const tags = tagsByFunction(object.btf);
  const kconfig = kconfigMap(object.externs, (name) => KCONFIG[name] ?? (name.startsWith("CONFIG_") ? 0 : undefined));
  const definitions = kconfig === null ? object.maps : [...object.maps, kconfig];
  const maps = definitions.map((map) => verifierMap(kernel, types, map));
  return object.programs.map((program) => {
    const own = tags.get(object.btf?.find(program.name, BtfKind.Func) ?? 0) ?? [];
    const { name, section, autoload } = program;
    const known = { name, section, autoload, tags: own };
    try {
      return { ...known, request: requestOf({ kernel, object, types, maps }, program, own), why: "" };
    } catch (error) {
      return { ...known, request: undefined, why: String(error) };
    }
  });
};
