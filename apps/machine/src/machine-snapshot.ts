import type { CpuidLeaf } from "@vm/cpu";
import { read, StateError } from "@vm/devices";
import { CHUNK_PAGES, type ChunkSource, type FrozenMemory, type MemoryImage, type PageImage } from "@vm/mmu";
import { areasOf } from "./async-page-faults.js";
import { MAX_RETIRED } from "./clock.js";
import {
  checkDisks,
  type DiskShape,
  type MachineDisk,
  readDiskShape,
  restoreOverlays,
  type SavedOverlay,
  saveDisks,
} from "./disk/saved-disk.js";
import { MachineError } from "./error.js";
import { isZero } from "./is-zero.js";
import { GENERATION, MAX_CPUS, MAX_DISKS, MAX_RAM, MIN_RAM } from "./layout.js";
import type { MachineState } from "./machine-state.js";
import type { MachineConfig, MachineOptions } from "./options.js";
import { Pace } from "./pace.js";
import type { PluginPart } from "./plugin.js";
import type { MemoryBackend } from "./ram.js";
import type { VirtualMachine } from "./virtual-machine.js";

/** What a machine is made of, for one that goes on where it was. */
export interface MachineShape {
  /** Of what is saved: 1. */
  readonly version: number;
  readonly cpus: number;
  /** Bytes of RAM. */
  readonly memory: number;
  readonly clock: string;
  readonly pci: boolean;
  readonly legacyDevices: boolean;
  readonly asyncPf: boolean;
  readonly testDevices: boolean;
  readonly disks: readonly DiskShape[];
  readonly kvmClock: boolean;
  readonly memoryBackend: MemoryBackend;
  /** Names of the plugins that do more than look on, in their order. */
  readonly plugins: readonly string[];
  /** Null: the default of the version that saved it. */
  readonly cpuid: readonly CpuidLeaf[] | null;
  /** Instructions that its processors had retired, all together. */
  readonly instructions: number;
}

/** A machine as it was between two instructions. */
export interface MachineSnapshot {
  readonly meta: unknown;
  readonly state: unknown;
  /** Memory that is not all zeros, in pieces. */
  pieces(): Iterable<MemoryPiece> | AsyncIterable<MemoryPiece>;
  /** The same for a machine that starts before it has arrived: used instead of {@link pieces} where it is there. */
  readonly late?: LateMemory | undefined;
}

/** Memory that comes when the guest needs it. */
export interface LateMemory extends ChunkSource {
  /** Numbers of the chunks of 64 KiB that are not all zeros. */
  readonly chunks: ArrayLike<number>;
}

/** Bytes at a guest-physical address. */
export interface MemoryPiece {
  readonly gpa: number;
  readonly bytes: Uint8Array;
}

const VERSION = 1;
/** Characters of a plugin's name, plugins, CPUID leaves of a snapshot. */
const NAME_MOST = 4096;
const PLUGINS_MOST = 1024;
const LEAVES_MOST = 4096;
const PAGE = 4096;
const CHUNK = 65536;

/** What a machine and its disks are like, but for memory. */
export interface SavedState extends MachineState {
  /** By disk. */
  readonly overlays: readonly SavedOverlay[];
}

/** A snapshot in this program's memory, which nothing changes any more. */
export class TakenSnapshot implements MachineSnapshot {
  constructor(
    readonly meta: MachineShape,
    readonly state: SavedState,
    readonly memory: MemoryImage,
  ) {}

  *pieces(): Iterable<MemoryPiece> {
    for (const { gfn, bytes } of this.memory.pages) yield { gpa: gfn * PAGE, bytes };
  }
}

/** All that the guest knows of a machine before anything has run. */
export type MachineMake = Omit<MachineShape, "instructions" | "disks">;

