/**
 * What a fork costs: Debian that has answered a command, with 512 MiB, is forked 50 times where it stands still, and a few of the forks are asked something. Prints the
 * medians of ms on the clock and of ms of processors, of all threads; what the process has more of for each fork, before and after it has answered; and ms until a fork has answered
 * its first command. `pnpm --filter @vm/machine bench:fork`
 */
import { readFileSync } from "node:fs";
import { ensureGuests } from "@vm/guests";
import { createMachine, type Machine } from "../src/index.js";

const SERIES = "6.12";
const FORKS = 50;
const ASKED = 10;
/** Forks before the first that counts: by then it is compiled what makes them. */
const WARM_UP = 5;

/** Ms on the clock, and of processors. */
interface Cost {
  readonly wall: number;
  readonly cpu: number;
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] as number;
const resident = (): number => process.memoryUsage.rss() / 2 ** 20;

async function costOf(work: () => Promise<unknown>): Promise<Cost> {
  const [before, began] = [process.cpuUsage(), performance.now()];
  await work();
  const wall = performance.now() - began;
  const { user, system } = process.cpuUsage(before);
  return { wall, cpu: (user + system) / 1000 };
}

function print(what: string, costs: readonly Cost[]): void {
  const [wall, cpu] = [costs.map((cost) => cost.wall), costs.map((cost) => cost.cpu)];
  const most = Math.max(...wall);
  console.log(
    `${what}: ${median(wall).toFixed(1)} ms, processors ${median(cpu).toFixed(1)} ms; the longest ${most.toFixed(1)} ms`,
  );
}

async function boot(): Promise<Machine> {
  const guests = await ensureGuests();
  const [kernel, initrd] = [guests.kernel(SERIES), guests.initrd(SERIES)].map((path) => readFileSync(path));
  const machine = await createMachine({ agent: true, memory: 512 << 20, kernel, initrd });
  await machine.exec("echo warm >/state");
  await machine.pause();
  return machine;
}

async function end(machine: Machine): Promise<void> {
  machine.stop();
  await machine.run();
}

const parent = await boot();
for (let k = 0; k < WARM_UP; k++) await end(await parent.fork());

const forks: Machine[] = [];
const made: Cost[] = [];
const empty = resident();
for (let k = 0; k < FORKS; k++) made.push(await costOf(async () => forks.push(await parent.fork())));
print("a fork", made);
console.log(`${((resident() - empty) / FORKS).toFixed(1)} MiB for each of ${FORKS} forks that have not run`);

const answered: Cost[] = [];
const before = resident();
for (const fork of forks.slice(0, ASKED)) {
  answered.push(
    await costOf(async () => {
      const { stdout } = await fork.exec("cat /state");
      if (stdout !== "warm\n") throw new Error(`a fork answers ${JSON.stringify(stdout)}`);
    }),
  );
  await fork.pause();
}
print("its first answer", answered);
console.log(`${((resident() - before) / ASKED).toFixed(1)} MiB more for each of ${ASKED} that have answered`);
for (const fork of forks) await end(fork);
await end(parent);
