import type { Pace } from "../pace.js";
import { DictionaryError, unpackZstd } from "../zstd/zstd.js";
import { KernelError, UnknownPackingError } from "./error.js";
import { unpackLz4 } from "./lz4.js";
import { Payload } from "./payload.js";
import { drain, pieces } from "./stream.js";
import { unpackXz } from "./xz/unpack.js";

interface Format {
  readonly name: string;
  readonly magic: readonly number[];
  readonly unpack: (data: Uint8Array, out: Payload, pace: Pace) => Promise<void>;
}

/** Compression formats of Linux payloads, by magic. A decompressor is loaded when a kernel needs it. */
const FORMATS: readonly Format[] = [
  { name: "lz4", magic: [0x02, 0x21, 0x4c, 0x18], unpack: unpackLz4 },
  {
    name: "zstd",
    magic: [0x28, 0xb5, 0x2f, 0xfd],
    unpack: async (data, out, pace) => {
      for (const _ of unpackZstd(data, out)) await pace.breathe();
    },
  },
  { name: "xz", magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], unpack: unpackXz },
  {
    name: "gzip",
    magic: [0x1f, 0x8b, 0x08],
    unpack: (data, out, pace) => {
      const unpacker = new DecompressionStream("gzip") as TransformStream<Uint8Array, Uint8Array>;
      return drain(pieces(data).pipeThrough(unpacker), out, pace);
    },
  },
];

/**
 * Unpacks a kernel payload.
 * @param size bytes of the result, as the payload's trailer says; so much memory is taken
 * @throws {UnknownPackingError} for a format that is not known
 * @throws {KernelError} for damaged data, and as soon as there is more than `size`
 */
export async function decompress(data: Uint8Array, size: number, pace: Pace): Promise<Uint8Array> {
  const format = FORMATS.find(({ magic }) => magic.every((byte, k) => data[k] === byte));
  if (format === undefined) {
    if (data[0] === 0x7f && data[1] === 0x45) return data;
    const known = FORMATS.map(({ name }) => name).join(", ");
    throw new UnknownPackingError(`its payload is compressed in a format other than ${known}`);
  }
  const out = new Payload(size);
  try {
    await format.unpack(data, out, pace);
  } catch (cause) {
    pace.check();
    if (cause instanceof KernelError) throw cause;
    if (cause instanceof DictionaryError)
      throw new UnknownPackingError(`its ${format.name} payload needs a dictionary`);
    throw new KernelError("damaged", `its ${format.name} payload is damaged`, { cause });
  }
  if (out.length !== size) {
    throw new KernelError("damaged", `its ${format.name} payload unpacks to ${out.length} bytes instead of ${size}`);
  }
  return out.bytes;
}
