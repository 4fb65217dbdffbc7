import { SECTOR_SIZE } from "@vm/devices";
import type { ByteStore } from "../byte-store.js";
import { DiskError } from "../error.js";
import type { DiskFormat } from "../format.js";
import { u64Bytes, viewOf } from "./bits.js";
import { EXTENSION_BACKING_FORMAT, MAX_BACKING_NAME, MAX_L1_BYTES } from "./header.js";
import { RefcountBits } from "./refcount-bits.js";

export interface Qcow2CreateOptions {
  /** Size of the disk in sectors of 512 bytes; up to 2^42 (2 PiB). */
  readonly sectors: number;
  /** What lies below: the name that the image will open it by, up to 1023 bytes of UTF-8, and its format. */
  readonly backing?: { readonly name: string; readonly format: DiskFormat } | undefined;
}

/** As `qemu-img create` has it. */
const CLUSTER_BITS = 16;
const CLUSTER = 2 ** CLUSTER_BITS;
const REFCOUNT_ORDER = 4;
const HEADER_LENGTH = 112;

/**
 * Makes an empty qcow2 image, version 3, of `store`, whatever was in it: header, refcount table, refcount block and L1 table, as QEMU
 * lays them out (`docs/interop/qcow2.txt`).
 * @throws {DiskError} for a size that cannot be, or a name that is too long
 * @example await createQcow2(store, { sectors: (1 << 30) / 512 });
 */
export async function createQcow2(store: ByteStore, { sectors, backing }: Qcow2CreateOptions): Promise<void> {
  const l1Size = Math.ceil((sectors * SECTOR_SIZE) / (CLUSTER * (CLUSTER / 8)));
  if (!Number.isInteger(sectors) || sectors < 1 || l1Size * 8 > MAX_L1_BYTES)
    throw new DiskError("unusable", `a disk of ${sectors} sectors: expected 1 to 2^42`);
  const l1Clusters = Math.ceil((l1Size * 8) / CLUSTER);
  const header = writeHeader(sectors * SECTOR_SIZE, l1Size, backing);

  const counts = new RefcountBits(REFCOUNT_ORDER);
  const block = new Uint8Array(CLUSTER);
  for (let cluster = 0; cluster < 3 + l1Clusters; cluster++) counts.set(block, cluster, 1);

  await store.truncate(0);
  await store.truncate((3 + l1Clusters) * CLUSTER);
  await store.write(CLUSTER, u64Bytes(2 * CLUSTER));
  await store.write(2 * CLUSTER, block);
  // The header last: without it there is no image.
  await store.flush();
  await store.write(0, header);
  await store.flush();
}

function writeHeader(size: number, l1Size: number, backing: Qcow2CreateOptions["backing"]): Uint8Array {
  const name = new TextEncoder().encode(backing?.name ?? "");
  if (name.length > MAX_BACKING_NAME)
    throw new DiskError("unusable", `a backing name of ${name.length} bytes: expected up to ${MAX_BACKING_NAME}`);
  const header = new Uint8Array(CLUSTER);
  const view = viewOf(header);
  const at64 = (offset: number, value: number): void => header.set(u64Bytes(value), offset);
  view.setUint32(0, 0x514649fb); // QFI\xfb
  view.setUint32(4, 3);
  view.setUint32(20, CLUSTER_BITS);
  at64(24, size);
  view.setUint32(36, l1Size);
  at64(40, 3 * CLUSTER);
  at64(48, CLUSTER);
  view.setUint32(56, 1);
  view.setUint32(96, REFCOUNT_ORDER);
  view.setUint32(100, HEADER_LENGTH);
  if (backing === undefined) return header;
  const format = new TextEncoder().encode(backing.format);
  view.setUint32(HEADER_LENGTH, EXTENSION_BACKING_FORMAT);
  view.setUint32(HEADER_LENGTH + 4, format.length);
  header.set(format, HEADER_LENGTH + 8);
  // The extension padded to 8 bytes, then one of type 0, which ends them.
  const nameAt = HEADER_LENGTH + 8 + Math.ceil(format.length / 8) * 8 + 8;
  at64(8, nameAt);
  view.setUint32(16, name.length);
  header.set(name, nameAt);
  return header;
}
