import { setImmediate } from "node:timers/promises";
import { StateError } from "@vm/devices";
import type { MachineDisk } from "../../src/disk/saved-disk.js";
import { Say } from "../../src/exec/agent-abi.js";
import { ExecAgent, type ExecPort } from "../../src/exec/exec-agent.js";
import { rootWords } from "../../src/exec/exec-plan.js";
import {
  createMachine,
  MachineError,
  type MachineOptions,
  type MachineSnapshot,
  MemoryDisk,
  OverlayDisk,
} from "../../src/index.js";
import { FakeAgent, int64 } from "../exec/fake-agent.js";

/** A saved machine, of which nothing is made up yet. */
export interface Sound {
  readonly snapshot: MachineSnapshot;
  readonly disks: () => MachineDisk[];
}

/** Whole numbers from 0 to below a limit. */
export interface Dice {
  below(limit: number): number;
}

const KINDS: readonly MachineOptions[] = [
  { clock: "icount", legacyDevices: true },
  { clock: "icount", pci: true, testDevices: true },
  { clock: "host", pci: true, legacyDevices: true },
];
/** Turns of the event loop that a machine runs for. */
const TURNS = 4;

const disks = (): MachineDisk[] => [new MemoryDisk(1 << 18), new OverlayDisk(new MemoryDisk(1 << 20))];

/** Machines with all that a machine can have, saved at different moments; at some a command runs in the guest. */
export async function soundMachines(): Promise<readonly Sound[]> {
  const all: Sound[] = [];
  for (const [k, kind] of KINDS.entries())
    for (const at of [0, 5000 * (k + 1)]) {
      const own = disks();
      own[1]?.write(9, new Uint8Array(512).fill(7));
      const options: MachineOptions = { memory: 16 << 20, cpus: 2, kvmClock: true, asyncPf: true };
      await using machine = await createMachine({ ...options, ...kind, disks: own });
      machine.console.write("echo hi\necho ho\n");
      const { meta, state, pieces } = await machine.snapshot({ at, stop: true }).then((snapshot) => ({
        meta: snapshot.meta,
        state: snapshot.state as { readonly agent: object },
        pieces: [...(snapshot.pieces() as Iterable<{ gpa: number; bytes: Uint8Array }>)],
      }));
      const agent = at === 0 ? state.agent : { ...state.agent, exec: commandUnderWay() };
      all.push({ snapshot: { meta, state: { ...state, agent }, pieces: () => pieces }, disks });
    }
  return all;
}

/** An agent's host while a command waits for input. */
function commandUnderWay(): unknown {
  const queue: number[] = [];
  const none = (): void => undefined;
  const port: ExecPort = {
    ...{ begin: none, output: none, errors: none, ready: none, closed: none, exit: none, fail: none, done: none },
    send: (bytes) => guest.receive(bytes),
    next: () => ({ command: "cat", input: true }),
    rest: () => Uint8Array.of(1, 2, 3),
  };
  const agent = new ExecAgent({ tag: new Uint8Array(8).fill(5), root: rootWords("root=/dev/vda ro") }, 1000, port);
  const guest = new FakeAgent((bytes) => void queue.push(...bytes));
  const drain = (): void => {
    for (let byte = queue.shift(); byte !== undefined; byte = queue.shift()) agent.push(byte);
  };
  guest.present.add("/dev/vda");
  guest.say(Say.Hello, int64(0x7000));
  drain();
  guest.say(Say.Ready);
  drain();
  return agent.save();
}

type Held = Record<string, unknown>;

