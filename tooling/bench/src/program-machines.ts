/** What boots the Debian root: this machine and QEMU's TCG, with the same kernel, ram disk, disks and command line. */

import { ensureDistro, type Guests } from "@vm/guests";
import { vmCli } from "./paths.js";
import { ensureProgramDisk } from "./program-disk.js";
import { QEMU, QEMU_FLAGS } from "./tools.js";
import { APPEND } from "./vm.js";

export type MachineName = "ours" | "tcg";

/** What is booted. */
export interface Root {
  readonly kernel: string;
  readonly initrd: string;
  /** The first is the root's, the second the benchmark's. */
  readonly disks: readonly [string, string];
}

/** The Debian root with the disk of programs; made if need be. */
export async function ensureRoot(guests: Guests, say: (text: string) => void): Promise<Root> {
  const { kernel, initrd, image } = await ensureDistro({
    onProgress: ({ step, percent }) => (percent === undefined ? say(step) : undefined),
  });
  return { kernel, initrd, disks: [image, await ensureProgramDisk(guests.busybox, image, say)] };
}

/** Program and arguments that boot a root with a command line. What the guest writes to a disk is forgotten. */
export type Command = (root: Root, words: string) => readonly [string, ...string[]];

const RAM_MIB = 1024;

/** @param flags further flags of `vm boot` @param ramMib RAM of the guest */
export const bootOurs =
  (flags: readonly string[], ramMib = RAM_MIB): Command =>
  ({ kernel, initrd, disks }, words) => [
    process.execPath,
    ...[...vmCli, "boot", ...flags, "--kernel", kernel, "--initrd", initrd, "--memory", `${ramMib}M`],
    ...["--disk", `${disks[0]}:overlay`, "--disk", `${disks[1]}:ro`, "--append", words],
  ];

export const bootTcg: Command = ({ kernel, initrd, disks }, words) => [
  QEMU,
  ...[...QEMU_FLAGS, "-m", String(RAM_MIB), "-kernel", kernel, "-initrd", initrd],
  ...["-drive", `file=${disks[0]},format=raw,if=virtio,snapshot=on`],
  ...["-drive", `file=${disks[1]},format=raw,if=virtio,readonly=on`],
  ...["-append", `${APPEND} ${words}`],
];
