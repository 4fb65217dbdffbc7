import { createMachine, type Machine } from "@vm/machine";
import { BootError, KernelError } from "../../../../apps/machine/src/boot/error.js";
import { loadImage, readImage } from "../../../../apps/machine/src/boot/image.js";
import { readKernel, type Unpack } from "../../../../apps/machine/src/boot/kernel.js";
import { loadLinux } from "../../../../apps/machine/src/boot/linux.js";
import { Pace } from "../../../../apps/machine/src/pace.js";
import { turn } from "../../../../apps/machine/src/turn.js";
import type { Door } from "../door.js";
import { Random } from "../random.js";
import { bzImage, elfFile, multibootFile, spoil } from "./loader-files.js";

const RAM = 24 * 2 ** 20;
const HEADERS_MAX = 65535;
/** Bytes of a command line or a module's words: most fit, some do not. */
const TEXTS = [0, 10, 2000, 3000, 70_000];

let machine: Promise<Machine> | undefined;

/** Where everything is loaded, one file after the other: nothing of it ever runs. */
const target = (): Promise<Machine> => (machine ??= createMachine({ memory: RAM }));

/**
 * Kernels and images, and what goes with them: made whole, made whole around random contents, and spoilt. They are read and loaded by the
 * functions that `vm boot` and `vm run-bare` call, and may be refused in words; nothing else may come of them.
 */
export const loaders: Door = {
  name: "loaders",
  summary: "kernels of every packing, ELF, multiboot and PVH images, ram disks, modules and command lines",
  check: async (seed) => {
    const random = new Random(seed);
    const make = random.pick([bzImage, bzImage, bzImage, (r: Random) => elfFile(r, HEADERS_MAX), multibootFile]);
    const made = make(random);
    const file = random.chance(70) ? spoil(random, made) : made;
    // What making it took is no turn of the loaders'.
    await turn();
    try {
      await (random.chance(70) ? loadAsKernel(random, file) : loadAsImage(random, file));
    } catch (error) {
      if (!(error instanceof KernelError || error instanceof BootError)) throw error;
    }
  },
};

const text = (random: Random): string => random.pick(["x", "ä"]).repeat(random.pick(TEXTS));
/** Ram disks and modules are pieces of it: what is in them does not matter. */
const ZEROS = new Uint8Array(2 * RAM);
const blob = (random: Random): Uint8Array =>
  ZEROS.subarray(0, random.chance(80) ? random.below(100_000) : random.below(ZEROS.length));

async function loadAsKernel(random: Random, file: Uint8Array): Promise<void> {
  const { memory, vcpus } = await target();
  const pace = new Pace();
  const unpack = random.pick<Unpack>(["host", "guest", "auto"]);
  const kernel = await readKernel(file, { unpack, ram: RAM, pace });
  const unpacked = kernel.segments.reduce((sum, { bytes }) => sum + bytes.length, 0);
  if (kernel.segments.length === 1 && unpacked > Math.max(RAM, file.length))
    throw new Error(`${unpacked} bytes of kernel`);
  const initrd = random.chance(50) ? null : blob(random);
  const [first] = vcpus;
  if (first === undefined) throw new Error("the machine has no processor");
  await loadLinux(memory, first.cpu, { kernel, initrd, commandLine: text(random), ram: RAM, rsdp: 0xe0000, pace });
}

async function loadAsImage(random: Random, file: Uint8Array): Promise<void> {
  const { memory, vcpus } = await target();
  const image = readImage(file);
  const modules = Array.from({ length: random.below(4) }, () => ({ text: text(random), bytes: blob(random) }));
  const [first] = vcpus;
  if (first === undefined) throw new Error("the machine has no processor");
  const boot = { image, name: "image", commandLine: text(random), modules, ram: RAM, rsdp: 0xe0000, pace: new Pace() };
  await loadImage(memory, first.cpu, boot);
}
