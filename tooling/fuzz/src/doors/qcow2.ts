import { DiskError, MemoryDisk, MemoryStore, Qcow2Disk } from "@vm/machine";
import { type Door, Violation } from "../door.js";
import { sound, spoil } from "../qcow2/image.js";
import { Random } from "../random.js";

const OPERATIONS = 25;
/** Bytes an image may grow to; what needs more is an I/O error. */
const LIMIT = 16 * 2 ** 20;
const BUFFER = 64 * 1024;

/** Images whose header and tables are damaged. */
export const qcow2: Door = {
  name: "qcow2",
  summary: "qcow2 images with damage in header, tables and clusters, read and written",
  check: async (seed, opened) => {
    const random = new Random(seed);
    const image = sound(random);
    spoil(random, image);
    const end = random.chance(90) ? image.bytes.length : random.below(image.bytes.length);
    opened();
    const store = new MemoryStore(image.bytes.slice(0, end), { readonly: random.chance(20), limit: LIMIT });
    const openBacking = async (): Promise<MemoryDisk> =>
      new MemoryDisk(512 * (1 + random.below(64)), { readonly: true });
    const disk = await typed(Qcow2Disk.open(store, random.chance(70) ? { openBacking } : {}));
    if (disk === null) return { kinds: { image: "refused" } };
    let failed = 0;
    const under: Promise<void>[] = [];
    for (let k = 0; k < OPERATIONS; k++) {
      const sector = random.chance(80)
        ? random.below(Math.min(disk.sectors, 512))
        : Math.floor((random.word() / 2 ** 32) * disk.sectors);
      const bytes = new Uint8Array(
        Math.min(512 * (1 + random.below(random.chance(90) ? 16 : BUFFER / 512)), 512 * (disk.sectors - sector)),
      );
      const write = random.chance(50);
      if (write) bytes.fill(k + 1);
      const work = random.chance(5) ? disk.flush() : write ? disk.write(sector, bytes) : disk.read(sector, bytes);
      const done = typed(work.then(() => true)).then((outcome) => {
        if (outcome === null) failed++;
      });
      under.push(done);
      if (random.chance(60)) await Promise.all(under.splice(0));
    }
    await Promise.all(under);
    await typed(disk.close());
    if (store.size > LIMIT) throw new Violation("grown", `${store.size} bytes`);
    return { sums: { operations: OPERATIONS, "of them failed": failed }, kinds: { image: "opened" } };
  },
};

/** What comes out, or null for a typed error. Any other is the case's. */
async function typed<T>(work: Promise<T>): Promise<T | null> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof DiskError) return null;
    throw error;
  }
}
