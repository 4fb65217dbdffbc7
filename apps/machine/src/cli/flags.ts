import type { ClockMode } from "../index.js";
import { UsageError } from "./errors.js";
import { parseMemorySize } from "./memory-size.js";

/** The flags of `vm boot` as they were typed. */
export interface BootFlags {
  readonly kernel?: string;
  readonly initrd?: string;
  readonly append?: string;
  readonly memory: string;
  readonly cpus: string;
  readonly disk?: readonly string[];
  readonly clock: ClockMode;
  readonly exec?: string;
  readonly stats?: true;
  readonly verbose?: true;
  readonly timeout?: string;
}

/** The numbers among them. */
export interface BootNumbers {
  /** Bytes. */
  readonly memory: number;
  readonly cpus: number;
  /** Seconds, or null for no limit. */
  readonly timeout: number | null;
}

/** Longest time-out of the host's timers, seconds. */
const MAX_TIMEOUT = 2 ** 31 / 1000 - 1;

/** @throws {UsageError} for what is no number, or what cannot go together */
export function parseFlags(flags: BootFlags): BootNumbers {
  if (flags.initrd !== undefined && flags.kernel === undefined) {
    throw new UsageError("--initrd needs --kernel: the built-in guest has no initial ram disk");
  }
  if (flags.exec?.trim() === "") throw new UsageError("--exec needs a command");
  if (!/^\d{1,4}$/.test(flags.cpus)) throw new UsageError(`--cpus "${flags.cpus}" is not a number of CPUs`);
  const timeout = flags.timeout === undefined ? null : Number(flags.timeout);
  if (timeout !== null && !(timeout > 0 && timeout <= MAX_TIMEOUT)) {
    throw new UsageError(`--timeout "${flags.timeout}" is not a number of seconds above 0 and up to ${MAX_TIMEOUT}`);
  }
  return { memory: parseMemorySize(flags.memory), cpus: Number(flags.cpus), timeout };
}
