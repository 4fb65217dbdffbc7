/** EFI_AUTHENTICATED_VARIABLE_GUID, by which a store of variables is known. */
export const STORE_GUID = [
  0x78, 0x2c, 0xf3, 0xaa, 0x7b, 0x94, 0x9a, 0x43, 0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92,
];
/** Bytes of the volume's header, and of the store's. */
export const [VOLUME_HEADER, STORE_HEADER] = [0x48, 28];

/** Makes the first bytes of `volume` a firmware volume with a store of `size` bytes, and leaves the rest. */
export function putStore(volume: Uint8Array, size: number): void {
  const view = new DataView(volume.buffer, volume.byteOffset);
  view.setUint32(40, 0x4856465f, true);
  view.setUint16(48, VOLUME_HEADER, true);
  volume.set(STORE_GUID, VOLUME_HEADER);
  view.setUint32(VOLUME_HEADER + 16, size, true);
}
