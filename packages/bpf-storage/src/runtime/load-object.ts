import type { Btf } from "../btf/btf.js";
import { BpfError } from "../errors.js";
import { type Insn, isWide } from "../isa/insn.js";
import { Pseudo } from "../isa/opcodes.js";
import { ArrayMap } from "../maps/array.js";
import type { BpfMap } from "../maps/map.js";
import { ProgArrayMap } from "../maps/prog-array.js";
import { SlotMap } from "../maps/slots.js";
import { type CoreRecord, CoreTarget } from "../object/core/relocate.js";
import type { KsymExtern } from "../object/externs.js";
import { type KconfigPort, kconfigMap } from "../object/kconfig.js";
import { type LinkedProgram, linkProgram } from "../object/link.js";
import { loadObject } from "../object/load.js";
import { isMapInMap, type MapDefinition } from "../object/map-definition.js";
import type { BpfObject, ObjectProgram } from "../object/object.js";
import { type KernelPort, portOf, resolveExterns } from "../object/resolve.js";
import { MapType } from "../uapi/map-types.js";
import { verifierBtf } from "../verifier/btf-adapter.js";
import type { VerifierBtf } from "../verifier/btf-port.js";
import { mapFields } from "../verifier/map-fields.js";
import { copying, finish, inTurns, type Work } from "../work.js";
import { fillMaps } from "./fill-maps.js";
import type { Pair } from "./host.js";
import { callTypes } from "./object-layout.js";
import { resolveMaps, setWide } from "./pointers.js";
import { type BpfProgram, recurs } from "./program.js";
import type { BpfRuntime } from "./runtime.js";
import { GPL, type ObjectContext, verifyLinked } from "./verify-program.js";

/** What an object is fitted to. */
export interface TargetSystem {
  /** Types of the kernel; null if there is none: objects that ask for it are refused. */
  readonly types: CoreTarget | null;
  /** Values of its configuration. */
  readonly kconfig: KconfigPort;
  /** Address of one of its symbols. */
  readonly symbol: (name: string) => bigint | undefined;
}

/** A program of a loaded object. */
export interface LoadedProgram {
  readonly program: BpfProgram;
  readonly from: ObjectProgram;
  /** What of it was fitted to the kernel. */
  readonly relocations: readonly CoreRecord[];
  /** As it was verified: maps are named by their places in the object. */
  readonly linked: LinkedProgram;
  /** As the verifier left it: maps are named by their places in the object, variables of the kernel by their addresses. */
  readonly insns: readonly Insn[];
  /** Whether its license admits helpers for GPL programs. */
  readonly gpl: boolean;
}

/** An object whose maps and programs are in a runtime. */
export interface LoadedObject {
  readonly object: BpfObject;
  readonly maps: ReadonlyMap<string, BpfMap>;
  readonly programs: readonly LoadedProgram[];
}

const NAME_MOST = 15;

/** What a program asks of a system that has nothing. */
export const NO_SYSTEM: TargetSystem = { types: null, kconfig: () => undefined, symbol: () => undefined };

/** The types of a kernel, as objects are fitted to them. */
export const coreTarget = (kernel: Btf): CoreTarget => new CoreTarget(kernel);

/** Which programs of an object are loaded. */
export type Choice = (program: ObjectProgram) => boolean;

const AUTOLOAD: Choice = ({ autoload }) => autoload;

/**
 * Loads what clang made: its maps, and the programs that it does not leave out, or those that are chosen. Of what cannot be loaded nothing stays.
 * @throws {ObjectError} for an object that makes no sense, or wants what the system has not
 * @throws {VerifierError} for a program that could do what it must not
 * @throws {BpfError} for maps and programs that cannot be
 */
export const loadInto = (
  runtime: BpfRuntime,
  bytes: Uint8Array,
  system: TargetSystem = NO_SYSTEM,
  choose: Choice = AUTOLOAD,
): LoadedObject => finish(loading(runtime, bytes, system, choose));

