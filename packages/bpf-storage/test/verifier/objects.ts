import { readFileSync } from "node:fs";
import { Btf } from "../../src/btf/btf.js";
import { BtfKind } from "../../src/btf/kinds.js";
import type { Insn } from "../../src/isa/insn.js";
import { linkProgram } from "../../src/object/link.js";
import { loadObject } from "../../src/object/load.js";
import type { MapDefinition } from "../../src/object/map-definition.js";
import type { BpfObject, ObjectProgram } from "../../src/object/object.js";
import type { MapType } from "../../src/uapi/map-types.js";
import { ProgramType } from "../../src/uapi/program-types.js";
import { verifierBtf } from "../../src/verifier/btf-adapter.js";
import type { VerifierBtf } from "../../src/verifier/btf-port.js";
import { mapFields } from "../../src/verifier/map-fields.js";
import type { AttachTarget, VerifierMap, VerifyRequest } from "../../src/verifier/request.js";

/** Programs of compiled objects as requests to the verifier. Their offsets into structs are taken as they are: relocate before. */

/** The kernel whose types programs are verified against. */
export interface Kernel {
  readonly btf: Btf;
  readonly port: VerifierBtf;
}

export const readKernel = (path: string): Kernel => {
  const btf = new Btf(new Uint8Array(readFileSync(path)));
  return { btf, port: verifierBtf(btf) };
};

/** First of the numbers that stand for maps. */
const FD = 100;
const PREFIXES: Readonly<Record<number, string>> = { 23: "btf_trace_", 27: "bpf_lsm_", 28: "bpf_iter_" };
const RAW_TP = 23;

const verifierMap = (kernel: Kernel, types: VerifierBtf | undefined, map: MapDefinition): VerifierMap => {
  const isData = map.origin === "data" || map.origin === "kconfig";
  const fields = isData
    ? []
    : types !== undefined && map.valueTypeId !== 0
      ? mapFields(types, map.valueTypeId, kernel.port)
      : undefined;
  return {
    ...{ name: map.name, type: map.type as MapType, keySize: map.keySize, valueSize: map.valueSize },
    ...{ maxEntries: map.maxEntries, flags: map.flags },
    ...(fields === undefined ? {} : { fields }),
    ...(map.inner === null ? {} : { inner: verifierMap(kernel, types, map.inner) }),
    ...(map.frozen && map.contents !== null ? { frozen: map.contents } : {}),
  };
};

const attachTarget = (kernel: Kernel, { attach, target }: ObjectProgram): AttachTarget | undefined => {
  const name = `${PREFIXES[attach] ?? ""}${target ?? ""}`;
  const id = kernel.btf.find(name, attach === RAW_TP ? BtfKind.Typedef : BtfKind.Func);
  if (id === null) return undefined;
  const proto = kernel.btf.target(id);
  // The typedef of a tracepoint is a pointer to its function.
  return attach === RAW_TP ? { name: target ?? "", proto: kernel.btf.target(proto) } : { name, proto };
};

/** Puts numbers of maps and of functions of the kernel where the object names them. */
const withReferences = (kernel: Kernel, object: BpfObject, program: ReturnType<typeof linkProgram>): Insn[] => {
  const insns = [...program.insns];
  const change = (pc: number, by: Partial<Insn>): void => {
    const insn = insns[pc];
    if (insn !== undefined) insns[pc] = { ...insn, ...by };
  };
  for (const { pc, map, offset } of program.maps) {
    change(pc, { src: offset === null ? 1 : 2, imm: FD + object.maps.findIndex(({ name }) => name === map) });
    if (offset !== null) change(pc + 1, { imm: offset });
  }
  for (const { pc, extern } of program.externs) {
    const id = kernel.btf.find(extern.name, BtfKind.Func);
    if (insns[pc]?.code === 0x85 && id !== null) change(pc, { src: 2, imm: id });
  }
  return insns;
};

/** One program, and what the declaration of its function is tagged with. */
export interface ObjectCase {
  readonly name: string;
  readonly section: string;
  readonly tags: readonly string[];
  readonly request: VerifyRequest;
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

/** All programs of an object. */
export const objectCases = (kernel: Kernel, bytes: Uint8Array): ObjectCase[] => {
  const object = loadObject(bytes);
  const types = object.btf === null ? undefined : verifierBtf(object.btf);
  const tags = tagsByFunction(object.btf);
  const maps = object.maps.map((map) => verifierMap(kernel, types, map));
  return object.programs.map((program) => {
    const linked = linkProgram(object, program);
    const target = program.btfTarget ? attachTarget(kernel, program) : undefined;
    const infos = linked.subprograms.map(({ pc, typeId }) => ({ insn: pc, type: typeId }));
    const own = tags.get(infos[0]?.type ?? 0) ?? [];
    return {
      ...{ name: program.name, section: program.section, tags: own },
      request: {
        ...{ insns: withReferences(kernel, object, linked), type: program.type ?? ProgramType.SocketFilter },
        ...{ expectedAttachType: program.attach, maps: (fd: number) => maps[fd - FD], kernelBtf: kernel.port },
        funcInfo: infos.every(({ type }) => type !== 0) ? infos : [],
        ...(types === undefined ? {} : { programBtf: types }),
        ...(program.sleepable ? { sleepable: true } : {}),
        gpl: /GPL/.test(object.license),
        strictAlignment: own.some((tag) => tag.includes("prog_flags=BPF_F_STRICT_ALIGNMENT")),
        ...(target === undefined ? {} : { attachTo: target }),
      },
    };
  });
};
