import type { Lockdep } from "@vm/lockdep";
import type { PhysicalMemory } from "../module/platform.js";
import { KvmTdxError } from "./errors.js";
import { HkidPool } from "./hkids.js";
import { packageLeaders, TdxHost } from "./host.js";
import type { HostPages } from "./ports.js";
import { type SeamcallPort, Seamcalls } from "./seamcalls.js";
import { readSysInfo, type TdxSysInfo } from "./sys-info.js";
import { constructTdmrs, type Range, type Tdmr, tdmrInfoSize, writeTdmrInfo } from "./tdmrs.js";

export interface BringUp {
  /** The module, not yet initialized. */
  readonly module: SeamcallPort;
  readonly memory: PhysicalMemory;
  readonly pages: HostPages;
  /** `size` bytes in a row within `memoryRanges`, for the module to note things of pages in; null if there are none. */
  readonly allocContiguous: (size: number) => number | null;
  /** Memory that TDs may get: ascending, without overlaps, within convertible memory ranges. */
  readonly memoryRanges: readonly Range[];
  readonly processors: readonly { readonly package: number }[];
  /** IA32_MKTME_KEYID_PARTITIONING: the first of these is the module's own. */
  readonly privateHkids: { readonly first: number; readonly count: number };
  /** Bits of a physical address without those of the key id. */
  readonly physBits: number;
  readonly supportedXfam: bigint;
  readonly lockdep: Lockdep;
}

const PAGE = 4096;

/**
 * Makes a TDX module ready for TDs: TDH.SYS.INIT, LP.INIT on every logical processor, CONFIG with TDMRs over all memory, KEY.CONFIG once a package, TDMR.INIT.
 * Source: linux, arch/x86/virt/vmx/tdx/tdx.c, tdx_enable.
 * @throws KvmTdxError ENODEV with fewer than two private key ids; EIO if the module refuses a call; EINVAL, ENOSPC, ENOMEM
 */
export function bringUpModule(what: BringUp): TdxHost {
  const { memory, pages, processors, physBits, supportedXfam, lockdep, privateHkids } = what;
  if (privateHkids.count < 2)
    throw new KvmTdxError("ENODEV", `${privateHkids.count} private key ids; at least 2: the module needs one itself`);
  const seamcalls = new Seamcalls(what.module);
  check("TDH.SYS.INIT", seamcalls.sysInit(0));
  for (let lp = 0; lp < processors.length; lp++) check("TDH.SYS.LP.INIT", seamcalls.sysLpInit(lp));
  const sysInfo = readSysInfo(seamcalls, 0);
  const tdmrs = constructTdmrs(what.memoryRanges, sysInfo, what.allocContiguous);
  const globalHkid = privateHkids.first;
  configure(seamcalls, tdmrs, sysInfo, globalHkid, memory, pages);
  for (const lp of packageLeaders(processors)) check("TDH.SYS.KEY.CONFIG", seamcalls.sysKeyConfig(lp));
  for (const tdmr of tdmrs) initTdmr(seamcalls, tdmr);
  const hkids = new HkidPool(globalHkid + 1, privateHkids.count - 1);
  return new TdxHost({
    seamcalls,
    sysInfo,
    pages,
    memory,
    processors,
    hkids,
    globalHkid,
    physBits,
    supportedXfam,
    lockdep,
  });
}

/** Hands the TDMRs over, in pages that are the host's again when the module has read them. */
function configure(
  seamcalls: Seamcalls,
  tdmrs: readonly Tdmr[],
  { maxReservedPerTdmr }: TdxSysInfo,
  globalHkid: number,
  memory: PhysicalMemory,
  pages: HostPages,
): void {
  const size = tdmrInfoSize(maxReservedPerTdmr);
  const perPage = Math.floor(PAGE / size);
  const taken: number[] = [];
  const take = (): { hpa: number; view: DataView } => {
    const hpa = pages.alloc();
    if (hpa === null) throw new KvmTdxError("ENOMEM", "no page for the list of TDMRs");
    taken.push(hpa);
    const bytes = memory.page(hpa).fill(0);
    return { hpa, view: new DataView(bytes.buffer, bytes.byteOffset, PAGE) };
  };
  try {
    const array = take();
    let page = array;
    tdmrs.forEach((tdmr, k) => {
      const slot = k % perPage;
      if (slot === 0) page = take();
      writeTdmrInfo(page.view, slot * size, tdmr);
      array.view.setBigUint64(8 * k, BigInt(page.hpa + slot * size), true);
    });
    check("TDH.SYS.CONFIG", seamcalls.sysConfig(0, array.hpa, tdmrs.length, globalHkid));
  } finally {
    for (const hpa of taken) pages.free(hpa);
  }
}

/** A call initializes a part only; the module says by whole GiB how far it has come. */
function initTdmr(seamcalls: Seamcalls, { base, size }: Tdmr): void {
  for (let calls = 0; calls < size / PAGE; calls++) {
    check("TDH.SYS.TDMR.INIT", seamcalls.sysTdmrInit(0, base));
    if (seamcalls.rdx >= BigInt(base + size)) return;
  }
  throw new KvmTdxError("EIO", `TDH.SYS.TDMR.INIT does not come to the end of the TDMR at 0x${base.toString(16)}`);
}

function check(call: string, status: bigint): void {
  if (status !== 0n) throw new KvmTdxError("EIO", `${call}: 0x${status.toString(16)}`);
}
