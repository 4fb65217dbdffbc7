import type { TdvmcallLeaf } from "../../src/kvm/tdvmcall.js";
import { Gpr } from "../../src/module/gpr.js";
import type { runningTd } from "./fixture.js";
import { tdvmcall } from "./guest.js";

type Td = Pick<Awaited<ReturnType<typeof runningTd>>, "vm" | "vcpu" | "cpu" | "task">;

/** Runs a TDVMCALL, and the guest again so that it gets its answer. */
export async function call(td: Td, leaf: TdvmcallLeaf | bigint, operands: Parameters<typeof tdvmcall>[0] = {}) {
  td.cpu.script = [tdvmcall({ R11: BigInt(leaf), ...operands })];
  const exit = await td.vm.run(td.task, td.vcpu);
  await td.vm.run(td.task, td.vcpu);
  const reg = (gpr: Gpr): bigint => td.cpu.regs[gpr] as bigint;
  return {
    exit,
    r10: reg(Gpr.R10),
    r11: reg(Gpr.R11),
    r12: reg(Gpr.R12),
    r13: reg(Gpr.R13),
    r14: reg(Gpr.R14),
    r15: reg(Gpr.R15),
  };
}
