import { Command, CommanderError, Option } from "commander";
import { version } from "../../package.json";
import { boot } from "./boot.js";
import { bpfCommands } from "./bpf/commands.js";
import { UsageError } from "./errors.js";
import { ExitCode } from "./exit-code.js";
import type { BareFlags, BootFlags } from "./flags.js";
import { type ExplainFlags, explain } from "./jit/explain.js";
import { type ConfFlags, conf } from "./kvmi/conf.js";
import { type TraceFlags, trace } from "./kvmi/trace.js";
import { type LockdepDemoFlags, lockdepDemo } from "./lockdep/demo.js";
import { bootOptions, collect, machineOptions, toolOptions, typedOptions } from "./options.js";
import { printableLines } from "./printable.js";
import { type PsFlags, ps } from "./ps.js";
import { say } from "./report.js";
import { runBare } from "./run-bare.js";
import { bootSnapshot } from "./snapshot/boot.js";
import { snapshotCommands } from "./snapshot/commands.js";
import { tdPrograms } from "./tdx/programs.js";
import { TimeoutError } from "./within-time.js";

const BOOT_HELP = `
Examples:
  vm boot
  vm boot --exec 'uname -a'
  vm boot --kernel vmlinuz --initrd initramfs.cpio
  vm boot --kernel vmlinuz --initrd initramfs.cpio --exec 'uname -a'
  vm boot --kernel vmlinuz --initrd initrd.img --disk root.img --append root=/dev/vda --exec 'sha256sum' <file
  vm boot --kernel vmlinuz --initrd initramfs.cpio --disk data.img --disk base.img:ro
  vm boot --bpf runqslower.bpf.o --bpf-record 'task:char[16] delta_us:u64 pid:s32' --exec 'sleep 1'
  vm boot --bpf runqslower.bpf.o --bpf-socket /tmp/bpf         and meanwhile: vm bpf map list --machine /tmp/bpf

Without --kernel it boots Debian's cloud kernel, unmodified, with a ram disk of busybox, or with the Linux root on the first --disk. apt-get fetches
them once, 62 MB, without root rights and without installing anything; VM_GUEST=6.12 in the environment takes that series of kernels.
--snapshot-at 650000000:FOLDER saves the machine at that instruction, and --snapshot FOLDER goes on from there. With --clock icount it is always the same
instruction, and comes soon; a guest that waits for the host's time may never get there. FOLDER can be the URL of one on a web server, and with
--lazy the guest goes on at once: memory is read when it needs it.
--builtin boots a guest of 5 KB that comes with the program, a monitor on the serial line.

Ctrl-A x quits an interactive session, Ctrl-A h lists the keys.
Status: that of the guest's command with --exec; 2 for what cannot be used, 3 after a triple fault, 124 after --timeout,
125 when the guest could not run its command.

--exec runs in the root that root= in --append names, or else in the initial ram disk. Ctrl-C goes to the command; twice ends the machine.`;

const BARE_HELP = `
The image is a multiboot (version 1), PVH or x86-64 ELF file. Its console is COM1, on stdin and stdout.

Status: ((code << 1) | 1) & 255 for a code written to port 0xf4, 0 after a power-off or a reset, 2 for what cannot be used,
3 after a triple fault or a halt for good, 124 after --timeout, 130 after Ctrl-C.`;

const TRACE_HELP = `
Examples:
  vm boot --kernel vmlinuz --initrd initramfs.cpio --kvmi /tmp/introspector
  vm kvmi trace --kvmi /tmp/introspector --syscalls
  vm kvmi trace --kvmi /tmp/introspector --function 'vfs_read,vfs_open*' --return --count 20

The machine looks for its tool several times a second, so either can be started first.`;

const CONF_HELP = `
Examples:
  vm kvmi conf --kvmi /tmp/introspector --sysmap /tmp/System.map >~/etc/libvmi.conf

LibVMI reads libvmi.conf in the current folder, ~/etc or /etc. linux_init_task, linux_kaslr and kpgd are those of this start of the guest; for the same
kernel started anew, write the entry anew.`;

const EXPLAIN_HELP = `
Examples:
  vm jit explain 0xffffffff81201000 --exec 'sha256sum /bin/busybox'
  vm jit explain 401136 --bare kernel.elf --no-wasm
  vm jit explain ffffffff81201000 --timeout 20 --json --output explained.json

Hot 64-bit code runs as WebAssembly made of it, in regions of up to 400 instructions. For each region that contains the address: its guest code, how
often it was entered and its blocks were executed, how often control left it and where, and its WebAssembly. Where there is none, why: how often control came there,
or which instruction is left to the interpreter. Only those regions count; everything else runs as it always does.

Where code is: /proc/kallsyms of a guest for its kernel, nm(1) for an image; a program that is loaded at random addresses needs setarch -R.
Status: that of vm boot or vm run-bare.`;

const LOCKDEP_DEMO_HELP = `
With the validator one thread populates the memory of a VM and then writes into memory that another VM shares with it: nothing hangs, and the report
says what could. Without, three threads do so at the worst moments, and the wait-for graph says who hangs.

Status: 0 if nothing was found, 1 after a report or a deadlock.`;

