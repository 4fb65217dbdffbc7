import { Gpr, type Gprs, RegisterFile } from "../module/gpr.js";
import { STATUS_CODE, Status } from "../module/status.js";

/** Who takes SEAMCALLs: the TDX module. RAX has leaf and version, and afterwards the status. */
export interface SeamcallPort {
  /** @param lp logical processor that makes the call, from 0 */
  seamcall(lp: number, regs: Gprs): void;
}

/** SEAMCALL leaves that KVM uses. Source: linux, arch/x86/virt/vmx/tdx/tdx.h. */
export enum Tdh {
  VpEnter = 0,
  MngAddcx = 1,
  MemPageAdd = 2,
  MemSeptAdd = 3,
  VpAddcx = 4,
  MemPageAug = 6,
  MemRangeBlock = 7,
  MngKeyConfig = 8,
  MngCreate = 9,
  VpCreate = 10,
  MngRd = 11,
  MrExtend = 16,
  MrFinalize = 17,
  VpFlush = 18,
  MngVpflushdone = 19,
  MngKeyFreeid = 20,
  MngInit = 21,
  VpInit = 22,
  VpRd = 26,
  PhymemPageReclaim = 28,
  MemPageRemove = 29,
  SysKeyConfig = 31,
  SysInit = 33,
  SysRd = 34,
  SysLpInit = 35,
  SysTdmrInit = 36,
  MemTrack = 38,
  PhymemCacheWb = 40,
  PhymemPageWbinvd = 41,
  VpWr = 43,
  SysConfig = 45,
}

/** Times a call without entropy is made before that is the answer. Linux: RDRAND_RETRY_LOOPS. */
const ENTROPY_RETRIES = 10;
const VERSION_SHIFT = 16;

function put(file: RegisterFile, gpr: Gpr, value: number | bigint): void {
  if (typeof value === "number") file.setNumber(gpr, value);
  else file.regs[gpr] = value;
}

/** Statuses up to this are a success. */
const LOW_32 = 0xffff_ffffn;

/** Whether a lock of the module was taken: the call changed nothing and may be made again. */
export function isOperandBusy(status: bigint): boolean {
  return status > LOW_32 && (status & STATUS_CODE) === Status.OPERAND_BUSY;
}

/**
 * SEAMCALLs by name. Addresses are physical and in bytes, levels those of Intel (0 is 4 KiB); every call returns the status, and what else it gave is in
 * {@link rcx}, {@link rdx} and {@link r8} until the next one. Names and operands: linux, arch/x86/virt/vmx/tdx/tdx.c.
 */
export class Seamcalls {
  readonly #port: SeamcallPort;
  readonly #file = new RegisterFile();
  readonly #regs: Gprs = this.#file.regs;

  constructor(port: SeamcallPort) {
    this.#port = port;
  }

  get rcx(): bigint {
    return this.#regs[Gpr.Rcx] as bigint;
  }

  get rdx(): bigint {
    return this.#regs[Gpr.Rdx] as bigint;
  }

  get r8(): bigint {
    return this.#regs[Gpr.R8] as bigint;
  }

  sysInit(lp: number): bigint {
    return this.#call(lp, Tdh.SysInit);
  }

  sysLpInit(lp: number): bigint {
    return this.#call(lp, Tdh.SysLpInit);
  }

  /** {@link r8} has the value of the global field. */
  sysRd(lp: number, field: bigint): bigint {
    return this.#call(lp, Tdh.SysRd, 0, field);
  }

  /** @param array of 64-bit addresses of `count` TDMR_INFO structures */
  sysConfig(lp: number, array: number, count: number, globalHkid: number): bigint {
    return this.#call(lp, Tdh.SysConfig, array, count, globalHkid);
  }

  sysKeyConfig(lp: number): bigint {
    return this.#call(lp, Tdh.SysKeyConfig);
  }

  /** {@link rdx} has the address that is to be initialized next. */
  sysTdmrInit(lp: number, tdmrBase: number): bigint {
    return this.#call(lp, Tdh.SysTdmrInit, tdmrBase);
  }

  mngCreate(lp: number, tdr: number, hkid: number): bigint {
    return this.#call(lp, Tdh.MngCreate, tdr, hkid);
  }

  mngKeyConfig(lp: number, tdr: number): bigint {
    return this.#call(lp, Tdh.MngKeyConfig, tdr);
  }

  mngAddcx(lp: number, tdr: number, tdcx: number): bigint {
    return this.#call(lp, Tdh.MngAddcx, tdcx, tdr);
  }

  mngInit(lp: number, tdr: number, tdParams: number): bigint {
    return this.#call(lp, Tdh.MngInit, tdr, tdParams);
  }

  /** {@link r8} has the value of the field. */
  mngRd(lp: number, tdr: number, field: bigint): bigint {
    return this.#call(lp, Tdh.MngRd, tdr, field);
  }