/** What a machine is made of. @throws {MachineError} `option` for a machine with a plugin that cannot be saved */
export function makeOf(config: MachineConfig, options: MachineOptions, plugins: readonly PluginPart[]): MachineMake {
  const { cpus, ram: memory, clock, pci, legacyDevices, asyncPf, testDevices, backend: memoryBackend } = config;
  for (const { name, saved } of plugins)
    if (saved === undefined)
      throw new MachineError(
        "option",
        `a machine with the plugin ${name} cannot be saved: its install gives nothing to save and restore it by, and it is no observer`,
      );
  const kvmClock = options.kvmClock === true;
  return {
    ...{ version: VERSION, cpus, memory, clock, pci, legacyDevices, asyncPf, testDevices },
    ...{ kvmClock, memoryBackend, plugins: plugins.slice(kvmClock ? 1 : 0).map(({ name }) => name) },
    cpuid:
      options.cpuid?.map(({ leaf, subleaf, eax, ebx, ecx, edx }) => ({
        leaf,
        ...(subleaf === undefined ? {} : { subleaf }),
        eax,
        ebx,
        ecx,
        edx,
      })) ?? null,
  };
}

/** Gives a snapshot that was begun while the guest stood still; the guest may run meanwhile. */
export type SnapshotRest = () => Promise<TakenSnapshot>;

/**
 * Begins to save a machine that stands still; the event loop has its turns. What of memory has not arrived is fetched, and of its coming the guest is told when it goes on, and not in
 * the copy, where whoever waits for memory is woken instead: see `AsyncPageFaults.save`.
 */
export async function takeSnapshot(
  machine: VirtualMachine,
  make: MachineMake,
  disks: readonly MachineDisk[],
): Promise<SnapshotRest> {
  const { shapes, overlays } = await saveDisks(disks);
  const { memory } = machine;
  const { memslots } = memory;
  const isOwn = make.memoryBackend === "anonymous";
  const pages = isOwn ? [] : await copyOf(memory.save().pages);
  const state = { ...structuredClone(machine.save()), overlays };
  const meta = { ...make, disks: shapes, instructions: state.clock.retired };
  if (!isOwn) return async () => new TakenSnapshot(meta, state, { memslots, pages });
  const frozen = memory.freeze();
  return async () => {
    try {
      return new TakenSnapshot(meta, state, { memslots, pages: await copyOf(pagesOf(frozen)) });
    } finally {
      frozen.close();
    }
  };
}

/** Copies those that are not all zeros. */
async function copyOf(pages: Iterable<PageImage> | AsyncIterable<PageImage>): Promise<readonly PageImage[]> {
  const pace = new Pace();
  const copies: PageImage[] = [];
  for await (const { gfn, bytes } of pages) {
    if (!isZero(bytes)) copies.push({ gfn, bytes: bytes.slice() });
    await pace.breathe();
  }
  return copies;
}

async function* pagesOf(frozen: FrozenMemory): AsyncGenerator<PageImage> {
  for (const chunk of frozen.chunks) {
    const bytes = frozen.fetchNow(chunk) ?? (await frozen.fetch(chunk));
    for (let page = 0; page < CHUNK_PAGES; page++)
      yield { gfn: chunk * CHUNK_PAGES + page, bytes: bytes.subarray(page * PAGE, (page + 1) * PAGE) };
  }
}

/** Words of CPUID, with a sign or without. */
const word = read.integer(-(2 ** 31), 2 ** 32 - 1);
const leaf = read.record<CpuidLeaf>({ leaf: word, subleaf: word, eax: word, ebx: word, ecx: word, edx: word }, [
  "subleaf",
]);
const readShape = read.record<MachineShape>({
  version: read.oneOf(VERSION),
  cpus: read.integer(1, MAX_CPUS),
  memory: read.integer(MIN_RAM, MAX_RAM),
  clock: read.oneOf<string>("host", "icount"),
  ...{ pci: read.flag, legacyDevices: read.flag, asyncPf: read.flag, testDevices: read.flag, kvmClock: read.flag },
  disks: read.list(readDiskShape, 0, MAX_DISKS),
  memoryBackend: read.oneOf<MemoryBackend>("anonymous", "guest-memfd"),
  plugins: read.list(read.text(NAME_MOST), 0, PLUGINS_MOST),
  cpuid: read.nullOr(read.list(leaf, 0, LEAVES_MOST)),
  instructions: read.integer(0, MAX_RETIRED),
});

/** @throws {MachineError} `option` */
function shapeOf(meta: unknown): MachineShape {
  try {
    return readShape(meta, "meta");
  } catch (cause) {
    if (!(cause instanceof StateError)) throw cause;
    throw new MachineError("option", `the snapshot is none of a machine: ${cause.message}`, { cause });
  }
}

