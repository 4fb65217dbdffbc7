import { existsSync, lstatSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { dirname } from "node:path";
import { SOCKET_PATH_MAX } from "@vm/kvmi/node";
import { UsageError } from "./errors.js";

/**
 * Looks whether a socket can be made at a path.
 * @param flag that names it, for the message
 * @throws {UsageError} for a path at which nobody can listen
 */
export async function checkSocketPath(flag: string, path: string): Promise<void> {
  const length = Buffer.byteLength(path);
  if (length > SOCKET_PATH_MAX)
    throw new UsageError(`${flag} ${path}: the path has ${length} bytes; a socket's can have ${SOCKET_PATH_MAX}`);
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) {
    if (!existsSync(dirname(path))) throw new UsageError(`${flag} ${path}: no such directory`);
    return;
  }
  if (!found.isSocket()) throw new UsageError(`${flag} ${path}: there is a file that is no socket`);
  if (await answers(path)) throw new UsageError(`${flag} ${path}: another program listens there`);
}

/** Removes a socket that a killed program has left. */
export async function removeDeadSocket(path: string): Promise<void> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true && !(await answers(path)))
    rmSync(path, { force: true });
}

/** Whether anyone listens at a socket. */
const answers = (path: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(path);
    const tell = (listens: boolean): void => {
      socket.destroy();
      resolve(listens);
    };
    socket.once("connect", () => tell(true));
    socket.once("error", () => tell(false));
  });
