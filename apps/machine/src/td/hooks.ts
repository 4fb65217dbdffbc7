import type { Vcpu, VcpuHooks } from "@vm/cpu";
import { ExitFlag, Licence } from "@vm/mmu";
import type { Outcome, TdGuest } from "@vm/tdx";
import type { TdGuestCpu } from "./guest-cpu.js";

const PAGE = 4096;
/** The leaf that writes to memory of the guest's that may have been decoded as code. */
const MR_REPORT = 4;
const EAX = 0;
const ECX = 1;

/**
 * What a processor asks the TDX module about instead of doing it. Nobody else observes it: these hooks are all there are.
 */
export function tdHooks(cpu: Vcpu, guest: TdGuestCpu, td: TdGuest): VcpuHooks {
  /** Has the guest left if that is the outcome. @returns whether the instruction is done, by whomever */
  const settle = (outcome: Outcome): boolean => {
    if (outcome !== "exit") return outcome === "done";
    const left = td.takeExit();
    if (left === undefined) throw new Error("the TDX module leaves a guest without an exit");
    if (left.completed) guest.leave(left.exit);
    else guest.leaveBefore(left.exit);
    return left.completed;
  };
  /** False vetoes: somebody else has done it. */
  const unless = (outcome: Outcome): boolean => outcome === "native" || !settle(outcome);
  const accessOf = (access: number): "read" | "write" | "fetch" =>
    (access & Licence.Write) !== 0 ? "write" : (access & Licence.Fetch) !== 0 ? "fetch" : "read";
  return {
    tdcall: () => {
      const leaf = cpu.regLo(EAX) & 0xffff;
      const written = leaf === MR_REPORT ? Number(guest.gpr.get(ECX) / BigInt(PAGE)) : -1;
      const done = settle(td.tdcall());
      if (written >= 0) cpu.code.drop(written);
      return done;
    },
    cpuid: () => unless(td.cpuid(cpu.regLo(EAX) >>> 0, cpu.regLo(ECX) >>> 0)),
    msrRead: (msr) => unless(td.rdmsr(msr >>> 0)),
    msrWrite: (msr, value) => unless(td.wrmsr(msr >>> 0, value)),
    extendedControl: (value) => unless(td.xsetbv(cpu.regLo(ECX) >>> 0, value)),
    controlRegister: (register, value) => unless(td.controlRegister(register, value)),
    hlt: () => unless(td.hlt()),
    wbinvd: () => unless(td.wbinvd()),
    invd: () => unless(td.invd()),
    monitor: () => settle(td.monitor()),
    mwait: () => settle(td.mwait()),
    hypercall: () => settle(td.vmcall()),
    rdpmc: () => settle(td.rdpmc()),
    io: (port, size, write) => {
      const form = cpu.ioForm;
      const { string: isString = false, rep: hasRep = false, immediate: isImmediate = false } = form ?? {};
      return unless(td.io({ port, size: size as 1 | 2 | 4, isIn: !write, isString, hasRep, isImmediate }));
    },
    // Memory of neither kind is there: the host's tables have an entry that lets #VE through.
    mmio: (gpa, _size, write, _value, address) =>
      unless(td.sharedViolation(gpa, address, write ? "write" : "read", false)),
    pageAccess: (gfn, access, address) => {
      if ((access & ExitFlag.Pending) === 0) return false;
      return td.pendingViolation(gfn * PAGE, address, accessOf(access)) === "exception" || settle("exit");
    },
  };
}
