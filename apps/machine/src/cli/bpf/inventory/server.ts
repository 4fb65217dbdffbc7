import { chmodSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { answer } from "./answer.js";
import type { Inventory } from "./inventory.js";
import { parseQuery, QueryError } from "./query.js";

/** Bytes of a request, its line feed included. */
export const REQUEST_MOST = 4096;
/** Clients at once; who comes then is turned away. */
const CLIENTS_MOST = 16;
/** A client that neither says nor reads anything for so long is turned away, ms. */
const PATIENCE = 10_000;
/** Characters that are handed to a client at once; the next are made when it has taken them. */
const CHUNK = 32 << 10;
/** Time of the event loop that an answer takes at once, ms. */
const TURN_MS = 5;
const LINE_FEED = 10;

export interface ServerOptions {
  /** ms; default 10 000. */
  readonly patience?: number;
}

/**
 * Answers requests about what is there on a Unix socket: a line of JSON of at most 4 KiB each, answered by one line. What is no request is answered by an
 * error, and the connection ends. Nothing is kept for a client that does not read but a chunk, and nothing waits for it.
 * @returns what ends it, and removes the socket
 * @throws whatever the system says to the path, as an error with a code
 */
export async function serve(path: string, inventory: Inventory, options: ServerOptions = {}): Promise<() => void> {
  const { patience = PATIENCE } = options;
  const clients = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    clients.add(socket);
    socket.on("close", () => clients.delete(socket));
    socket.setTimeout(patience, () => socket.destroy());
    // Whoever goes while it is answered has no need of the rest.
    socket.on("error", () => socket.destroy());
    void new Client(socket, inventory).serve();
  });
  server.maxConnections = CLIENTS_MOST;
  await listening(server, path);
  const gone = (): void => rmSync(path, { force: true });
  // However the program ends.
  process.once("exit", gone);
  return () => {
    process.off("exit", gone);
    server.close();
    for (const socket of clients) socket.destroy();
    gone();
  };
}

function listening(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    // The socket is made with the rights that the mask leaves: nobody else's at any time.
    const mask = process.umask(0o177);
    try {
      server.listen(path);
    } finally {
      process.umask(mask);
    }
    server.once("listening", () => {
      server.off("error", reject);
      chmodSync(path, 0o600);
      resolve();
    });
  });
}

/** A client, whose requests are answered one after the other. */
class Client {
  readonly #socket: Socket;
  readonly #inventory: Inventory;

  constructor(socket: Socket, inventory: Inventory) {
    this.#socket = socket;
    this.#inventory = inventory;
  }

  /** Resolves when the client is gone. */
  async serve(): Promise<void> {
    try {
      for await (const line of this.#lines()) await this.#answer(line);
      this.#socket.end();
    } catch (error) {
      if (!(error instanceof QueryError)) {
        this.#socket.destroy();
        return;
      }
      this.#socket.end(`${JSON.stringify({ error: error.message })}\n`, () => this.#socket.destroy());
    }
  }

  /** @throws {QueryError} for a line that is too long, or has no end */
  async *#lines(): AsyncGenerator<string> {
    let rest = Buffer.alloc(0);
    // It is told what was wrong before it is closed.
    for await (const piece of this.#socket.iterator({ destroyOnReturn: false })) {
      rest = Buffer.concat([rest, piece as Buffer]);
      for (let end = rest.indexOf(LINE_FEED); end >= 0; end = rest.indexOf(LINE_FEED)) {
        if (end >= REQUEST_MOST) break;
        yield rest.subarray(0, end).toString("utf8");
        rest = rest.subarray(end + 1);
      }
      if (rest.length >= REQUEST_MOST) throw new QueryError(`a request of more than ${REQUEST_MOST} bytes`);
    }
    if (rest.length > 0) throw new QueryError("a request without a line feed at its end");
  }

  /** @throws {QueryError} for what is no request; what is not there is answered with an error */
  async #answer(line: string): Promise<void> {
    const query = parseQuery(line);
    let pieces: Generator<string, void>;
    try {
      pieces = answer(this.#inventory, query);
    } catch (error) {
      if (!(error instanceof QueryError)) throw error;
      await this.#send(`${JSON.stringify({ error: error.message })}\n`);
      return;
    }
    let text = "";
    let began = performance.now();
    for (const piece of pieces) {
      text += piece;
      if (text.length >= CHUNK) {
        await this.#send(text);
        text = "";
      } else if (performance.now() - began < TURN_MS) continue;
      await turn();
      if (this.#socket.destroyed) return;
      began = performance.now();
    }
    await this.#send(`${text}\n`);
  }

  /** Resolves when the client has taken it, or is gone. */
  #send(text: string): Promise<void> {
    if (this.#socket.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.#socket.off("close", done);
        resolve();
      };
      this.#socket.once("close", done);
      this.#socket.write(text, done);
    });
  }
}

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
