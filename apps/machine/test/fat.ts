/** A FAT16 file system, as firmware boots from (Microsoft, "FAT: General Overview of On-Disk Format"): files in folders, names of 8.3. */

const SECTOR = 512;
const CLUSTER = 8 * SECTOR;
const CLUSTERS = 16_000;
const FAT_SECTORS = Math.ceil(((CLUSTERS + 2) * 2) / SECTOR);
const ROOT_ENTRIES = 512;
const ENTRY = 32;
const ROOT = (1 + 2 * FAT_SECTORS) * SECTOR;
const DATA = ROOT + ROOT_ENTRIES * ENTRY;
const DIRECTORY = 0x10;
const LAST = 0xffff;

interface Folder {
  readonly [name: string]: Uint8Array | Folder;
}

/** @param root what is in it, by names as FAT has them: upper case, 8.3 */
export function fatImage(root: Folder): Uint8Array {
  const image = new Uint8Array(DATA + CLUSTERS * CLUSTER);
  const view = new DataView(image.buffer);
  const ascii = (at: number, text: string): void => image.set(Buffer.from(text, "latin1"), at);
  image.set([0xeb, 0x3c, 0x90]);
  ascii(3, "VMTESTS ");
  view.setUint16(11, SECTOR, true);
  image[13] = CLUSTER / SECTOR;
  view.setUint16(14, 1, true);
  image[16] = 2;
  view.setUint16(17, ROOT_ENTRIES, true);
  image[21] = 0xf8;
  view.setUint16(22, FAT_SECTORS, true);
  view.setUint32(32, image.length / SECTOR, true);
  image.set([0x80, 0, 0x29], 36);
  ascii(43, "VM         FAT16   ");
  view.setUint16(510, 0xaa55, true);

  let free = 2;
  const fat = (cluster: number, next: number): void => {
    for (const copy of [0, 1]) view.setUint16(SECTOR + copy * FAT_SECTORS * SECTOR + cluster * 2, next, true);
  };
  fat(0, 0xfff8);
  fat(1, LAST);
  /** Clusters in a row; returns where they start, the first of them. */
  const take = (bytes: number): { readonly at: number; readonly first: number } => {
    const first = free;
    const count = Math.max(1, Math.ceil(bytes / CLUSTER));
    if (first + count > CLUSTERS + 2) throw new RangeError(`${bytes} bytes do not fit`);
    for (let k = 0; k < count; k++) fat(first + k, k === count - 1 ? LAST : first + k + 1);
    free += count;
    return { at: DATA + (first - 2) * CLUSTER, first };
  };
  const entry = (at: number, name: string, attributes: number, first: number, size: number): void => {
    const [base = "", extension = ""] = name.startsWith(".") ? [name] : name.split(".");
    ascii(at, base.padEnd(8) + extension.padEnd(3));
    image[at + 11] = attributes;
    view.setUint16(at + 26, first, true);
    view.setUint32(at + 28, size, true);
  };
  const fill = (at: number, folder: Folder): void => {
    Object.entries(folder).forEach(([name, content], k) => {
      const isFile = content instanceof Uint8Array;
      const bytes = isFile ? content.length : CLUSTER;
      const { at: start, first } = take(bytes);
      entry(at + k * ENTRY, name, isFile ? 0 : DIRECTORY, first, isFile ? bytes : 0);
      if (isFile) image.set(content, start);
      else {
        entry(start, ".", DIRECTORY, first, 0);
        entry(start + ENTRY, "..", DIRECTORY, at < DATA ? 0 : (at - 2 * ENTRY - DATA) / CLUSTER + 2, 0);
        fill(start + 2 * ENTRY, content);
      }
    });
  };
  fill(ROOT, root);
  return image;
}
