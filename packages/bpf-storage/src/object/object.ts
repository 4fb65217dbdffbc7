import type { Btf } from "../btf/btf.js";
import type { Elf } from "./elf.js";
import type { Extern } from "./externs.js";
import type { CodeFunction } from "./functions.js";
import type { MapDefinition } from "./map-definition.js";
import type { PlacedMap } from "./maps.js";
import type { SectionKind } from "./sections.js";

/** A program of an object: what a function outside of `.text` is. */
export interface ObjectProgram extends SectionKind {
  /** Of the function. */
  readonly name: string;
  /** Name of its section without `?`. */
  readonly section: string;
  readonly function: CodeFunction;
}

/** What clang made, read and checked, but not linked. */
export interface BpfObject {
  /** Empty if it says none: helpers for GPL programs are then refused. */
  readonly license: string;
  /** KERNEL_VERSION it says it is for; 0 if it says none. */
  readonly version: number;
  readonly programs: readonly ObjectProgram[];
  /** Those of `.maps`, of `.struct_ops`, of data; without that of `.kconfig`, whose values a kernel has (`kconfigMap`). */
  readonly maps: readonly MapDefinition[];
  /** What it expects of the kernel. */
  readonly externs: readonly Extern[];
  /** Null if it was compiled without -g. */
  readonly btf: Btf | null;
  /** What linking needs. */
  readonly parts: ObjectParts;
}

export interface ObjectParts {
  readonly elf: Elf;
  /** Functions that programs call, by their first instruction in `.text`. */
  readonly subprograms: ReadonlyMap<number, CodeFunction>;
  readonly maps: readonly PlacedMap[];
  /** Places in `maps`, by {@link placeKey}. */
  readonly mapAt: ReadonlyMap<string, number>;
  /** By the index of their symbol. */
  readonly externs: ReadonlyMap<number, Extern>;
}

/** Where a map is: a section of data, or a place in a section of maps. */
export const placeKey = (section: number, offset: number | null): string => `${section}:${offset ?? ""}`;
