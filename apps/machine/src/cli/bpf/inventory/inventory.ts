import {
  type BpfMap,
  type BpfRuntime,
  type Btf,
  type Insn,
  type LoadedObject,
  type LoadedProgram,
  MapType,
  ProgArrayMap,
  ProgramType,
  systemValueSize,
  tagOf,
} from "@vm/bpf-storage";
import { namesMap, shownInsn } from "./insns.js";
import { placedTypes } from "./placed-types.js";
import { type Handle, handleText, QueryError } from "./query.js";
import type { BtfRow, LinkRow, MapRow, ProgramRow } from "./rows.js";

/** What the task at an address has in a map of task storage. */
export interface TaskElement {
  readonly address: bigint;
  readonly value: Uint8Array;
}

/** An object that has been loaded. */
export interface LoadedSource {
  /** Name of its file. */
  readonly file: string;
  readonly runtime: BpfRuntime;
  readonly loaded: LoadedObject;
  /** Types of the kernel that it is attached to; null if it is attached to none: then it has no links. */
  readonly kernel: Btf | null;
  /** What tasks have in a map of task storage. */
  readonly tasks: (map: string) => Iterable<TaskElement>;
  /** Seconds since 1970. */
  readonly loadedAt: number;
}

/** A program that is there. */
export interface ProgramItem {
  readonly id: number;
  readonly source: LoadedSource;
  readonly program: LoadedProgram;
}

/** A map that is there. */
export interface MapItem {
  readonly id: number;
  readonly source: LoadedSource;
  /** In the object. */
  readonly name: string;
  readonly map: BpfMap;
}

/** Type information that is there. */
export interface BtfItem {
  readonly id: number;
  readonly name: string | null;
  readonly btf: Btf;
}

const PAGE = 4096;
const NAME_MOST = 15;
const PREFIX_MOST = 8;
/** Maps whose elements have no types, whatever their definition says (libbpf). */
const UNTYPED: ReadonlySet<number> = new Set([
  ...[MapType.PerfEventArray, MapType.CgroupArray, MapType.StackTrace, MapType.ArrayOfMaps, MapType.HashOfMaps],
  ...[MapType.Devmap, MapType.DevmapHash, MapType.Cpumap, MapType.Xskmap, MapType.Sockmap, MapType.Sockhash],
  ...[MapType.Queue, MapType.Stack],
]);
/** Maps whose elements lie elsewhere: what the map itself takes is not told. */
const STORAGES: ReadonlySet<number> = new Set([
  ...[MapType.SkStorage, MapType.InodeStorage, MapType.TaskStorage, MapType.CgrpStorage],
]);
/** Sections of data that are named after the object (libbpf). */
const NAMED_AFTER_OBJECT: ReadonlySet<string> = new Set([".data", ".rodata", ".bss", ".kconfig"]);

/** The programs, maps, types and attachments that there are. Each kind has ids of its own, from 1. */
export class Inventory {
  readonly programs: readonly ProgramItem[];
  readonly maps: readonly MapItem[];
  readonly types: readonly BtfItem[];
  readonly links: readonly LinkRow[];
  readonly #mapIds = new Map<BpfMap, number>();
  readonly #typeIds = new Map<LoadedSource, number>();
  readonly #tags = new Map<LoadedProgram, string>();

  constructor(sources: readonly LoadedSource[]) {
    this.programs = sources
      .flatMap((source) => source.loaded.programs.map((program) => ({ source, program })))
      .map((item, k) => ({ id: k + 1, ...item }));
    this.maps = sources
      .flatMap((source) => [...source.loaded.maps].map(([name, map]) => ({ source, name, map })))
      .map((item, k) => ({ id: k + 1, ...item }));
    for (const { id, map } of this.maps) this.#mapIds.set(map, id);
    const types: BtfItem[] = [];
    const kernel = sources.find((source) => source.kernel !== null)?.kernel ?? null;
    if (kernel !== null) types.push({ id: 1, name: "vmlinux", btf: kernel });
    for (const source of sources) {
      const btf = placedTypes(source.loaded.object);
      if (btf === null) continue;
      types.push({ id: types.length + 1, name: null, btf });
      this.#typeIds.set(source, types.length);
    }
    this.types = types;
    this.links = this.programs
      .filter(({ source }) => source.kernel !== null)
      .map(({ id, program }, k) => ({ id: k + 1, ...linkOf(id, program) }));
  }

  /** Programs that a handle means; all for null. @throws {QueryError} if there is none */
  findPrograms(handle: Handle | null): readonly ProgramItem[] {
    return chosen("prog", this.programs, handle, (item) => ({
      name: item.program.from.name,
      tag: () => this.#tag(item.program),
    }));
  }

  findMaps(handle: Handle | null): readonly MapItem[] {
    return chosen("map", this.maps, handle, (item) => ({ name: mapName(item) }));
  }

  findTypes(handle: Handle | null): readonly BtfItem[] {
    return chosen("btf", this.types, handle, () => ({}));
  }

  findLinks(handle: Handle | null): readonly LinkRow[] {
    return chosen("link", this.links, handle, () => ({}));
  }

