import { BootWatch } from "../../../../apps/machine/src/cli/boot-watch.js";
import { FIRST_TAG, HEAD_SIZE, PAYLOAD_MAX, Say } from "../../../../apps/machine/src/exec/agent-abi.js";
import { ExecAgent } from "../../../../apps/machine/src/exec/exec-agent.js";
import { rootWords } from "../../../../apps/machine/src/exec/exec-plan.js";
import { WindowSize } from "../../../../apps/machine/src/exec/window-size.js";
import type { Door } from "../door.js";
import { Random } from "../random.js";

/** Bytes on the two lines in one case. */
const BYTES = 20_000;
/** What the host may send in answer: each frame brings about one request at most, and the largest carries a piece of 4096 bytes. */
const SENT_MAX = 8 * 2 ** 20;

/** Characters of a sentence about the guest: a line of 400, each of which may be escaped to four, and what it says before. */
const SHOWN_MAX = 2000;

/**
 * A guest that writes what it likes to the console and to the agent's line: noise, frames with wrong heads, hellos and replies with
 * random data, pieces of any of them. One that knows the tag may say any status from 0 to 255, one that does not must bring about none.
 */
export const execFrames: Door = {
  name: "exec-frames",
  summary: "what a guest writes to the console and to the line of its --exec agent",
  check: (seed) => {
    const random = new Random(seed);
    const tag = Uint8Array.from(random.bytes(8));
    const knows = random.chance(50);
    const root = rootWords(random.chance(50) ? "root=/dev/vda" : "");
    let opening: Uint8Array = new TextEncoder().encode(FIRST_TAG);
    let sent = 0;
    const status: number[] = [];
    let commands = random.below(4);
    const agent: ExecAgent = new ExecAgent({ tag, root }, 1000, {
      next: () =>
        commands-- > 0 ? { command: "true", input: random.chance(80) } : random.chance(50) ? "leave" : "wait",
      send: (bytes) => {
        sent += bytes.length;
        // The request that stores the tag in the guest: a liar goes on with it.
        if (knows && Buffer.from(bytes).includes(Buffer.from(tag))) opening = tag;
      },
      begin: () => undefined,
      output: (bytes) => limit("output", bytes.length, PAYLOAD_MAX),
      errors: (bytes) => limit("errors", bytes.length, PAYLOAD_MAX),
      ready: () => agent.input(new Uint8Array(random.below(PAYLOAD_MAX + 1))),
      closed: () => undefined,
      exit: (code) => void status.push(code),
      fail: () => undefined,
      done: () => undefined,
      rest: () => null,
    });
    const window = new WindowSize(
      (bytes) => {
        sent += bytes.length;
      },
      () => ({ rows: 24, columns: 80 }),
      () => sent,
    );
    const watch = new BootWatch(() => undefined);
    for (let total = 0; total < BYTES; ) {
      const piece = random.chance(10) ? Uint8Array.from(random.bytes(random.below(100))) : frameLike(random, opening);
      for (const byte of random.chance(5) ? piece.subarray(random.below(piece.length + 1)) : piece) agent.push(byte);
      for (const byte of piece) window.push(byte);
      if (random.chance(10)) window.typed();
      watch.push(random.chance(50) ? piece : words(random));
      total += piece.length;
    }
    if (!knows && status.length > 0)
      throw new Error(`a status of ${status[0]} from a guest that does not know the tag`);
    if (status.length > 1) throw new Error(`${status.length} statuses`);
    for (const code of status) if (!Number.isInteger(code)) throw new Error(`a status of ${code}`);
    limit("status", status[0] ?? 0, 255);
    limit("requests", sent, SENT_MAX);
    limit("last words", watch.lastWords.length, SHOWN_MAX);
    limit("reason", watch.why?.length ?? 0, SHOWN_MAX);
    if (/[\p{C}\p{Zl}\p{Zp}]/u.test(`${watch.lastWords}${watch.why ?? ""}`))
      throw new Error("a control character is shown");
    return { kinds: { status: status.length > 0 ? "told" : "none" }, sums: { requested: sent } };
  },
};

function limit(what: string, is: number, most: number): void {
  if (is > most) throw new Error(`${is} of ${what}: at most ${most}`);
}

/** A frame that may be wrong in its tag, type or length. */
function frameLike(random: Random, opening: Uint8Array): Uint8Array {
  const length = random.chance(98) ? random.below(24) : random.word();
  const data = random.bytes(Math.min(length, 5000));
  const bytes = new Uint8Array(HEAD_SIZE + data.length);
  bytes.set(opening);
  if (random.chance(5)) bytes[random.below(8)] = random.below(256);
  const view = new DataView(bytes.buffer);
  view.setUint32(8, random.chance(60) ? Say.Reply : random.below(Say.Exit + 2), true);
  view.setUint32(12, length, true);
  // Results of system calls are mostly small: success, a descriptor, an errno.
  bytes.set(
    random.chance(80)
      ? new Uint8Array(BigInt64Array.of(BigInt(random.chance(85) ? 0 : random.below(24) - 20)).buffer).subarray(
          0,
          data.length,
        )
      : data,
    HEAD_SIZE,
  );
  return bytes;
}

const SIGNS = [
  "Kernel panic - not syncing: ",
  "ALERT!  x.",
  "(initramfs) ",
  "login: ",
  "end Kernel panic",
  "\x1b[2J",
  "\x9b1m",
  "\r\n",
];

function words(random: Random): Uint8Array {
  const parts = Array.from({ length: random.below(6) }, () => random.pick(SIGNS));
  return Buffer.from(parts.join("") + "y".repeat(random.below(2000)), "latin1");
}
