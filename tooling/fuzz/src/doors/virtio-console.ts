import { VirtioConsole, VirtioMmio } from "@vm/devices";
import { type Door, Violation } from "../door.js";
import { Random } from "../random.js";
import { MEMORY, RingDriver } from "../rings/driver.js";
import { RingHost } from "../rings/ring-host.js";

const ACTS = 150;
const MOST = 64 * 1024;

/** The rings of a console. */
export const virtioConsole: Door = {
  name: "virtio-console",
  summary: "the rings of a console: any descriptors and indexes, resets at any moment, a receiver that is slow",
  check: async (seed) => {
    const random = new Random(seed);
    const host = new RingHost(MEMORY);
    let sent = 0;
    let release: (() => void) | null = null;
    const onTransmit = (bytes: Uint8Array): void | Promise<void> => {
      if (release !== null) throw new Violation("sent while blocked", `${bytes.length} bytes`);
      if (bytes.length === 0 || bytes.length > MOST) throw new Violation("piece", `${bytes.length} bytes`);
      sent += bytes.length;
      if (random.chance(70)) return;
      return new Promise((resolve, reject) => {
        release = random.chance(80) ? resolve : () => reject(new Error("nobody listens"));
      });
    };
    const device = new VirtioConsole({ onTransmit });
    const mmio = new VirtioMmio({ device, memory: host, irq: host, turns: host });
    const header = (): Uint8Array => Uint8Array.from(random.bytes(16));
    const driver = new RingDriver(random, host, mmio, { queues: 2, header });
    driver.start();
    for (let k = 0; k < ACTS; k++) {
      if (random.chance(60)) driver.act();
      if (random.chance(20)) device.receive(new Uint8Array(random.below(random.chance(90) ? 100 : 100_000)));
      if (random.chance(5)) device.resize(random.below(65536), random.below(65536));
      if (random.chance(60)) host.turn();
      if (release !== null && random.chance(50)) {
        const go = release as () => void;
        release = null;
        go();
        for (let turns = 0; turns < 4; turns++) await Promise.resolve();
      }
      if (host.begun !== (release === null ? 0 : 1)) throw new Violation("miscounted", `${host.begun} begun`);
    }
    return { sums: { "requests given back": host.given, "bytes sent": sent } };
  },
};
