import { LockClass, type Lockdep, Mutex } from "@vm/lockdep";
import type { PhysicalMemory } from "../module/platform.js";
import type { HkidPool } from "./hkids.js";
import type { HostPages } from "./ports.js";
import type { Seamcalls } from "./seamcalls.js";
import type { TdxSysInfo } from "./sys-info.js";

const TDX_LOCK = new LockClass("tdx_lock");

export interface TdxHostDesc {
  readonly seamcalls: Seamcalls;
  readonly sysInfo: TdxSysInfo;
  readonly pages: HostPages;
  readonly memory: PhysicalMemory;
  /** Logical processors, each with the number of its package. */
  readonly processors: readonly { readonly package: number }[];
  readonly hkids: HkidPool;
  readonly globalHkid: number;
  /** Bits of a physical address: a host key id stands above them. */
  readonly physBits: number;
  /** XFAM bits that the processor can do: KVM's supported XCR0 and XSS. */
  readonly supportedXfam: bigint;
  readonly lockdep: Lockdep;
}

/** A host whose TDX module is ready: what all TDs share. */
export class TdxHost implements TdxHostDesc {
  readonly seamcalls: Seamcalls;
  readonly sysInfo: TdxSysInfo;
  readonly pages: HostPages;
  readonly memory: PhysicalMemory;
  readonly processors: readonly { readonly package: number }[];
  readonly hkids: HkidPool;
  readonly globalHkid: number;
  readonly physBits: number;
  readonly supportedXfam: bigint;
  readonly lockdep: Lockdep;
  /** Serializes the calls that need all of the module: MNG.CREATE and those of a TD's end. */
  readonly lock: Mutex;

  constructor(desc: TdxHostDesc) {
    this.seamcalls = desc.seamcalls;
    this.sysInfo = desc.sysInfo;
    this.pages = desc.pages;
    this.memory = desc.memory;
    this.processors = desc.processors;
    this.hkids = desc.hkids;
    this.globalHkid = desc.globalHkid;
    this.physBits = desc.physBits;
    this.supportedXfam = desc.supportedXfam;
    this.lockdep = desc.lockdep;
    this.lock = new Mutex(desc.lockdep, TDX_LOCK);
  }

  /** One logical processor of each package. */
  get packageLeaders(): number[] {
    return packageLeaders(this.processors);
  }

  /** Address of a page under a key, for PHYMEM.PAGE.WBINVD. */
  keyed(hkid: number, hpa: number): bigint {
    return (BigInt(hkid) << BigInt(this.physBits)) | BigInt(hpa);
  }
}

/** The first logical processor of each package, in the order of packages' first processors. */
export function packageLeaders(processors: readonly { readonly package: number }[]): number[] {
  const seen = new Set<number>();
  const leaders: number[] = [];
  processors.forEach((processor, lp) => {
    if (seen.has(processor.package)) return;
    seen.add(processor.package);
    leaders.push(lp);
  });
  return leaders;
}
