import { CpuFeatureError, type CpuidLeaf, DEFAULT_CPUID, withFeatures } from "@vm/cpu";
import type { ClockMode, Engine, MemoryBackend, Unpack } from "../index.js";
import type { BpfFlags } from "./bpf/machine.js";
import { type ClockStart, parseClockOffset, parseClockRate } from "./clock-flags.js";
import { UsageError } from "./errors.js";
import type { KvmiFlags } from "./kvmi/machine.js";
import { parseMemorySize } from "./memory-size.js";

/** The flags of every command as they were typed. */
export interface MachineFlags {
  readonly append?: string;
  readonly memory: string;
  readonly cpus: string;
  readonly cpu?: string;
  readonly clock: ClockMode;
  readonly clockOffset?: string;
  readonly clockRate?: string;
  readonly engine: Engine;
  readonly stats?: true;
  readonly timeout?: string;
}

/** The flags of `vm boot`. */
export interface BootFlags extends MachineFlags, KvmiFlags, BpfFlags {
  readonly builtin?: true;
  readonly kernel?: string;
  readonly initrd?: string;
  readonly unpack?: Unpack;
  readonly legacyDevices?: true;
  readonly pci?: true;
  readonly asyncPf?: true;
  readonly disk?: readonly string[];
  readonly exec?: string;
  readonly memoryBackend?: MemoryBackend;
  readonly lockdep?: true;
  readonly verbose?: true;
  readonly snapshot?: string;
  readonly lazy?: boolean;
  readonly recordWorkingSet?: string;
  readonly snapshotAt?: string;
  readonly stopAfterSnapshot?: true;
  readonly control?: string;
}

/** The flags of `vm run-bare`. */
export interface BareFlags extends MachineFlags {
  readonly module?: readonly string[];
  readonly lateMemory?: string;
}

/** The numbers among them. */
export interface MachineNumbers extends ClockStart {
  /** Bytes. */
  readonly memory: number;
  readonly cpus: number;
  /** Seconds, or null for no limit. */
  readonly timeout: number | null;
  /** What CPUID answers, if not the default. */
  readonly cpuid: readonly CpuidLeaf[] | undefined;
  readonly clockRate: number | undefined;
}

/** Longest time-out of the host's timers, seconds. */
const MAX_TIMEOUT = 2 ** 31 / 1000 - 1;

/** @throws {UsageError} for what is no number, or what cannot go together */
export function parseFlags(flags: BootFlags): MachineNumbers {
  for (const name of ["kernel", "initrd"] as const)
    if (flags.builtin && flags[name] !== undefined)
      throw new UsageError(`--builtin and --${name} name two things to boot`);
  if (flags.exec?.trim() === "") throw new UsageError("--exec needs a command");
  return parseNumbers(flags);
}

/** @throws {UsageError} for what is no number */
export function parseNumbers(flags: MachineFlags): MachineNumbers {
  if (!/^\d{1,4}$/.test(flags.cpus)) throw new UsageError(`--cpus "${flags.cpus}" is not a number of CPUs`);
  const timeout = flags.timeout === undefined ? null : Number(flags.timeout);
  if (timeout !== null && !(timeout > 0 && timeout <= MAX_TIMEOUT)) {
    throw new UsageError(`--timeout "${flags.timeout}" is not a number of seconds above 0 and up to ${MAX_TIMEOUT}`);
  }
  const cpuid = flags.cpu === undefined ? undefined : parseFeatures(flags.cpu);
  return {
    memory: parseMemorySize(flags.memory),
    cpus: Number(flags.cpus),
    timeout,
    cpuid,
    ...(flags.clockOffset === undefined ? {} : parseClockOffset(flags.clockOffset)),
    clockRate: flags.clockRate === undefined ? undefined : parseClockRate(flags.clockRate),
  };
}

function parseFeatures(words: string): readonly CpuidLeaf[] {
  try {
    return withFeatures(DEFAULT_CPUID, words);
  } catch (error) {
    if (error instanceof CpuFeatureError) throw new UsageError(`--cpu: ${error.message}`);
    throw error;
  }
}
