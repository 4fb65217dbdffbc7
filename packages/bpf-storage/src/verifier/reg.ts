import type { VerifierBtf } from "./btf-port.js";
import { fromNumber } from "./int64.js";
import type { VerifierMap } from "./request.js";
import { constant, isZero, type Scalar, UNKNOWN, ZERO } from "./scalar.js";

/** What a register or a spilled slot holds; the names are those of the kernel's log. */
export type Kind =
  | "?"
  | "scalar"
  | "ctx"
  | "map_ptr"
  | "map_value"
  | "map_key"
  | "fp"
  | "pkt"
  | "pkt_meta"
  | "pkt_end"
  | "flow_keys"
  | "sock"
  | "sock_common"
  | "tcp_sock"
  | "xdp_sock"
  | "tp_buffer"
  | "ptr_"
  | "mem"
  | "buf"
  | "func"
  | "dynptr_ptr"
  | "iter";

/** What holds of a pointer besides its kind; a set of bits. */
export const Mod = {
  /** May be NULL. */
  Null: 1,
  Rdonly: 2,
  Ringbuf: 4,
  User: 8,
  Percpu: 16,
  Untrusted: 32,
  Trusted: 64,
  Rcu: 128,
  /** Of a struct of the program, made by it (MEM_ALLOC). */
  Alloc: 256,
  /** In a list or tree that owns it, good while the lock is held (NON_OWN_REF). */
  NonOwn: 512,
  /** Slice of a dynptr's data; `PacketSlice`: of a packet's. */
  Slice: 1024,
  PacketSlice: 2048,
} as const;

/** Bits that go with pointers that may be trusted (BPF_REG_TRUSTED_MODIFIERS). */
export const TRUSTED_MODS = Mod.Alloc | Mod.Trusted | Mod.NonOwn;

/** Of packet pointers that were compared to the end of the packet: how they compare, in place of a range. */
export const AT_PACKET_END = -1;
export const BEYOND_PACKET_END = -2;

/**
 * Whether a decision rests on a scalar, and which scalars it was worked out from. That is apart from the scalar itself, so that of each step
 * of a long path little more than this is kept.
 *
 * Marks of precision are how pruning knows which numbers mattered: when a decision rests on a scalar, it is marked, and with it every
 * value it was made from. Values are shared by the states that hold them, and each checkpoint gives scalars new objects (made from the old),
 * so that a mark reaches exactly the checkpoints on whose paths the value was used, through moves, spills, calls and links alike.
 */
class Origin {
  precise = false;
  first: Origin | undefined;
  second: Origin | undefined;

  /** Only what may still be marked is remembered. */
  constructor(first: Reg | undefined, second: Reg | undefined) {
    this.first = first?.precise === false ? first.origin : undefined;
    this.second = second?.precise === false ? second.origin : undefined;
  }

  mark(): void {
    const pending: Origin[] = [this];
    for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
      if (at.precise) continue;
      at.precise = true;
      if (at.first !== undefined) pending.push(at.first);
      if (at.second !== undefined) pending.push(at.second);
      at.first = at.second = undefined;
    }
  }
}

/** What is known of a register or of a spilled one: a {@link NumberReg} or a {@link PointerReg}. */
export interface Reg {
  readonly kind: Kind;
  readonly mods: number;
  /** The number, or the variable part of a pointer's offset. */
  readonly v: Scalar;
  /** The fixed part of a pointer's offset, bytes; of a linked scalar, its distance from the others of its id. */
  readonly off: number;
  /** Same id: same number, same unchecked NULL, or same variable part of packet offset; 0 for none. */
  readonly id: number;
  /** Whether `off` is a distance from the scalars of the same id. */
  readonly shifted: boolean;
  /** The reference it stands for, 0 for none. */
  readonly ref: number;
  /** Bytes behind the pointer: of memory, or of the packet that are known to be there. */
  readonly size: number;
  readonly map: VerifierMap | undefined;
  /** Tells apart inner maps that were looked up separately. */
  readonly mapUid: number;
  /** The frame a stack pointer points into. */
  readonly frame: number;
  readonly btf: VerifierBtf | undefined;
  readonly btfId: number;
  /** The function that a function pointer points to; of slots of dynptrs and iterators, which part this is. */
  readonly subprog: number;
  /** The dynptr that data was sliced from. */
  readonly dynptr: number;
  /** Of scalars: what it was worked out from. */
  readonly origin: Origin | undefined;
  /** Whether a decision rests on it. */
  readonly precise: boolean;
  readonly mayBeNull: boolean;
  readonly isScalar: boolean;
  /** A constant zero, as a number. */
  readonly isNull: boolean;
  /** Neither a number nor uninitialised. */
  readonly isPointer: boolean;
  readonly isPacket: boolean;
  readonly isAnyPacket: boolean;

  /** A changed copy. A scalar's copy is made from it. */
  with(change: RegChange): Reg;
}

/** What can differ in a copy: of scalars, no more than the first line. */
export type RegChange = Partial<
  Pick<Reg, "v" | "off" | "id" | "shifted"> &
    Pick<Reg, "kind" | "mods" | "ref" | "size" | "map" | "mapUid" | "frame" | "btf" | "btfId" | "subprog" | "dynptr">
