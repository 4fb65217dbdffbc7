import type { CpuidLeaf } from "@vm/cpu";
import type { BlockBackend } from "@vm/devices";
import type { Lockdep } from "@vm/lockdep";
import type { Unpack } from "./boot/kernel.js";
import type { ClockMode } from "./clock.js";
import type { Engine } from "./engine.js";
import { MachineError } from "./error.js";
import { withAgentAsInit } from "./exec/exec-plan.js";
import type { HostUsage } from "./host-usage.js";
import type { MachineSnapshot } from "./machine-snapshot.js";
import { checkOptions, MAX_UNIX_TIME } from "./option-checks.js";
import type { Plugin } from "./plugin.js";
import { kvmClock } from "./plugins/kvm-clock.js";
import type { MemoryBackend, RamOptions } from "./ram.js";
import { hostRandom, type Random, seededRandom } from "./random.js";

/** What a machine is made of; everything has a default. */
export interface MachineOptions {
  /** A Linux bzImage or an x86-64 ELF kernel. Default: the built-in guest. */
  readonly kernel?: Uint8Array | undefined;
  /** Initial ram disk; needs a kernel. */
  readonly initrd?: Uint8Array | undefined;
  /**
   * Who unpacks a bzImage: `host`, which is faster; `guest`, by the code that the image brings for it, as on a PC, so that also the
   * address of the kernel's text is random; `auto` (default), the host where it can, else the guest.
   */
  readonly unpack?: Unpack | undefined;
  /**
   * With an agent as the guest's first program, for `Machine.exec`: in the initial ram disk or the root that the kernel boots into, before or
   * instead of its own init. Needs a kernel. Default false.
   */
  readonly agent?: boolean | undefined;
  /** Words added to the kernel command line after {@link DEFAULT_COMMAND_LINE}. As many bytes in all as the kernel takes, usually 2047. */
  readonly commandLine?: string | undefined;
  /** Bytes of RAM: a multiple of 4096, 16 MiB to 3 GiB. Default 512 MiB. Pages the guest never touches take no host memory. */
  readonly memory?: number | undefined;
  /** What RAM is made of. Default: memory of the machine's own. */
  readonly memoryBackend?: MemoryBackend | undefined;
  /** Validates the locks of guest memory. Default: nothing does. */
  readonly lockdep?: Lockdep | undefined;
  /** Processors, 1 to 32. Default 1. */
  readonly cpus?: number | undefined;
  /** Up to 7 virtio disks. */
  readonly disks?: readonly BlockBackend[] | undefined;
  /** `host` (default): virtual time follows the host's. `icount`: it is the number of retired instructions, so runs repeat exactly. */
  readonly clock?: ClockMode | undefined;
  /**
   * What executes the guest. `auto` (default): the interpreter, and generated WebAssembly for what is hot. `jit`: generated code for
   * everything at first sight, which is slow to start and meant for tests. `interpreter`: nothing is generated. The guest cannot tell.
   */
  readonly engine?: Engine | undefined;
  readonly plugins?: readonly Plugin[] | undefined;
  /**
   * Two 8259A, an 8254, system control port B and ACPI's fixed hardware, for guests that know nothing newer. Default: only for a kernel
   * that is told to do without something newer (`nosmp`, `noapic`, `nolapic`, `acpi=off` and the like) or is not a 64-bit Linux.
   */
  readonly legacyDevices?: boolean | undefined;
  /** Devices behind PCI: virtio-pci instead of virtio-mmio, in what the guest takes for an Intel Q35. Default false. */
  readonly pci?: boolean | undefined;
  /** KVM's paravirtual clock, announced in CPUID. Default false: Linux does well with the TSC alone. */
  readonly kvmClock?: boolean | undefined;
  /**
   * KVM's asynchronous page faults, announced in CPUID: when this machine has been saved and goes on before its memory has arrived, programs that touch what is not there
   * sleep, and the guest does something else. With `icount` they are announced, and every miss is waited for. Default false.
   */
  readonly asyncPf?: boolean | undefined;
  /**
   * The devices of programs that test a processor without an operating system: debug exit (whose port then is no longer a mere exit
   * status), test device, `fw_cfg`. Default false.
   */
  readonly testDevices?: boolean | undefined;
  /** What CPUID answers. Default: `DEFAULT_CPUID` of `@vm/cpu`. */
  readonly cpuid?: readonly CpuidLeaf[] | undefined;
  /** Seconds since 1970 at which the real-time clock starts, up to 2116. Default: now, or 1700000000 with `icount`. */
  readonly unixTime?: number | undefined;
  /** Seconds that are added to that. Default 0. */
  readonly clockOffset?: number | undefined;
  /** How fast virtual time goes, 0.001 to 1000: ns for each ns of the host, or with `icount` for each instruction; see `Machine.time`. Default 1. */
  readonly clockRate?: number | undefined;
  /** 32-bit seed of the guest's random numbers. Default: the host's cryptographic generator, or 1 with `icount`. */
  readonly seed?: number | undefined;
  /**
   * Goes on where a machine was saved, see `Machine.snapshot`: memory, processors, clock and devices are what they were there. `disks` have what they had then; what else would
   * change the guest is refused. With the clock `host` the time of day is the host's.
   */
  readonly snapshot?: MachineSnapshot | undefined;
  /** Ends the making of the machine, which then rejects with the signal's reason; stops a machine that is made, as `stop` does. */
  readonly signal?: AbortSignal | undefined;
  /** What this program has used of its host, for statistics. Default: what Node tells. */
  readonly hostUsage?: (() => HostUsage) | undefined;
}

