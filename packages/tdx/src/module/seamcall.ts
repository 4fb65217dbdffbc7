import { type Gpr, type Gprs, RegisterFile } from "./gpr.js";
import type { ModuleState } from "./module-state.js";
import { PAGE_BYTES, PageSize, PageType } from "./page-type.js";
import type { PamtEntry } from "./pamt.js";
import { type OperandId, Status, withOperand } from "./status.js";
import type { Td } from "./td.js";
import type { TdVcpu } from "./td-vcpu.js";
import type { Lock, LockMode } from "./try-lock.js";

/** What a call works in; the next one may have it when it has ended. */
export class CallFrame {
  /** Registers as the host gave them. */
  readonly input = new RegisterFile();
  /** Locks that the call holds, and in the same place how. */
  readonly held: Lock[] = [];
  readonly modes: LockMode[] = [];
}

/** Physical addresses have fewer bits than this. */
const MAX_PA = 2 ** 52;
const HALF = 2 ** 32;

/**
 * One call of the host: its registers, the TD and vCPU that it opened, and the locks it holds. What a leaf asks of it answers with what was asked for, or with the
 * status that the leaf ends with.
 */
export class Seamcall {
  /** The TD, of leaves that open one. */
  td!: Td;
  /** The vCPU, of leaves that open one. */
  vcpu!: TdVcpu;
  /** Registers as the host gave them. */
  readonly regs: Gprs;
  /** The same, number 2n being the low half of register n. */
  readonly halves: Uint32Array;
  readonly #held: Lock[];
  readonly #modes: LockMode[];

  constructor(
    readonly module: ModuleState,
    /** Number of the logical processor. */
    readonly lp: number,
    { input, held, modes }: CallFrame,
    /** Registers as the host gets them. */
    readonly out: Gprs,
    /** 0 to 255. */
    readonly version: number,
    /** XMM0 to XMM15 of the host, for TDVMCALLs that hand them over. */
    readonly xmm: Uint8Array,
  ) {
    this.regs = input.regs;
    this.halves = input.halves;
    this.#held = held;
    this.#modes = modes;
  }

  get package(): number {
    return this.module.packageOf(this.lp);
  }

  /** Number in a register, up to 2^53; what is more loses low bits and is out of every range that is checked for. */
  number(gpr: Gpr): number {
    return (this.halves[2 * gpr] as number) + (this.halves[2 * gpr + 1] as number) * HALF;
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
    const at = this.#held.lastIndexOf(lock);
    if (at < 0) return;
    lock.release(this.#modes[at] as LockMode);
    this.#held.copyWithin(at, at + 1).pop();
    this.#modes.copyWithin(at, at + 1).pop();
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
    const address = flags === 0n ? this.number(gpr) : Number((this.regs[gpr] as bigint) & ~flags);
    if (address >= MAX_PA || address % PAGE_BYTES[size] !== 0 || address >= this.module.firstKeyed)
      return withOperand(Status.OPERAND_INVALID, gpr);
    return address;
  }

  /** The page of `size` that a register names, locked: it has to have `type`. */
  page(gpr: Gpr, type: PageType, mode: LockMode, size: PageSize = PageSize.Size4K, flags = 0n): Page | bigint {
    const hpa = this.privateAddress(gpr, size, flags);
    if (typeof hpa === "bigint") return hpa;
    const block = this.module.pamt.block(hpa);
    if (block === undefined) return withOperand(Status.OPERAND_ADDR_RANGE_ERROR, gpr);
    for (let level = PageSize.Size1G; ; level--) {
      const entry = block.entry(hpa, level);
      const isLast = level === size || entry.type === PageType.Reg;
      const busy = this.take(entry, isLast ? mode : "shared", gpr);
      if (busy !== Status.SUCCESS) return busy;
      if (!isLast) continue;
      if (level !== size || entry.type !== type) return withOperand(Status.PAGE_METADATA_INCORRECT, gpr);
      return { hpa, entry };
    }
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
    const { firstKeyed: key, platform } = this.module;
    const raw = Number(address);
    if (raw >= MAX_PA || raw % size !== 0 || Math.floor(raw / key) >= platform.privateHkids.first) return undefined;
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
