import { DIALECTS, type DialectName, transportPair } from "@vm/kvmi";
import { expect, it } from "vitest";
import type { Machine } from "../../src/index.js";
import { kvmi } from "../../src/plugins/kvmi/plugin.js";
import { LOAD, machineOf } from "../guest.js";
import { Fuzzer } from "./fuzzer.js";
import { PAGE } from "./introspected.js";
import { random } from "./random.js";
import { restless, rounds, secondRounds, startSecond } from "./restless.js";

/** KVMI_FUZZ=1000000 for the long run, KVMI_SEED for another one. */
const MESSAGES = Number(process.env.KVMI_FUZZ ?? 20_000);
const SEED = Number(process.env.KVMI_SEED ?? 1);
/** A page nobody has any business with. */
const CANARY = 0x500000;
/** Turns of the event loop after which what has not happened never will. */
const PATIENCE = 20_000;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function bytes(machine: Machine, gpa: number): Uint8Array {
  const out = new Uint8Array(4096);
  machine.memory.read(gpa, out);
  return out;
}

it.each(Object.keys(DIALECTS) as DialectName[])(
  `whatever a tool sends, both processors of the guest go on and nothing is touched but its memory (%s, ${MESSAGES} messages)`,
  async (dialect) => {
    const next = random(SEED);
    let session: Fuzzer | null = null;
    let gone = 0;
    const desc = { dialect, random: next, vcpus: 2, harmless: { scratch: PAGE, exceptions: true } };
    let ready = false;
    const machine = await machineOf(restless, {
      cpus: 2,
      plugins: [
        { name: "attentive", install: (m) => m.attentive(1) },
        kvmi({
          dialect,
          retryMs: 0,
          open: () => {
            const [near, far] = transportPair();
            if (ready) session = new Fuzzer(desc, near);
            else near.close();
            return far;
          },
          onHook: (hooked) => {
            if (!hooked) gone++;
          },
        }),
      ],
    });
    startSecond(machine);
    machine.memory.write(CANARY, new Uint8Array(4096).fill(0xa5));
    const before = [bytes(machine, LOAD), bytes(machine, CANARY)];
    const ended = machine.run();
    /** Waits for `done`; not for ever. */
    const until = async (what: string, done: () => boolean): Promise<void> => {
      for (let k = 0; !done(); k++) {
        if (machine.ended !== null) throw new Error(`${what}: ${JSON.stringify(machine.ended)}`);
        if (k === PATIENCE) throw new Error(`${what}: waiting for ever`);
        await turn();
      }
    };
    /** Both processors make progress. */
    const alive = async (when: string): Promise<void> => {
      const [first, second] = [rounds(machine), secondRounds(machine)];
      await until(`${when}: processor 0`, () => rounds(machine) !== first);
      await until(`${when}: processor 1`, () => secondRounds(machine) !== second);
    };
    await alive("before");
    ready = true;
    let [sent, replies, events, sessions] = [0, 0, 0, 0];
    while (sent < MESSAGES) {
      await until("a connection", () => session !== null);
      const tool = session as unknown as Fuzzer;
      const left = gone;
      for (let k = next(400); k > 0 && !tool.closed && tool.send(); k--) if (next(3) === 0) await turn();
      const hooked = tool.replies + tool.events > 0;
      // If the machine has closed the connection, the next one may be there already.
      if (session === tool) session = null;
      tool.close();
      const when = `seed ${SEED}, behind message ${sent + tool.sent}`;
      await until(`${when}: the end`, () => !hooked || gone > left);
      sent += tool.sent;
      replies += tool.replies;
      events += tool.events;
      sessions++;
      for (const { gpa, size } of tool.touched)
        if (!machine.memory.backed(gpa, size)) throw new Error(`${when}: ${size} bytes at ${gpa} are no memory`);
      await alive(when);
    }
    expect([bytes(machine, LOAD), bytes(machine, CANARY)]).toEqual(before);
    expect(sessions).toBeGreaterThan(1);
    expect(replies).toBeGreaterThan(MESSAGES / 20);
    expect(events).toBeGreaterThan(MESSAGES / 200);
    machine.stop();
    expect(await ended).toEqual({ reason: "stopped" });
  },
  3_600_000,
);