/** Runs the program and returns its status. */
export async function main(argv: readonly string[]): Promise<number> {
  let status: number = ExitCode.Ok;
  const program = makeProgram({
    boot: async (flags, command) => {
      status =
        flags.snapshot === undefined
          ? await boot(flags)
          : await bootSnapshot(flags.snapshot, flags, typedOptions(command));
    },
    runBare: async (image, flags) => {
      status = await runBare(image, flags);
    },
    ps: async (flags) => {
      status = await ps(flags);
    },
    trace: async (flags) => {
      status = await trace(flags);
    },
    conf: async (flags) => {
      status = await conf(flags);
    },
    explain: async (address, flags) => {
      status = await explain(address, flags);
    },
    lockdepDemo: async (flags) => {
      status = await lockdepDemo(flags);
    },
  });
  const end = (ended: number): void => {
    status = ended;
  };
  bpfCommands(program, end);
  snapshotCommands(program, end);
  tdPrograms(program, end);
  try {
    await program.parseAsync(argv, { from: "user" });
  } catch (error) {
    if (error instanceof TimeoutError) {
      say(error.message);
      return ExitCode.Timeout;
    }
    if (error instanceof UsageError) say(error.message);
    else if (!(error instanceof CommanderError)) throw error;
    else if (error.exitCode === 0) return ExitCode.Ok;
    return ExitCode.Usage;
  }
  return status;
}

interface Actions {
  readonly boot: (flags: BootFlags, command: Command) => Promise<void>;
  readonly runBare: (image: string, flags: BareFlags) => Promise<void>;
  readonly ps: (flags: PsFlags) => Promise<void>;
  readonly trace: (flags: TraceFlags) => Promise<void>;
  readonly conf: (flags: ConfFlags) => Promise<void>;
  readonly explain: (address: string, flags: ExplainFlags) => Promise<void>;
  readonly lockdepDemo: (flags: LockdepDemoFlags) => Promise<void>;
}

function makeProgram(actions: Actions): Command {
  const program = new Command("vm")
    .description("An x86-64 virtual machine that boots unmodified 64-bit Linux and runs bare-metal images.")
    .version(version, "--version", "print the version")
    // Else --version of vm td quote would be this one.
    .enablePositionalOptions()
    .helpOption("-h, --help", "print this help")
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(printableLines(text.replace(/^error: /, "vm: "))) });
  bootOptions(program.command("boot"))
    .description("boot Debian's kernel, or the Linux kernel that --kernel names")
    .addHelpText("after", BOOT_HELP)
    .action(actions.boot);
  const bare = program
    .command("run-bare")
    .description("run an image that needs no operating system, on a machine with the devices of test programs")
    .argument("<image>", "multiboot, PVH or x86-64 ELF image")
    .option("--append <words>", "words of the image's command line")
    .option("--module <file[ words]>", "file that is handed to the image, with words of its own; repeatable", collect)
    .option("--late-memory <ms>", "memory arrives so long after it was first touched, with asynchronous page faults");
  machineOptions(bare, "1G").addHelpText("after", BARE_HELP).action(actions.runBare);
  toolOptions(program.command("ps"))
    .description("list the processes of a Linux guest that runs with --kvmi, out of its memory")
    .option("--json", "all that is known of them, as JSON")
    .action(actions.ps);
  const kvmi = program.command("kvmi").description("look into a machine that runs with --kvmi");
  toolOptions(kvmi.command("trace"))
    .description("print what happens in the guest, a line an event")
    .option("--cr3", "changes of the address space")
    .option(
      "--msr [numbers]",
      "writes to model-specific registers: all that system calls need, or those of a list 0x..,0x..",
    )
    .option("--syscalls", "system calls of a Linux guest, with their arguments and results")
    .option(
      "--function <names>",
      "calls of functions of a Linux kernel, with their arguments: names or patterns (vfs_*), separated by commas",
    )
    .option("--return", "with --function, each call when it returns, with its result")
    .option("--exec <page>", "instructions fetched from a page: guest-physical address, or symbol of a Linux kernel")
    .option("--count <n>", "stop after so many events")
    .addHelpText("after", TRACE_HELP)
    .action(actions.trace);
  toolOptions(kvmi.command("conf"))
    .description("print the entry of libvmi.conf for a Linux guest that runs")
    .requiredOption("--sysmap <file>", "where to write the kernel's symbols, which the entry names")
    .option("--name <name>", "of the domain (default: what the machine calls itself)")
    .addHelpText("after", CONF_HELP)
    .action(actions.conf);
  const jit = program.command("jit").description("look into generated code");
  bootOptions(jit.command("explain"))
    .description("run a machine as vm boot does, and then tell what became of the code at an address")
    .argument("<address>", "linear address, in hexadecimal")
    .option("--bare <image>", "run an image that needs no operating system, as vm run-bare does, instead of a kernel")
    .option("--module <file[ words]>", "with --bare, file that is handed to the image; repeatable", collect)
    .option("--json", "all that is known, as JSON")
    .option("--no-wasm", "without the WebAssembly text")
    .option("-o, --output <file>", "where to write it, instead of behind what the guest prints")
    .addHelpText("after", EXPLAIN_HELP)
    .action(actions.explain);
  program
    .command("lockdep-demo")
    .description("show a deadlock of KVM's guest_memfd, found by the lock validator or really")
    .addOption(
      new Option("--order <which>", "populate takes the locks as before Linux 7.0, or as since")
        .choices(["old", "fixed"])
        .default("old"),
    )
    .option("--no-lockdep", "without the validator")
    .addHelpText("after", LOCKDEP_DEMO_HELP)
    .action(actions.lockdepDemo);
  return program;
}
