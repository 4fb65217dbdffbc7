import { chmodSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";

/** Bytes of a request, its line feed included. */
export const REQUEST_MOST = 4096;
/** Clients at once; who comes then is turned away. */
const CLIENTS_MOST = 16;
/** A client that neither says nor reads anything for so long is turned away, ms. */
const PATIENCE = 10_000;
const LINE_FEED = 10;

export interface LineServerOptions {
  /** ms; default 10 000. */
  readonly patience?: number;
}

/** A line that is no request: its message is what the client is told before the connection ends. */
export class RequestError extends Error {
  override readonly name: string = "RequestError";
}

/** Answers a request: the pieces of text that the client gets, each when it has taken the one before, or is `gone`. */
export type AnswerLine = (line: string, gone: () => boolean) => AsyncIterable<string>;

/**
 * Answers requests on a Unix socket: a line of at most 4 KiB each. What is no request is answered by a line of JSON with an error, and the connection ends. Nothing is kept for a
 * client that does not read but one piece, and nothing waits for it.
 * @returns what ends it, and removes the socket
 * @throws whatever the system says to the path, as an error with a code
 */
export async function serveLines(
  path: string,
  answer: AnswerLine,
  { patience = PATIENCE }: LineServerOptions = {},
): Promise<() => void> {
  const clients = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    clients.add(socket);
    socket.on("close", () => clients.delete(socket));
    socket.setTimeout(patience, () => socket.destroy());
    // Whoever goes while it is answered has no need of the rest.
    socket.on("error", () => socket.destroy());
    void serveClient(socket, answer);
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

/** Answers the requests of a client one after the other. Resolves when it is gone. */
async function serveClient(socket: Socket, answer: AnswerLine): Promise<void> {
  try {
    for await (const line of linesOf(socket))
      for await (const text of answer(line, () => socket.destroyed)) await send(socket, text);
    socket.end();
  } catch (error) {
    if (!(error instanceof RequestError)) {
      socket.destroy();
      return;
    }
    socket.end(`${JSON.stringify({ error: error.message })}\n`, () => socket.destroy());
  }
}

/** @throws {RequestError} for a line that is too long, or has no end */
async function* linesOf(socket: Socket): AsyncGenerator<string> {
  let rest = Buffer.alloc(0);
  // It is told what was wrong before it is closed.
  for await (const piece of socket.iterator({ destroyOnReturn: false })) {
    rest = Buffer.concat([rest, piece as Buffer]);
    for (let end = rest.indexOf(LINE_FEED); end >= 0; end = rest.indexOf(LINE_FEED)) {
      if (end >= REQUEST_MOST) break;
      yield rest.subarray(0, end).toString("utf8");
      rest = rest.subarray(end + 1);
    }
    if (rest.length >= REQUEST_MOST) throw new RequestError(`a request of more than ${REQUEST_MOST} bytes`);
  }
  if (rest.length > 0) throw new RequestError("a request without a line feed at its end");
}

/** Resolves when the client has taken it, or is gone. */
function send(socket: Socket, text: string): Promise<void> {
  if (socket.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off("close", done);
      resolve();
    };
    socket.once("close", done);
    socket.write(text, done);
  });
}
