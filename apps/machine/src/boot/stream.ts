import type { Pace } from "../pace.js";
import type { Payload } from "./payload.js";

/** Bytes handed to a decompressor at a time: what it makes of them is bounded with them. */
const PIECE = 16384;

/** `parts`, one after the other, in pieces that are taken when they are wanted. */
export function pieces(...parts: readonly Uint8Array[]): ReadableStream<Uint8Array> {
  let part = 0;
  let at = 0;
  return new ReadableStream(
    {
      pull(controller) {
        while (part < parts.length && at >= (parts[part] as Uint8Array).length) {
          part++;
          at = 0;
        }
        const bytes = parts[part];
        if (bytes === undefined) return controller.close();
        controller.enqueue(bytes.slice(at, at + PIECE));
        at += PIECE;
      },
    },
    { highWaterMark: 0 },
  );
}

/** Reads `stream` to its end into `out`. @throws {KernelError} once there is more than `out` takes, and what the stream fails with */
export async function drain(stream: ReadableStream<Uint8Array>, out: Payload, pace: Pace): Promise<void> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      out.append(value);
      await pace.breathe();
    }
  } catch (error) {
    // A stream that failed by itself cannot be cancelled, and says again why.
    await reader.cancel().catch(() => undefined);
    throw error;
  }
}
