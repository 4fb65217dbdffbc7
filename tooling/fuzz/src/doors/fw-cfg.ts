import { FW_CFG_DMA_PORTS, FwCfg, PortBus } from "@vm/devices";
import { type Door, Violation } from "../door.js";
import { type Access, BASE, Control, DmaGuest } from "../fw-cfg/dma-guest.js";
import { FwCfgModel } from "../fw-cfg/model.js";
import { Random } from "../random.js";
import { turn } from "../turn.js";

const ACTS = 60;
/** Bytes of files, the first of which is item 0x20. */
const FILES = [0, 5, 4096, 1_100_000] as const;
const FIRST_FILE = 0x20;
const SIGNATURE = Uint8Array.of(0x51, 0x45, 0x4d, 0x55);
const ITEMS = new Map<number, Uint8Array>([
  [0, SIGNATURE],
  ...FILES.map((size, k) => {
    const bytes = Uint8Array.from({ length: size }, (_, at) => (at * 7 + (at >> 9) + k) & 0xff);
    return [FIRST_FILE + k, bytes] as const;
  }),
]);
/** Items to select, some of which are not there. */
const SELECTORS = [...ITEMS.keys(), 0x18, 0x24, 0x3fff, 0xffff] as const;

/** Firmware that asks for items by port and by DMA. */
export const fwCfg: Door = {
  name: "fw-cfg",
  summary: "ports and access structures of fw_cfg: any items, lengths and addresses, saves at any moment",
  check: async (seed, opened) => {
    const random = new Random(seed);
    const guest = new DmaGuest();
    const model = new FwCfgModel(ITEMS);
    let { device, ports } = machine(guest);
    let transfers = 0;
    opened();
    for (let k = 0; k < ACTS; k++) {
      await turn();
      const act = random.below(10);
      if (act < 4) {
        guest.finish();
        const item = random.pick(SELECTORS);
        guest.out(ports, BASE, 2, item);
        model.select(item);
        for (let more = random.below(3); more >= 0; more--, transfers++)
          if (!transfer(guest, ports, model, access(random, guest))) break;
      } else if (act < 6) guest.start(ports, access(random, guest));
      else if (act < 8) port(random, guest, ports);
      else if (act === 8) guest.turn();
      else {
        const saved = structuredClone(device.save());
        guest.forget();
        ({ device, ports } = machine(guest));
        device.restore(saved);
        if (JSON.stringify(device.save()) !== JSON.stringify(saved)) throw new Violation("restore", "another state");
      }
    }
    guest.finish();
    return { sums: { transfers, "bytes stored": guest.stored } };
  },
};

function machine(guest: DmaGuest): { device: FwCfg; ports: PortBus } {
  const dma = { memory: guest, turns: guest };
  const device = new FwCfg({ basePort: BASE, ram: guest.bytes.length, processors: 2, dma });
  FILES.forEach((_, k) => {
    device.addFile(`file${k}`, ITEMS.get(FIRST_FILE + k) as Uint8Array);
  });
  const ports = new PortBus();
  ports.attach(BASE, FW_CFG_DMA_PORTS, device);
  return { device, ports };
}

/** A transfer that nothing disturbs. @returns whether it is known what it did @throws {Violation} if it did something else */
function transfer(guest: DmaGuest, ports: PortBus, model: FwCfgModel, access: Access): boolean {
  guest.start(ports, access);
  const expected = guest.bytes.slice();
  const known = model.access(expected, access);
  guest.finish();
  const { at, address, length } = access;
  if (!known) {
    const inside = guest.bytes.subarray(address, address + length);
    expected.set(inside, Math.min(address, expected.length));
    expected.set([0, 0, 0, Control.Error], at);
  }
  if (Buffer.compare(expected, guest.bytes) !== 0) throw new Violation("transfer", JSON.stringify(access));
  return known;
}

function access(random: Random, { bytes }: DmaGuest): Access {
  const bits = random.chance(80) ? random.pick([2, 2, 4, 8, 10, 12]) : random.below(32);
  const beyond = [bytes.length, 2 ** 32, 2 ** 52, 2 ** 53, 2 ** 63] as const;
  return {
    at: random.chance(5) ? bytes.length - 1 - random.below(24) : 16 * random.below(1024),
    control: (random.pick(SELECTORS) * 0x1_0000 + bits) >>> 0,
    length: random.chance(50) ? random.below(64) : random.below(random.chance(80) ? bytes.length / 2 : 2 ** 32),
    address: random.chance(80) ? random.below(bytes.length) : random.pick(beyond) - random.below(64),
  };
}

/** Any access to any of its ports. */
function port(random: Random, guest: DmaGuest, ports: PortBus): void {
  const at = BASE + random.below(FW_CFG_DMA_PORTS);
  const size = random.pick([1, 2, 4] as const);
  if (random.chance(50)) guest.out(ports, at, size, random.chance(50) ? random.word() : random.below(64));
  else if (ports.read(at, size) >= 2 ** (8 * size)) throw new Violation("port", `${size} bytes read as more`);
}
