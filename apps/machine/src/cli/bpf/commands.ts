import { type Command, Option } from "commander";
import { type ConformanceFlags, conformance } from "./conformance.js";
import { type RunFlags, run } from "./run.js";
import { type VerifyFlags, verify } from "./verify.js";

const CONFORMANCE_HELP = `
Example:
  echo 'b7 00 00 00 2a 00 00 00 95 00 00 00 00 00 00 00' | vm bpf conformance

Status: 0, or 1 for a program that is malformed or ends with a fault.`;

const RUN_HELP = `
Examples:
  vm bpf run filter.bpf.o --data packet.bin --json
  echo 'b7 00 00 00 2a 00 00 00 95 00 00 00 00 00 00 00' | vm bpf run -

Programs of networks get the data as a packet, others as what r1 points to. They run in a system with one task, on one CPU.
Status: 0, or 1 for a program that is refused or ends with a fault.`;

const VERIFY_HELP = `
Examples:
  vm bpf verify runqslower.bpf.o
  echo '85 00 00 00 05 00 00 00 95 00 00 00 00 00 00 00' | vm bpf verify - --type raw_tracepoint

The first word of each program is accept or reject; the verifier's log follows, in the words of Linux 6.12.
Status: 0 if all are accepted, 1 if one is not.`;

/** Adds `vm bpf`. @param end told the status */
export function bpfCommands(program: Command, end: (status: number) => void): void {
  const bpf = program.command("bpf").description("eBPF programs, on their own");
  bpf
    .command("run")
    .description("verify a program, run it, and show what it returns and what is in its maps then")
    .argument("<object>", "what clang made, or - for a program on standard input, in hexadecimal")
    .option("--type <kind>", "with -, what kind of program: xdp, socket_filter, ...")
    .option("--maps <json>", "with -, the maps that instructions name by their descriptors")
    .option("--program <name>", "this one of the object instead of the first")
    .option("--btf <file>", "types of the kernel; default those of the kernel that runs this, if it has any")
    .option("--data <file>", "what it is run on; default 64 zeros")
    .option("--repeat <n>", "how often", "1")
    .addOption(new Option("--engine <name>", "what executes it").choices(["jit", "interpreter"]).default("jit"))
    .option("--json", "as JSON, bytes as bpftool has them")
    .addHelpText("after", RUN_HELP)
    .action(async (object: string, flags: RunFlags) => end(await run(object, flags)));
  bpf
    .command("verify")
    .description("say whether Linux would load a program, and why not")
    .argument("<object>", "what clang made, or - for one program on standard input, in hexadecimal")
    .option("--type <kind>", "what kind of program: xdp, socket_filter, ..., or a section as tp_btf/sched_switch")
    .option("--maps <json>", "with -, the maps that instructions name by their descriptors")
    .option("--program <name>", "this one of the object only")
    .option("--btf <file>", "types of the kernel; default those of the kernel that runs this, if it has any")
    .option("--log-level <n>", "0: errors, 1: instructions, 2: all states", "0")
    .option("--json", "verdict, errno, log and statistics as JSON")
    .addHelpText("after", VERIFY_HELP)
    .action(async (object: string, flags: VerifyFlags) => end(await verify(object, flags)));
  bpf
    .command("conformance")
    .description("execute a program, unverified: a plugin of the suite bpf_conformance")
    .argument("[memory]", "what r1 points to, in hexadecimal; r2 is its length")
    .addOption(new Option("--engine <name>", "what executes it").choices(["jit", "interpreter"]).default("jit"))
    .addHelpText("after", CONFORMANCE_HELP)
    .action(async (memory: string | undefined, flags: ConformanceFlags) => end(await conformance(memory, flags)));
}
