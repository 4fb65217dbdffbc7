/**
 * How soon a saved machine answers: Debian at its prompt, restored by a program that has done nothing before, to the prompt after one more Return. With all of its memory,
 * with memory that is waited for, with memory that is read where the guest touches it, and with what another run needed read ahead; then from a web server that answers
 * after 50 ms, without and with that. In turns. Prints ms of opening, making the machine and the answer, and for each way the median of their sums, with the processor
 * time. `pnpm --filter @vm/machine bench:restore`
 */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { ensureGuests } from "@vm/guests";
import { createMachine, type Machine, type MachineSnapshot } from "../src/index.js";
import { loadSnapshot, saveSnapshot, saveWorkingSet } from "../src/node.js";

const SERIES = "6.12";
const ROUNDS = 5;
const DELAY_MS = 50;
const WAYS = ["whole", "waited for", "at once", "read ahead", "far away", "far away, read ahead"] as const;
type Way = (typeof WAYS)[number];

/** Ms of each step. */
interface Run {
  readonly open: number;
  readonly make: number;
  readonly answer: number;
  /** Processor time from opening to the answer, of all threads: what another program that is busy does not change. */
  readonly cpu: number;
  /** Chunks that were needed, and those of them that nobody waited for. */
  readonly chunks: number;
  readonly atOnce: number;
}

async function until(machine: Machine, what: RegExp): Promise<void> {
  const decoder = new TextDecoder();
  let text = "";
  const found = new Promise<void>((resolve) => {
    machine.console.onOutput((bytes) => {
      text += decoder.decode(bytes, { stream: true });
      if (what.test(text)) resolve();
    });
  });
  void machine.run();
  return found;
}

async function save(folder: string): Promise<void> {
  const guests = await ensureGuests();
  const [kernel, initrd] = [guests.kernel(SERIES), guests.initrd(SERIES)].map((path) => readFileSync(path));
  const machine = await createMachine({ kernel, initrd, memory: 512 << 20 });
  await until(machine, /\/ # /);
  await saveSnapshot(folder, await machine.snapshot({ stop: true }));
}

/** Memory that its source does not give at once. */
const waitedFor = ({ meta, state, late }: MachineSnapshot): MachineSnapshot => ({
  ...{ meta, state, pieces: () => [] },
  late: late && { chunks: late.chunks, fetch: (chunk) => late.fetch(chunk) },
});

/** @param recorded where the working set is written to */
async function restore(place: string, way: Way, recorded?: string): Promise<Run> {
  const times = [performance.now()];
  const before = process.cpuUsage();
  const snapshot = await loadSnapshot(place, { lazy: way !== "whole", readAhead: way.endsWith("read ahead") });
  times.push(performance.now());
  const machine = await createMachine({ snapshot: way === "waited for" ? waitedFor(snapshot) : snapshot });
  times.push(performance.now());
  machine.console.write("\n");
  await until(machine, /\/ # /);
  times.push(performance.now());
  const { user, system } = process.cpuUsage(before);
  const { demanded: chunks = 0, atOnce = 0 } = machine.stats().lateMemory ?? {};
  machine.stop();
  await machine.run();
  if (recorded !== undefined) await saveWorkingSet(recorded, snapshot, machine);
  await snapshot.close();
  const [open, make, answer] = times.slice(1).map((time, k) => time - (times[k] as number)) as [number, number, number];
  return { open, make, answer, cpu: (user + system) / 1000, chunks, atOnce };
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] as number;
const sum = ({ open, make, answer }: Run): number => open + make + answer;

/** A web server of the files in a folder, each answer of which takes its time. */
async function farAway(folder: string): Promise<Server> {
  const server = createServer(({ url = "/", headers }, response) => {
    setTimeout(() => {
      const range = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? "");
      try {
        const bytes = readFileSync(join(folder, url));
        const [from, to] = [Number(range?.[1]), Math.min(Number(range?.[2]), bytes.length - 1)];
        response.writeHead(206, { "Content-Range": `bytes ${from}-${to}/${bytes.length}`, ETag: '"one"' });
        response.end(bytes.subarray(from, to + 1));
      } catch {
        response.writeHead(404).end();
      }
    }, DELAY_MS);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

async function measure(self: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "vm-restore-"));
  const server = await farAway(folder);
  const child = async (...args: readonly string[]): Promise<Run> =>
    JSON.parse((await promisify(execFile)(process.execPath, [self, ...args])).stdout) as Run;
  try {
    const place = join(folder, "booted");
    await save(place);
    await child("at once", place, join(place, "working-set"));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/booted`;
    const runs = new Map<Way, Run[]>(WAYS.map((way) => [way, []]));
    for (let round = 0; round < ROUNDS; round++)
      for (const [way, all] of runs) {
        const run = await child(way, way.startsWith("far") ? url : place);
        all.push(run);
        const { open, make, answer, cpu, chunks, atOnce } = run;
        const [a, b, c, d] = [open, make, answer, cpu].map((ms) => ms.toFixed(0));
        console.log(
          `${way}: open ${a}, make ${b}, answer ${c}, processors ${d} ms; ${chunks} chunks, ${atOnce} at once`,
        );
      }
    for (const [way, all] of runs) {
      const [ms, cpu] = [median(all.map(sum)), median(all.map((run) => run.cpu))];
      console.log(`${way}: ${ms.toFixed(0)} ms, processors ${cpu.toFixed(0)} ms`);
    }
  } finally {
    server.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

const [, self = "", way, place, recorded] = process.argv;
if (way === undefined || place === undefined) await measure(self);
else {
  console.log(JSON.stringify(await restore(place, way as Way, recorded)));
  process.exit();
}
