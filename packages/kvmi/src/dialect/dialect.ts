import type { Struct } from "../codec/struct.js";
import type { CommandName, ReplyOf, Requests } from "./commands.js";

/** Who carries a command out: the receiving side at once, or the vCPU at its next boundary. */
export type RunsOn = "vm" | "vcpu";

/** One command of a dialect. */
export interface CommandSpec<K extends CommandName = CommandName> {
  readonly name: K;
  readonly id: number;
  readonly runsOn: RunsOn;
  /** The request starts with a vCPU header. Always so for `vcpu`; PAUSE has one and runs on the receiver. */
  readonly vcpuHeader: boolean;
  readonly request: Struct<Requests[K]>;
  /** What is answered on success behind the error code; null: nothing. */
  readonly reply: Struct<NonNullable<ReplyOf<K>>> | null;
}

export type EventName =
  | "unhook"
  | "cr"
  | "msr"
  | "xsetbv"
  | "breakpoint"
  | "hypercall"
  | "pf"
  | "trap"
  | "descriptor"
  | "createVcpu"
  | "pause"
  | "singlestep"
  | "cmdError"
  | "cpuid";

/** One event of a dialect. */
export interface EventSpec {
  readonly name: EventName;
  readonly id: number;
  /** Enabled for the whole VM, not vCPU by vCPU. */
  readonly scope: "vm" | "vcpu";
  /** What follows the common part. */
  readonly specific: Struct<never>;
  /** What the reply carries behind the action; null if the event has no reply. */
  readonly reply: Struct<never> | null;
  /** Need not be enabled, and cannot be disabled. */
  readonly always: boolean;
}

/** Where dialects differ in what they refuse, or how messages are put together. */
export interface DialectRules {
  /** Message id of the reply to an event. */
  readonly eventReplyId: number;
  /** Message id of events of the VM, if they are messages of their own; else they look like events of vCPU 0. */
  readonly vmEventId: number | null;
  /** CHECK_* of an id beyond the tables is refused with this. */
  readonly unknownId: "EINVAL" | "ENOENT";
  /** Switches other than 0 and 1 are EINVAL; else anything but 0 is on. */
  readonly strictSwitches: boolean;
  /** Too many MSRs, or one that does not exist, is EINVAL; else too many are ENOMEM. */
  readonly strictMsrs: boolean;
  /** PAUSE while its event is not allowed: EPERM, else the connection is closed. */
  readonly pauseForbidden: "EPERM" | "close";
  /** INJECT_EXCEPTION while TRAP is not allowed is EPERM. */
  readonly injectNeedsTrap: boolean;
  /** A reply must name the event it answers and a known action. */
  readonly checkReplies: boolean;
}

/** A numbering of the protocol. */
export interface Dialect {
  readonly name: string;
  readonly rules: DialectRules;
  readonly commands: readonly CommandSpec[];
  readonly events: readonly EventSpec[];
  /** One past the largest command id the protocol numbers, holes included. */
  readonly commandLimit: number;
  readonly eventLimit: number;
}

/** The rules of those that came first. */
export const FIRST_RULES: DialectRules = {
  eventReplyId: 0,
  vmEventId: null,
  unknownId: "EINVAL",
  strictSwitches: false,
  strictMsrs: false,
  pauseForbidden: "close",
  injectNeedsTrap: false,
  checkReplies: false,
};
