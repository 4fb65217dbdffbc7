/**
 * Latency of commands over an AF_UNIX socket: this server with a machine that is nothing but its registers, against a server in C that only
 * answers, with the same tool in C, by turns. Prints medians in microseconds and their ratio. Needs a C compiler (`cc`).
 */
import { type ChildProcess, execFileSync, fork, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { connectTransport, KvmiServer, reconnect } from "../src/index.js";
import { FakeVm } from "../test/fakes.js";

const COMMANDS = 20_000;
const TURNS = 5;

type Medians = Map<string, number>;

/** Runs the tool against whatever `start` starts. */
async function measure(program: string, path: string, start: () => ChildProcess): Promise<Medians> {
  const tool = spawn(program, ["client", path, String(COMMANDS)], { stdio: ["ignore", "pipe", "inherit"] });
  const machine = start();
  let text = "";
  for await (const chunk of tool.stdout.setEncoding("utf8")) text += chunk;
  machine.kill();
  const rows = text
    .trim()
    .split("\n")
    .map((line) => line.split(" "));
  return new Map(rows.map(([name = "", median = "0"]) => [name, Number(median) / 1000]));
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "kvmi-"));
  const program = join(folder, "latency");
  // The bundle lies two folders below the package.
  execFileSync("cc", ["-O2", "-o", program, fileURLToPath(new URL("../../bench/latency.c", import.meta.url))]);
  const path = join(folder, "sock");
  const floor: Medians[] = [];
  const ours: Medians[] = [];
  for (let k = 0; k < TURNS; k++) {
    floor.push(await measure(program, path, () => spawn(program, ["server", path])));
    ours.push(await measure(program, path, () => fork(fileURLToPath(import.meta.url), ["machine", path])));
  }
  rmSync(folder, { recursive: true });
  for (const name of floor[0]?.keys() ?? []) {
    const [c, node] = [floor, ours].map((runs) => median(runs.map((run) => run.get(name) ?? 0))) as [number, number];
    console.log(`${name.padEnd(14)} C ${c.toFixed(1)} us, here ${node.toFixed(1)} us: ${(node / c).toFixed(2)} times`);
  }
}

/** The other process. */
function machine(path: string): void {
  const vm = new FakeVm();
  for (const msr of [0x174, 0x175, 0x176]) vm.cpu.msrs.set(msr, 0n);
  const identity = { uuid: new Uint8Array(16), name: "bench", startTime: 0 };
  const server = new KvmiServer({ vm, identity });
  reconnect({ server, open: () => connectTransport((onread) => connect({ path, onread })), retryMs: 1 });
}

const [mode, path] = process.argv.slice(2);
if (mode === "machine" && path !== undefined) machine(path);
else await main();
