import { debugExitStatus } from "@vm/devices";
import { dumpRegisters, type Machine, MachineError, type MachineExit } from "../index.js";
import { ExitCode } from "./exit-code.js";
import { printableLines } from "./printable.js";

/** What is known of a command in the guest, besides how the machine ended. */
export interface CommandReport {
  /** Its status, null if there is none. */
  readonly status: number | null;
  /** Why there is none: half a sentence, null if nobody knows. */
  readonly why: string | null;
  readonly wasCommand: boolean;
  readonly verbose: boolean;
}

const NO_COMMAND: CommandReport = { status: null, why: null, wasCommand: false, verbose: false };

/** Says on stderr how the machine ended, as far as the guest has not, and returns the status of the program. */
export function report(machine: Machine, exit: MachineExit, command: CommandReport = NO_COMMAND): number {
  const { wasCommand, verbose, why } = command;
  if (command.status !== null) return command.status;
  if (wasCommand && why !== null && exit.reason !== "internal-error") {
    say(`--exec: the guest cannot run the command: ${why}${verbose ? "" : " (-v shows what the kernel said)"}`);
    return ExitCode.NoStatus;
  }
  switch (exit.reason) {
    case "shutdown":
      say(`triple fault on CPU ${exit.vcpu}\n${dump(machine, exit.vcpu)}`);
      return ExitCode.Crash;
    case "internal-error": {
      const { error } = exit;
      const trace = verbose && error instanceof Error ? `\n${error.stack}` : "";
      const registers = exit.vcpu === null ? "" : `\n${dump(machine, exit.vcpu)}`;
      say(`the machine cannot go on: ${error instanceof Error ? error.message : String(error)}${trace}${registers}`);
      return ExitCode.Crash;
    }
    case "memory-fault":
      say(`the guest touched page 0x${exit.gfn.toString(16)}, which it may not\n${dump(machine, exit.vcpu)}`);
      return ExitCode.Crash;
    case "fatal-error":
      say(`the guest of the TD gives up, with error 0x${exit.code.toString(16)}: ${printableLines(exit.message)}`);
      return ExitCode.Crash;
    case "power-off":
      if (wasCommand) return noStatus("powered off");
      return exit.status ?? ExitCode.Ok;
    case "reset":
      if (wasCommand) return noStatus("asked for a reset");
      say("the guest asked for a reset, which ends the machine");
      return ExitCode.Ok;
    case "halted":
      if (wasCommand) return noStatus("halted");
      say("the guest has halted for good");
      return ExitCode.Ok;
    case "debug-exit":
      return debugExitStatus(exit.code);
    case "stopped":
      return wasCommand ? ExitCode.NoStatus : ExitCode.Ok;
  }
}

/**
 * As {@link report}, for a program without an operating system: one that halts for good has not told its verdict, which is a failure.
 */
export function reportBare(machine: Machine, exit: MachineExit): number {
  if (exit.reason !== "halted") return report(machine, exit);
  const dumps = machine.vcpus.map(({ id }) => `CPU ${id}\n${dump(machine, id)}`);
  say(`the image has halted for good without a debug exit\n${dumps.join("\n")}`);
  return ExitCode.Crash;
}

/** A message on stderr. Whatever of a guest's or a tool's is quoted in it does nothing to the terminal. */
export const say = (text: string): void => void process.stderr.write(`vm: ${printableLines(text)}\n`);

function noStatus(how: string): number {
  say(`the guest ${how} before its command had ended; -v shows what the kernel said`);
  return ExitCode.NoStatus;
}

function dump(machine: Machine, id: number): string {
  const vcpu = machine.vcpus[id];
  if (vcpu === undefined) return "";
  try {
    return dumpRegisters(vcpu.cpu);
  } catch (error) {
    if (error instanceof MachineError && error.code === "private") return "its registers are nobody's but the TD's";
    throw error;
  }
}
