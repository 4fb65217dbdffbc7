const SECTOR = 512;

/** A bzImage with `sectors` sectors of setup, 0 saying 4, and as much of a header as it has to have. Nothing in it can run. */
export function unstartedKernel(sectors = 4): Uint8Array {
  const setup = SECTOR * ((sectors || 4) + 1);
  const file = Uint8Array.from({ length: setup + 3000 }, (_, k) => (k < setup ? 0 : k & 0xff));
  const view = new DataView(file.buffer);
  view.setUint8(0x1f1, sectors);
  view.setUint16(0x1fe, 0xaa55, true);
  view.setUint8(0x201, 0x6a);
  view.setUint32(0x202, 0x53726448, true);
  view.setUint16(0x206, 0x20f, true);
  view.setUint8(0x211, 1);
  return file;
}
