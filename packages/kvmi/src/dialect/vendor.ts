import { type CommandSpec, type Dialect, vcpu, vm } from "./dialect.js";
import * as L from "./layouts.js";

/**
 * Commands of this machine's own, with the same numbers in every dialect, far from those that KVM may come to use. CHECK_COMMAND tells
 * whether they are there.
 */
export const VENDOR: readonly CommandSpec[] = [
  vm(0x8000, "setEventFilter", L.eventFilter),
  vcpu(0x8001, "controlCodeBreakpoint", L.controlCodeBreakpoint),
];

/** Every command that a tool can use. */
export const commandsOf = ({ commands }: Dialect): readonly CommandSpec[] => [...commands, ...VENDOR];
