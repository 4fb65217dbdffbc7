import { UsageError } from "./errors.js";
import { Outlet } from "./outlet.js";
import type { Session } from "./session.js";

/** One command of the built-in guest, which writes nothing but the command's output. @throws {UsageError} for a command that cannot be handed over */
export function builtinExecSession(command: string): Session {
  if (/["\r\n]/.test(command)) throw new UsageError("--exec: the built-in guest takes one line without double quotes");
  let outlet: Outlet | null = null;
  return {
    words: (own) => `exec="${command}" ${own}`,
    attach: (machine) => {
      const output = new Outlet(process.stdout, () => machine.console.hold());
      outlet = output;
      machine.console.onOutput((bytes) => output.write(bytes.filter((byte) => byte !== 13)));
    },
    detach: () => outlet?.flushed(),
    status: (exit) => (exit.reason === "power-off" ? exit.status : null),
  };
}
