import type { Engine, Executable, Fault } from "../engine/engine.js";
import { KERNEL_HIGH } from "../engine/layout.js";
import type { Arena } from "../memory/arena.js";
import type { Rcu } from "../memory/rcu.js";
import { AttachType, ProgramType } from "../uapi/program-types.js";
import type { Pair } from "./host.js";

/** Bytes of context for a program of tracing: `struct pt_regs` of x86-64, which is more than a function's arguments and its result. */
const CONTEXT_BYTES = 8 * 21;

/** What a type of a program's own is made of: offsets in bytes of what it has besides plain bytes. */
export interface ObjectLayout {
  /** Bytes. */
  readonly size: number;
  /** `struct bpf_refcount` */
  readonly refcount: number | null;
  /** `struct bpf_list_head` */
  readonly lists: readonly number[];
  /** `struct bpf_rb_root` */
  readonly trees: readonly number[];
  /** Pointers to objects that it keeps. */
  readonly objects: readonly number[];
}

/** What a run is told of what its program is attached to. */
export interface TraceInfo {
  /** Arguments of the function, in its context: what a function returns comes behind them. */
  readonly count: number;
  /** Address of the function. */
  readonly ip: Pair;
  /** What it was attached with (`bpf_cookie`). */
  readonly cookie: Pair;
}

const NOWHERE: Pair = { low: 0, high: 0 };
/** What a run is told that is attached to nothing. */
export const NO_TRACE: TraceInfo = { count: 0, ip: NOWHERE, cookie: NOWHERE };

/** What a program is, besides its instructions. */
export interface ProgramDesc {
  readonly name: string;
  readonly type: ProgramType;
  /** Whether it can be attached to what it does itself; see {@link recurs}. */
  readonly recur: boolean;
  /** `enum bpf_attach_type`; default 0. */
  readonly attach?: number;
  /** A type of its own by its number; null if it cannot be made. Default: it makes no objects. */
  readonly objectLayout?: (type: number) => ObjectLayout | null;
}

/** Whether programs of a kind can be attached to what they do themselves: all but lsm, struct_ops and iterators (`bpf_prog_check_recur`). */
export const recurs = (type: ProgramType, attach: number): boolean =>
  type !== ProgramType.Lsm &&
  type !== ProgramType.StructOps &&
  !(type === ProgramType.Tracing && attach === AttachType.TraceIter);

/** What programs share. */
export interface ProgramHost {
  readonly arena: Arena;
  readonly rcu: Rcu;
  readonly engine: Engine;
  readonly cpu: () => number;
  /** Runs `run` as a run of this program: what helpers ask about it is answered accordingly. */
  readonly as: (program: ProgramDesc, trace: TraceInfo, run: () => number) => number;
}

/** A loaded program. */
export class BpfProgram {
  /** Runs that were begun. */
  runs = 0;
  /** Runs that were not, because the program was running on that CPU already (`recursion_misses`). */
  misses = 0;
  /** How the last run ended that did not end by itself. */
  fault: Fault | null = null;
  readonly #active = new Set<number>();

  constructor(
    readonly host: ProgramHost,
    readonly desc: ProgramDesc,
    readonly executable: Executable,
  ) {}

  /** What the last run returned, unsigned. */
  get result(): bigint {
    const { engine } = this.host;
    return (BigInt(engine.resultHigh) << 32n) | BigInt(engine.resultLow);
  }

  /**
   * Runs it with words of 64 bits as its context, as programs of tracing have the arguments of what they are attached to.
   * @param trace what it is told of that besides; default: all words but the last of a function that has returned are arguments
   * @returns the lower half of what it returns, signed; 0 if it was running already
   */
  runTraced(words: readonly bigint[], trace: Partial<TraceInfo> = {}): number {
    const { arena } = this.host;
    const at = arena.alloc(CONTEXT_BYTES);
    if (at === 0) return 0;
    const { view } = arena;
    for (const [k, word] of words.entries()) view.setBigUint64(at + 8 * k, BigInt.asUintN(64, word), true);
    try {
      const { attach = 0 } = this.desc;
      const result = attach === AttachType.TraceFexit || attach === AttachType.ModifyReturn ? 1 : 0;
      return this.run(at, { ...NO_TRACE, count: Math.max(0, words.length - result), ...trace });
    } finally {
      arena.free(at);
    }
  }

  /** Runs it with the context at an offset. @param trace what it is told of what it is attached to; default: to nothing @returns the lower half of what it returns, signed; 0 if it was running already */
  run(context: number, trace: TraceInfo = NO_TRACE): number {
    const { rcu, engine, cpu } = this.host;
    const on = cpu();
    if (this.desc.recur && this.#active.has(on)) {
      this.misses++;
      return 0;
    }
    this.runs++;
    this.#active.add(on);
    try {
      return rcu.lock(() =>
        this.host.as(this.desc, trace, () => {
          const result = this.executable.run(context, KERNEL_HIGH);
          if (engine.fault !== null) this.fault = engine.fault;
          return result;
        }),
      );
    } finally {
      this.#active.delete(on);
    }
  }
}