/**
 * {@link loadInto} in turns of the event loop: verification can take seconds. Rejects as that throws.
 * @param bytes are copied, in turns as well, before any of them is read: what becomes of them later changes nothing
 */
export const loadInTurns = (
  runtime: BpfRuntime,
  bytes: Uint8Array,
  system: TargetSystem = NO_SYSTEM,
  choose: Choice = AUTOLOAD,
): Promise<LoadedObject> => inTurns(loadingCopy(runtime, bytes, system, choose));

function* loadingCopy(runtime: BpfRuntime, bytes: Uint8Array, system: TargetSystem, choose: Choice) {
  const copy = new Uint8Array(bytes.length);
  yield* copying(bytes, () => copy);
  return yield* loading(runtime, copy, system, choose);
}

function* loading(runtime: BpfRuntime, bytes: Uint8Array, system: TargetSystem, choose: Choice): Work<LoadedObject> {
  const context = openObject(bytes, system);
  const { object, maps: definitions } = context;
  const types = object.btf === null ? null : verifierBtf(object.btf);
  const maps = new Map<string, BpfMap>();
  const programs: LoadedProgram[] = [];
  try {
    for (const definition of definitions) {
      const map = makeMap(runtime, definition, types);
      maps.set(definition.name, map);
      const { contents } = definition;
      if (contents !== null && map instanceof ArrayMap)
        yield* copying(contents, () => runtime.arena.u8.subarray(map.elements));
    }
    for (const from of object.programs)
      if (choose(from)) programs.push(yield* loadProgram(runtime, context, from, maps, system));
    for (const definition of definitions) fillSlots(definition, maps.get(definition.name), programs);
    fillMaps(runtime, definitions, maps);
  } catch (error) {
    for (const map of maps.values()) runtime.freeMap(map);
    for (const { program } of programs) program.executable.dispose();
    throw error;
  }
  return { object, maps, programs };
}

/** Reads what clang made, for a system. @throws {ObjectError} */
export function openObject(bytes: Uint8Array, system: TargetSystem): ObjectContext {
  const object = loadObject(bytes);
  const kconfig = kconfigMap(object.externs, system.kconfig);
  const maps = kconfig === null ? object.maps : [...object.maps, kconfig];
  return { object, maps, kernel: system.types?.kernel ?? null };
}

/**
 * Links a program, and fits it to a system.
 * @throws {ObjectError} for what makes no sense, or is not there
 * @throws {BpfError} EINVAL if there is no kernel to fit it to
 */
export function prepareProgram(
  { object }: ObjectContext,
  from: ObjectProgram,
  system: TargetSystem,
): { readonly program: LinkedProgram; readonly fitted: LinkedProgram; readonly records: readonly CoreRecord[] } {
  const { program: fitted, records } = relocate(linkProgram(object, from), object, system);
  return { ...resolveExterns(fitted, object.externs, object.btf, kernelPort(system)), fitted, records };
}

/** Puts programs into the slots of an array that names them. */
function fillSlots({ slots, name }: MapDefinition, map: BpfMap | undefined, programs: readonly LoadedProgram[]): void {
  if (slots.length === 0 || isMapInMap(map?.desc.type ?? 0)) return;
  if (!(map instanceof SlotMap) || map.desc.type !== MapType.ProgArray)
    throw new BpfError("EINVAL", `map ${name} has elements from the beginning, which only arrays of programs can have`);
  for (const slot of slots) {
    const found = programs.find(({ from }) => from.name === slot.name);
    if (found === undefined) throw new BpfError("EINVAL", `map ${name}: no program ${slot.name} has been loaded`);
    admitted(found.from, map);
    map.setWord(slot.index, found.program.executable.entry);
  }
}

/** A map that a program uses, or is in. @throws {BpfError} EINVAL for an array of programs of another kind */
function admitted<M extends BpfMap | undefined>({ name, type, fragments, attach, target }: ObjectProgram, map: M): M {
  const kind = { xdpHasFrags: fragments, expectedAttachType: attach, attachedTo: target };
  if (map instanceof ProgArrayMap && !map.admits({ ...kind, type: type ?? 0, jited: true }))
    throw new BpfError("EINVAL", `program ${name} is of another kind than the others that map ${map.desc.name} is for`);
  return map;
}

