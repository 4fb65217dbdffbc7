import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { parentPort, workerData } from "node:worker_threads";
import { runCase } from "./cases.js";
import type { Door } from "./door.js";
import { CURRENT, DONE, type Task, type Told } from "./worker-protocol.js";

/** Host time between two looks at memory, ms. */
const MEMORY_LOOK_MS = 2000;

/** The worker's side: case after case. */
export async function work(doors: readonly Door[]): Promise<void> {
  const { door: name, first, count, progress } = workerData as Task;
  const door = doors.find((each) => each.name === name) as Door;
  const cells = new Int32Array(progress);
  const tell = (told: Told): void => parentPort?.postMessage(told);
  const collect = collector();
  let looked = performance.now();
  for (let k = 0; k < count; k++) {
    const seed = first + k;
    Atomics.store(cells, CURRENT, seed);
    tell({ outcome: await runCase(door, seed) });
    Atomics.store(cells, DONE, k + 1);
    if (performance.now() - looked < MEMORY_LOOK_MS) continue;
    collect();
    const { heapUsed, external } = process.memoryUsage();
    tell({ memory: heapUsed + external });
    looked = performance.now();
  }
}

function collector(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}