/** What the options of a machine that goes on are made of, and those that would contradict it. */
const SHAPE = [
  "cpus",
  "memory",
  "clock",
  "pci",
  "legacyDevices",
  "asyncPf",
  "testDevices",
  "kvmClock",
  "memoryBackend",
] as const;
const NOT_WITH = ["kernel", "initrd", "agent", "commandLine", "unpack", "seed"] as const;

/**
 * The options of a machine that goes on where `snapshot` was, with those of the user that change nothing in the guest.
 * @throws {MachineError} `option` for what the snapshot says otherwise, or is no snapshot of a machine
 */
export function optionsOf(snapshot: MachineSnapshot, options: MachineOptions): MachineOptions {
  const { version } = (snapshot.meta ?? {}) as { readonly version?: unknown };
  if (version !== VERSION)
    throw new MachineError(
      "option",
      `snapshot is none of a machine of this version: its version is ${typeof version === "object" ? "none" : String(version)}, ${VERSION} is known`,
    );
  const meta = shapeOf(snapshot.meta);
  for (const name of NOT_WITH)
    if (options[name] !== undefined)
      throw new MachineError(
        "option",
        `${name} does not go with snapshot, which has all that the guest was started with`,
      );
  for (const name of SHAPE)
    if (options[name] !== undefined && options[name] !== meta[name])
      throw new MachineError("option", `${name} is ${options[name]}, and ${meta[name]} in the snapshot`);
  const plugins = (options.plugins ?? []).filter(({ observer }) => observer !== true).map(({ name }) => name);
  if (String(plugins) !== String(meta.plugins))
    throw new MachineError(
      "option",
      `the snapshot is of a machine with ${named(meta.plugins)}, and plugins are ${named(plugins)}; of others only those that look on go with it`,
    );
  const shape = Object.fromEntries(SHAPE.map((name) => [name, meta[name]]));
  return {
    ...options,
    ...shape,
    ...(meta.cpuid === null ? {} : { cpuid: meta.cpuid }),
    snapshot: undefined,
  } as MachineOptions;
}

const named = (plugins: unknown): string =>
  Array.isArray(plugins) && plugins.length > 0 ? `the plugins ${plugins.join(", ")}` : "no plugins";

/**
 * Makes a machine, which has not run, what the snapshot was.
 * @throws {MachineError} `option` if its state is none of such a machine; what reading it throws
 */
export async function restoreSnapshot(
  machine: VirtualMachine,
  snapshot: MachineSnapshot,
  { disks, pace }: { readonly disks: readonly MachineDisk[]; readonly pace: Pace },
): Promise<void> {
  await checkDisks((snapshot.meta as MachineShape).disks, disks);
  const { memory } = machine;
  const nowhere = (gpa: number): MachineError =>
    new MachineError("option", `the snapshot has memory at 0x${gpa.toString(16)}, where the machine has none`);
  if (snapshot.late !== undefined) {
    const { late } = snapshot;
    if ((snapshot.meta as MachineShape).memoryBackend !== "anonymous")
      throw new MachineError(
        "option",
        "a machine with memoryBackend guest-memfd cannot start before its memory is there",
      );
    for (const chunk of Array.from(late.chunks)) if (!memory.backed(chunk * CHUNK, 1)) throw nowhere(chunk * CHUNK);
    memory.expect(late, late.chunks);
  } else
    for await (const { gpa, bytes } of snapshot.pieces()) {
      if (!memory.write(gpa, bytes)) throw nowhere(gpa);
      await pace.breathe();
    }
  try {
    const state = read.object(snapshot.state) as unknown as SavedState;
    restoreOverlays(state.overlays, disks);
    // Where time is counted, each that goes on is to be the same.
    const renews = (snapshot.meta as MachineShape).clock === "host";
    for (const area of [...(renews ? [GENERATION] : []), ...areasOf(state.asyncPf)])
      if (memory.backed(area, 1)) await memory.ensureResident(area, 1);
    machine.restore(state);
    if (renews) machine.board.generation?.renew();
  } catch (cause) {
    if (cause instanceof MachineError) throw cause;
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new MachineError("option", `the snapshot's state is none of such a machine: ${why}`, { cause });
  }
}
