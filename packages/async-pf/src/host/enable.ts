import { AsyncPfEnable, KvmFeature } from "../abi.js";

const RESERVED = 0x30;
const ACTIVE = AsyncPfEnable.Enabled | AsyncPfEnable.DeliveryAsInt;

/** A value of `MSR_KVM_ASYNC_PF_EN`, by u32 halves. */
export class EnableValue {
  static readonly off = new EnableValue(0, 0);

  constructor(
    readonly lo: number,
    readonly hi: number,
  ) {}

  /** Something is delivered: it is enabled, by interrupt. */
  get active(): boolean {
    return (this.lo & ACTIVE) === ACTIVE;
  }

  get sendAlways(): boolean {
    return (this.lo & AsyncPfEnable.SendAlways) !== 0;
  }

  get asPfVmexit(): boolean {
    return (this.lo & AsyncPfEnable.DeliveryAsPfVmexit) !== 0;
  }

  /** Address of the area, bytes. */
  get area(): number {
    return this.hi * 2 ** 32 + ((this.lo & ~0x3f) >>> 0);
  }

  /** The guest may write it, as far as its bits go: reserved ones are 0, and CPUID has those that are set. */
  allowed(features: number): boolean {
    if ((this.lo & RESERVED) !== 0) return false;
    if (this.asPfVmexit && (features & KvmFeature.AsyncPfVmexit) === 0) return false;
    return (this.lo & AsyncPfEnable.DeliveryAsInt) === 0 || (features & KvmFeature.AsyncPfInt) !== 0;
  }
}
