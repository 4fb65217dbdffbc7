import type { VerifierBtf } from "./btf-port.js";
import { pointer, type Reg, UNINIT } from "./reg.js";
import type { VerifierMap } from "./request.js";

/** Kinds of the bytes of a stack slot. `Dynptr` is that of all objects that programs may not look into: dynptrs and iterators. */
export const Byte = { Invalid: 0, Spill: 1, Misc: 2, Zero: 3, Dynptr: 4 } as const;

/** Eight bytes of stack, aligned. Byte 0 is the one at the highest address, next to the frame pointer, as in messages of the kernel. */
export interface Slot {
  /** Kinds of the bytes, four bits each, byte 0 lowest. */
  readonly kinds: number;
  /** What was spilled, or what a dynptr is; set only where a byte is of that kind. */
  readonly reg: Reg | undefined;
}

/** Bytes of stack of a frame. */
export const MAX_STACK = 512;
export const MAX_FRAMES = 8;
/** Where functions of work queues are called from. */
export const SLEEPING_CALLSITE = -2;

/** All eight bytes of one kind. */
export const allBytes = (kind: number): number => (kind * 0x1111_1111) >>> 0;
export const byteKind = (slot: Slot | undefined, byte: number): number =>
  slot === undefined ? Byte.Invalid : (slot.kinds >>> (4 * byte)) & 15;
export const withByte = (kinds: number, byte: number, kind: number): number =>
  ((kinds & ~(15 << (4 * byte))) | (kind << (4 * byte))) >>> 0;

/** Whether a register was spilled here: its lowest byte decides, as in the kernel. */
export const isSpill = (slot: Slot | undefined): slot is Slot & { readonly reg: Reg } =>
  byteKind(slot, 7) === Byte.Spill;
export const isScalarSpill = (slot: Slot | undefined): slot is Slot & { readonly reg: Reg } =>
  isSpill(slot) && slot.reg.kind === "scalar";

/** A slot, or nothing where all of it is uninitialised. */
export const makeSlot = (kinds: number, reg: Reg | undefined): Slot | undefined =>
  kinds === 0 ? undefined : { kinds, reg };

/** R0 to R9 where nothing is known. */
const NO_REGS: readonly Reg[] = new Array<Reg>(10).fill(UNINIT);

/** How the frame of a callback was entered. */
export interface CallbackFrame {
  /** What the callback may return, inclusive. */
  readonly returns: readonly [number, number];
  /** Runs after the call that named it has returned (timers). */
  readonly isAsync: boolean;
}

/** Registers and stack of one call. */
export class Frame {
  readonly regs: Reg[];
  readonly stack: (Slot | undefined)[];
  callback: CallbackFrame | undefined = undefined;
  /** Iterations of callbacks that were looked at from the call at hand. */
  callbackDepth = 0;
  /** Slots that were written since the last checkpoint: reads of them do not concern it. Two words of 32 slots. */
  writtenLow = -1;
  writtenHigh = -1;
  /** In a checkpoint: slots that some path from it reads. */
  readLow = 0;
  readHigh = 0;

  constructor(
    readonly subprog: number,
    /** The call; -1 of the main program and of what runs apart from it, {@link SLEEPING_CALLSITE} where that may sleep. */
    readonly callsite: number,
    readonly index: number,
    /** What it starts as: a copy. */
    from?: Frame,
  ) {
    this.regs = from?.regs.slice() ?? [...NO_REGS, pointer("fp", { frame: index })];
    this.stack = from?.stack.slice() ?? [];
  }

  copy(): Frame {
    const to = new Frame(this.subprog, this.callsite, this.index, this);
    to.callback = this.callback;
    to.callbackDepth = this.callbackDepth;
    to.writtenLow = this.writtenLow;
    to.writtenHigh = this.writtenHigh;
    return to;
  }

  setWritten(slot: number): void {
    if (slot < 32) this.writtenLow |= 1 << slot;
    else this.writtenHigh |= 1 << (slot - 32);
  }
  isWritten(slot: number): boolean {
    return ((slot < 32 ? this.writtenLow >>> slot : this.writtenHigh >>> (slot - 32)) & 1) !== 0;
  }
  setRead(slot: number): void {
    if (slot < 32) this.readLow |= 1 << slot;
    else this.readHigh |= 1 << (slot - 32);
  }
  isRead(slot: number): boolean {
    return ((slot < 32 ? this.readLow >>> slot : this.readHigh >>> (slot - 32)) & 1) !== 0;
  }
}

