import { BootWatch } from "../../../../apps/machine/src/cli/boot-watch.js";
import { FIRST_TAG, HEAD_SIZE, PAYLOAD_MAX, Say } from "../../../../apps/machine/src/exec/agent-abi.js";
import { ExecAgent } from "../../../../apps/machine/src/exec/exec-agent.js";
import { rootWords } from "../../../../apps/machine/src/exec/exec-plan.js";
import type { Door } from "../door.js";
import { Random } from "../random.js";

/** Bytes on the two lines in one case. */
const BYTES = 20_000;
/** What the host may send in answer: a command with what goes with it is some hundred requests, far below this. */
const SENT_MAX = 64 * 2 ** 20;

/**
 * A guest that writes what it likes to the console and to the agent's line: noise, frames with wrong heads, hellos and replies with
 * random data, pieces of any of them. It does not know the tag, so it must never bring about a status.
 */
function check(seed: number): void {
  const random = new Random(seed);
  const tag = Uint8Array.from({ length: 8 }, () => random.below(256));
  let sent = 0;
  let secret = false;
  const status: number[] = [];
  const agent = new ExecAgent(
    { command: "true", tag, input: true, root: rootWords(random.below(2) ? "root=/dev/vda" : "") },
    1000,
    {
      send: (bytes) => {
        sent += bytes.length;
        // From the request on that stores the tag in the guest, the case may not speak for the agent any more.
        if (includes(bytes, tag)) secret = true;
      },
      begin: () => undefined,
      output: (bytes) => limit("output", bytes.length, PAYLOAD_MAX),
      errors: (bytes) => limit("errors", bytes.length, PAYLOAD_MAX),
      ready: () => agent.input(new Uint8Array(random.below(PAYLOAD_MAX + 1))),
      closed: () => undefined,
      exit: (code) => void status.push(code),
      fail: () => undefined,
      done: () => undefined,
    },
  );
  const watch = new BootWatch(() => undefined);
  for (let total = 0; total < BYTES; ) {
    const piece =
      random.below(3) === 0 ? noise(random, random.below(300)) : frameLike(random, random.below(4) === 0 && !secret);
    for (const byte of random.below(4) === 0 ? piece.subarray(random.below(piece.length + 1)) : piece) agent.push(byte);
    watch.push(random.below(2) === 0 ? piece : console(random));
    total += piece.length;
  }
  if (status.length > 0) throw new Error(`a status of ${status[0]} from a guest that does not know the tag`);
  limit("requests", sent, SENT_MAX);
  limit("last words", watch.lastWords.length, 400);
  limit("reason", watch.why?.length ?? 0, 500);
  if (/[^\x20-\x7e]/.test(`${watch.lastWords}${watch.why ?? ""}`)) throw new Error("a control character is shown");
}

function limit(what: string, is: number, most: number): void {
  if (is > most) throw new Error(`${is} bytes of ${what}: at most ${most}`);
}

const noise = (random: Random, length: number): Uint8Array => Uint8Array.from({ length }, () => random.below(256));

function frameLike(random: Random, plausible: boolean): Uint8Array {
  const length = plausible || random.below(3) > 0 ? random.below(64) : random.below(2 ** 32);
  const data = noise(random, Math.min(length, 5000));
  const bytes = new Uint8Array(HEAD_SIZE + data.length);
  bytes.set(new TextEncoder().encode(FIRST_TAG));
  if (!plausible && random.below(3) === 0) bytes[random.below(8)] ^= 1 << random.below(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(8, random.below(Say.Exit + 2), true);
  view.setUint32(12, length, true);
  bytes.set(data, HEAD_SIZE);
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

function console(random: Random): Uint8Array {
  const parts = Array.from({ length: random.below(6) }, () => SIGNS[random.below(SIGNS.length)] ?? "");
  return Uint8Array.from([...parts.join(""), ..."y".repeat(random.below(2000))].map((letter) => letter.charCodeAt(0)));
}

function includes(bytes: Uint8Array, part: Uint8Array): boolean {
  for (let at = 0; at + part.length <= bytes.length; at++)
    if (part.every((byte, k) => bytes[at + k] === byte)) return true;
  return false;
}

/** {@link check} for whoever lists the doors. */
export const execFrames: Door = {
  name: "exec-frames",
  summary: "what a guest writes to the console and to the line of its --exec agent",
  check,
};
