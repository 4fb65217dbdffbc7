import { checkPlatform } from "./check-platform.js";
import { Gpr, type Gprs, XMM_BYTES } from "./gpr.js";
import type { SeamcallLeaf } from "./leaf.js";
import { SEAMCALLS } from "./leaves/table.js";
import { ModuleState, SysState } from "./module-state.js";
import { open } from "./open.js";
import type { PlatformDesc } from "./platform.js";
import { PrivateFrameError } from "./private-frame-error.js";
import { CallFrame, Seamcall } from "./seamcall.js";
import { OperandId, Status, withOperand } from "./status.js";
import type { CallRecord } from "./trace.js";
import type { LockMode } from "./try-lock.js";

const LEAF_BITS = 0xffff;
const VERSION_SHIFT = 16;
const VERSION_BITS = 0xff;
/** Bits of RAX's lower half that are neither leaf nor version. */
const RESERVED_SHIFT = 24;
const VP_ENTER = 0;
const LP_SHUTDOWN = 44;

/**
 * A TDX module in software: what a host asks of it by SEAMCALL. It keeps the state of all TDs, says which frames of memory are theirs, and runs their vCPUs.
 * Intel's module 1.5.01, with TOPOLOGY_ENUM; without migration, service TDs, TD partitioning and module update.
 */
export class TdxModule {
  readonly state: ModuleState;
  /** Called after every SEAMCALL; for TDCALLs see the guest side. */
  onTrace: ((record: CallRecord) => void) | undefined;
  /** For calls to come: one for each call that was ever under way within another. */
  readonly #frames: CallFrame[] = [];
  /** XMM registers of hosts that hand none over. */
  readonly #noXmm = new Uint8Array(XMM_BYTES);

  /** @throws {PlatformError} for a platform that no module could be loaded on */
  constructor(platform: PlatformDesc) {
    this.state = new ModuleState(platform);
    checkPlatform(platform, this.state.hkidShift);
  }

  /**
   * SEAMCALL on logical processor `lp`. Any register contents are fine: what is wrong with them is in the status.
   * @param regs by {@link Gpr}; RAX in: leaf 15:0, version 23:16; out: status
   * @param xmm 256 bytes, needed for TDVMCALLs that hand XMM registers over
   * @throws {RangeError} if the platform has no such processor
   */
  seamcall(lp: number, regs: Gprs, xmm?: Uint8Array): void {
    if (this.state.platform.processors[lp] === undefined)
      throw new RangeError(
        `logical processor ${lp}; the platform has 0 to ${this.state.platform.processors.length - 1}`,
      );
    const frame = this.#frames.pop() ?? new CallFrame();
    const { input } = frame;
    input.regs.set(regs);
    const rax = input.halves[2 * Gpr.Rax] as number;
    const number = rax & LEAF_BITS;
    const leaf = SEAMCALLS.get(number);
    const version = (rax >>> VERSION_SHIFT) & VERSION_BITS;
    const call = new Seamcall(this.state, lp, frame, regs, version, xmm ?? this.#zeroXmm(number));
    const status = this.#dispatch(leaf, call);
    regs[Gpr.Rax] = status;
    if (this.onTrace === undefined) this.#frames.push(frame);
    else this.onTrace({ kind: "seamcall", leaf: number, version, name: leaf?.name, input: input.regs, status, lp });
  }

  /** Only an entry looks at them, and leaves the guest's there. */
  #zeroXmm(leaf: number): Uint8Array {
    return leaf === VP_ENTER ? this.#noXmm.fill(0) : this.#noXmm;
  }

  /** Whether the frame at `hpa` is not the host's: a TD's memory or control page, or the module's own. */
  isPrivate(hpa: number): boolean {
    return !this.state.isShared(hpa);
  }

  /**
   * The 4096 bytes of a frame, for the host: how everybody but TDs comes to memory.
   * @param hpa multiple of 4096, in the platform's memory
   * @throws {PrivateFrameError} for a frame that is not the host's
   */
  hostFrame(hpa: number): Uint8Array {
    if (this.isPrivate(hpa)) throw new PrivateFrameError(hpa, this.state.pamt.typeOf(hpa));
    return this.state.platform.memory.page(hpa);
  }

  #dispatch(leaf: SeamcallLeaf | undefined, call: Seamcall): bigint {
    const { state } = this;
    const { halves } = call;
    const isReserved =
      (halves[2 * Gpr.Rax] as number) >>> RESERVED_SHIFT !== 0 || (halves[2 * Gpr.Rax + 1] as number) !== 0;
    if (isReserved || (call.version > 0 && !leaf?.versions)) return withOperand(Status.OPERAND_INVALID, OperandId.Rax);
    if (state.sys === SysState.Shutdown && leaf?.number !== LP_SHUTDOWN) return Status.SYS_SHUTDOWN;
    if (state.sys !== SysState.Ready && !leaf?.beforeReady) return Status.SYS_NOT_READY;
    if (leaf === undefined || call.version > (leaf.versions ?? 0))
      return withOperand(Status.OPERAND_INVALID, OperandId.Rax);
    if (leaf.outputs !== undefined) for (const gpr of leaf.outputs) call.out[gpr] = 0n;
    try {
      const opened = open(call, leaf);
      return opened === Status.SUCCESS ? leaf.run(call) : opened;
    } finally {
      call.end();
    }
  }

  /** Holds a lock as a call of another logical processor would; the result gives it back. */
  hold(lock: { acquire(mode: LockMode): bigint; release(mode: LockMode): void }, mode: LockMode): () => void {
    if (lock.acquire(mode) !== Status.SUCCESS) throw new RangeError("the lock is taken");
    return () => lock.release(mode);
  }
}
