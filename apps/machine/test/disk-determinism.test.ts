import { createHash } from "node:crypto";
import { eax, edi, mem, rdi, short } from "@vm/asm";
import { describe, expect, it } from "vitest";
import type { BlockBackend } from "../src/index.js";
import { machineOf, powerOff } from "./guest.js";
import { DATA, type DiskRequest, FLUSH, IN, layRequests, notifyDisk, OUT, RING, startDisk } from "./virtio-guest.js";

/** A disk whose calls take as many turns of the event loop as `latency` says. */
class SlowDisk implements BlockBackend {
  readonly sectors = 4096;
  readonly readonly = false;
  readonly data = new Uint8Array(4096 * 512).map((_, k) => k >> 9);
  #calls = 0;

  constructor(private readonly latency: (call: number) => number) {}

  read(sector: number, dst: Uint8Array): Promise<void> {
    return this.#after(() => dst.set(this.data.subarray(sector * 512, sector * 512 + dst.length)));
  }
  write(sector: number, src: Uint8Array): Promise<void> {
    return this.#after(() => this.data.set(src, sector * 512));
  }
  flush(): Promise<void> {
    return this.#after(() => undefined);
  }

  async #after(work: () => void): Promise<void> {
    for (let left = this.latency(this.#calls++); left > 0; left--) await new Promise((next) => setImmediate(next));
    work();
  }
}

const hash = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Reads and writes that overlap on the disk and in memory: every order of them would show. */
const REQUESTS: readonly DiskRequest[] = [
  { type: OUT, sector: 8, buffers: [1024, 512] },
  { type: IN, sector: 8, buffers: [4096] },
  { type: IN, sector: 100, buffers: [512 * 1024] },
  { type: OUT, sector: 9, buffers: [4096] },
  { type: FLUSH, sector: 0, buffers: [] },
  { type: IN, sector: 7, buffers: [512, 512, 512] },
];

/** What a guest that counts while it waits sees of a disk. */
async function trace(latency: (call: number) => number): Promise<unknown> {
  const disk = new SlowDisk(latency);
  const machine = await machineOf(
    (a) => {
      startDisk(a);
      notifyDisk(a);
      a.mov(edi, RING.used);
      const wait = a.here("wait");
      a.inc(mem(rdi, { disp: -4, size: 4 }));
      a.cmp(mem(rdi, { disp: 2, size: 2 }), REQUESTS.length).jne(short(wait));
      a.mov(eax, 0);
      powerOff(a);
    },
    { clock: "icount", disks: [disk] },
  );
  layRequests(machine, REQUESTS);
  const exit = await machine.run();
  const bytes = (gpa: number, length: number): Uint8Array => {
    const copy = new Uint8Array(length);
    machine.memory.read(gpa, copy);
    return copy;
  };
  const { instructions } = machine.stats();
  const seen = { counted: bytes(RING.used - 4, 4), ring: bytes(RING.used, 64), memory: hash(bytes(DATA, 600 * 1024)) };
  return { exit, instructions, now: machine.clock.now(), ...seen, disk: hash(disk.data) };
}

describe("with icount", () => {
  it("how long a disk takes, and in which order it finishes, shows nowhere in the guest", async () => {
    const first = await trace(() => 0);
    expect(first).toMatchObject({ exit: { reason: "power-off" } });
    expect(await trace((call) => (call * 7) % 5)).toEqual(first);
    expect(await trace((call) => 20 - 3 * call)).toEqual(first);
  });
});
