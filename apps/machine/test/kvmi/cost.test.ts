import { cr3, eax, ecx, rax, short } from "@vm/asm";
import { KvmiClient, transportPair } from "@vm/kvmi";
import { expect, it } from "vitest";
import type { Plugin } from "../../src/index.js";
import { kvmi } from "../../src/plugins/kvmi/plugin.js";
import { machineOf, powerOff } from "../guest.js";

/** Instructions that a guest of fixed work executes, counted time. */
async function instructions(plugins: readonly Plugin[], start = async (): Promise<void> => undefined): Promise<number> {
  const machine = await machineOf(
    (a) => {
      const again = a.label("again");
      a.mov(ecx, 200_000).bind(again).mov(rax, cr3).mov(cr3, rax).inc(eax).dec(ecx).jnz(short(again));
      powerOff(a);
    },
    { clock: "icount", plugins: [...plugins] },
  );
  await start();
  expect(await machine.run()).toEqual({ reason: "power-off", status: null });
  return machine.stats().instructions;
}

it("a guest that nobody watches executes the same instructions, whether there is a tool or not", async () => {
  const alone = await instructions([]);
  const [near, far] = transportPair();
  const attached = instructions([kvmi({ open: () => far })], async () => {
    const client = await KvmiClient.accept(near);
    expect(await client.vcpuCount()).toBe(1);
  });
  const waiting = instructions([kvmi({ open: () => transportPair()[1] })]);
  expect([await attached, await waiting]).toEqual([alone, alone]);
});
