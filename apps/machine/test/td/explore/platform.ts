/** A TDX module over a small memory, ready for TDs. It is used by one TD after the other, each of which has to leave it as it was. */
import { Lockdep } from "@vm/lockdep";
import { bringUpModule, type GuestCpu, type SeamcallPort, type Tdh, type TdVcpu, TdxHost, TdxModule } from "@vm/tdx";

export const PAGE = 4096;
/** Frames that there are, from 1 on: the last few are for bringing the module up. */
export const FRAMES = 120;
const GIB = 2 ** 30;
const PAMTS = GIB / 2;
const KEYS = { first: 1, count: 3 };
const XFAM = 3n;

/** What may be wrong between KVM and the module. */
export interface CallFaults {
  /** Calls that are answered with success and not made. */
  readonly skip?: Tdh;
}

/** Where KVM's SEAMCALLs pass. */
class Calls implements SeamcallPort {
  faults: CallFaults = {};
  /** Calls that met a lock. */
  busy = 0;

  constructor(readonly module: TdxModule) {}

  seamcall(lp: number, regs: BigUint64Array): void {
    if (Number((regs[0] as bigint) & 0xffffn) === this.faults.skip) {
      regs[0] = 0n;
      return;
    }
    this.module.seamcall(lp, regs);
    if ((regs[0] as bigint) >> 32n === 0x8000_0200n) this.busy++;
  }
}

export class Platform {
  readonly memory = new WebAssembly.Memory({ initial: 8, maximum: 8 });
  readonly bytes = new Uint8Array(this.memory.buffer);
  readonly module: TdxModule;
  readonly calls: Calls;
  /** Set by the TD of the day. */
  createGuestCpu: (vcpu: TdVcpu) => GuestCpu = () => {
    throw new Error("there is no TD");
  };
  readonly #host: TdxHost;

  constructor() {
    const processors = [{ package: 0 }, { package: 1 }];
    const cmrs = [{ base: PAGE, size: GIB - PAGE }];
    const memory = { page: (hpa: number) => this.bytes.subarray(hpa, hpa + PAGE) };
    this.module = new TdxModule({
      memory,
      packages: 2,
      processors,
      cmrs,
      privateHkids: KEYS,
      maxPhysAddr: 52,
      random: () => true,
      secret: new Uint8Array(32),
      tsc: () => 0n,
      tscFrequency: 1e9,
      cpuid: (leaf) => [leaf === 0xd ? Number(XFAM) : 0, 0, 0, 0],
      createGuestCpu: (vcpu) => this.createGuestCpu(vcpu),
    });
    this.calls = new Calls(this.module);
    let next = FRAMES;
    this.#host = bringUpModule({
      module: this.calls,
      memory,
      pages: { alloc: () => ++next * PAGE, free: () => undefined },
      allocContiguous: () => PAMTS,
      memoryRanges: cmrs,
      processors,
      privateHkids: KEYS,
      physBits: this.module.state.hkidShift,
      supportedXfam: XFAM,
      lockdep: new Lockdep({ enabled: false }),
    });
  }

  /** The host as it is for one TD. */
  host(desc: Pick<TdxHost, "lockdep" | "pages" | "memory">): TdxHost {
    const { seamcalls, sysInfo, processors, hkids, globalHkid, physBits, supportedXfam } = this.#host;
    return new TdxHost({ seamcalls, sysInfo, processors, hkids, globalHkid, physBits, supportedXfam, ...desc });
  }

  /** What a TD has left behind, if it has. */
  leftovers(): string | undefined {
    const { state } = this.module;
    const left = {
      keys: this.#host.hkids.used,
      TDs: state.tds.size,
      vCPUs: state.vcpus.size,
      "private frames": Array.from({ length: FRAMES }, (_, k) => k + 1).filter((frame) =>
        this.module.isPrivate(frame * PAGE),
      ).length,
    };
    return Object.entries(left)
      .filter(([, count]) => count > 0)
      .map(([what, count]) => `${count} ${what} left`)[0];
  }
}
