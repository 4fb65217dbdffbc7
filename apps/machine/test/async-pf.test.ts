import { mem, rax } from "@vm/asm";
import { describe, expect, it } from "vitest";
import { type BareOptions, createBareMachine } from "../src/index.js";
import { asyncPfGuest, SEND_ALWAYS } from "./async-pf-guest.js";
import { ENGINE } from "./guest.js";

const LATE = 0x1000000;
const CHUNKS = 6;

/** A guest that touches memory which is late. @param enable bits of MSR_KVM_ASYNC_PF_EN besides ENABLED and DELIVERY_AS_INT */
const guest = (enable: number, interrupts: boolean): Uint8Array =>
  asyncPfGuest({
    enable,
    body: (a) => {
      if (!interrupts) a.cli();
      for (let chunk = 0; chunk < CHUNKS; chunk++) a.mov(rax, mem(LATE + 0x10000 * chunk));
      a.sti();
    },
  });

async function run(image: Uint8Array, options: Partial<BareOptions> = {}) {
  const machine = await createBareMachine({ image, memory: 64 << 20, lateMemoryMs: 0, ...ENGINE, ...options });
  const exit = await machine.run();
  expect(machine.stats().lateMemory?.demanded).toBeGreaterThanOrEqual(CHUNKS);
  return exit.reason === "debug-exit" ? { faults: exit.code & 0xff, interrupts: exit.code >> 8 } : exit;
}

describe("memory that arrives late", () => {
  it("is told to CPL 0 with SEND_ALWAYS, each time, and the interrupt comes (statement 8)", async () => {
    expect(await run(guest(SEND_ALWAYS, true))).toEqual({ faults: CHUNKS, interrupts: CHUNKS + 1 });
  });

  it("never without (statement 7, the seed)", async () => {
    expect(await run(guest(0, true))).toEqual({ faults: 0, interrupts: 1 });
  });

  it("nor while interrupts are off (statement 9)", async () => {
    expect(await run(guest(SEND_ALWAYS, false))).toEqual({ faults: 0, interrupts: 1 });
  });

  it("nor where time is counted", async () => {
    expect(await run(guest(SEND_ALWAYS, true), { clock: "icount" })).toEqual({ faults: 0, interrupts: 1 });
  });

  it.each([-1, 60_001, Number.NaN])("%d ms are refused", async (lateMemoryMs) => {
    await expect(run(guest(0, true), { lateMemoryMs })).rejects.toMatchObject({ code: "option" });
  });
});
