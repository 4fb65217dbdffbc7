import type { TscPort } from "./apic-timer.js";
import type { GuestMemory } from "./ports.js";
import { read, type StateReader } from "./state.js";
import type { Gpa } from "./units.js";

/** MSRs (Linux Documentation/virt/kvm/x86/msr.rst). */
export const MSR_KVM_WALL_CLOCK = 0x4b564d00;
export const MSR_KVM_SYSTEM_TIME = 0x4b564d01;

/** CPUID 0x40000001 EAX: the MSRs above are there, and readings of different CPUs agree. */
export const KVM_CLOCK_FEATURES = (1 << 3) | (1 << 24);

const ENABLED = 1;
/** Flags of the time information: it holds for every CPU's TSC. */
const TSC_STABLE = 1;
const TIME_INFO_SIZE = 32;
const WALL_CLOCK_SIZE = 12;
const NS = 1e9;

export interface KvmClockDesc {
  readonly memory: GuestMemory;
  /** Virtual time, ns. */
  readonly now: () => number;
  /** The TSC of this CPU, which counts ns. */
  readonly tsc: TscPort;
  /** Seconds since 1970, with a fraction. */
  readonly unixTime: () => number;
}

export interface KvmClockState {
  readonly systemTime: readonly [number, number];
  readonly wallClock: readonly [number, number];
  readonly version: number;
}

const halves: StateReader<readonly [number, number]> = (value, path) => {
  const [low = 0, high = 0] = read.list(read.u32, 2)(value, path);
  return [low, high];
};

export const readKvmClock = read.record<KvmClockState>({
  systemTime: halves,
  wallClock: halves,
  version: read.bits(0xffff_fffe),
});

/**
 * KVM's paravirtual clock, one per CPU: the guest names a place in its memory by an MSR and finds there how TSC and time belong together
 * (Linux Documentation/virt/kvm/x86/msr.rst, arch/x86/include/asm/pvclock-abi.h).
 *
 * Emulated: wall clock and system time. The relation never changes, as the TSC counts virtual ns, so it is written once.
 * Not emulated: a write of the TSC after that; the guest must write the MSR again.
 */
export class KvmClock {
  /** High half of the last successful {@link readMsr}. */
  hi = 0;
  #systemTime: readonly [number, number] = [0, 0];
  #wallClock: readonly [number, number] = [0, 0];
  #version = 0;
  readonly #desc: KvmClockDesc;

  constructor(desc: KvmClockDesc) {
    this.#desc = desc;
  }

  /** The low half, unsigned, with the high half in `hi`; -1 if the MSR is not of this device. */
  readMsr(msr: number): number {
    if (msr !== MSR_KVM_SYSTEM_TIME && msr !== MSR_KVM_WALL_CLOCK) return -1;
    const [lo, hi] = msr === MSR_KVM_SYSTEM_TIME ? this.#systemTime : this.#wallClock;
    this.hi = hi;
    return lo;
  }

  /** What {@link writeMsr} of a value stores into: guest-physical address and size in bytes; null: into nothing. */
  reaches(msr: number, lo: number, hi: number): { readonly gpa: Gpa; readonly size: number } | null {
    const high = (hi >>> 0) * 2 ** 32;
    if (msr === MSR_KVM_WALL_CLOCK) return { gpa: high + (lo >>> 0), size: WALL_CLOCK_SIZE };
    if (msr !== MSR_KVM_SYSTEM_TIME || (lo & ENABLED) === 0) return null;
    return { gpa: high + ((lo & ~ENABLED) >>> 0), size: TIME_INFO_SIZE };
  }

  /** False if the MSR is not of this device. Where no memory can be reached nothing is written. */
  writeMsr(msr: number, lo: number, hi: number): boolean {
    const reached = this.reaches(msr, lo, hi);
    if (msr === MSR_KVM_SYSTEM_TIME) {
      this.#systemTime = [lo >>> 0, hi >>> 0];
      if (reached !== null) this.#writeTime(reached.gpa);
      return true;
    }
    if (reached === null) return false;
    this.#wallClock = [lo >>> 0, hi >>> 0];
    this.#writeWallClock(reached.gpa);
    return true;
  }

  save(): KvmClockState {
    return { systemTime: this.#systemTime, wallClock: this.#wallClock, version: this.#version };
  }

  /** @throws {StateError} */
  restore(saved: KvmClockState): void {
    const { systemTime, wallClock, version } = readKvmClock(saved);
    this.#systemTime = systemTime;
    this.#wallClock = wallClock;
    this.#version = version;
  }

  /** An odd version would tell the reader to wait: one more than the last, even. */
  #nextVersion(): number {
    this.#version = (this.#version + 2) >>> 0;
    return this.#version;
  }

  /** `pvclock_vcpu_time_info`: time = system_time + (((TSC - tsc_timestamp) << shift) * multiplier >> 32). */
  #writeTime(gpa: Gpa): void {
    const info = new DataView(new ArrayBuffer(TIME_INFO_SIZE));
    info.setUint32(0, this.#nextVersion(), true);
    // One reading for both: what two took apart would be the difference of two CPUs' clocks.
    const now = this.#desc.now();
    putU64(info, 8, now - this.#desc.tsc.tscToNs(0));
    putU64(info, 16, now);
    info.setUint32(24, 0x8000_0000, true);
    info.setInt8(28, 1);
    info.setUint8(29, TSC_STABLE);
    this.#desc.memory.write(gpa, new Uint8Array(info.buffer));
  }

  /** `pvclock_wall_clock`: the time of day when the system time was 0. */
  #writeWallClock(gpa: Gpa): void {
    const info = new DataView(new ArrayBuffer(WALL_CLOCK_SIZE));
    const origin = this.#desc.unixTime() - this.#desc.now() / NS;
    info.setUint32(0, this.#nextVersion(), true);
    info.setUint32(4, Math.floor(origin), true);
    info.setUint32(8, Math.floor((origin - Math.floor(origin)) * NS), true);
    this.#desc.memory.write(gpa, new Uint8Array(info.buffer));
  }
}

function putU64(view: DataView, at: number, value: number): void {
  const whole = Math.floor(value);
  view.setUint32(at, whole % 2 ** 32, true);
  view.setUint32(at + 4, Math.floor(whole / 2 ** 32), true);
}
