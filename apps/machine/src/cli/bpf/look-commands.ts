import type { Command } from "commander";
import type { Query, Subject } from "./inventory/query.js";
import { type LookFlags, look } from "./look.js";

const PLACES = `
Where: FILE.bpf.o, loaded into a system with one task as vm bpf run does and shown as it is then, or --machine SOCKET, a machine that runs with
vm boot --bpf FILE.bpf.o --bpf-socket SOCKET. Words and output are those of bpftool 7.1, with --json those of bpftool -p.`;

const HELP: Readonly<Record<Subject, string>> = {
  prog: `
Examples:
  vm bpf prog list filter.bpf.o
  vm bpf prog show name sums --machine /tmp/bpf --json
  vm bpf prog dump xlated filter.bpf.o id 1 opcodes
${PLACES}

Of a program it tells how often it has run (run_cnt), and not how long; instructions are those that the verifier left, with helpers by their numbers.`,
  map: `
Examples:
  vm bpf map list filter.bpf.o
  vm bpf map dump name start --machine /tmp/bpf
  vm bpf map lookup id 1 key 01 00 00 00 --machine /tmp/bpf --json
  vm bpf map lookup filter.bpf.o name numbers key hex 0a 00 00 00
${PLACES}

Storage of the tasks of a machine has the address of a task in the place of a key.
Status: 0, or 1 if map lookup finds nothing.`,
  btf: `
Examples:
  vm bpf btf list filter.bpf.o
  vm bpf btf dump file /sys/kernel/btf/vmlinux
  vm bpf btf dump file filter.bpf.o format raw
  vm bpf btf dump id 1 --machine /tmp/bpf --json
${PLACES}`,
  link: `
Examples:
  vm bpf link list --machine /tmp/bpf
  vm bpf link show id 1 --machine /tmp/bpf --json

The attachments of the programs of a machine that runs with vm boot --bpf FILE.bpf.o --bpf-socket SOCKET; an object alone has none.
Words and output are those of bpftool, with --json those of bpftool -p.`,
};

interface Entry {
  readonly name: string;
  readonly words: string;
  readonly about: string;
  readonly command: Query["command"];
}

const show = (what: string, words: string): Entry => ({
  ...{ name: "show", command: "show", words, about: `the ${what} that there are, or one of them` },
});

const SUBJECTS: Readonly<Record<Subject, { readonly about: string; readonly entries: readonly Entry[] }>> = {
  prog: {
    about: "eBPF programs that are loaded",
    entries: [
      show("programs", "[FILE.bpf.o] [id N | name NAME | tag TAG]"),
      {
        ...{ name: "dump", command: "dump", about: "the instructions of a program" },
        words: "xlated [FILE.bpf.o] id N|name NAME [opcodes]",
      },
    ],
  },
  map: {
    about: "their maps",
    entries: [
      show("maps", "[FILE.bpf.o] [id N | name NAME]"),
      { name: "dump", command: "dump", about: "what is in a map", words: "[FILE.bpf.o] id N|name NAME" },
      {
        ...{ name: "lookup", command: "lookup", about: "the element of a key" },
        words: "[FILE.bpf.o] id N|name NAME key [hex] BYTES",
      },
    ],
  },
  btf: {
    about: "type information",
    entries: [
      show("type information", "[FILE.bpf.o] [id N]"),
      {
        ...{ name: "dump", command: "dump", about: "all types" },
        words: "[FILE.bpf.o] id N | file FILE [format raw]",
      },
    ],
  },
  link: { about: "attachments of programs", entries: [show("attachments", "[id N]")] },
};

/** Adds `vm bpf prog`, `map`, `btf` and `link`. @param end told the status */
export function lookCommands(bpf: Command, end: (status: number) => void): void {
  for (const subject of Object.keys(SUBJECTS) as Subject[]) {
    const { about, entries } = SUBJECTS[subject];
    const group = bpf.command(subject).description(about).addHelpText("after", HELP[subject]);
    for (const { name, words, about: does, command } of entries) {
      const one = group.command(name).description(`${does}: ${words}`);
      if (command === "show") one.alias("list");
      one
        .argument("[words...]", words)
        .option("--machine <socket>", "in the machine that listens there")
        .option(
          "--btf <file>",
          "with an object, types of the kernel; default those of the kernel that runs this, if it has any",
        )
        .option("--json", "as JSON, in the layout of bpftool -p")
        .addHelpText("after", HELP[subject])
        .action(async (list: readonly string[], flags: LookFlags) => end(await look(subject, command, list, flags)));
    }
  }
}
