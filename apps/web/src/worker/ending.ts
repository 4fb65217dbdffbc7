import type { MachineExit } from "@vm/machine";
import { sentence } from "./errors.js";

/** How a machine ended, as a sentence. */
export function ending(exit: MachineExit): string {
  switch (exit.reason) {
    case "power-off":
      return exit.status === null || exit.status === 0
        ? "The guest powered off."
        : `The guest powered off with status ${exit.status}.`;
    case "debug-exit":
      return `The guest ended with code ${exit.code}.`;
    case "reset":
      return "The guest restarted: as after a panic, it has to be started again.";
    case "shutdown":
      return "The guest crashed: triple fault.";
    case "halted":
      return "The guest halted for good.";
    case "memory-fault":
      return `The guest touched memory that is not there, page ${exit.gfn.toString(16)}.`;
    case "fatal-error":
      return `The guest gave up, with error ${exit.code}: ${exit.message}`;
    case "internal-error":
      return `The machine cannot go on: ${sentence(exit.error)}`;
    case "stopped":
      return "Stopped.";
  }
}
