import { Status } from "../module/status.js";
import { KvmTdxError } from "./errors.js";
import type { TdxHost } from "./host.js";
import type { TdMemory, TdPlatform, TdVmLocks, VcpuKicks } from "./ports.js";
import type { VcpuTdx } from "./vcpu-tdx.js";

/** enum kvm_tdx_state. */
export enum TdState {
  Uninitialized = 0,
  Initialized = 1,
  Runnable = 2,
}

/** vCPUs that a TD can have here, whatever the host has. */
export const MAX_VCPUS = 32;
/** What KVM_SET_TSC_KHZ takes for a TD. */
const MIN_TSC_KHZ = 100_000;
const MAX_TSC_KHZ = 10_000_000;

export interface KvmTdxDesc {
  readonly host: TdxHost;
  readonly locks: TdVmLocks;
  readonly memory: TdMemory;
  readonly kicks: VcpuKicks;
  readonly platform: TdPlatform;
  /** KVM_CAP_MAX_VCPUS: 1 to 32, default 32; not more than the host has processors. */
  readonly maxVcpus?: number;
  /** KVM_SET_TSC_KHZ: 100 MHz to 10 GHz; the TD gets whole multiples of 25 MHz. */
  readonly tscKhz: number;
  /** Whether private memory can have its content before populate, for it is converted where it is (`vmMemoryAttributes: false`). */
  readonly inPlaceConversion?: boolean;
  /** KVM_CAP_SPLIT_IRQCHIP; default true. A TD has no other. */
  readonly splitIrqchip?: boolean;
}

/** What KVM keeps of a TD. Linux: struct kvm_tdx. */
export class TdVm {
  readonly host: TdxHost;
  readonly locks: TdVmLocks;
  readonly memory: TdMemory;
  readonly kicks: VcpuKicks;
  readonly platform: TdPlatform;
  readonly maxVcpus: number;
  readonly tscKhz: number;
  readonly inPlaceConversion: boolean;
  readonly splitIrqchip: boolean;
  state = TdState.Uninitialized;
  hkid: number | null = null;
  /** Physical addresses of its control pages. */
  tdr: number | null = null;
  readonly tdcs: number[] = [];
  attributes = 0n;
  xfam = 0n;
  tscOffset = 0n;
  /** The bit of guest-physical addresses that means shared, as a number; 0 before INIT_VM. */
  sharedBit = 0;
  /** Physical address of the page that PAGE.ADD copies; only while populate maps. Under slots_lock. */
  pageAddSource: number | null = null;
  /** Nobody enters the guest, for a page is being removed. Under mmu_lock. */
  waitForSeptZap = false;
  /** Whether memory may be mapped before the guest asks. */
  preFaultAllowed = false;
  /** By index. */
  readonly vcpus: VcpuTdx[] = [];
  createdVcpus = 0;
  /** Pages that the TDX module did not give back. */
  lostPages = 0;
  /** What went wrong that must not; the VM is dead then. */
  readonly bugs: string[] = [];
  #isDead = false;

  /** @throws KvmTdxError EINVAL for `maxVcpus` or `tscKhz` */
  constructor(desc: KvmTdxDesc) {
    const { maxVcpus = MAX_VCPUS, tscKhz } = desc;
    if (!Number.isInteger(maxVcpus) || maxVcpus < 1 || maxVcpus > MAX_VCPUS)
      throw new KvmTdxError("EINVAL", `maxVcpus is ${maxVcpus}; 1 to ${MAX_VCPUS}`);
    if (!(tscKhz >= MIN_TSC_KHZ && tscKhz <= MAX_TSC_KHZ))
      throw new KvmTdxError("EINVAL", `tscKhz is ${tscKhz}; ${MIN_TSC_KHZ} to ${MAX_TSC_KHZ}`);
    this.host = desc.host;
    this.locks = desc.locks;
    this.memory = desc.memory;
    this.kicks = desc.kicks;
    this.platform = desc.platform;
    this.maxVcpus = Math.min(maxVcpus, desc.host.processors.length);
    this.tscKhz = tscKhz;
    this.inPlaceConversion = desc.inPlaceConversion ?? false;
    this.splitIrqchip = desc.splitIrqchip ?? true;
  }

  get onlineVcpus(): number {
    return this.vcpus.length;
  }

  /** KVM_REQ_VM_DEAD: nothing works any more but to destroy it. */
  get isDead(): boolean {
    return this.#isDead;
  }

  kill(): void {
    this.#isDead = true;
  }

  /** KVM_BUG_ON of a SEAMCALL: true if `status` is not success, and the VM is dead then. */
  bugOn(call: string, status: bigint): boolean {
    if (status === Status.SUCCESS) return false;
    this.bug(`${call}: 0x${status.toString(16)}`);
    return true;
  }

  bug(what: string): void {
    this.bugs.push(what);
    this.kill();
  }

  /** Whether an address without its offset means private memory: the shared bit is clear. */
  isPrivateGpa(gpa: number): boolean {
    return Math.floor(gpa / this.sharedBit) % 2 === 0;
  }

  /** @throws KvmTdxError EIO */
  checkAlive(): void {
    if (this.isDead) throw new KvmTdxError("EIO", this.bugs[0] ?? "the VM is dead");
  }
}
