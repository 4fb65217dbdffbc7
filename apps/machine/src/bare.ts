import { loadImage, readImage } from "./boot/image.js";
import type { BootModule } from "./boot/multiboot.js";
import { MachineError } from "./error.js";
import { untouchedChunks, zerosAfter } from "./late-zeros.js";
import type { Machine } from "./machine.js";
import { type MachineOptions, pluginsOf, resolveOptions } from "./options.js";
import { Pace } from "./pace.js";
import { allocateRam } from "./ram.js";
import { VirtualMachine } from "./virtual-machine.js";

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
  /**
   * Memory that nothing has been loaded to is not there at first: 64 KiB of zeros come so many ms after they were first touched, 0 to {@link MAX_LATE_MS}. The image is offered
   * asynchronous page faults then, unless `asyncPf` says otherwise. Default: all memory is there.
   */
  readonly lateMemoryMs?: number | undefined;
}

/** Longest time that memory of a test can take. */
export const MAX_LATE_MS = 60_000;

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
  const { image: file, name = "image", commandLine = "", modules = [], lateMemoryMs, ...rest } = options;
  if (lateMemoryMs !== undefined && !(lateMemoryMs >= 0 && lateMemoryMs <= MAX_LATE_MS))
    throw new MachineError("option", `lateMemoryMs is ${lateMemoryMs}: it can be 0 to ${MAX_LATE_MS}`);
  const image = readImage(file);
  const own = {
    ...rest,
    memory: rest.memory ?? DEFAULT_MEMORY,
    legacyDevices: rest.legacyDevices ?? true,
    kvmClock: rest.kvmClock ?? true,
    asyncPf: rest.asyncPf ?? lateMemoryMs !== undefined,
    testDevices: true,
  };
  const config = resolveOptions(own);
  const machine = new VirtualMachine(config, own, await allocateRam(config));
  const { mmu, rsdp, vcpus } = machine.board;
  const [bootstrap] = vcpus;
  await loadImage(mmu, bootstrap, {
    image,
    name,
    commandLine,
    modules,
    ram: config.ram,
    rsdp,
    pace: new Pace(options.signal),
  });
  await machine.equip(pluginsOf(own), options.signal);
  if (lateMemoryMs !== undefined) mmu.expect(zerosAfter(lateMemoryMs), untouchedChunks(mmu));
  return machine;
}
