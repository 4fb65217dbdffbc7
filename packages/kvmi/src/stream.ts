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
    if (sink === null) early.push(bytes);
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
