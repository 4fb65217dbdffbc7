/**
 * What a byte that the guest writes to its serial console costs, in host CPU time, against one it moves through a pipe; both in the same
 * guest, on a terminal as it comes (output processing on) and on a raw one: `pnpm --filter @vm/machine bench:console`.
 */
import { readFile } from "node:fs/promises";
import { ensureGuests } from "@vm/guests";
import { createMachine } from "../src/index.js";

const BYTES = 2 ** 22;
const ROUNDS = 3;
const LINE = "0123456789".repeat(7);

const guests = await ensureGuests();
const machine = await createMachine({
  kernel: await readFile(guests.kernel("6.1")),
  initrd: await readFile(guests.initrd("6.1")),
  memory: 256 * 2 ** 20,
});

let seen = "";
let bytes = 0;
let wanted: { mark: string; resolve: () => void } | null = null;
const decoder = new TextDecoder("latin1");
machine.console.onOutput((chunk) => {
  bytes += chunk.length;
  seen = (seen + decoder.decode(chunk)).slice(-200);
  if (wanted === null || !seen.includes(wanted.mark)) return;
  const { resolve } = wanted;
  wanted = null;
  seen = "";
  resolve();
});
const until = (mark: string): Promise<void> =>
  new Promise((resolve) => {
    wanted = { mark, resolve };
  });

/** CPU seconds from the command's first byte to its last, and bytes that came out. */
async function time(command: string): Promise<{ cpu: number; bytes: number }> {
  const begin = until("begin\r\n");
  const end = until.bind(null, "done\r\n");
  machine.console.write(`echo beg""in; ${command}; echo do""ne\r`);
  await begin;
  const before = process.cpuUsage();
  const from = bytes;
  await end();
  const { user, system } = process.cpuUsage(before);
  return { cpu: (user + system) / 1e6, bytes: bytes - from };
}

const running = machine.run();
await until("# ");
await time(`yes ${LINE} | head -c ${BYTES} > /tmp/f`);
const best: Record<string, { cpu: number; bytes: number }> = {};
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, command] of [
    ["pipe", "cat /tmp/f | cat > /dev/null"],
    ["console", "cat /tmp/f"],
    ["raw console", "stty raw; cat /tmp/f; stty sane"],
  ] as const) {
    const found = await time(command);
    if (found.cpu < (best[name]?.cpu ?? Number.POSITIVE_INFINITY)) best[name] = found;
  }
}
machine.console.write("poweroff -f\r");
await running;

const perByte = (name: string): number => ((best[name]?.cpu ?? 0) / BYTES) * 1e6;
for (const name of Object.keys(best)) {
  const ratio = (perByte(name) / perByte("pipe")).toFixed(1);
  console.log(
    `${name.padEnd(12)} ${perByte(name).toFixed(3)} us/byte, ${ratio} of a pipe; ${best[name]?.bytes} bytes came out`,
  );
}
