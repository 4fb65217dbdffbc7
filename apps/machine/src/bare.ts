import { loadImage, readImage } from "./boot/image.js";
import { MachineError } from "./error.js";
import { Machine } from "./machine.js";
import { type MachineOptions, resolveOptions } from "./options.js";
import { installPlugins } from "./plugin.js";
import { allocateRam } from "./ram.js";

/** A program that runs without an operating system, and its machine. */
export interface BareOptions extends Omit<MachineOptions, "kernel" | "initrd" | "commandLine" | "testDevices"> {
  /** A multiboot, PVH or x86-64 ELF image. */
  readonly image: Uint8Array;
  /** argv[0] of a multiboot or plain ELF image. Default "image". */
  readonly name?: string | undefined;
  /** Words of its command line. */
  readonly commandLine?: string | undefined;
  /** A file that is handed to the image as its only module. */
  readonly module?: { readonly name: string; readonly bytes: Uint8Array } | undefined;
}

const DEFAULT_MEMORY = 2 ** 30;

/**
 * Makes a machine for an image that runs without an operating system, with the devices of test programs: debug exit, test device,
 * `fw_cfg`. Unless told otherwise it has 1 GiB of memory, the legacy devices and KVM's clock.
 *
 * @throws {MachineError} for an option outside its range, {@link KernelError} for an image that cannot be used, {@link BootError} if
 * image, module and memory do not go together, and whatever a plugin's `install` throws
 * @example const exit = await (await createBareMachine({ image })).run(); // { reason: "debug-exit", code: 0 }
 */
export async function createBareMachine(options: BareOptions): Promise<Machine> {
  const { image: file, name = "image", commandLine = "", module, plugins = [], ...rest } = options;
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
  loadImage(system.mmu, bootstrap, {
    image,
    name,
    commandLine,
    modules: module === undefined ? [] : [{ bytes: module.bytes, text: module.name }],
    ram: config.ram,
    rsdp: system.rsdp,
  });
  machine.undoPlugins = await installPlugins(plugins, machine);
  return machine;
}
