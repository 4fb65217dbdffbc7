import type { Gpr, Gprs } from "./gpr.js";
import type { ModuleState } from "./module-state.js";
import { PAGE_BYTES, PageSize, PageType } from "./page-type.js";
import type { PamtEntry } from "./pamt.js";
import { type OperandId, Status, withOperand } from "./status.js";
import type { Td } from "./td.js";
import type { TdVcpu } from "./td-vcpu.js";
import type { Lock, LockMode } from "./try-lock.js";

/** Physical addresses have fewer bits than this. */
const MAX_PA = 2n ** 52n;

/**
 * One call of the host: its registers, the TD and vCPU that it opened, and the locks it holds. What a leaf asks of it answers with what was asked for, or with the
 * status that the leaf ends with.
 */
export class Seamcall {
  /** The TD, of leaves that open one. */
  td!: Td;
  /** The vCPU, of leaves that open one. */
  vcpu!: TdVcpu;
  /** What it holds, and in the same place how. */
  readonly #held: Lock[] = [];
  readonly #modes: LockMode[] = [];

  constructor(
    readonly module: ModuleState,
    /** Number of the logical processor. */
    readonly lp: number,
    /** Registers as the host gave them. */
    readonly regs: Gprs,
    /** Registers as the host gets them. */
    readonly out: Gprs,
    /** 0 to 255. */
    readonly version: number,
    /** XMM0 to XMM15 of the host, for TDVMCALLs that hand them over. */
    readonly xmm: Uint8Array,
  ) {}

  get package(): number {
    return this.module.packageOf(this.lp);
  }

  /** Number in a register, up to 2^53; what is more loses low bits and is out of every range that is checked for. */
  number(gpr: Gpr): number {
    return Number(this.regs[gpr]);
  }

  /** Takes a lock until the leaf ends. @returns SUCCESS, or busy with `operand` */
  take(lock: Lock, mode: LockMode, operand: OperandId | Gpr): bigint {
    const status = lock.acquire(mode);
    if (status !== Status.SUCCESS) return withOperand(status, operand);
    this.#held.push(lock);
    this.#modes.push(mode);
    return status;
  }

  /** Gives back a lock before the leaf ends. */
  drop(lock: Lock): void {
    const at = this.#held.indexOf(lock);
    if (at < 0) return;
    this.#held.splice(at, 1);
    for (const mode of this.#modes.splice(at, 1)) lock.release(mode);
  }

  /** Gives back all locks. */
  end(): void {
    for (let lock = this.#held.pop(); lock !== undefined; lock = this.#held.pop())
      lock.release(this.#modes.pop() as LockMode);
  }

  /**
   * The physical address in a register, of a page of `size` that is to be a private one: aligned and without a key id.
   * @param flags bits that are no part of the address
   */
  privateAddress(gpr: Gpr, size: PageSize, flags = 0n): number | bigint {
    const raw = (this.regs[gpr] as bigint) & ~flags;
    const address = Number(raw);
    if (raw >= MAX_PA || address % PAGE_BYTES[size] !== 0 || address >= 2 ** this.module.hkidShift)
      return withOperand(Status.OPERAND_INVALID, gpr);
    return address;
  }

  /** The page of `size` that a register names, locked: it has to have `type`. */
  page(gpr: Gpr, type: PageType, mode: LockMode, size: PageSize = PageSize.Size4K, flags = 0n): Page | bigint {
    const hpa = this.privateAddress(gpr, size, flags);
    if (typeof hpa === "bigint") return hpa;
    const path = this.module.pamt.path(hpa, size);
    const entry = path.at(-1);
    if (entry === undefined) return withOperand(Status.OPERAND_ADDR_RANGE_ERROR, gpr);
    for (const node of path) {
      const busy = this.take(node.lock, node === entry ? mode : "shared", gpr);
      if (busy !== Status.SUCCESS) return busy;
    }
    if (entry.size !== size || entry.type !== type) return withOperand(Status.PAGE_METADATA_INCORRECT, gpr);
    return { hpa, entry };
  }

  /** The page of `size` that a register names, locked: it has to be nobody's, and so all there is in it. */
  freePage(gpr: Gpr, size: PageSize = PageSize.Size4K): Page | bigint {
    const page = this.page(gpr, PageType.Nda, "exclusive", size);
    if (typeof page === "bigint" || size === PageSize.Size4K) return page;
    return this.module.pamt.isRangeFree(page.hpa) ? page : withOperand(Status.PAGE_METADATA_INCORRECT, gpr);
  }

  /** The memory of the host that a register names: `size` bytes, a power of two up to 4096, aligned to their size. */
  sharedMemory(gpr: Gpr, size: number): Uint8Array | bigint {
    return this.sharedAt(this.regs[gpr] as bigint, size) ?? withOperand(Status.OPERAND_INVALID, gpr);
  }

  /** As {@link sharedMemory}, by address. */
  sharedAt(address: bigint, size: number): Uint8Array | undefined {
    const { hkidShift, platform } = this.module;
    const key = 2 ** hkidShift;
    const raw = Number(address);
    if (address >= MAX_PA || raw % size !== 0 || Math.floor(raw / key) >= platform.privateHkids.first) return undefined;
    const hpa = raw % key;
    if (!this.module.isConvertible(hpa, size) || !this.module.isShared(hpa)) return undefined;
    const at = hpa % PAGE_BYTES[PageSize.Size4K];
    return this.module.frame(hpa).subarray(at, at + size);
  }
}

/** A page and its metadata. */
export interface Page {
  readonly hpa: number;
  readonly entry: PamtEntry;
}
