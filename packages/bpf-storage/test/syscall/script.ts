import { Command } from "../../src/index.js";
import { type Caller, START } from "./caller.js";

/** A descriptor or an id of an earlier call, by its number; of a descriptor of another kind: -1 a task's, -2 a socket's, -3 a file's, -5 a cgroup's. */
export interface Patch {
  /** Bytes from the start of the attributes or the buffer: 32 bits. */
  readonly at: number;
  readonly kind: "F" | "I";
  readonly of: number;
  /** Added to an id. */
  readonly plus?: number;
}

/** Where an id is, bytes, and the command that makes what it is of. */
export type IdAt = readonly [at: number, made: number];

export interface Buffer {
  readonly bytes: Uint8Array;
  readonly patches?: readonly Patch[];
  /** Bytes that are compared after the call. */
  readonly shown: number;
  /** Ids in them. */
  readonly ids?: readonly IdAt[];
  /** Ranges that nobody compares: times, digests of what is ours. */
  readonly hidden?: readonly (readonly [start: number, end: number])[];
}

/** A call of bpf(2), or a walk over all elements of a map. */
export type Step =
  | {
      readonly kind: "call";
      readonly command: number;
      readonly size: number;
      readonly attr: Uint8Array;
      readonly patches: readonly Patch[];
      readonly buffers: readonly Buffer[];
      /** Words of the attributes that are compared after the call, and those that are ids. */
      readonly outputs: readonly number[];
      readonly ids?: readonly IdAt[];
      /** In words, for who reads a difference. */
      readonly about: string;
    }
  | { readonly kind: "walk"; readonly map: number; readonly keySize: number; readonly valueSize: number };

export type Script = readonly Step[];

/** What came of a step. */
export interface Outcome {
  /** 0, 1 for a descriptor, or a negative errno. */
  readonly status: number;
  /** What the caller sees after it: words of attributes and shown buffers, in hex. */
  readonly shown: readonly string[];
}

const SLOT = 128 << 10;
/** Where a buffer is. */
export const slotAt = (k: number): number => START + (k + 1) * SLOT;

const ATTRIBUTES = 152;
const MAKES: ReadonlySet<number> = new Set([
  ...[Command.MapCreate, Command.ProgLoad, Command.BtfLoad, Command.MapGetFdById, Command.ProgGetFdById],
  ...[Command.BtfGetFdById, Command.LinkGetFdById, Command.RawTracepointOpen, Command.LinkCreate, Command.EnableStats],
]);

/** Commands that find what another made. */
const FINDS: ReadonlyMap<number, number> = new Map<number, number>([
  [Command.MapGetFdById, Command.MapCreate],
  [Command.ProgGetFdById, Command.ProgLoad],
  [Command.BtfGetFdById, Command.BtfLoad],
]);
/** The command that makes what a step gives a descriptor of; -1: it gives none. */
export const madeBy = (step: Step): number => (step.kind === "walk" ? -1 : (FINDS.get(step.command) ?? step.command));

const hex = (bytes: Uint8Array): string =>
  bytes.length === 0 ? "-" : Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const unhex = (text: string): Uint8Array =>
  text === "-" ? new Uint8Array(0) : Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));

/** A script as native/bpf-calls.c reads it. */
export function written(script: Script): string {
  const patches = (all: readonly Patch[]): string =>
    [all.length, ...all.map(({ at, kind, of, plus = 0 }) => `${at} ${kind} ${of} ${plus}`)].join(" ");
  const lines = script.map((step) => {
    if (step.kind === "walk") return `W ${step.map} ${step.keySize} ${step.valueSize}`;
    const { command, size, attr, buffers } = step;
    const parts = buffers.map((each) => `${hex(each.bytes)} ${each.shown} ${patches(each.patches ?? [])}`);
    return ["C", command, size, hex(attr), patches(step.patches), buffers.length, ...parts].join(" ");
  });
  return `${["S", ...lines].join("\n")}\n`;
}

/** What a step shows, with ids as the numbers of the calls that made what they name. */
function outcome(
  step: Step,
  status: number,
  attr: Uint8Array,
  buffers: readonly Uint8Array[],
  known: readonly IdAt[],
): Outcome {
  if (step.kind === "walk") return { status, shown: [] };
  const named = (bytes: Uint8Array, [at, made]: IdAt): void => {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    if (at + 4 > bytes.length) return;
    const id = view.getUint32(at, true);
    const call = known.findIndex(([other, by]) => other === id && by === made);
    view.setUint32(at, id === 0 ? 0 : call < 0 ? 0xffff_ffff : 0xface_0000 + call, true);
  };
  const words = attr.slice();
  for (const id of step.ids ?? []) named(words, id);
  const shown = step.outputs.map((at) => `${at}=${hex(words.subarray(at, at + 4))}`);
  step.buffers.forEach(({ ids = [], hidden = [] }, k) => {
    const bytes = (buffers[k] as Uint8Array).slice();
    for (const id of ids) named(bytes, id);
    for (const [start, end] of hidden) bytes.fill(0, start, end);
    if (bytes.length > 0) shown.push(hex(bytes));
  });
  return { status, shown };
}