  /** The types of the object that a program or a map is of. */
  typesOf({ source }: { readonly source: LoadedSource }): Btf | null {
    return this.types.find(({ id }) => id === this.#typeIds.get(source))?.btf ?? null;
  }

  programRow({ id, source, program: item }: ProgramItem): ProgramRow {
    const { program, from, insns, gpl } = item;
    return {
      ...{ id, type: program.desc.type, name: from.name, tag: this.#tag(item), gpl },
      ...{ runs: program.runs, misses: program.misses, loadedAt: source.loadedAt, xlated: 8 * insns.length },
      jited: program.executable.engine === "jit",
      memlock: Math.ceil((8 * insns.length) / PAGE) * PAGE,
      maps: this.#mapsOf(source, item),
      btf: this.#typeIds.get(source) ?? null,
    };
  }

  mapRow(item: MapItem): MapRow {
    const { id, map, source, name } = item;
    const { type, keySize, valueSize, maxEntries, flags } = map.desc;
    const definition = source.loaded.object.maps.find((each) => each.name === name);
    const typed = definition !== undefined && !UNTYPED.has(type) && definition.keyTypeId + definition.valueTypeId !== 0;
    const owner = map instanceof ProgArrayMap ? map.owner : null;
    return {
      ...{ id, type, name: mapName(item), flags, keySize, valueSize, maxEntries },
      memlock: STORAGES.has(type) ? null : maxEntries * (keySize + systemValueSize(map)),
      frozen: definition?.frozen ?? name === ".kconfig",
      owner: owner === null ? null : { type: owner.type, jited: owner.jited },
      btf: typed ? (this.#typeIds.get(source) ?? null) : null,
      keyType: typed ? definition.keyTypeId : 0,
      valueType: typed ? definition.valueTypeId : 0,
    };
  }

  btfRow({ id, name, btf }: BtfItem): BtfRow {
    const programs = this.programs.filter(({ source }) => this.#typeIds.get(source) === id);
    const maps = this.maps.filter((item) => this.mapRow(item).btf === id);
    return {
      ...{ id, name, size: btf.bytes.length, kernel: name !== null },
      ...{ programs: programs.map((item) => item.id), maps: maps.map((item) => item.id) },
    };
  }

  /** An instruction as others may see it: maps are named by their ids. */
  shown({ source }: ProgramItem): (insn: Insn) => Insn {
    const maps = [...source.loaded.maps.values()];
    return (insn) => {
      const map = namesMap(insn) ? maps[insn.imm] : undefined;
      return map === undefined ? shownInsn(insn) : { ...insn, imm: this.#mapIds.get(map) ?? 0 };
    };
  }

  /** The id of what an element of a map of maps or programs holds: there it has a number that the runtime gave it, or a place in a table. */
  heldId({ source, map }: MapItem, number: number): number {
    if (map.desc.type === MapType.ProgArray)
      return (
        this.programs.find((item) => item.source === source && item.program.program.executable.entry === number)?.id ??
        0
      );
    const held = source.runtime.maps.get(number);
    return (held === undefined ? undefined : this.#mapIds.get(held)) ?? 0;
  }

  /** Digits of the tag. */
  #tag(program: LoadedProgram): string {
    const tag = this.#tags.get(program) ?? Buffer.from(tagOf(program.linked.insns)).toString("hex");
    this.#tags.set(program, tag);
    return tag;
  }

  /** In the order in which instructions name them first; data that is constant belongs to every program of the object (libbpf). */
  #mapsOf({ loaded }: LoadedSource, { insns }: LoadedProgram): number[] {
    const maps = [...loaded.maps];
    const used = insns.filter(namesMap).map(({ imm }) => maps[imm]?.[1]);
    const constant = maps.filter(([name]) => name.startsWith(".rodata")).map(([, map]) => map);
    const ids = [...used, ...constant].map((map) => (map === undefined ? 0 : (this.#mapIds.get(map) ?? 0)));
    return [...new Set(ids)].filter((id) => id !== 0);
  }
}

function mapName({ source, name }: MapItem): string {
  if (!NAMED_AFTER_OBJECT.has(name)) return name.slice(0, NAME_MOST);
  const [stem = ""] = source.file.split(".");
  return `${stem.slice(0, Math.min(PREFIX_MOST, NAME_MOST - name.length))}${name}`;
}

function linkOf(program: number, { from }: LoadedProgram): Omit<LinkRow, "id"> {
  const { type, attach, target, section } = from;
  const row = { program, programType: type ?? 0, attachType: attach, target: target ?? "", event: null };
  if (type === ProgramType.RawTracepoint) return { ...row, kind: "raw_tracepoint" };
  if (type === ProgramType.Tracing) return { ...row, kind: "tracing" };
  const event = type === ProgramType.Tracepoint ? "tracepoint" : section.startsWith("kret") ? "kretprobe" : "kprobe";
  const name = event === "tracepoint" ? (row.target.split("/").at(-1) ?? "") : row.target;
  return { ...row, kind: "perf_event", target: name, event };
}

function chosen<T extends { readonly id: number }>(
  what: string,
  all: readonly T[],
  handle: Handle | null,
  known: (item: T) => { readonly name?: string; readonly tag?: () => string },
): readonly T[] {
  if (handle === null) return all;
  const found = all.filter((item) =>
    "id" in handle
      ? item.id === handle.id
      : "name" in handle
        ? known(item).name === handle.name
        : known(item).tag?.() === handle.tag,
  );
  if (found.length > 0) return found;
  const ids = all.map(({ id }) => {
    const { name } = known(all.find((item) => item.id === id) as T);
    return name === undefined ? `${id}` : `${id} (${name})`;
  });
  throw new QueryError(`no ${what} with ${handleText(handle)}: there is ${ids.length === 0 ? "none" : ids.join(", ")}`);
}
