import { BpfError, runConformance } from "@vm/bpf-storage";
import { ExitCode } from "../exit-code.js";
import { say } from "../report.js";
import { parseHex, readInput } from "./hex.js";

export interface ConformanceFlags {
  readonly engine: "jit" | "interpreter";
}

/** Status of a program that cannot be executed, or ended with a fault. */
export const FAILED = 1;

/**
 * `vm bpf conformance`: a plugin of github.com/Alan-Jowett/bpf_conformance. The program is on stdin, what r1 points to an argument, r0 goes to stdout, all in
 * hexadecimal. @throws {UsageError}
 */
export async function conformance(memory: string | undefined, { engine }: ConformanceFlags): Promise<number> {
  const bytes = memory === undefined ? undefined : parseHex("MEM", memory);
  const program = parseHex("the program on standard input", await readInput());
  try {
    process.stdout.write(`${runConformance({ program, engine, ...(bytes === undefined ? {} : { memory: bytes }) })}\n`);
    return ExitCode.Ok;
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
    say(error.message);
    return FAILED;
  }
}
