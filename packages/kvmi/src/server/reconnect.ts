import type { Transport } from "../transport.js";
import type { KvmiServer } from "./server.js";

export interface ReconnectOptions {
  readonly server: KvmiServer;
  /** Connects to the tool. Called again and again: a tool that does not listen yet looks like one whose connection ended at once. */
  readonly open: () => Transport;
  /** Time between two attempts, ms. Default 100; tools give up after a few seconds. */
  readonly retryMs?: number | undefined;
}

/** Connects to a tool whenever one listens, for as long as the machine lives. Returns the function that ends it. */
export function reconnect({ server, open, retryMs = 100 }: ReconnectOptions): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let ended = false;
  const attempt = async (): Promise<void> => {
    await server.hook(open());
    if (!ended) timer = setTimeout(attempt, retryMs);
  };
  void attempt();
  return () => {
    ended = true;
    clearTimeout(timer);
    server.disconnect();
  };
}
