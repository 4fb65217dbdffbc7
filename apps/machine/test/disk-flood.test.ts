import { short } from "@vm/asm";
import { describe, expect, it } from "vitest";
import type { BlockBackend, MachineOptions } from "../src/index.js";
import { machineOf } from "./guest.js";
import { IN, layRequests, notifyDisk, OUT, RING, startDisk } from "./virtio-guest.js";

const MIB = 2 ** 20;

/** A disk of 8 GiB that counts; `later` says how it finishes. */
class VastDisk implements BlockBackend {
  readonly sectors = 2 ** 24;
  readonly readonly = false;
  bytes = 0;

  constructor(private readonly later: () => void | Promise<void>) {}

  read(_sector: number, dst: Uint8Array): void | Promise<void> {
    this.bytes += dst.length;
    return this.later();
  }
  write(_sector: number, src: Uint8Array): void | Promise<void> {
    this.bytes += src.length;
    return this.later();
  }
  flush(): void {}
}

/** A guest that asks for 3.5 GiB, all of it into the same 14 MiB, by one notification, and then computes. */
async function flood(type: number, disk: BlockBackend, options: MachineOptions) {
  const machine = await machineOf(
    (a) => {
      startDisk(a);
      notifyDisk(a);
      a.jmp(short(a.here("self")));
    },
    { memory: 32 * MIB, disks: [disk], ...options },
  );
  layRequests(machine, [{ type, sector: 0, buffers: Array.from({ length: 250 }, () => 14 * MIB) }], { shared: true });
  return machine;
}

describe.each<[string, MachineOptions]>([
  ["host", { clock: "host" }],
  ["icount", { clock: "icount" }],
])("one notification that asks for gigabytes, clock %s", (_, options) => {
  it.each<[string, number, () => void | Promise<void>]>([
    ["read, from a disk that answers at once", IN, () => undefined],
    ["read, from a disk that answers by promises", IN, () => Promise.resolve()],
    ["written", OUT, () => undefined],
  ])("%s: the event loop keeps its turns, and the machine ends when asked", async (_name, type, later) => {
    const disk = new VastDisk(later);
    const machine = await flood(type, disk, options);
    let turns = 0;
    const count = (): void => {
      if (++turns === 5) machine.stop();
      else setImmediate(count);
    };
    setImmediate(count);
    expect(await machine.run()).toEqual({ reason: "stopped" });
    expect(machine.memory.read(RING.used + 2, new Uint8Array(2))).toBe(true);
    expect(machine.memory.readU8(RING.used + 2)).toBe(0);
    expect(disk.bytes).toBeLessThan(1024 * MIB);
  });
});

it("a machine that is paused moves nothing", async () => {
  const disk = new VastDisk(() => new Promise((resolve) => setImmediate(resolve)));
  const machine = await flood(IN, disk, {});
  const end = machine.run();
  while (disk.bytes === 0) await new Promise((resolve) => setImmediate(resolve));
  await machine.pause();
  const { bytes } = disk;
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
  expect(disk.bytes).toBe(bytes);
  machine.stop();
  await end;
});
