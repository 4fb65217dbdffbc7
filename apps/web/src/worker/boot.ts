import { createMachine, KernelError, type Machine, type MachineOptions, withAgent } from "@vm/machine";
import { size } from "../figures.js";
import type { Start, ToPage } from "../protocol.js";
import { type OpenedDisk, openDisk } from "./disk.js";
import { download } from "./download.js";

/** A machine that is ready to run, and the disk to close when it has. */
export interface Booted {
  readonly machine: Machine;
  readonly disk: OpenedDisk | null;
}

/** Makes the machine that `start` asks for. @throws what says why there is none; nothing is left open then */
export async function boot(start: Start, say: (message: ToPage) => void): Promise<Booted> {
  const progress = (sentence: string): void => say({ kind: "progress", sentence });
  const images = await loadImages(start, progress);
  const disk = await openDisk(start.disk, (sentence) => say({ kind: "notice", sentence }));
  try {
    if (images.kernel !== undefined) progress("Loading the kernel …");
    const { rows, columns } = start.dimensions;
    const machine = await createMachine({
      ...images,
      memory: start.memory,
      cpus: start.cpus,
      commandLine: `vm.cols=${columns} vm.rows=${rows} ${start.words}`.trim(),
      disks: disk === null ? [] : [disk],
    });
    return { machine, disk };
  } catch (error) {
    await disk?.close();
    throw error instanceof KernelError
      ? new Error(`the kernel cannot be used: ${error.message}`, { cause: error })
      : error;
  }
}

/** Kernel and ram disk. The ram disk brings the agent that follows the terminal's size, where its init starts it. */
async function loadImages(
  { guest, memory }: Start,
  progress: (sentence: string) => void,
): Promise<Pick<MachineOptions, "kernel" | "initrd">> {
  switch (guest.kind) {
    case "builtin":
      return {};
    case "files": {
      const kernel = await bytesOf(guest.kernel, "the kernel", memory);
      if (guest.initrd === null) return { kernel };
      return { kernel, initrd: withAgent(await bytesOf(guest.initrd, "the ram disk", memory)) };
    }
    case "served": {
      const kernel = await download(guest.kernel, "the kernel", progress);
      return { kernel, initrd: withAgent(await download(guest.initrd, "the ram disk", progress)) };
    }
  }
}

/** @throws {Error} for a file that is larger than the machine's memory, before it is read */
async function bytesOf(file: Blob, what: string, memory: number): Promise<Uint8Array> {
  if (file.size > memory)
    throw new Error(`${what} of ${size(file.size)} does not fit into the machine's memory of ${size(memory)}`);
  return new Uint8Array(await file.arrayBuffer());
}
