import { DIALECTS, type DialectName, handshakeFromTool, type Transport, transportPair } from "@vm/kvmi";
import { createMachine, kvmi, type Machine } from "@vm/machine";
import { elfKernel } from "../../../../apps/machine/test/elf-kernel.js";
import { Fuzzer } from "../../../../apps/machine/test/kvmi/fuzzer.js";
import { PAGE } from "../../../../apps/machine/test/kvmi/handlers.js";
import { restless, rounds, secondRounds, startSecond } from "../../../../apps/machine/test/kvmi/restless.js";
import { type Door, Violation } from "../door.js";
import { Demands } from "../kvmi/demands.js";
import { Random } from "../random.js";
import { turn, until } from "../turn.js";

/** Bytes of messages that are made in one turn, and how many such batches are sent in one. */
const BATCH = 8 * 1024;
const BURST = 12;
/** How a log begins when the fault is the server's. */
const FAILED = "introspection has failed";

/** What a case knows of its tool. */
interface Tool {
  readonly random: Random;
  readonly dialect: DialectName;
  readonly vcpus: number;
  readonly near: Transport;
  /** Counts messages. */
  sent: number;
}

/** How tools behave; each leaves or is thrown out in the end. */
const TOOLS: Readonly<Record<string, (tool: Tool) => Promise<void>>> = {
  /** Whatever can be sent, and replies to events. */
  anything: async (tool) => {
    const { random, dialect, vcpus, near } = tool;
    const desc = {
      dialect,
      vcpus,
      random: (n: number) => random.below(n),
      harmless: { scratch: PAGE, exceptions: true },
    };
    const fuzzer = new Fuzzer(desc, near);
    for (let k = 20 + random.below(200); k > 0 && !fuzzer.closed && fuzzer.send(); k--)
      if (random.chance(30)) await turn();
    tool.sent = fuzzer.sent;
  },
  /** Asks for more and more. */
  greedy: async (tool) => {
    shakeHands(tool.near);
    await demand(tool, 4 + tool.random.below(12));
  },
  /** The same, and never reads an answer. */
  deaf: async (tool) => {
    shakeHands(tool.near);
    tool.near.pause();
    await demand(tool, 4 + tool.random.below(12));
  },
  /** Bytes one by one, noise, and a message that never ends. */
  noise: async ({ random, near }) => {
    if (random.chance(70)) shakeHands(near);
    for (let k = random.below(300); k > 0; k--) near.write(Uint8Array.from(random.bytes(1 + random.below(40))));
    await turn();
  },
};

function shakeHands(near: Transport): void {
  near.start({ data: () => undefined, drained: () => undefined, closed: () => undefined });
  near.write(handshakeFromTool.encode({ struct_size: handshakeFromTool.size, cookie_hash: new Uint8Array(20) }));
}

async function demand(tool: Tool, batches: number): Promise<void> {
  const demands = new Demands(DIALECTS[tool.dialect], tool.random, tool.vcpus);
  for (let k = 0; k < batches; k++) {
    const burst: Uint8Array[] = [];
    for (let parts = 1 + tool.random.below(BURST); parts > 0; parts--) {
      const { bytes, messages } = demands.batch(BATCH);
      tool.sent += messages;
      burst.push(bytes);
      await turn();
    }
    for (const bytes of burst) tool.near.write(bytes);
  }
}

/** Both processors make progress. */
async function alive(machine: Machine, when: string): Promise<void> {
  const [first, second] = [rounds(machine), secondRounds(machine)];
  const ended = (): boolean => {
    if (machine.ended !== null) throw new Violation("machine ended", `${when}: ${JSON.stringify(machine.ended)}`);
    return false;
  };
  await until(`${when}: processor 0`, () => ended() || rounds(machine) !== first);
  if (machine.vcpus.length > 1) await until(`${when}: processor 1`, () => ended() || secondRounds(machine) !== second);
}

/** Tools against a machine whose guest never rests. */
export const kvmiServer: Door = {
  name: "kvmi-server",
  summary: "introspection tools that send anything, ask for more and more, and never read",
  check: async (seed, opened) => {
    const random = new Random(seed);
    const dialect = random.pick(Object.keys(DIALECTS) as DialectName[]);
    const cpus = random.pick([1, 2]);
    const clock = random.pick(["host", "icount"] as const);
    const log: string[] = [];
    const waiting: Transport[] = [];
    let hooked = false;
    const machine = await createMachine({
      memory: 16 << 20,
      kernel: elfKernel(restless),
      cpus,
      clock,
      plugins: [
        kvmi({
          dialect,
          retryMs: 0,
          log: (message) => void log.push(message),
          onHook: (now) => {
            hooked = now;
          },
          open: () => {
            const [near, far] = transportPair();
            waiting.push(near);
            return far;
          },
        }),
      ],
    });
    if (cpus > 1) startSecond(machine);
    const end = machine.run();
    await alive(machine, "before");
    opened();
    const kinds: string[] = [];
    let sent = 0;
    for (let k = 1 + random.below(2); k > 0; k--) {
      const kind = random.pick(Object.keys(TOOLS));
      await until("a connection", () => waiting.length > 0);
      const near = waiting.shift() as Transport;
      const tool: Tool = { random, dialect, vcpus: cpus, near, sent: 0 };
      await TOOLS[kind]?.(tool);
      near.close();
      await until(`the end of a tool that sends ${kind}`, () => !hooked);
      kinds.push(kind);
      sent += tool.sent;
      await alive(machine, `after a tool that sends ${kind}`);
    }
    machine.stop();
    const exit = await end;
    if (exit.reason === "internal-error") throw exit.error;
    const failed = log.find((line) => line.startsWith(FAILED));
    if (failed !== undefined) throw new Violation("server failed", failed);
    return { sums: { messages: sent }, kinds: { tools: kinds.join("+"), dialect } };
  },
};
