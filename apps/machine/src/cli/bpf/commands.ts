import { type Command, Option } from "commander";
import { type ConformanceFlags, conformance } from "./conformance.js";

const CONFORMANCE_HELP = `
Example:
  echo 'b7 00 00 00 2a 00 00 00 95 00 00 00 00 00 00 00' | vm bpf conformance

Status: 0, or 1 for a program that is malformed or ends with a fault.`;

/** Adds `vm bpf`. @param end told the status */
export function bpfCommands(program: Command, end: (status: number) => void): void {
  const bpf = program.command("bpf").description("eBPF programs, on their own");
  bpf
    .command("conformance")
    .description("execute a program, unverified: a plugin of the suite bpf_conformance")
    .argument("[memory]", "what r1 points to, in hexadecimal; r2 is its length")
    .addOption(new Option("--engine <name>", "what executes it").choices(["jit", "interpreter"]).default("jit"))
    .addHelpText("after", CONFORMANCE_HELP)
    .action(async (memory: string | undefined, flags: ConformanceFlags) => end(await conformance(memory, flags)));
}
