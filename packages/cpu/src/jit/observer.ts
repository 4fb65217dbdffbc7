import type { FunctionBuilder, Local, ModuleBuilder } from "@vm/wasm";
import type { CodePage } from "../code/cache.js";
import type { Shape } from "./blocks.js";

/** What is about to be written as a function. */
export interface RegionPlan {
  readonly shape: Shape;
  /** From `FIRST_REGION` on. */
  readonly number: number;
  /** Linear address of its first page where it became hot. */
  readonly va: bigint;
  readonly wide: boolean;
}

/** Looks on as regions are made. */
export interface RegionObserver {
  /** A region is about to be written into `m`. @returns what counts in it; null leaves its code as it is */
  planned(m: ModuleBuilder, plan: RegionPlan): RegionTally | null;
  /** No region can begin at `offset` of `page`, whose linear address is `va`. */
  refused(page: CodePage, offset: number, va: bigint): void;
}

/** Who looks on, by `Jit`: apart from it, since what regions are made of is not for those who have one. */
const observers = new WeakMap<object, RegionObserver>();

/** Has `observer` look on at the regions of `jit`, nothing of which may have been made yet. */
export const observe = (jit: object, observer: RegionObserver): void => void observers.set(jit, observer);

export const observerOf = (jit: object): RegionObserver | undefined => observers.get(jit);

/** How control leaves a region. */
export type ExitKind =
  /** The budget does not pay for a block. */
  | "budget"
  /** In front of an instruction: it faults, misses the TLB, or is for once not what regions do. */
  | "instruction"
  /** To a `Target` outside. */
  | "record"
  | "link"
  | "address"
  /** To where only execution tells. */
  | "indirect"
  /** With what the block calls, when control did not come back from there before something else than a region had to go on. */
  | "call"
  /** The page that the next block is in is not mapped any more, or its code has changed. */
  | "page";

/** Writes code into a region that counts what happens there. */
export interface RegionTally {
  /** The function begins, at entry `selector`. */
  entered(f: FunctionBuilder, selector: Local<"i32">): void;
  /** Block `number` begins. */
  block(f: FunctionBuilder, number: number): void;
  /**
   * Control leaves `block`.
   * @param offset page offset of the instruction that it leaves in front of; by default it leaves at the block's end
   */
  left(f: FunctionBuilder, kind: ExitKind, block: number, offset?: number): void;
  /** The module has become an instance. */
  attach(exports: Readonly<Record<string, unknown>>): void;
}