const sortedWalk = (elements: readonly string[]): Outcome => ({ status: 0, shown: [...elements].sort() });

/** What native/bpf-calls.c prints about a script: a line a step. */
export function readOutcomes(script: Script, lines: readonly string[]): Outcome[] {
  const ids: IdAt[] = [];
  return script.map((step, k) => {
    const [result = "", errno = "", id = "", ...rest] = (lines[k] ?? "").split(" ");
    ids.push([Number(id), madeBy(step)]);
    if (step.kind === "walk") return sortedWalk(rest);
    const [attr = "-", ...buffers] = rest.map(unhex);
    return outcome(step, Number(result) < 0 ? -Number(errno) : Number(result), attr as Uint8Array, buffers, ids);
  });
}

/** Runs a script through the library. */
export class ScriptRun {
  readonly #fds: number[] = [];
  readonly #ids: number[] = [];
  readonly #made: number[] = [];
  readonly #others: readonly number[];

  constructor(readonly caller: Caller) {
    this.#others = [
      -1,
      caller.open("tasks"),
      caller.open("sockets"),
      caller.open("inodes"),
      -1,
      caller.open("cgroups"),
    ];
    // Standard input and its like are files.
    for (const fd of [0, 1, 2]) caller.owners.set(fd, { kind: "inodes", object: caller.object() });
  }

  /** Starts again with nothing. */
  forget(): void {
    for (const list of [this.#fds, this.#ids, this.#made]) list.length = 0;
  }

  run(script: Script): Outcome[] {
    return script.map((step) => (step.kind === "walk" ? this.#walk(step) : this.#call(step)));
  }

  #call(step: Step & { kind: "call" }): Outcome {
    const { caller } = this;
    caller.memory.fill(0);
    caller.reset();
    const place = (bytes: Uint8Array, at: number, patches: readonly Patch[]): void => {
      caller.memory.set(bytes, at - START);
      const view = new DataView(caller.memory.buffer);
      for (const { at: offset, kind, of, plus = 0 } of patches)
        view.setInt32(at - START + offset, kind === "F" ? this.#fd(of) : (this.#ids[of] ?? 0) + plus, true);
    };
    place(step.attr, START, step.patches);
    for (const [k, { bytes, patches = [] }] of step.buffers.entries()) place(bytes, slotAt(k), patches);
    const result = caller.at(step.command, START, step.size);
    const made = result >= 0 && MAKES.has(step.command);
    this.#fds.push(made ? result : -1);
    const object = made ? caller.files.get(result)?.object : undefined;
    this.#ids.push(object === undefined || object.kind === "stats" ? 0 : object.id);
    this.#made.push(madeBy(step));
    const attr = caller.bytes(START, ATTRIBUTES);
    const buffers = step.buffers.map(({ shown }, k) => caller.bytes(slotAt(k), shown));
    const known = this.#ids.map((id, k): IdAt => [id, this.#made[k] ?? -1]);
    return outcome(step, made ? 1 : result, attr, buffers, known);
  }

  #walk({ map, keySize, valueSize }: Step & { kind: "walk" }): Outcome {
    const { caller } = this;
    caller.memory.fill(0);
    caller.reset();
    const elements: string[] = [];
    const [key, next, value] = [caller.room(keySize), caller.room(keySize), caller.room(valueSize)];
    const fd = this.#fd(map);
    for (let k = 0; k < 100 && caller.nextKey(fd, k === 0 ? 0 : key, next) === 0; k++) {
      caller.memory.copyWithin(key - START, next - START, next - START + keySize);
      if (caller.lookup(fd, key, value) !== 0) continue;
      elements.push(`${hex(caller.bytes(key, keySize))}:${hex(caller.bytes(value, valueSize))}`);
    }
    this.#fds.push(-1);
    this.#ids.push(0);
    this.#made.push(-1);
    return sortedWalk(elements);
  }

  #fd(of: number): number {
    return of < 0 ? (this.#others[-of] ?? -1) : (this.#fds[of] ?? -1);
  }
}
