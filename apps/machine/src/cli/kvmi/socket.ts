import { once } from "node:events";
import { existsSync, lstatSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import { reason, UsageError } from "../errors.js";

/**
 * Listens where a machine looks for its tool, in place of a tool that has been killed.
 * @throws {UsageError} where something else is, or another tool waits
 */
export async function listen(path: string, onConnection: (socket: Socket) => void): Promise<Server> {
  try {
    await makeRoom(path);
    const server = createServer(onConnection).listen(path);
    await once(server, "listening");
    return server;
  } catch (error) {
    throw new UsageError(`--kvmi ${path}: ${reason(error)}`);
  }
}

async function makeRoom(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) {
    if (!existsSync(dirname(path))) throw new Error("no such directory");
    return;
  }
  if (!found.isSocket()) throw new Error("there is a file that is no socket");
  if (await answers(path)) throw new Error("another tool listens there");
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
