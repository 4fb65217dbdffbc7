import { ReadableStream } from "node:stream/web";
import xz from "xz-decompress";
import { GuestError } from "./errors.js";

/**
 * Decompresses a whole .xz file.
 *
 * @throws GuestError `bad-package` when the bytes are not a complete xz stream.
 */
export async function unxz(bytes: Uint8Array): Promise<Uint8Array> {
  const source = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(bytes);
      controller.close();
    },
  });
  // The library is written against the browser's stream type, which Node's equals at run time.
  const stream = new xz.XzReadableStream(source as ConstructorParameters<typeof xz.XzReadableStream>[0]);
  try {
    return new Uint8Array(await new Response(stream as ReadableStream<Uint8Array>).arrayBuffer());
  } catch (cause) {
    throw new GuestError("bad-package", `not a complete xz stream of ${bytes.length} bytes`, { cause });
  }
}