function makeMap(runtime: BpfRuntime, definition: MapDefinition, types: VerifierBtf | null): BpfMap {
  const { type, keySize, valueSize, maxEntries, flags, name, valueTypeId, numaNode, extra } = definition;
  if (definition.origin === "struct_ops") throw new BpfError("EINVAL", `map ${name}: struct_ops are not here`);
  const count = maxEntries === 0 && isPerCpuSized(type) ? runtime.cpus : maxEntries;
  const desc = { type: type as MapType, keySize, valueSize, maxEntries: count, flags, name: name.slice(-NAME_MOST) };
  const special = types === null || valueTypeId === 0 ? [] : mapFields(types, valueTypeId);
  const lock = special.find(({ kind }) => kind === "bpf_spin_lock");
  const others = special.filter((field) => field !== lock);
  const fields = { spinLock: lock?.offset ?? null, ...(others.length === 0 ? {} : { others }) };
  // It only shows what the maps in it are like.
  const inner = definition.inner === null ? undefined : makeMap(runtime, definition.inner, types);
  try {
    return runtime.createMap({ ...desc, fields, inner, numaNode, extra });
  } finally {
    if (inner !== undefined) runtime.freeMap(inner);
  }
}

/** Perf event arrays without a size have a slot for each CPU (libbpf). */
const isPerCpuSized = (type: number): boolean => type === MapType.PerfEventArray;

function* loadProgram(
  runtime: BpfRuntime,
  context: ObjectContext,
  from: ObjectProgram,
  maps: ReadonlyMap<string, BpfMap>,
  system: TargetSystem,
): Work<LoadedProgram> {
  if (from.type === null)
    throw new BpfError("EINVAL", `program ${from.name}: section ${from.section} names no kind of programs`);
  const { program, fitted, records } = prepareProgram(context, from, system);
  const verdict = yield* verifyLinked(program, context);
  const insns = [...verdict.insns];
  let foreign = false;
  for (const { pc, extern } of fitted.externs)
    if (
      (extern.kind === "variable" || extern.kind === "kfunc") &&
      insns[pc]?.src === Pseudo.BtfId &&
      isWide(insns[pc])
    ) {
      setWide(insns, pc, variableAddress(extern, system));
      foreign ||= extern.kind === "variable";
    }
  const shown = [...insns];
  resolveMaps(insns, (place) => admitted(from, maps.get(context.maps[place]?.name ?? "")));
  const recur = recurs(from.type, from.attach);
  const loaded = runtime.load({
    ...{ name: from.name, type: from.type, attach: from.attach, recur, insns, foreign },
    ...callTypes(
      context.kernel === null ? undefined : verifierBtf(context.kernel),
      context.object.btf === null ? undefined : verifierBtf(context.object.btf),
    ),
    subprograms: verdict.subprograms.map(({ start }) => start),
    trusted: true,
  });
  const gpl = GPL.has(context.object.license);
  return { program: loaded, from, relocations: records, linked: program, insns: shown, gpl };
}

function relocate(linked: LinkedProgram, object: BpfObject, { types }: TargetSystem) {
  if (linked.core.length === 0) return { program: linked, records: [] };
  if (types === null || object.btf === null)
    throw new BpfError("EINVAL", `program ${linked.program.name} is to be fitted to a kernel, and there is none`);
  return types.relocate(linked, object.btf);
}

/** What the kernel has. */
const kernelPort = ({ types, symbol }: TargetSystem): KernelPort => ({
  address: symbol,
  type: (name, kind) => (types === null ? undefined : portOf(types.kernel, [], symbol).type(name, kind)),
});

/** The address of a variable or function of the kernel; 0 if it has none. */
function variableAddress({ essential }: KsymExtern, { symbol }: TargetSystem): Pair {
  const address = symbol(essential) ?? 0n;
  return { low: Number(address & 0xffffffffn), high: Number((address >> 32n) & 0xffffffffn) };
}
