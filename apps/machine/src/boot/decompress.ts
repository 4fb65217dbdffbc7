import { KernelError } from "./error.js";

/** Compression formats of Linux payloads, by magic. A decompressor is loaded when a kernel needs it. */
const FORMATS = [
  { name: "lz4", magic: [0x02, 0x21, 0x4c, 0x18], unpack: lz4Legacy },
  {
    name: "zstd",
    magic: [0x28, 0xb5, 0x2f, 0xfd],
    unpack: async (data: Uint8Array, size: number) => (await import("fzstd")).decompress(data, new Uint8Array(size)),
  },
  {
    name: "xz",
    magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00],
    unpack: async (data: Uint8Array) => {
      const { XzReadableStream } = (await import("xz-decompress")).default;
      return throughStream(data, (s) => new XzReadableStream(s));
    },
  },
  {
    name: "gzip",
    magic: [0x1f, 0x8b, 0x08],
    unpack: (data: Uint8Array) =>
      throughStream(data, (s) =>
        s.pipeThrough(new DecompressionStream("gzip") as ReadableWritablePair<Uint8Array, Uint8Array>),
      ),
  },
] as const;

/**
 * Unpacks a kernel payload.
 * @param size bytes of the result, as the payload's trailer says
 * @throws {KernelError} for an unknown format or damaged data
 */
export async function decompress(data: Uint8Array, size: number): Promise<Uint8Array> {
  const format = FORMATS.find(({ magic }) => magic.every((byte, k) => data[k] === byte));
  if (format === undefined) {
    if (data[0] === 0x7f && data[1] === 0x45) return data;
    throw new KernelError(`its payload is compressed in a format other than ${FORMATS.map((f) => f.name).join(", ")}`);
  }
  let unpacked: Uint8Array;
  try {
    unpacked = await format.unpack(data, size);
  } catch (cause) {
    throw new KernelError(`its ${format.name} payload is damaged`, { cause });
  }
  if (unpacked.length !== size)
    throw new KernelError(`its ${format.name} payload unpacks to ${unpacked.length} bytes instead of ${size}`);
  return unpacked;
}

/** LZ4's legacy frame, which the kernel uses: magic, then blocks of at most 8 MiB, each with its length before it. */
async function lz4Legacy(data: Uint8Array, size: number): Promise<Uint8Array> {
  const { default: lz4 } = await import("lz4js");
  const out = new Uint8Array(size);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let at = 4;
  let to = 0;
  while (at + 4 <= data.length && to < size) {
    const length = view.getUint32(at, true);
    at += 4;
    if (length > data.length - at) throw new RangeError(`LZ4 block of ${length} bytes at ${at}`);
    to = lz4.decompressBlock(data, out, at, length, to);
    at += length;
  }
  return to === size ? out : out.subarray(0, to);
}

async function throughStream(
  data: Uint8Array,
  unpack: (s: ReadableStream<Uint8Array>) => ReadableStream<Uint8Array>,
): Promise<Uint8Array> {
  const source = new Blob([data as Uint8Array<ArrayBuffer>]).stream() as ReadableStream<Uint8Array>;
  return new Uint8Array(await new Response(unpack(source) as ReadableStream<Uint8Array<ArrayBuffer>>).arrayBuffer());
}
