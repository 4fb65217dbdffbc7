import type { Transport, TransportSink } from "./transport.js";

/** What a socket of Node has that a transport needs. This package itself never imports Node. */
export interface StreamLike {
  on(event: "data", listener: (bytes: Uint8Array) => void): unknown;
  on(event: "drain" | "close" | "connect", listener: () => void): unknown;
  on(event: "error", listener: (error: unknown) => void): unknown;
  write(bytes: Uint8Array): boolean;
  pause(): unknown;
  resume(): unknown;
  destroy(): unknown;
}

/** What Node's `net.connect` takes to have a socket read into a buffer of ours instead of one of its own a time. */
export interface OnRead {
  readonly buffer: Uint8Array;
  readonly callback: (bytes: number, buffer: Uint8Array) => boolean;
}

const READ_BUFFER = 65536;

/**
 * As {@link streamTransport}, quicker: `connectTransport((onread) => net.connect({ path: "/tmp/introspector", onread }))`.
 * What `data` is given is overwritten afterwards.
 */
export function connectTransport(connect: (onread: OnRead) => StreamLike): Transport {
  let taken: ((bytes: Uint8Array) => void) | null = null;
  const buffer = new Uint8Array(READ_BUFFER);
  const callback = (bytes: number): boolean => {
    taken?.(buffer.subarray(0, bytes));
    return true;
  };
  const stream = connect({ buffer, callback });
  return streamTransport({
    on: (event: string, listener: never) => {
      if (event === "data") taken = listener;
      else stream.on(event as "close", listener);
    },
    write: (bytes) => stream.write(bytes),
    pause: () => stream.pause(),
    resume: () => stream.resume(),
    destroy: () => stream.destroy(),
  });
}

/** A socket, connected or about to be, as a transport: `streamTransport(net.connect("/tmp/introspector"))`. */
export function streamTransport(stream: StreamLike): Transport {
  let sink: TransportSink | null = null;
  let ended = false;
  let told = false;
  const early: Uint8Array[] = [];
  const tellEnd = (): void => {
    if (!ended || sink === null || told) return;
    told = true;
    sink.closed();
  };
  stream.on("data", (bytes) => {
    if (sink === null) early.push(bytes.slice());
    else if (!ended) sink.data(bytes);
  });
  stream.on("drain", () => sink?.drained());
  // Why it ended makes no difference; "close" always follows.
  stream.on("error", () => undefined);
  stream.on("close", () => {
    ended = true;
    tellEnd();
  });
  return {
    start: (next) => {
      sink = next;
      for (const bytes of early.splice(0)) next.data(bytes);
      tellEnd();
    },
    write: (bytes) => ended || stream.write(bytes),
    pause: () => void stream.pause(),
    resume: () => void stream.resume(),
    close: () => void stream.destroy(),
  };
}
