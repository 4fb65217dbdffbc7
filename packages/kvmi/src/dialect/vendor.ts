import { commands } from "./catalog.js";
import type { CommandSpec, Dialect } from "./dialect.js";

/**
 * Commands of this machine's own, with the same numbers in every dialect, far from those that KVM may come to use. CHECK_COMMAND tells
 * whether they are there.
 */
export const VENDOR: readonly CommandSpec[] = commands({ setEventFilter: 0x8000, controlCodeBreakpoint: 0x8001 });

/** Every command that a tool can use. */
export const commandsOf = ({ commands: own }: Dialect): readonly CommandSpec[] => [...own, ...VENDOR];
