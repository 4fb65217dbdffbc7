import { describe, expect, it } from "vitest";
import { Gpr } from "../../src/module/gpr.js";
import { knock, VP_ENTER, World } from "./door.js";
import { countFrom, Random } from "./random.js";

/** SEAMCALLs with registers as a hostile host would fill them: `VM_TDX_FUZZ=1000000` for a long run. */
const CALLS = countFrom("VM_TDX_FUZZ", 20_000);
describe("the SEAMCALL door", () => {
  it(`answers ${CALLS} random SEAMCALLs with statuses of the table, and keeps what holds`, () => {
    const reached = knock(new Random(0x5ea_ca11), CALLS);
    expect(reached.has("SUCCESS")).toBe(true);
    expect(reached.size).toBeGreaterThan(20);
  }, 3_600_000);

  it("never changes a register but those that a leaf answers in, RAX apart", () => {
    const random = new Random(7);
    const world = new World(random);
    const outputs = new Set([Gpr.Rcx, Gpr.Rdx, Gpr.R8, Gpr.R9, Gpr.R10, Gpr.R11]);
    for (let i = 0; i < 2000; i++) {
      const regs = world.registers();
      const before = regs.slice();
      const leaf = Number((before[Gpr.Rax] ?? 0n) & 0xffffn);
      world.host.module.seamcall(0, regs);
      if (leaf === VP_ENTER || leaf === 52) continue;
      for (let gpr = 1; gpr < 16; gpr++) if (!outputs.has(gpr)) expect(regs[gpr]).toBe(before[gpr]);
    }
  }, 60_000);
});