/** A reference that must be given back. */
export interface Reference {
  readonly id: number;
  /** The instruction that acquired it. */
  readonly insn: number;
  /** The frame of the callback that acquired it, 0 for none. */
  readonly callback: number;
}

/** The spin lock that is held: the map or, of objects of the program, the types it belongs to, and the id of the pointer. */
export interface HeldLock {
  readonly map: VerifierMap | VerifierBtf;
  readonly id: number;
}

/** A path that ended in a loop: what `now` needs is what `old` needs, before the instruction at `pc`. */
export interface BackEdge {
  readonly old: State;
  readonly now: State;
  readonly pc: number;
}

/** Everything that is known at one point of one path. */
export class State {
  frames: Frame[] = [];
  refs: readonly Reference[] = [];
  lock: HeldLock | undefined = undefined;
  rcuDepth = 0;
  preemptDepth = 0;
  /** The checkpoint that the path last passed. */
  parent: State | undefined = undefined;
  /** Of a checkpoint: paths from it that are not at their end. */
  branches = 1;
  pc = 0;
  /** Checkpoints on the way here. */
  depth = 0;
  /** Jumps, spills and fills since the last checkpoint. */
  steps = 0;
  mayGotoDepth = 0;
  callbackDepth = 0;
  /** Runs apart from the call that started it (timers). */
  asyncEntry = 0;
  /** Of a checkpoint: the entry of a loop that it is in; see {@link loop}. */
  loopEntry: State | undefined = undefined;
  /** Of what a loop begins with: paths that ended in the loop, until it is closed. */
  backEdges: BackEdge[] = [];

  get frame(): Frame {
    return this.frames[this.frames.length - 1] as Frame;
  }

  copy(): State {
    const to = new State();
    to.frames = this.frames.map((frame) => frame.copy());
    to.refs = this.refs;
    to.lock = this.lock;
    to.rcuDepth = this.rcuDepth;
    to.preemptDepth = this.preemptDepth;
    to.parent = this.parent;
    to.pc = this.pc;
    to.depth = this.depth;
    to.steps = this.steps;
    to.mayGotoDepth = this.mayGotoDepth;
    to.callbackDepth = this.callbackDepth;
    to.asyncEntry = this.asyncEntry;
    return to;
  }

  /** The checkpoint that the outermost loop begins with that this one is known to be in. */
  loop(): State | undefined {
    let top = this.loopEntry;
    while (top?.loopEntry !== undefined && top.loopEntry !== top) top = top.loopEntry;
    for (let at: State | undefined = this; at !== undefined && at.loopEntry !== top; ) {
      const next: State | undefined = at.loopEntry;
      at.loopEntry = top;
      at = next;
    }
    return top;
  }

  /** Its loop is open: reads and precision of what follows are not all known, so all of it counts. */
  get incomplete(): boolean {
    const entry = this.loop();
    return entry !== undefined && entry.branches > 0;
  }

  /** Replaces registers and spilled registers of all frames. */
  replace(change: (reg: Reg) => Reg | undefined): void {
    for (const frame of this.frames) {
      for (let k = 0; k < 10; k++) {
        const to = change(frame.regs[k] as Reg);
        if (to !== undefined) frame.regs[k] = to;
      }
      for (let k = 0; k < frame.stack.length; k++) {
        const slot = frame.stack[k];
        if (!isSpill(slot)) continue;
        const to = change(slot.reg);
        if (to !== undefined) frame.stack[k] = { kinds: slot.kinds, reg: to };
      }
    }
  }

  /** Notes that a path from the last checkpoint on reads the slot as it was there. Whether that is new. */
  markRead(frameIndex: number, slot: number): boolean {
    let at: State = this;
    for (;;) {
      const parent = at.parent;
      const own = at.frames[frameIndex];
      const above = parent?.frames[frameIndex];
      if (parent === undefined || own === undefined || above === undefined || own.isWritten(slot) || above.isRead(slot))
        return at !== this;
      above.setRead(slot);
      at = parent;
    }
  }
}
