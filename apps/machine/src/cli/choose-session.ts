import { builtinExecSession } from "./builtin-exec-session.js";
import { execSession } from "./exec-session.js";
import type { BootFlags } from "./flags.js";
import { interactiveSession } from "./interactive-session.js";
import type { Session } from "./session.js";

/** The session that the flags ask for. @throws {UsageError} for a command that cannot be handed over */
export function chooseSession(flags: BootFlags): Session {
  if (flags.exec === undefined) return interactiveSession();
  return flags.kernel === undefined ? builtinExecSession(flags.exec) : execSession(flags.exec, flags);
}
