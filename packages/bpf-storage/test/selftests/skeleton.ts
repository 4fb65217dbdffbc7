import { expect } from "vitest";
import { type BpfMap, type LoadedObject, type LoadedProgram, loadInto } from "../../src/index.js";
import type { Choice } from "../../src/runtime/load-object.js";
import type { ReferenceKernel } from "./reference-kernel.js";
import { Scratch } from "./system-side.js";
import { loadRefused, type Refused } from "./unverified.js";

/** Which programs of an object are loaded, and which of those the verifier refuses though their own kernel does not. */
export interface SkeletonDesc {
  /** Default: those that the object does not leave out. */
  readonly choose?: Choice;
  /** Default: none. */
  readonly refused?: Refused;
}

/** What bpftool makes a skeleton for: an object that is loaded, its maps, programs and variables by name. */
export class Skeleton {
  readonly loaded: LoadedObject;

  /** @throws {Error} as `loadInto` */
  constructor(
    readonly kernel: ReferenceKernel,
    bytes: Uint8Array,
    { choose, refused }: SkeletonDesc = {},
  ) {
    this.loaded =
      refused === undefined
        ? loadInto(kernel.runtime, bytes, kernel.system, choose)
        : loadRefused(kernel, bytes, refused);
  }

  /** Attaches its programs, each by a system call of the running task: those that are attached see the calls for the others. */
  attach(): void {
    for (const program of this.loaded.programs)
      this.kernel.systemCall(() => this.kernel.attach({ programs: [program] }));
  }

  detach(): void {
    this.kernel.detach(this.loaded);
  }

  /** Detaches its programs and lets go of its maps. */
  destroy(): void {
    this.detach();
    for (const { program } of this.loaded.programs) program.executable.dispose();
    for (const map of this.loaded.maps.values()) this.kernel.runtime.freeMap(map);
  }

  map(name: string): BpfMap {
    const map = this.loaded.maps.get(name);
    if (map === undefined) throw new RangeError(`no map ${name}`);
    return map;
  }

  program(name: string): LoadedProgram["program"] {
    const found = this.loaded.programs.find(({ from }) => from.name === name);
    if (found === undefined) throw new RangeError(`no program ${name}`);
    return found.program;
  }

  /** Every program ended by itself, always. */
  get sound(): boolean {
    return this.loaded.programs.every(({ program }) => program.fault === null);
  }

  /** A variable of 1, 4 or 8 bytes, signed. */
  get(name: string): number {
    const { at, size } = this.#place(name);
    const { view } = this.kernel.arena;
    if (size === 8) return Number(view.getBigInt64(at, true));
    return size === 1 ? view.getInt8(at) : view.getInt32(at, true);
  }

  set(name: string, value: number): void {
    const { at, size } = this.#place(name);
    const { view } = this.kernel.arena;
    if (size === 8) view.setBigInt64(at, BigInt(value), true);
    else if (size === 1) view.setInt8(at, value);
    else view.setInt32(at, value, true);
  }

  /** A variable of characters up to the first 0. */
  text(name: string): string {
    const { at, size } = this.#place(name);
    return new TextDecoder().decode(this.kernel.arena.read(at, size)).split("\0")[0] ?? "";
  }

  #place(name: string): { readonly at: number; readonly size: number } {
    for (const { name: section, variables } of this.loaded.object.maps) {
      const found = variables.find((each) => each.name === name);
      if (found === undefined) continue;
      const value = Scratch.of(this.kernel.arena, [0, 0, 0, 0], (key) => this.map(section).lookup(key));
      return { at: value + found.offset, size: found.size };
    }
    throw new RangeError(`no variable ${name}`);
  }
}

/** Asserts of a selftest, which are counted as its own are: each has the label that it has there. */
export class Asserts {
  count = 0;

  equal(actual: unknown, expected: unknown, label: string): void {
    this.count++;
    expect(actual, label).toEqual(expected);
  }

  differs(actual: unknown, from: unknown, label: string): void {
    this.count++;
    expect(actual, label).not.toEqual(from);
  }

  /** A status that is 0, or what has been made: that it could be made is asserted by its being there. */
  ok(made: unknown, label: string): void {
    this.count++;
    expect(typeof made === "number" ? made === 0 : made !== null && made !== undefined, label).toBe(true);
  }

  atLeast(actual: number, least: number, label: string): void {
    this.count++;
    expect(actual, label).toBeGreaterThanOrEqual(least);
  }

  /** What is done must fail, for that reason. */
  fails(act: () => unknown, reason: RegExp, label: string): void {
    this.count++;
    expect(act, label).toThrow(reason);
  }
}
