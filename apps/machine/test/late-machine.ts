import { CHUNK_PAGES, type ChunkSource } from "@vm/mmu";
import { createMachine, type MachineOptions, type MachineSnapshot } from "../src/index.js";
import type { MemoryPiece } from "../src/machine-snapshot.js";
import type { MachineState } from "../src/machine-state.js";
import type { VirtualMachine } from "../src/virtual-machine.js";
import { ENGINE } from "./guest.js";

const PAGE = 4096;
/** Bytes of a chunk. */
export const CHUNK = CHUNK_PAGES * PAGE;

/** Contents of chunks by number. */
export type Chunks = ReadonlyMap<number, Uint8Array>;

interface Signal {
  readonly given: Promise<void>;
  give(): void;
}

function signal(): Signal {
  let give: () => void = () => undefined;
  const given = new Promise<void>((resolve) => {
    give = resolve;
  });
  return { given, give };
}

/** Chunks that come when the test says so. */
export class Later implements ChunkSource {
  readonly #contents: (chunk: number) => Uint8Array;
  readonly #asked = new Map<number, Signal>();
  readonly #answered = new Map<number, Signal>();
  #freely = false;

  /** @param contents default: zeros */
  constructor(contents: (chunk: number) => Uint8Array = () => new Uint8Array(CHUNK)) {
    this.#contents = contents;
  }

  async fetch(chunk: number): Promise<Uint8Array> {
    of(this.#asked, chunk).give();
    if (!this.#freely) await of(this.#answered, chunk).given;
    return this.#contents(chunk);
  }

  /** Resolves when somebody has asked for a chunk. */
  asked(chunk: number): Promise<void> {
    return of(this.#asked, chunk).given;
  }

  /** Has a chunk arrive, asked for or not; resolves when it has. */
  async arrive(chunk: number): Promise<void> {
    of(this.#answered, chunk).give();
    await turns();
  }

  /** From now on all come when they are asked for. */
  freely(): void {
    this.#freely = true;
    for (const { give } of this.#answered.values()) give();
  }
}

function of(signals: Map<number, Signal>, chunk: number): Signal {
  const found = signals.get(chunk) ?? signal();
  signals.set(chunk, found);
  return found;
}

/** The machine has a slice in every turn of the event loop, if it runs. */
export async function turns(): Promise<void> {
  for (let k = 0; k < 5; k++) await new Promise(setImmediate);
}

export const LATE_OPTIONS: MachineOptions = { memory: 32 << 20, asyncPf: true, testDevices: true, ...ENGINE };

/** A machine some of whose memory comes from `source`. */
export async function lateMachine(
  source: ChunkSource,
  chunks: readonly number[],
  options: MachineOptions,
): Promise<VirtualMachine> {
  const machine = (await createMachine({ ...LATE_OPTIONS, ...options })) as VirtualMachine;
  machine.memory.expect(source, chunks);
  return machine;
}

/** Has a machine that runs stand still while `look` looks at it, when it has executed `at` instructions. */
export const standing = <T>(machine: VirtualMachine, look: (machine: VirtualMachine) => T, at = 0): Promise<T> =>
  new Promise((resolve) => machine.stopAt(at, async () => resolve(look(machine))));

/** The memory of a snapshot, chunk by chunk. */
export function chunksOf(snapshot: MachineSnapshot): Chunks {
  const chunks = new Map<number, Uint8Array>();
  for (const piece of snapshot.pieces() as Iterable<MemoryPiece>) put(chunks, piece);
  return chunks;
}

/** The memory of a machine that stands still and some of whose memory, which is in `absent`, has not arrived. */
export function chunksNow({ memory }: VirtualMachine, absent: Chunks): Chunks {
  const chunks = new Map<number, Uint8Array>();
  for (const chunk of memory.residency?.absent() ?? []) chunks.set(chunk, absent.get(chunk) ?? new Uint8Array(CHUNK));
  for (const { gpa: start, size } of memory.memslots)
    for (let gpa = start; gpa < start + size; gpa += PAGE) {
      if (memory.residency?.has(gpa / PAGE) === false || memory.peekFrame(gpa / PAGE) === 0) continue;
      const bytes = new Uint8Array(PAGE);
      memory.read(gpa, bytes);
      put(chunks, { gpa, bytes });
    }
  return chunks;
}

function put(chunks: Map<number, Uint8Array>, { gpa, bytes }: MemoryPiece): void {
  const number = Math.floor(gpa / CHUNK);
  const chunk = chunks.get(number) ?? new Uint8Array(CHUNK);
  chunk.set(bytes, gpa % CHUNK);
  chunks.set(number, chunk);
}

/** A snapshot with the state of a machine that is like the one it is of. */
export const withState = (
  { meta, state }: Pick<MachineSnapshot, "meta" | "state">,
  own: MachineState,
): Pick<MachineSnapshot, "meta" | "state"> => ({ meta, state: { ...(state as MachineState), ...own } });

/** A snapshot whose memory comes when it is needed. */
export const lateSnapshot = (
  { meta, state }: Pick<MachineSnapshot, "meta" | "state">,
  chunks: Chunks,
  source: ChunkSource,
): MachineSnapshot => ({
  ...{ meta, state: structuredClone(state), pieces: () => [] },
  late: { chunks: [...chunks.keys()], fetch: (chunk) => source.fetch(chunk) },
});
