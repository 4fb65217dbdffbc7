import { expect, test } from "vitest";
import { createMachine } from "../../src/index.js";
import { BIOS_STUBS, GENERATION } from "../../src/layout.js";
import type { VirtualMachine } from "../../src/virtual-machine.js";
import { ENGINE } from "../guest.js";

test("a guest that has cleared what a BIOS leaves in memory finds it cleared when it goes on", async () => {
  const parent = (await createMachine({ clock: "icount", memory: 16 << 20, ...ENGINE })) as VirtualMachine;
  for (const page of [BIOS_STUBS, GENERATION]) parent.memory.write(page, new Uint8Array(4096));
  const snapshot = await parent.snapshot({ stop: true });
  const machine = (await createMachine({ snapshot, ...ENGINE })) as VirtualMachine;
  for (const page of [BIOS_STUBS, GENERATION]) {
    const bytes = new Uint8Array(4096);
    machine.memory.read(page, bytes);
    expect(bytes.every((byte) => byte === 0)).toBe(true);
  }
  machine.stop();
  await machine.run();
});