  mngVpflushdone(lp: number, tdr: number): bigint {
    return this.#call(lp, Tdh.MngVpflushdone, tdr);
  }

  mngKeyFreeid(lp: number, tdr: number): bigint {
    return this.#call(lp, Tdh.MngKeyFreeid, tdr);
  }

  memSeptAdd(lp: number, tdr: number, gpa: number, level: number, table: number): bigint {
    return this.#call(lp, Tdh.MemSeptAdd, gpa + level, tdr, table);
  }

  memPageAdd(lp: number, tdr: number, gpa: number, page: number, source: number): bigint {
    return this.#call(lp, Tdh.MemPageAdd, gpa, tdr, page, source);
  }

  memPageAug(lp: number, tdr: number, gpa: number, level: number, page: number): bigint {
    return this.#call(lp, Tdh.MemPageAug, gpa + level, tdr, page);
  }

  memRangeBlock(lp: number, tdr: number, gpa: number, level: number): bigint {
    return this.#call(lp, Tdh.MemRangeBlock, gpa + level, tdr);
  }

  memTrack(lp: number, tdr: number): bigint {
    return this.#call(lp, Tdh.MemTrack, tdr);
  }

  memPageRemove(lp: number, tdr: number, gpa: number, level: number): bigint {
    return this.#call(lp, Tdh.MemPageRemove, gpa + level, tdr);
  }

  /** Measures the 256 bytes at `gpa`. */
  mrExtend(lp: number, tdr: number, gpa: number): bigint {
    return this.#call(lp, Tdh.MrExtend, gpa, tdr);
  }

  mrFinalize(lp: number, tdr: number): bigint {
    return this.#call(lp, Tdh.MrFinalize, tdr);
  }

  vpCreate(lp: number, tdr: number, tdvpr: number): bigint {
    return this.#call(lp, Tdh.VpCreate, tdvpr, tdr);
  }

  vpAddcx(lp: number, tdvpr: number, tdcx: number): bigint {
    return this.#call(lp, Tdh.VpAddcx, tdcx, tdvpr);
  }

  /** @param x2apicId null for a module that does not take one (it has no topology enumeration) */
  vpInit(lp: number, tdvpr: number, rcx: bigint, x2apicId: number | null): bigint {
    if (x2apicId === null) return this.#call(lp, Tdh.VpInit, tdvpr, rcx);
    return this.#call(lp, Tdh.VpInit, tdvpr, rcx, x2apicId, 0, 1);
  }

  /** {@link r8} has the value of the field. */
  vpRd(lp: number, tdvpr: number, field: bigint): bigint {
    return this.#call(lp, Tdh.VpRd, tdvpr, field);
  }

  vpWr(lp: number, tdvpr: number, field: bigint, value: bigint, mask: bigint): bigint {
    return this.#call(lp, Tdh.VpWr, tdvpr, field, value, mask);
  }

  vpFlush(lp: number, tdvpr: number): bigint {
    return this.#call(lp, Tdh.VpFlush, tdvpr);
  }

  phymemCacheWb(lp: number, resume: boolean): bigint {
    return this.#call(lp, Tdh.PhymemCacheWb, resume ? 1 : 0);
  }

  phymemPageReclaim(lp: number, page: number): bigint {
    return this.#call(lp, Tdh.PhymemPageReclaim, page);
  }

  /** @param keyed the page's address with the host key id in the highest bits */
  phymemPageWbinvd(lp: number, keyed: bigint): bigint {
    return this.#call(lp, Tdh.PhymemPageWbinvd, keyed);
  }

  /**
   * Enters the guest with the registers `args` of its vCPU, where RCX becomes `tdvpr`; they hold what it left with afterwards.
   * @returns the status, with the exit reason in its lower half
   */
  vpEnter(lp: number, tdvpr: number, args: Gprs): bigint {
    args[Gpr.Rax] = BigInt(Tdh.VpEnter);
    args[Gpr.Rcx] = BigInt(tdvpr);
    this.#port.seamcall(lp, args);
    return args[Gpr.Rax] as bigint;
  }

  #call(
    lp: number,
    leaf: Tdh,
    rcx: number | bigint = 0,
    rdx: number | bigint = 0,
    r8: number | bigint = 0,
    r9: number | bigint = 0,
    version = 0,
  ): bigint {
    const regs = this.#regs;
    const file = this.#file;
    for (let tries = 1; ; tries++) {
      file.halves.fill(0);
      file.setNumber(Gpr.Rax, leaf + (version << VERSION_SHIFT));
      put(file, Gpr.Rcx, rcx);
      put(file, Gpr.Rdx, rdx);
      put(file, Gpr.R8, r8);
      put(file, Gpr.R9, r9);
      this.#port.seamcall(lp, regs);
      const status = regs[Gpr.Rax] as bigint;
      if (status !== Status.RND_NO_ENTROPY || tries === ENTROPY_RETRIES) return status;
    }
  }
}
