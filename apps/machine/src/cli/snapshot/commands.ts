import type { Command } from "commander";
import { type InspectFlags, inspectSnapshot } from "./inspect.js";

const INSPECT_HELP = `
Examples:
  vm boot --clock icount --snapshot-at 650000000:booted --stop-after-snapshot
  vm snapshot inspect booted
  vm boot --snapshot booted

Status: 0, or 2 for what is no snapshot.`;

/** Adds `vm snapshot`. @param end told the status */
export function snapshotCommands(program: Command, end: (status: number) => void): void {
  program
    .command("snapshot")
    .description("what is in saved machines")
    .command("inspect")
    .description("print what a snapshot is of, and how large")
    .argument("<folder>", "what --snapshot-at has written")
    .option("--verify", "read all of its memory and check it")
    .option("--json", "as JSON")
    .addHelpText("after", INSPECT_HELP)
    .action(async (folder: string, flags: InspectFlags) => end(await inspectSnapshot(folder, flags)));
}
