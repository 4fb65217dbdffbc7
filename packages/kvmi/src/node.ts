import { once } from "node:events";
import { existsSync, lstatSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import { KvmiClient } from "./client/client.js";
import type { ClientOptions } from "./client/connection.js";
import { ProtocolError } from "./client/errors.js";
import { streamTransport } from "./stream.js";

export interface AttachOptions extends ClientOptions {
  /** Ends the waiting: rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
  /** Someone has come who is no machine, or not one that this tool is told of; the next is waited for. */
  readonly onStranger?: ((error: ProtocolError) => void) | undefined;
}

/** Bytes of a path at which a socket can be (unix(7), `sun_path` without its NUL); Node cuts longer ones off. */
export const SOCKET_PATH_MAX = 107;

/** Why a tool cannot wait at a path. */
export type AttachErrorCode =
  /** It has more than {@link SOCKET_PATH_MAX} bytes. */
  | "path"
  /** There is no such directory. */
  | "no-directory"
  /** Something that is no socket is there. */
  | "not-socket"
  /** Another tool waits there. */
  | "busy"
  /** Whatever else the system says, which is the error's cause. */
  | "system";

/** Nobody can listen at the path. */
export class AttachError extends Error {
  override readonly name = "AttachError";

  constructor(
    readonly code: AttachErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/**
 * Waits at `path`, where a machine looks for its tool (`vm boot --kvmi PATH`), in place of a tool that has been killed, and takes the first machine that
 * comes. Either can be started first. The path is free for the next tool once this resolves or rejects.
 *
 * @throws {AttachError} for a path that cannot be listened at
 * @example const client = await attach("/tmp/introspector");
 */
export async function attach(path: string, options: AttachOptions = {}): Promise<KvmiClient> {
  const { signal, onStranger, ...rest } = options;
  signal?.throwIfAborted();
  let meet: (socket: Socket) => void = () => undefined;
  const arrived = new Promise<KvmiClient>((resolve, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
    meet = (socket) =>
      void KvmiClient.accept(streamTransport(socket), rest).then(resolve, (error: unknown) => {
        if (error instanceof ProtocolError) onStranger?.(error);
      });
  });
  // Whoever waits for the listener is told of its failure, not of this.
  arrived.catch(() => undefined);
  const listener = await listen(path, (socket) => meet(socket));
  try {
    return await arrived;
  } finally {
    listener.close();
  }
}

/** @throws {AttachError} */
async function listen(path: string, onConnection: (socket: Socket) => void): Promise<Server> {
  try {
    await makeRoom(path);
    const server = createServer(onConnection).listen(path);
    await once(server, "listening");
    return server;
  } catch (error) {
    if (error instanceof AttachError || !(error instanceof Error)) throw error;
    throw new AttachError("system", error.message, { cause: error });
  }
}

async function makeRoom(path: string): Promise<void> {
  const { length } = new TextEncoder().encode(path);
  if (length > SOCKET_PATH_MAX)
    throw new AttachError("path", `the path has ${length} bytes; a socket's can have ${SOCKET_PATH_MAX}`);
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) {
    if (!existsSync(dirname(path))) throw new AttachError("no-directory", "no such directory");
    return;
  }
  if (!found.isSocket()) throw new AttachError("not-socket", "there is a file that is no socket");
  if (await answers(path)) throw new AttachError("busy", "another tool listens there");
  rmSync(path);
}

/** Whether anyone listens. A killed program leaves its socket behind. */
async function answers(path: string): Promise<boolean> {
  const socket = connect(path);
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
