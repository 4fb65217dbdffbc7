import { Command, CommanderError, Option } from "commander";
import { version } from "../../package.json";
import { boot } from "./boot.js";
import { UsageError } from "./errors.js";
import { ExitCode } from "./exit-code.js";
import type { BootFlags } from "./flags.js";
import { say } from "./report.js";

const EXAMPLES = `
Examples:
  vm boot --kernel vmlinuz --initrd initramfs.cpio
  vm boot --kernel vmlinuz --initrd initramfs.cpio --exec 'uname -a'
  vm boot --kernel vmlinuz --initrd initramfs.cpio --disk data.img --disk base.img:ro

Ctrl-A x quits an interactive session, Ctrl-A h lists the keys.
Status: that of the guest's command with --exec; 2 for what cannot be used, 3 after a triple fault, 124 after --timeout,
125 when the guest ended before its command.`;

/** Runs the program and returns its status. */
export async function main(argv: readonly string[]): Promise<number> {
  let status: number = ExitCode.Ok;
  const program = makeProgram(async (flags) => {
    status = await boot(flags);
  });
  try {
    await program.parseAsync(argv, { from: "user" });
  } catch (error) {
    if (error instanceof UsageError) say(error.message);
    else if (!(error instanceof CommanderError)) throw error;
    else if (error.exitCode === 0) return ExitCode.Ok;
    return ExitCode.Usage;
  }
  return status;
}

function makeProgram(action: (flags: BootFlags) => Promise<void>): Command {
  const program = new Command("vm")
    .description("An x86-64 virtual machine that boots unmodified 64-bit Linux.")
    .version(version, "--version", "print the version")
    .helpOption("-h, --help", "print this help")
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "vm: ")) });
  program
    .command("boot")
    .description("boot a Linux kernel, or the built-in guest without one")
    .option("--kernel <file>", "bzImage or x86-64 ELF kernel")
    .option("--initrd <file>", "initial ram disk")
    .option("--append <words>", "words added to the kernel command line")
    .option("--memory <size>", "RAM, 16M to 3G; a bare number counts MiB", "512M")
    .option("--cpus <n>", "processors, 1 to 32", "1")
    .option("--disk <file[:ro]>", "disk image, read-only with :ro; repeatable, up to 7", collect)
    .addOption(
      new Option("--clock <mode>", "virtual time follows the host, or counts instructions and so repeats exactly")
        .choices(["host", "icount"])
        .default("host"),
    )
    .option("--exec <command>", "run one shell command in the guest, print its output, end with its status")
    .option("--stats", "print statistics as a line of JSON on stderr at the end")
    .option("-v, --verbose", "with --exec, show the kernel's log on stderr")
    .option("--timeout <seconds>", "stop after so many seconds, with status 124")
    .addHelpText("after", EXAMPLES)
    .action(action);
  return program;
}

const collect = (value: string, previous: readonly string[] = []): readonly string[] => [...previous, value];
