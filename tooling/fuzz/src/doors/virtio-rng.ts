import { VirtioMmio, VirtioRng } from "@vm/devices";
import { type Door, Violation } from "../door.js";
import { Random } from "../random.js";
import { MEMORY, RingDriver } from "../rings/driver.js";
import { RingHost } from "../rings/ring-host.js";

const ACTS = 150;
const MOST = 16 * 1024;

/** The ring of an entropy device. */
export const virtioRng: Door = {
  name: "virtio-rng",
  summary: "the ring of the entropy device: any descriptors and indexes, resets at any moment",
  check: (seed) => {
    const random = new Random(seed);
    const host = new RingHost(MEMORY);
    let filled = 0;
    const fill = (dst: Uint8Array): void => {
      if (dst.length > MOST) throw new Violation("too much at once", `${dst.length} bytes`);
      filled += dst.length;
      dst.fill(random.below(256));
    };
    const mmio = new VirtioMmio({ device: new VirtioRng({ entropy: { fill } }), memory: host, irq: host, turns: host });
    const header = (): Uint8Array => Uint8Array.from(random.bytes(16));
    const driver = new RingDriver(random, host, mmio, { queues: 1, header });
    driver.start();
    for (let k = 0; k < ACTS; k++) {
      if (random.chance(60)) driver.act();
      const before = filled;
      if (random.chance(60)) host.turn();
      if (filled - before > 2 * MOST) throw new Violation("long turn", `${filled - before} bytes`);
    }
    return { sums: { "requests given back": host.given, "bytes filled": filled } };
  },
};