>;

/** A scalar. There are many of them in every state, so that they have no room for what only pointers have. */
export class NumberReg implements Reg {
  v: Scalar;
  off = 0;
  id = 0;
  shifted = false;
  readonly origin: Origin;

  constructor(v: Scalar, origin: Origin) {
    this.v = v;
    this.origin = origin;
  }

  with(change: RegChange): Reg {
    const to = new NumberReg(this.v, new Origin(this, undefined));
    to.off = this.off;
    to.id = this.id;
    to.shifted = this.shifted;
    return Object.assign(to, change);
  }

  /** Links it to the scalars that `other` is linked to, at the same distance. */
  linkAs(other: Reg): void {
    this.id = other.id;
    this.shifted = other.shifted;
    this.off = other.off;
  }

  get precise(): boolean {
    return this.origin.precise;
  }
  get isNull(): boolean {
    return isZero(this.v);
  }
  get kind(): Kind {
    return "scalar";
  }
  get isScalar(): boolean {
    return true;
  }
  get map(): undefined {
    return undefined;
  }
  get btf(): undefined {
    return undefined;
  }
  get mods(): number {
    return 0;
  }
  get ref(): number {
    return 0;
  }
  get size(): number {
    return 0;
  }
  get mapUid(): number {
    return 0;
  }
  get frame(): number {
    return 0;
  }
  get btfId(): number {
    return 0;
  }
  get subprog(): number {
    return 0;
  }
  get dynptr(): number {
    return 0;
  }
  get mayBeNull(): boolean {
    return false;
  }
  get isPointer(): boolean {
    return false;
  }
  get isPacket(): boolean {
    return false;
  }
  get isAnyPacket(): boolean {
    return false;
  }
}

/** A pointer, or what is not initialised. */
export class PointerReg implements Reg {
  kind: Kind = "?";
  mods = 0;
  v: Scalar = ZERO;
  off = 0;
  id = 0;
  ref = 0;
  size = 0;
  map: VerifierMap | undefined = undefined;
  mapUid = 0;
  frame = 0;
  btf: VerifierBtf | undefined = undefined;
  btfId = 0;
  subprog = 0;
  dynptr = 0;

  with(change: RegChange): Reg {
    const to = new PointerReg();
    to.kind = this.kind;
    to.mods = this.mods;
    to.v = this.v;
    to.off = this.off;
    to.id = this.id;
    to.ref = this.ref;
    to.size = this.size;
    to.map = this.map;
    to.mapUid = this.mapUid;
    to.frame = this.frame;
    to.btf = this.btf;
    to.btfId = this.btfId;
    to.subprog = this.subprog;
    to.dynptr = this.dynptr;
    return Object.assign(to, change);
  }

  get mayBeNull(): boolean {
    return (this.mods & Mod.Null) !== 0;
  }
  get isPointer(): boolean {
    return this.kind !== "?";
  }
  get isPacket(): boolean {
    return this.kind === "pkt" || this.kind === "pkt_meta";
  }
  get isAnyPacket(): boolean {
    return this.isPacket || this.kind === "pkt_end";
  }
  get isScalar(): boolean {
    return false;
  }
  get isNull(): boolean {
    return false;
  }
  get shifted(): boolean {
    return false;
  }
  get origin(): undefined {
    return undefined;
  }
  get precise(): boolean {
    return false;
  }
}

export const UNINIT: Reg = new PointerReg();

/** A scalar that was worked out from up to two others. */
export const scalar = (v: Scalar, first?: Reg, second?: Reg): NumberReg => new NumberReg(v, new Origin(first, second));
export const unknown = (): Reg => scalar(UNKNOWN);
/** A number of at most 53 bits, sign extended. */
export const known = (value: number): Reg => scalar(constant(fromNumber(value)));

/** A pointer of this kind, its offset zero. */
export const pointer = (kind: Kind, change: RegChange = {}): Reg => {
  const to = new PointerReg();
  to.kind = kind;
  return Object.assign(to, change);
};

/** Marks a scalar, and all that it was made from, as one that a decision rests on. */
export const markPrecise = (reg: Reg): void => {
  if (!reg.precise) reg.origin?.mark();
};

const PREFIXES: readonly (readonly [number, string])[] = [
  [Mod.Rdonly, "rdonly_"],
  [Mod.Ringbuf, "ringbuf_"],
  [Mod.User, "user_"],
  [Mod.Percpu, "percpu_"],
  [Mod.Rcu, "rcu_"],
  [Mod.Untrusted, "untrusted_"],
  [Mod.Trusted, "trusted_"],
];

/** The name of a kind with what holds of it, as messages have it. */
export const typeName = (kind: Kind, mods: number): string => {
  const prefix = PREFIXES.map(([bit, text]) => ((mods & bit) !== 0 ? text : "")).join("");
  return prefix + kind + ((mods & Mod.Null) !== 0 ? (kind === "ptr_" ? "or_null_" : "_or_null") : "");
};
export const regTypeName = (reg: Reg): string => typeName(reg.kind, reg.mods);