/**
 * Serial console; ACPI reset, at once after a panic; no self-tests of the kernel's ciphers, which would be two thirds of a boot;
 * a time-stamp counter and a random generator to be trusted.
 */
export const DEFAULT_COMMAND_LINE =
  "console=ttyS0 reboot=a panic=-1 cryptomgr.notests tsc=reliable no_timer_check random.trust_cpu=on";

const DEFAULT_MEMORY = 512 * 2 ** 20;
const ICOUNT_UNIX_TIME = 1_700_000_000;

/** Options, checked and complete. */
export interface MachineConfig extends RamOptions {
  readonly disks: readonly BlockBackend[];
  readonly clock: ClockMode;
  readonly engine: Engine;
  readonly legacyDevices: boolean;
  readonly asyncPf: boolean;
  readonly pci: boolean;
  readonly testDevices: boolean;
  /** With what firmware looks for: fw_cfg. Default false. */
  readonly firmware?: boolean;
  /** With a virtual machine generation ID, unless the guest's memory is private. Default true. */
  readonly generationId?: boolean;
  /** Memory is still to come, from a snapshot. Default false. */
  readonly resumes?: boolean;
  readonly unpack: Unpack;
  readonly commandLine: string;
  readonly unixTime: number;
  readonly clockRate: number;
  readonly random: Random;
}

/** @throws {MachineError} `option`, which names the value and what would be accepted */
export function resolveOptions(options: MachineOptions): MachineConfig {
  checkOptions(options);
  const { memory = DEFAULT_MEMORY, cpus = 1, disks = [], clock = "host", seed, commandLine: own = "" } = options;
  const deterministic = clock === "icount";
  return {
    ram: memory,
    backend: options.memoryBackend ?? "anonymous",
    lockdep: options.lockdep,
    cpus,
    disks,
    clock,
    engine: options.engine ?? "auto",
    legacyDevices: options.legacyDevices ?? false,
    asyncPf: options.asyncPf ?? false,
    pci: options.pci ?? false,
    testDevices: options.testDevices ?? false,
    unpack: options.unpack ?? "auto",
    commandLine: [DEFAULT_COMMAND_LINE, options.agent ? withAgentAsInit(own).trim() : own].join(" ").trim(),
    unixTime: startOfTime(
      options.unixTime ?? (deterministic ? ICOUNT_UNIX_TIME : Date.now() / 1000),
      options.clockOffset,
    ),
    clockRate: options.clockRate ?? 1,
    random: seed === undefined && !deterministic ? hostRandom() : seededRandom(seed ?? 1),
  };
}

/** @throws {MachineError} `option` for an offset from `unixTime` that leaves the years that a machine can have */
function startOfTime(unixTime: number, offset = 0): number {
  const time = unixTime + offset;
  if (time >= 0 && time <= MAX_UNIX_TIME) return time;
  const [from, first, last] = [unixTime, 0, MAX_UNIX_TIME].map((seconds) =>
    new Date(seconds * 1000).toISOString().slice(0, 10),
  );
  throw new MachineError(
    "option",
    `clockOffset is ${offset} s from ${from}: the time of day can be from ${first} to ${last}`,
  );
}

/** The plugins of a machine: those that an option asks for, and the user's. */
export const pluginsOf = ({
  kvmClock: clock,
  plugins = [],
}: Pick<MachineOptions, "kvmClock" | "plugins">): readonly Plugin[] =>
  clock === true ? [kvmClock(), ...plugins] : plugins;
