/** Where a program lies, guest-physical, which is linear as well: the boot protocol's identity map. */
export const LOAD = 0x100000;

/** A kernel of one segment at {@link LOAD}. */
export function elf(bytes: Uint8Array, entry: number): Uint8Array {
  const HEADERS = 128;
  const file = new Uint8Array(HEADERS + bytes.length);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 62, true);
  view.setUint32(24, entry, true);
  view.setUint32(32, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 1, true);
  view.setUint32(64, 1, true);
  view.setUint32(72, HEADERS, true);
  view.setUint32(80, LOAD, true);
  view.setUint32(88, LOAD, true);
  view.setUint32(96, bytes.length, true);
  view.setUint32(104, bytes.length, true);
  file.set(bytes, HEADERS);
  return file;
}
