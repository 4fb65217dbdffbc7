/** A section as a test writes it. */
export interface SectionSpec {
  readonly type: number;
  readonly offset?: number;
  readonly raw?: number;
  readonly gpa?: number | bigint;
  readonly size?: number | bigint;
  readonly attributes?: number;
}

/** How an image says where its metadata is, and what may be wrong with it. */
export interface ImageSpec {
  readonly size?: number;
  readonly sections: readonly SectionSpec[];
  /** By the table of GUIDs, or by the offset 32 bytes before the end. */
  readonly place?: "table" | "pointer";
  /** Bytes that replace others, after all is written. */
  readonly patch?: (image: Uint8Array, view: DataView, metadata: number) => void;
}

const FOOTER = [0xde, 0x82, 0xb5, 0x96, 0xb2, 0x1f, 0xf7, 0x45, 0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d];
const METADATA = [0x35, 0x65, 0x7a, 0xe4, 0x4a, 0x98, 0x98, 0x47, 0x86, 0x5e, 0x46, 0x85, 0xa7, 0xbf, 0x8e, 0xc2];
const OTHER = [0xde, 0x71, 0xf7, 0x00, 0x7e, 0x1a, 0xcb, 0x4f, 0x89, 0x0e, 0x68, 0xc7, 0x7e, 0x2f, 0xb4, 0x4e];

/** The sections of a small firmware: 16 KiB of code, 4 KiB of variables, and memory. */
export const SECTIONS: readonly SectionSpec[] = [
  { type: 0, offset: 0x1000, raw: 0x3000, gpa: 0xffff_d000, size: 0x3000, attributes: 1 },
  { type: 1, offset: 0, raw: 0x1000, gpa: 0xffff_c000, size: 0x1000 },
  { type: 3, gpa: 0x81_0000, size: 0x2000 },
  { type: 2, gpa: 0x80_9000, size: 0x2000 },
];

/** A firmware image whose other bytes are a pattern. */
export function firmwareImage({ size = 0x4000, sections, place = "table", patch }: ImageSpec): Uint8Array {
  const image = Uint8Array.from({ length: size }, (_, k) => (k * 7 + (k >> 8)) & 0xff);
  const view = new DataView(image.buffer);
  const metadata = size - 0x200 - 32 * sections.length;
  for (const [k, value] of [0x46564454, 16 + 32 * sections.length, 1, sections.length].entries())
    view.setUint32(metadata + 4 * k, value, true);
  for (const [k, section] of sections.entries()) {
    const at = metadata + 16 + 32 * k;
    view.setUint32(at, section.offset ?? 0, true);
    view.setUint32(at + 4, section.raw ?? 0, true);
    view.setBigUint64(at + 8, BigInt(section.gpa ?? 0), true);
    view.setBigUint64(at + 16, BigInt(section.size ?? 0), true);
    view.setUint32(at + 24, section.type, true);
    view.setUint32(at + 28, section.attributes ?? 0, true);
  }
  if (place === "pointer") view.setUint32(size - 32, metadata, true);
  else writeTable(image, view, size - metadata);
  patch?.(image, view, metadata);
  return image;
}

/** Another entry, that of the metadata, and the footer, each: data, length of all, GUID. */
function writeTable(image: Uint8Array, view: DataView, distance: number): void {
  let at = image.length - 32;
  const put = (guid: readonly number[], length: number) => {
    image.set(guid, at - 16);
    view.setUint16(at - 18, length, true);
  };
  put(FOOTER, 18 + 26 + 22);
  at -= 18;
  put(OTHER, 26);
  at -= 26;
  put(METADATA, 22);
  view.setUint32(at - 22, distance, true);
}
