import { type Command, Option } from "commander";
import { type ConformanceFlags, conformance } from "./conformance.js";
import { lookCommands } from "./look-commands.js";
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

--maps is a JSON list, such as
  [{"type":"hash","key_size":4,"value_size":8,"max_entries":16,"name":"seen","flags":["BPF_F_NO_PREALLOC"],
    "elements":[{"key":"01 00 00 00","value":"2a 00 00 00 00 00 00 00"}]},
   {"type":"array_of_maps","key_size":4,"max_entries":2,"inner":{"type":"hash","key_size":4,"value_size":8,"max_entries":16,
    "flags":1},"elements":[{"key":"00 00 00 00","value":"seen"}]}]
Names of fields and types may be bpftool's (bytes_key), linux/bpf.h's (BPF_MAP_TYPE_LRU_HASH) or camelCase (keySize). Instructions name
a map by its "fd", or else by its place from 0 on. An array of one value may have "data", which is constant to a program with "frozen": true
and the flag BPF_F_RDONLY_PROG; "fields" are what a value holds: [{"kind":"bpf_spin_lock","offset":0}].

Programs of networks get the data as a packet, others as what r1 points to. They run in a system with one task, on one CPU.
Status: 0, or 1 for a program that is refused or ends with a fault.`;

const VERIFY_HELP = `
Examples:
  vm bpf verify runqslower.bpf.o
  echo '85 00 00 00 05 00 00 00 95 00 00 00 00 00 00 00' | vm bpf verify - --type raw_tracepoint

--maps is as for vm bpf run; what is in maps does not count, but for the "data" of one that is frozen.
The first word of each program is accept or reject; the verifier's log follows, in the words of Linux 6.12.
Status: 0 if all are accepted, 1 if one is not.`;

/** Adds `vm bpf`. @param end told the status */
export function bpfCommands(program: Command, end: (status: number) => void): void {
  const bpf = program.command("bpf").description("eBPF programs, on their own or in a machine");
  lookCommands(bpf, end);
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
