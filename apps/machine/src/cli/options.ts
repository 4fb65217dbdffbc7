import { DIALECTS } from "@vm/kvmi";
import { type Command, Option } from "commander";

/** The options of what looks into a machine: it listens, the machine comes. */
export function toolOptions(command: Command): Command {
  return command
    .requiredOption("--kvmi <socket>", "where to listen for the machine")
    .addOption(dialectOption())
    .option("--kvmi-key <file>", "secret to prove to the machine")
    .option("--timeout <seconds>", "stop after so many seconds, with status 124");
}

const dialectOption = (): Option =>
  new Option("--kvmi-dialect <name>", "numbering of the protocol").choices(Object.keys(DIALECTS)).default("libkvmi");

/** The options of a machine that boots a kernel. */
export function bootOptions(command: Command): Command {
  command
    .option("--kernel <file>", "bzImage or x86-64 ELF kernel")
    .option("--initrd <file>", "initial ram disk")
    .option("--builtin", "the small guest that comes with the program, instead of a kernel")
    .addOption(
      new Option(
        "--unpack <who>",
        "who unpacks a bzImage: host, guest (by the image's own code), or the host where it can",
      )
        .choices(["host", "guest", "auto"])
        .default("auto"),
    )
    .option("--append <words>", "words added to the kernel command line");
  return machineOptions(command, "512M")
    .option(
      "--disk <file[:ro|:overlay]>",
      "disk image, raw or qcow2; with :ro the guest cannot write, with :overlay what it writes stays in memory; " +
        "repeatable, up to 7; options behind it: ,format=raw ,lock=off",
      collect,
    )
    .option("--exec <command>", "run one shell command in the guest's root, with our input, output and status")
    .addOption(
      new Option("--memory-backend <what>", "RAM of the machine's own, or a guest_memfd that the host has mapped")
        .choices(["anonymous", "guest-memfd"])
        .default("anonymous"),
    )
    .option(
      "--legacy-devices",
      "with the interrupt controllers and the timer of old PCs, even if nothing asks for them",
    )
    .option("--pci", "with PCI as on an Intel Q35, and disks behind it, instead of virtio-mmio")
    .option("--lockdep", "validate the locks of guest memory, and report on stderr")
    .option(
      "--async-pf",
      "announce KVM's asynchronous page faults: saved, the guest can go on while its memory arrives",
    )
    .option("--snapshot <folder>", "go on where a machine was saved, instead of booting a kernel; a folder, or its URL")
    .option("--lazy", "with --snapshot, start at once and read memory when the guest needs it")
    .option(
      "--record-working-set <file>",
      "with --lazy, write there which memory the guest needed; FOLDER/working-set of the snapshot is read ahead from then on",
    )
    .option(
      "--snapshot-at <when:folder>",
      "save the machine to a folder once it has retired so many instructions, or is ready: its prompt waits, or its command is about to start",
    )
    .option("--stop-after-snapshot", "with --snapshot-at, end then")
    .option("--control <socket>", "listen there for vm snapshot save")
    .option("-v, --verbose", "with --exec, show the kernel's log on stderr")
    .option("--kvmi <socket>", "let the introspection tool that listens there look into the machine")
    .addOption(dialectOption())
    .option("--kvmi-key <file>", "secret that the tool must know")
    .option(
      "--kvmi-filter <conditions>",
      "events the tool sees: cr3=N, rip=FROM-TO, value=MASK:VALUE, separated by commas",
    )
    .option(
      "--bpf <object>",
      "attach the eBPF programs of an object of clang's to events of the guest's Linux, from outside; repeatable",
      collect,
    )
    .option(
      "--bpf-record <fields>",
      "what is in the records that they put out, as in 'comm:char[16] delta_us:u64 pid:s32'",
    )
    .option(
      "--bpf-socket <socket>",
      "listen there, once they are attached, for vm bpf prog, map, btf and link with --machine",
    );
}

/** The options of every machine. */
export function machineOptions(command: Command, memory: string): Command {
  return command
    .option("--memory <size>", "RAM, 16M to 3G; a bare number counts MiB", memory)
    .option("--cpus <n>", "processors, 1 to 32", "1")
    .option("--cpu <features>", "features to add or take away, as in +la57,-pcid")
    .addOption(
      new Option("--clock <mode>", "virtual time follows the host, or counts instructions and so repeats exactly")
        .choices(["host", "icount"])
        .default("host"),
    )
    .option(
      "--clock-offset <offset>",
      "time of day to start at: +1y, -3d, +2h30m from what it would be, or an ISO date",
    )
    .option("--clock-rate <n>", "how fast virtual time goes, 0.001 to 1000; 10 is ten times as fast")
    .addOption(
      new Option("--engine <name>", "what executes the guest: generated code where it is hot, everywhere, or nowhere")
        .choices(["auto", "jit", "interpreter"])
        .default("auto"),
    )
    .option("--stats", "print statistics as a line of JSON on stderr at the end")
    .option("--timeout <seconds>", "stop after so many seconds, with status 124");
}

/** Names of the options that were on the command line. */
export const typedOptions = (command: Command): readonly string[] =>
  Object.keys(command.opts()).filter((name) => command.getOptionValueSource(name) === "cli");

/** Of an option that may be there more than once: all that were there. */
export const collect = (value: string, previous: readonly string[] = []): readonly string[] => [...previous, value];
