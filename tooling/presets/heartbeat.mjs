// Ends a process of tests whose event loop has stood still for too long, and says in which file: no timeout of a test is ever reached
// there, and the run would not end.
import { setInterval } from "node:timers";
import { Worker } from "node:worker_threads";
import { expect } from "vitest";

/** Several times what the slowest machine takes for the longest loop of a test, s. */
const LIMIT = 600;
const NAME = 1024;

function watch() {
  const shared = { beats: new Int32Array(new SharedArrayBuffer(8)), name: new Uint8Array(new SharedArrayBuffer(NAME)) };
  setInterval(() => Atomics.add(shared.beats, 0, 1), 1000).unref();
  new Worker(
    `const { workerData: { beats, name } } = require("node:worker_threads");
    let last = -1;
    setInterval(() => {
      const now = Atomics.load(beats, 0);
      if (now === last) {
        const file = Buffer.from(name.slice(0, Atomics.load(beats, 1))).toString();
        require("node:fs").writeSync(2, file + ": its event loop has stood still for ${LIMIT} s; the process is ended\\n");
        process.kill(process.pid, "SIGKILL");
      }
      last = now;
    }, ${LIMIT} * 1000);`,
    { eval: true, workerData: shared },
  ).unref();
  return shared;
}

globalThis.__heartbeat ??= watch();
const path = new TextEncoder().encode(expect.getState().testPath).subarray(0, NAME);
globalThis.__heartbeat.name.set(path);
Atomics.store(globalThis.__heartbeat.beats, 1, path.length);