/** Values that some field somewhere must not have. */
const VALUES: readonly unknown[] = [
  ...[null, undefined, true, false, "", "x", "icount", 123n, {}, [], [[]], Number.NaN, -0, 0.5, 1e300, -1, 0, 1, 2],
  ...[15, 16, 17, 255, 256, 65535, 65536, -(2 ** 31), 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 52, 2 ** 53, 2 ** 61],
  ...[2 ** 62 - 512, 2 ** 62, 2 ** 63, 2 ** 64, -(2 ** 63), Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  ...[new Uint8Array(0), new Uint8Array(8), new Uint8Array(1 << 16), new Uint16Array(4), new Date(0), new Map()],
];
const HUGE = 300_000;

/** Spoils a value that is data, in one to three places. @returns where and how */
export function spoil(value: unknown, dice: Dice): readonly string[] {
  const done: string[] = [];
  for (let more = dice.below(3) * dice.below(2); more >= 0; more--) done.push(spoilOnce(value, dice));
  return done;
}

const isHolder = (value: unknown): value is Held =>
  typeof value === "object" && value !== null && !ArrayBuffer.isView(value) && Object.keys(value).length > 0;
const pick = <T>(from: readonly T[], dice: Dice): T => from[dice.below(from.length)] as T;

/** A place in what is held, found by going down: each part has its share, however large the others are. */
function place(value: unknown, dice: Dice): { readonly holder: Held; readonly key: string; readonly path: string } {
  let holder = value as Held;
  let key = pick(Object.keys(holder), dice);
  let path = key;
  for (let next = holder[key]; isHolder(next) && dice.below(12) > 0; next = holder[key]) {
    holder = next;
    key = pick(Object.keys(holder), dice);
    path += `.${key}`;
  }
  return { holder, key, path };
}

function spoilOnce(value: unknown, dice: Dice): string {
  if (!isHolder(value)) return "nothing is left";
  const { holder, key, path } = place(value, dice);
  const old = holder[key];
  // Half of it is what may still be such a value: it gets further.
  switch (Math.min(dice.below(14), 7)) {
    case 0:
      delete holder[key];
      return `${path} deleted`;
    case 1:
      holder[pick(["extra", "size", "constructor", "toString"], dice)] = pick(VALUES.slice(0, 12), dice);
      return `${path} has company`;
    case 2:
      if (!Array.isArray(old)) break;
      if (dice.below(2) === 0) old.push(...old.slice(0, 1 + dice.below(3)));
      else old.splice(dice.below(old.length + 1), 1 + dice.below(2));
      return `${path} of another length`;
    case 3: {
      holder[key] = Array(HUGE).fill(pick([0, null, {}], dice));
      return `${path} huge`;
    }
    case 4: {
      const other = place(value, dice);
      holder[key] = structuredClone(other.holder[other.key]);
      return `${path} is ${other.path}`;
    }
    case 5:
      if (old instanceof Uint8Array) {
        holder[key] = old.slice(0, dice.below(old.length + 1));
        return `${path} cut`;
      }
      break;
    case 6:
    case 7:
      if (typeof old === "number") {
        holder[key] =
          dice.below(2) === 0 ? old + pick([-1, 1, 0.5, 2 ** 20], dice) : (old ^ (1 << dice.below(32))) >>> 0;
        return `${path} was ${old}, is ${holder[key]}`;
      }
      if (typeof old === "boolean") {
        holder[key] = !old;
        return `${path} is ${!old}`;
      }
      if (old instanceof Uint8Array && old.length > 0) {
        const bytes = old.slice();
        bytes[dice.below(bytes.length)] = dice.below(256);
        holder[key] = bytes;
        return `${path} damaged`;
      }
  }
  holder[key] = pick(VALUES, dice);
  return `${path} is ${String(typeof holder[key] === "object" ? Object.prototype.toString.call(holder[key]) : holder[key])}`;
}

/**
 * Makes a machine of what may be made up, and has it run for some turns of the event loop.
 * @returns how it went: `refused`, or why the machine ended
 * @throws what must not happen: anything else than a refusal in one sentence, or a machine that fails inside
 */
export async function tryOut(
  { snapshot, disks: own }: Sound,
  { meta, state }: Pick<MachineSnapshot, "meta" | "state">,
) {
  let machine: Awaited<ReturnType<typeof createMachine>>;
  try {
    machine = await createMachine({
      snapshot: { meta, state, pieces: () => snapshot.pieces() },
      disks: own(),
      engine: "interpreter",
    });
  } catch (error) {
    const isTyped = error instanceof MachineError && error.code === "option" && !error.message.includes("\n");
    // Whatever else is thrown inside is a check that is missing, if it was caught or not.
    const { cause } = error as MachineError;
    if (isTyped && (cause === undefined || cause instanceof StateError || (cause as Error).name === "DiskError"))
      return "refused";
    throw error;
  }
  const end = machine.run();
  for (let turns = 0; turns < TURNS; turns++) await setImmediate();
  machine.stop();
  const exit = await end;
  if (exit.reason === "internal-error") throw exit.error;
  return exit.reason;
}
