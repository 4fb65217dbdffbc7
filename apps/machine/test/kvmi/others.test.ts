import { al, eax, mem, rdi } from "@vm/asm";
import { expect, it } from "vitest";
import type { Machine } from "../../src/index.js";
import { type Introspected, PAGE } from "./introspected.js";
import { introspected } from "./introspected-here.js";
import { secondRounds, startSecond } from "./restless.js";

const POWER_OFF = { reason: "power-off" };
const WRITE = 2;
const ALL_BUT_WRITE = 5;
/** Turns of the event loop after which what has not happened never will. */
const PATIENCE = 20_000;

/** The second processor goes on. */
async function secondGoesOn(machine: Machine): Promise<void> {
  const before = secondRounds(machine);
  for (let k = 0; secondRounds(machine) < before + 3; k++) {
    if (k === PATIENCE) throw new Error("the second processor stands still");
    await new Promise(setImmediate);
  }
}

/** Two processors: the first runs `write`'s code when it is told to, the second counts. */
async function two(write: Parameters<typeof introspected>[0]): Promise<Introspected> {
  const guest = await introspected(write, { cpus: 2, clock: "host" });
  startSecond(guest.machine);
  await secondGoesOn(guest.machine);
  return guest;
}

it("one vCPU waits for the reply to an event: the other goes on", async () => {
  const { client, machine, ended, go, event } = await two((a) => a.xor(eax, eax).cpuid());
  await client.controlEvent(0, "cpuid", true);
  await go();
  const waiting = await event("cpuid");
  await secondGoesOn(machine);
  // So does the tool: it may look at either meanwhile.
  expect((await client.registers(1)).mode).toBe(2);
  await secondGoesOn(machine);
  waiting.reply();
  expect(await ended).toMatchObject(POWER_OFF);
});

it("one vCPU is paused: the other goes on", async () => {
  const { client, machine, ended, go, event } = await two(() => undefined);
  await client.pause(0);
  const paused = await event("pause");
  await secondGoesOn(machine);
  paused.reply();
  await go();
  expect(await ended).toMatchObject(POWER_OFF);
});

it("an instruction that was let over a restricted page, alone, is reported once more: the other vCPU goes on meanwhile", async () => {
  const { client, machine, ended, go, event } = await two((a) => a.mov(rdi, PAGE).sgdt(mem(rdi)));
  await client.controlEvent(0, "descriptor", true);
  await client.controlEvent(0, "pf", true);
  await client.setPageAccess(new Map([[PAGE, ALL_BUT_WRITE]]));
  await go();
  (await event("descriptor")).reply();
  const write = await event("pf");
  expect(write.data.access).toBe(WRITE);
  await secondGoesOn(machine);
  write.reply();
  const again = await event("descriptor");
  await secondGoesOn(machine);
  again.reply();
  expect(await ended).toMatchObject(POWER_OFF);
  const table = new Uint8Array(2);
  machine.memory.read(PAGE, table);
  expect(table).not.toEqual(new Uint8Array(2));
});

it("a vCPU is paused while its turn to step has not come or is not over: the other goes on, and in the end the step is made", async () => {
  const { client, machine, ended, go, event } = await two((a) => a.mov(rdi, PAGE).mov(al, 7).mov(mem(rdi), al));
  await client.controlEvent(0, "pf", true);
  await client.setPageAccess(new Map([[PAGE, ALL_BUT_WRITE]]));
  await go();
  const write = await event("pf");
  // The pause is asked for before the reply is sent, so it is what comes next, with the page about to be opened.
  await client.pause(0);
  write.reply();
  const paused = await event("pause");
  await secondGoesOn(machine);
  paused.reply();
  expect(await ended).toMatchObject(POWER_OFF);
  const written = new Uint8Array(1);
  machine.memory.read(PAGE, written);
  expect(written[0]).toBe(7);
});

it("a tool that asks where an address leads leaves no mark in the guest's page tables", async () => {
  const { client, ended, go } = await introspected(() => undefined);
  const { sregs } = await client.registers(0);
  const word = async (at: bigint): Promise<bigint> =>
    new DataView((await client.readPhysical(at, 8)).slice().buffer).getBigUint64(0, true);
  // Memory is mapped by pages of 2 MiB; the guest has not touched that of 12 MiB.
  const far = 12n << 20n;
  const table = (entry: bigint): bigint => entry & 0xf_ffff_ffff_f000n;
  const directory = table(await word(table(await word(table(sregs.cr3)))));
  const entry = directory + 8n * (far >> 21n);
  const before = await word(entry);
  expect(before & 0xa1n).toBe(0x81n);
  expect(await client.translate(0, far)).toBe(far);
  expect(await word(entry)).toBe(before);
  await go();
  expect(await ended).toMatchObject(POWER_OFF);
});
