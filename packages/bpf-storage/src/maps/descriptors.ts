import type { BpfMap, Status } from "./map.js";

/** An object that a slot of a map holds. */
export interface HeldObject {
  /** What stands in the slot for programs, not 0: of a program its `Executable.entry`, of a map its pointer. */
  readonly word: number;
  /** Its number, which is what bpf(2) reads. */
  readonly id: number;
  /** A slot holds it, so it stays; called once for each slot. */
  hold(): void;
  /** A slot holds it no more. */
  drop(): void;
}

/** What a program must have in common with all others of an array of programs (`bpf_prog_map_compatible`). */
export interface TailCallKind {
  /** Its type; of one that replaces a function of another, the type of that. */
  readonly type: number;
  readonly jited: boolean;
  readonly xdpHasFrags: boolean;
  readonly expectedAttachType: number;
  /** What function's arguments it gets, if it is attached to one; null if to none. */
  readonly attachedTo: number | string | null;
}

/** A program that an array of programs may hold. */
export interface HeldProgram extends HeldObject {
  readonly kind: TailCallKind;
  /** Whether it replaces a function of another program: such are not called by tail calls. */
  readonly replaces: boolean;
}

/** The descriptors of who calls bpf(2). What they do not name is a negative errno: -EBADF, or -EINVAL for an object of another kind. */
export interface Descriptors {
  map(fd: number): BpfMap | Status;
  program(fd: number): HeldProgram | Status;
  perfEvent(fd: number): HeldObject | Status;
  cgroup(fd: number): HeldObject | Status;
}
