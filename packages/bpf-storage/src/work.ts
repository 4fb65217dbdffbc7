/** Something that takes long: stops wherever others may have their turn. */
export type Work<T> = Generator<undefined, T, undefined>;

/** Time of the event loop that is taken at once, ms. */
const TURN_MS = 5;

/** Bytes that are copied at once: to write to a page for the first time takes some hosts 30 us. */
const COPY_BYTES = 1 << 16;

/** Copies bytes to the beginning of others, which are asked for anew for every piece: memory may have grown meanwhile. */
export function* copying(from: Uint8Array, into: () => Uint8Array): Work<void> {
  for (let at = 0; at < from.length; at += COPY_BYTES) {
    into().set(from.subarray(at, at + COPY_BYTES), at);
    yield;
  }
}

/** Does all of it at once. */
export function finish<T>(work: Work<T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done === true) return value;
  }
}

/** Does it in turns of the event loop that others have too. */
export async function inTurns<T>(work: Work<T>): Promise<T> {
  for (let began = performance.now(); ; ) {
    const { done, value } = work.next();
    if (done === true) return value;
    if (performance.now() - began < TURN_MS) continue;
    await turn();
    began = performance.now();
  }
}

/** Resolves when the event loop has had a turn; in browsers, whose nested timeouts are clamped to 4 ms, by a message. */
const turn = (): Promise<void> =>
  new Promise((resolve) => {
    if (typeof setImmediate === "function") {
      setImmediate(resolve);
      return;
    }
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
