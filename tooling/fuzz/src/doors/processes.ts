import { GuestOsError, GuestReader, type KvmiClient, type LinuxKernel, processes } from "@vm/kvmi";
import { printableJson } from "../../../../apps/machine/src/cli/printable.js";
import { listing } from "../../../../apps/machine/src/cli/process-listing.js";
import { TASK_MEMBERS } from "../../../../packages/kvmi/src/linux/processes.js";
import { type Door, Violation } from "../door.js";
import { Random } from "../random.js";

const PAGE = 4096;
/** Names that would do something, if they were let. */
const TEXTS = [
  "\x1b[2J",
  "\n    1 0  init",
  "\x9b31m",
  "\u202e",
  "\u{1f600}",
  "\xff\xfe",
  "sh\0-c\0",
  "\0\0",
  "%s",
  "}",
];
const UNSEEN = /[\p{C}\p{Zl}\p{Zp}]/u;

/** The processes of a guest: its task list, what it leads to, and what is printed of it. */
export const processList: Door = {
  name: "processes",
  summary: "the task list of a guest's kernel, leading anywhere, and names of any bytes",
  check: async (seed) => {
    const random = new Random(seed);
    const far = random.chance(3) ? random.pick(TASK_MEMBERS) : null;
    const offsets = new Map<string, number>(
      TASK_MEMBERS.map((name, k) => [name, name === far ? random.below(1 << 22) : 16 * k]),
    );
    const kernel = {
      symbol: () => BigInt(PAGE),
      offset: (_: string, path: string) => offsets.get(path) ?? 256 + 8 * random.below(8),
      types: { member: () => ({ offset: 256 }) },
    } as unknown as LinuxKernel;
    const memory = new Memory(random, 2 + random.below(40), offsets);
    try {
      const list = await processes(kernel, new GuestReader(memory as unknown as KvmiClient));
      const text = listing(list);
      if (text.split("\n").length !== list.length + 2) throw new Violation("forged row", JSON.stringify(text));
      const json = printableJson(JSON.stringify(list));
      for (const shown of [...text.split("\n"), json])
        if (UNSEEN.test(shown)) throw new Violation("not escaped", JSON.stringify(shown));
      JSON.parse(json);
      return { sums: { processes: list.length }, kinds: { outcome: "listed" } };
    } catch (error) {
      if (!(error instanceof GuestOsError)) throw error;
      return { kinds: { outcome: error.name } };
    }
  },
};

/** Pages of pointers into each other, numbers and text. */
class Memory {
  readonly #pages: readonly Uint8Array[];

  constructor(random: Random, count: number, offsets: ReadonlyMap<string, number>) {
    const wild = random.pick([0, 0, 0, 1, 5]);
    this.#pages = Array.from({ length: count }, (_, k) => {
      const bytes = page(random, count);
      const view = new DataView(bytes.buffer);
      // Most of it makes sense: a task to each page, each followed by the next.
      for (const [name, at] of offsets) {
        if (at + 16 > PAGE || random.chance(wild)) continue;
        const next = name === "tasks" ? 1 + (k % (count - 1)) : 1 + random.below(count - 1);
        view.setBigUint64(at, name === "mm" && random.chance(40) ? 0n : BigInt(PAGE * next), true);
        if (name === "flags") view.setUint32(at, random.chance(95) ? 0 : random.pick([0x200000, 0x200020]), true);
        if (name === "comm") bytes.set(new TextEncoder().encode(random.pick(TEXTS)), at);
      }
      return bytes;
    });
  }

  translate(_vcpu: number, gva: bigint): Promise<bigint | null> {
    const page = gva / BigInt(PAGE);
    return Promise.resolve(page > 0n && page < BigInt(this.#pages.length) ? gva : null);
  }

  readPhysical(gpa: bigint, size: number): Promise<Uint8Array> {
    const bytes = this.#pages[Number(gpa / BigInt(PAGE)) % this.#pages.length] as Uint8Array;
    const at = Number(gpa % BigInt(PAGE));
    return Promise.resolve(bytes.slice(at, at + size));
  }
}

function page(random: Random, count: number): Uint8Array {
  const bytes = new Uint8Array(PAGE);
  const view = new DataView(bytes.buffer);
  const text = new TextEncoder();
  for (let at = 0; at < PAGE; at += 8) {
    const kind = random.below(100);
    if (kind < 70) view.setBigUint64(at, BigInt(PAGE * (1 + random.below(count - 1)) + random.below(64)), true);
    else if (kind < 72) view.setBigUint64(at, BigInt(random.word()) << 32n, true);
    else if (kind < 85) view.setUint32(at, random.below(5000), true);
    else bytes.set(text.encode(random.pick(TEXTS)).subarray(0, Math.min(8, PAGE - at)), at);
    if (kind === 99) bytes.set(random.bytes(8), at);
  }
  return bytes;
}
