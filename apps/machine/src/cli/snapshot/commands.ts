import type { Command } from "commander";
import { type DiffFlags, diffSnapshots } from "./diff.js";
import { type InspectFlags, inspectSnapshot } from "./inspect.js";
import { type SaveFlags, saveByControl } from "./save.js";

const INSPECT_HELP = `
Examples:
  vm boot --clock icount --snapshot-at 650000000:booted --stop-after-snapshot
  vm snapshot inspect booted
  vm boot --snapshot booted

Status: 0, or 2 for what is no snapshot.`;

const SAVE_HELP = `
Examples:
  vm boot --control /tmp/vm
  vm snapshot save booted --control /tmp/vm                   and from there: vm boot --snapshot booted
  vm snapshot save later --control /tmp/vm --parent booted

Status: 0, or 2 if it could not be saved; the guest goes on all the same.`;

const DIFF_HELP = `
Examples:
  vm snapshot diff booted later
  vm snapshot diff booted https://example.org/booted --json

Only heads are read: of memory it is told which chunks of 64 KiB differ.

Status: 0 if they are the same, 1 if they differ, 2 for what is no snapshot.`;

/** Adds `vm snapshot`. @param end told the status */
export function snapshotCommands(program: Command, end: (status: number) => void): void {
  const snapshot = program.command("snapshot").description("save machines, and look at saved ones");
  snapshot
    .command("save")
    .description("save a machine that runs with --control; its guest goes on")
    .argument("<folder>", "where to save it, in place of a snapshot that is there")
    .requiredOption("--control <socket>", "where the machine listens")
    .option("--parent <folder>", "snapshot beside it that stays as it is: memory that it has is not stored again")
    .option("--stop", "end the machine then")
    .addHelpText("after", SAVE_HELP)
    .action(async (folder: string, flags: SaveFlags) => end(await saveByControl(folder, flags)));
  snapshot
    .command("inspect")
    .description("print what a snapshot is of, and how large")
    .argument("<folder>", "what --snapshot-at has written")
    .option("--verify", "read all of its memory and check it")
    .option("--json", "as JSON")
    .addHelpText("after", INSPECT_HELP)
    .action(async (folder: string, flags: InspectFlags) => end(await inspectSnapshot(folder, flags)));
  snapshot
    .command("diff")
    .description("print what differs between two snapshots")
    .argument("<a>", "a folder, or its URL")
    .argument("<b>", "another one")
    .option("--json", "as JSON")
    .addHelpText("after", DIFF_HELP)
    .action(async (a: string, b: string, flags: DiffFlags) => end(await diffSnapshots(a, b, flags)));
}
