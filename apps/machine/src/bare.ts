import { loadImage, readImage } from "./boot/image.js";
import type { BootModule } from "./boot/multiboot.js";
import { MachineError } from "./error.js";
import { Machine } from "./machine.js";
import { type MachineOptions, resolveOptions } from "./options.js";
import { Pace } from "./pace.js";
import { installPlugins } from "./plugin.js";
import { allocateRam } from "./ram.js";

/** A program that runs without an operating system, and its machine. */
export interface BareOptions
  extends Omit<MachineOptions, "kernel" | "initrd" | "unpack" | "commandLine" | "testDevices"> {
  /** A multiboot, PVH or x86-64 ELF image. */
  readonly image: Uint8Array;
  /** argv[0] of a multiboot or plain ELF image. Default "image". */
  readonly name?: string | undefined;
  /** Words of its command line. */
  readonly commandLine?: string | undefined;
  /** Files that are handed to the image, in this order. */
  readonly modules?: readonly BootModule[] | undefined;
}

const DEFAULT_MEMORY = 2 ** 30;

/**
 * Makes a machine for an image that runs without an operating system, with the devices of test programs: debug exit, test device,
 * `fw_cfg`. Unless told otherwise it has 1 GiB of memory, the legacy devices and KVM's clock.
 *
 * @throws {MachineError} for an option outside its range, {@link KernelError} for an image that cannot be used, {@link BootError} if
 * image, modules and memory do not go together, the reason of `signal`, and whatever a plugin's `install` throws
 * @example const exit = await (await createBareMachine({ image })).run(); // { reason: "debug-exit", code: 0 }
 */
export async function createBareMachine(options: BareOptions): Promise<Machine> {
  const { image: file, name = "image", commandLine = "", modules = [], plugins = [], ...rest } = options;
  const image = readImage(file);
  const config = resolveOptions({
    ...rest,
    memory: rest.memory ?? DEFAULT_MEMORY,
    legacyDevices: rest.legacyDevices ?? true,
    kvmClock: rest.kvmClock ?? true,
    testDevices: true,
  });
  const machine = new Machine(config, rest, await allocateRam(config));
  const { system } = machine;
  const [bootstrap] = system.vcpus;
  if (bootstrap === undefined) throw new MachineError("a machine needs a processor");
  await loadImage(system.mmu, bootstrap, {
    image,
    name,
    commandLine,
    modules,
    ram: config.ram,
    rsdp: system.rsdp,
    pace: new Pace(options.signal),
  });
  machine.undoPlugins = await installPlugins(plugins, machine);
  return machine;
}
