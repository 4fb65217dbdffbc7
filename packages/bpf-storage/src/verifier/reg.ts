import type { VerifierBtf } from "./btf-port.js";
import type { VerifierMap } from "./request.js";
import { constant, type Scalar, UNKNOWN, ZERO } from "./scalar.js";

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
 * A register's value: immutable but for the mark `precise` and what it was worked out from.
 *
 * Marks of precision are how pruning knows which numbers mattered: when a decision rests on a scalar, it is marked, and with it every
 * value it was made from. Values are shared by the states that hold them, and each checkpoint gives scalars new objects (made from the old),
 * so that a mark reaches exactly the checkpoints on whose paths the value was used, through moves, spills, calls and links alike.
 */
export class Reg {
  kind: Kind = "?";
  mods = 0;
  /** The number, or the variable part of a pointer's offset. */
  v: Scalar = ZERO;
  /** The fixed part of a pointer's offset, bytes; of a linked scalar, its distance from the others of its id. */
  off = 0;
  /** Same id: same number, same unchecked NULL, or same variable part of packet offset; 0 for none. */
  id = 0;
  /** Whether `off` is a distance from the scalars of the same id. */
  shifted = false;
  /** The reference it stands for, 0 for none. */
  ref = 0;
  /** Bytes behind the pointer: of memory, or of the packet that are known to be there. */
  size = 0;
  map: VerifierMap | undefined = undefined;
  /** Tells apart inner maps that were looked up separately. */
  mapUid = 0;
  /** The frame a stack pointer points into. */
  frame = 0;
  btf: VerifierBtf | undefined = undefined;
  btfId = 0;
  /** The function that a function pointer points to; of slots of dynptrs and iterators, which part this is. */
  subprog = 0;
  /** The dynptr that data was sliced from. */
  dynptr = 0;
  precise = false;
  /** Scalars that this one was worked out from. */
  madeFrom: readonly Reg[] | undefined = undefined;

  /** A changed copy. A scalar's copy is made from it. */
  with(change: Partial<Reg>): Reg {
    const to = new Reg();
    to.kind = this.kind;
    to.mods = this.mods;
    to.v = this.v;
    to.off = this.off;
    to.id = this.id;
    to.shifted = this.shifted;
    to.ref = this.ref;
    to.size = this.size;
    to.map = this.map;
    to.mapUid = this.mapUid;
    to.frame = this.frame;
    to.btf = this.btf;
    to.btfId = this.btfId;
    to.subprog = this.subprog;
    to.dynptr = this.dynptr;
    if (this.kind === "scalar") to.madeFrom = [this];
    Object.assign(to, change);
    return to;
  }

  get mayBeNull(): boolean {
    return (this.mods & Mod.Null) !== 0;
  }
  get isScalar(): boolean {
    return this.kind === "scalar";
  }
  /** A constant zero, as a number. */
  get isNull(): boolean {
    return this.kind === "scalar" && this.v.bits.mask === 0n && this.v.bits.value === 0n;
  }
  /** Neither a number nor uninitialised. */
  get isPointer(): boolean {
    return this.kind !== "scalar" && this.kind !== "?";
  }
  get isPacket(): boolean {
    return this.kind === "pkt" || this.kind === "pkt_meta";
  }
  get isAnyPacket(): boolean {
    return this.kind === "pkt" || this.kind === "pkt_meta" || this.kind === "pkt_end";
  }
}

export const UNINIT = new Reg();

/** A scalar that was worked out from others. */
export const scalar = (v: Scalar, madeFrom?: readonly Reg[]): Reg => {
  const to = new Reg();
  to.kind = "scalar";
  to.v = v;
  to.madeFrom = madeFrom;
  return to;
};
export const unknown = (): Reg => scalar(UNKNOWN);
export const known = (value: bigint): Reg => scalar(constant(value));

/** A pointer of this kind, its offset zero. */
export const pointer = (kind: Kind, change: Partial<Reg> = {}): Reg => {
  const to = new Reg();
  to.kind = kind;
  return Object.assign(to, change);
};

/** Marks a scalar, and all that it was made from, as one that a decision rests on. */
export const markPrecise = (reg: Reg): void => {
  const pending = [reg];
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    if (at.precise || at.kind !== "scalar") continue;
    at.precise = true;
    if (at.madeFrom !== undefined) pending.push(...at.madeFrom);
    at.madeFrom = undefined;
  }
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
