/**
 * What a guest does while its memory arrives, 100 ms a chunk: Debian, saved with a program that waits with an array of its own, goes on without its memory; the program goes
 * through the array while another one counts. With asynchronous page faults and without, in turns. Prints what was counted each second until the array had been gone
 * through, and the ratio of the medians. `pnpm --filter @vm/machine bench:late-memory`
 */
import { readFile } from "node:fs/promises";
import { ensureGuests } from "@vm/guests";
import { CHUNK_PAGES } from "@vm/mmu";
import { createMachine, type Machine, type MachineSnapshot } from "../src/index.js";
import type { MemoryPiece } from "../src/machine-snapshot.js";

const SERIES = "6.12";
const ROUNDS = 3;
const LATE_MS = 100;
const CHUNK = CHUNK_PAGES * 4096;
const ITEMS = 120_000;
const SLEEPER = `awk 'BEGIN { for (i = 0; i < ${ITEMS}; i++) a[i] = i; print "array ready"; getline < "/go"; for (i = 0; i < ${ITEMS}; i++) s += a[i]; print "sum", s }' & A=$!`;
const COUNTER =
  "(while :; do echo; done) >/n & C=$!; echo >/go; wait $A; kill $C; echo counted $(wc -l </n); grep HYP: /proc/interrupts; echo over";

async function until(machine: Machine, what: RegExp): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  const found = new Promise<string>((resolve) => {
    machine.console.onOutput((bytes) => {
      text += decoder.decode(bytes, { stream: true });
      if (what.test(text)) resolve(text);
    });
  });
  void machine.run();
  return found;
}

async function boot(asyncPf: boolean): Promise<MachineSnapshot> {
  const guests = await ensureGuests();
  const [kernel, initrd] = await Promise.all([readFile(guests.kernel(SERIES)), readFile(guests.initrd(SERIES))]);
  const machine = await createMachine({ kernel, initrd, memory: 192 << 20, asyncPf });
  machine.console.write(`mkfifo /go\n${SLEEPER}\n`);
  await until(machine, /(?<!")array ready/);
  return machine.snapshot({ stop: true });
}

/** Its memory, each chunk of which takes its time. */
function late(snapshot: MachineSnapshot): MachineSnapshot {
  const chunks = new Map<number, Uint8Array>();
  for (const { gpa, bytes } of snapshot.pieces() as Iterable<MemoryPiece>) {
    const number = Math.floor(gpa / CHUNK);
    const chunk = chunks.get(number) ?? new Uint8Array(CHUNK);
    chunk.set(bytes, gpa % CHUNK);
    chunks.set(number, chunk);
  }
  const fetch = (chunk: number): Promise<Uint8Array> =>
    new Promise((resolve) => setTimeout(() => resolve(chunks.get(chunk) as Uint8Array), LATE_MS));
  return { meta: snapshot.meta, state: snapshot.state, pieces: () => [], late: { chunks: [...chunks.keys()], fetch } };
}

interface Run {
  readonly seconds: number;
  readonly counted: number;
  readonly told: number;
  readonly chunks: number;
}

async function run(snapshot: MachineSnapshot): Promise<Run> {
  const machine = await createMachine({ snapshot: late(snapshot) });
  machine.console.write(`${COUNTER}\n`);
  const began = performance.now();
  const text = await until(machine, /\nover/);
  const seconds = (performance.now() - began) / 1000;
  const chunks = machine.stats().lateMemory?.arrived ?? 0;
  machine.stop();
  await machine.run();
  const number = (what: RegExp): number => Number(what.exec(text)?.[1] ?? 0);
  return { seconds, counted: number(/^counted (\d+)/m), told: number(/^ *HYP: +(\d+)/m), chunks };
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] as number;

const snapshots = [await boot(true), await boot(false)] as const;
const rates: [number[], number[]] = [[], []];
for (let round = 0; round < ROUNDS; round++)
  for (const [k, name] of ["asynchronous", "waited for"].entries()) {
    const { seconds, counted, told, chunks } = await run(snapshots[k] as MachineSnapshot);
    (rates[k] as number[]).push(counted / seconds);
    console.log(
      `${name}: ${chunks} chunks in ${seconds.toFixed(1)} s, ${told} told by interrupt, ${counted} counted, ${(counted / seconds).toFixed(0)} a second`,
    );
  }
console.log(`counted with asynchronous page faults : without = ${(median(rates[0]) / median(rates[1])).toFixed(2)}`);
