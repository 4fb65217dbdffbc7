/**
 * What a boot costs as a TD and as an ordinary guest: the Linux of `@vm/guests` with its initramfs, to the answer of a first command, in turns within
 * the same minutes, each in a process of its own. Both have their memory from a guest_memfd, a virtual clock that counts instructions, and the same devices, and load no
 * kernel modules. The third is the TD as it boots without being told: it loads three modules for its reports, whose signatures take the guest 100 million instructions. Prints CPU time of the
 * process, instructions and TLB misses of each, and the ratios of the medians. `pnpm --filter @vm/machine bench:td`
 */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { ensureGuests } from "@vm/guests";
import { createMachine, tdx } from "../src/index.js";

const SERIES = "6.12";
const ROUNDS = 3;
const MEMORY = 512 * 2 ** 20;

const KINDS = ["ordinary", "td", "td-with-modules"] as const;
type Kind = (typeof KINDS)[number];

interface Boot {
  readonly seconds: number;
  readonly made: number;
  readonly instructions: number;
  readonly tlbMisses: number;
}

async function boot(kind: Kind): Promise<Boot> {
  const guests = await ensureGuests();
  const [kernel, initrd] = await Promise.all([readFile(guests.kernel(SERIES)), readFile(guests.initrd(SERIES))]);
  const start = process.cpuUsage();
  const spent = (): number => {
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1e6;
  };
  const machine = await createMachine({
    ...{ kernel, initrd, memory: MEMORY, agent: true, clock: "icount" },
    ...(kind === "ordinary" ? { memoryBackend: "guest-memfd" } : { plugins: [tdx()] }),
    commandLine: kind === "td-with-modules" ? "" : "vm.modules=0",
  });
  const made = spent();
  const { status } = await machine.exec("true");
  const seconds = spent();
  const { instructions, tlbMisses } = machine.stats();
  machine.stop();
  await machine.run();
  if (status !== 0) throw new Error(`the guest's first command has ended with ${status}`);
  return { seconds, made, instructions, tlbMisses };
}

/** A boot in a process of its own, that has compiled nothing yet. */
async function bootAlone(kind: Kind): Promise<Boot> {
  const { stdout } = await promisify(execFile)(process.execPath, [fileURLToPath(import.meta.url), kind]);
  return JSON.parse(stdout) as Boot;
}

async function compare(): Promise<void> {
  const seconds: Record<Kind, number[]> = { ordinary: [], td: [], "td-with-modules": [] };
  for (let round = 0; round < ROUNDS; round++)
    for (const kind of KINDS) {
      const done = await bootAlone(kind);
      seconds[kind].push(done.seconds);
      console.log(
        `${kind.padEnd(15)} ${done.seconds.toFixed(2)} s of CPU time, ${done.made.toFixed(2)} s of them until it runs; ` +
          `${(done.instructions / 1e6).toFixed(0)} M instructions, ${(done.tlbMisses / 1e3).toFixed(0)} k TLB misses`,
      );
    }
  const ratio = (kind: Kind): string => (median(seconds[kind]) / median(seconds.ordinary)).toFixed(2);
  console.log(
    `TD : ordinary guest = ${ratio("td")} (wanted: at most 1.5), ${ratio("td-with-modules")} with its modules`,
  );
}

const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] as number;
};

const kind = KINDS.find((one) => one === process.argv[2]);
if (kind !== undefined) console.log(JSON.stringify(await boot(kind)));
else await compare();
