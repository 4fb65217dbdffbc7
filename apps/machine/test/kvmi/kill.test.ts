import { KvmiClient, type Transport, transportPair } from "@vm/kvmi";
import { expect, it } from "vitest";
import type { Machine } from "../../src/index.js";
import { kvmi } from "../../src/plugins/kvmi/plugin.js";
import { machineOf } from "../guest.js";
import { PAGE } from "./introspected.js";
import { restless, rounds } from "./restless.js";

/** KVMI_KILLS=1000 for the long run. */
const KILLS = Number(process.env.KVMI_KILLS ?? 200);

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A tool that asks for and answers anything, until it is cut off. */
async function meddle(near: Transport, next: (below: number) => number): Promise<void> {
  const client = await KvmiClient.accept(near);
  const events = (async () => {
    for await (const event of client.events) {
      if (event.name === "pf" && next(2) === 0)
        event.reply({
          context: { address: BigInt(PAGE), data: new Uint8Array(next(200)) },
          repComplete: next(2) === 0,
        });
      else if (event.name === "pf" || event.name === "pause" || next(30) !== 0) event.reply();
      if (next(20) === 0) await turn();
    }
  })();
  const names = ["cr", "msr", "breakpoint", "hypercall", "pf", "descriptor", "cpuid", "singlestep"] as const;
  const acts: readonly (() => Promise<unknown>)[] = [
    () => client.controlEvent(0, names[next(names.length)] ?? "cr", next(3) !== 0),
    () => client.controlCr(0, 3, next(2) === 0),
    () => client.controlMsr(0, 0x174, next(2) === 0),
    () => client.controlSinglestep(0, next(2) === 0),
    () => client.setPageAccess(new Map([[next(2) === 0 ? PAGE : PAGE + 4096, next(8)]])),
    () => client.injectException(0, 6),
    () => client.pause(0),
    () => client.registers(0, [0x174]),
    () => client.writePhysical(PAGE + 128, new Uint8Array(64)),
    turn,
  ];
  for (let k = next(40); k > 0; k--) {
    const done = acts[next(acts.length)]?.().catch(() => undefined);
    if (next(2) === 0) await Promise.race([done, turn()]);
  }
  for (let k = next(20); k > 0; k--) await turn();
  client.close();
  await events;
}

it(`a tool that dies at any moment leaves the guest as it was, ${KILLS} times over`, async () => {
  let state = 1;
  const next = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const leftBehind: unknown[] = [];
  let gone = 0;
  let attached = 0;
  /** The first tool is there before the machine is. */
  const made: { machine?: Machine; own: readonly string[] } = { own: [] };
  const look = (): void => {
    const cpu = made.machine?.vcpus[0]?.cpu;
    if (cpu === undefined) return;
    if (cpu.singleStep) leftBehind.push("singleStep");
    leftBehind.push(...Object.keys(cpu.hooks).filter((name) => !made.own.includes(name)));
    leftBehind.push(...[0, 1].filter((k) => made.machine?.memory.withheld(PAGE / 4096 + k) !== 0));
  };
  const machine: Machine = await machineOf(restless, {
    plugins: [
      kvmi({
        retryMs: 0,
        open: () => {
          const [near, far] = transportPair();
          // Not before the guest can take an exception.
          const ready = (): boolean => made.machine !== undefined && rounds(made.machine) > 0;
          void (async () => {
            while (!ready()) await turn();
            await meddle(near, next);
          })();
          return far;
        },
        onHook: (hooked) => {
          attached += hooked ? 1 : 0;
          gone += hooked ? 0 : 1;
          if (!hooked) look();
        },
      }),
      {
        name: "before",
        install: ({ vcpus }) => {
          made.own = Object.keys(vcpus[0]?.cpu.hooks ?? {});
        },
      },
    ],
  });
  made.machine = machine;
  const ended = machine.run();
  while (gone < KILLS && machine.ended === null) await turn();
  expect(machine.ended).toBeNull();
  expect(leftBehind).toEqual([]);
  expect(attached).toBeGreaterThanOrEqual(KILLS);
  const left = rounds(machine);
  while (rounds(machine) === left && machine.ended === null) await turn();
  expect(machine.ended).toBeNull();
  machine.stop();
  expect(await ended).toEqual({ reason: "stopped" });
}, 3_600_000);
