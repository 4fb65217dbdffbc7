import type { Machine } from "../../index.js";
import { serveLines } from "../line-server.js";
import { saveFault, saveMachine } from "../save-machine.js";
import { checkSocketPath, removeDeadSocket } from "../socket-path.js";
import { parseSaveRequest, type SaveReply } from "./protocol.js";

/** How often who waits is told how far it is, ms. */
const TELL_MS = 200;

/** Where a machine that runs is told to save itself. */
export class ControlSocket {
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
  }

  /** @throws {UsageError} for a path at which nobody can listen */
  static async prepare(path: string): Promise<ControlSocket> {
    await checkSocketPath("--control", path);
    return new ControlSocket(path);
  }

  /** @returns what ends it, and removes the socket @throws whatever the system says to the path */
  async listen(machine: Machine): Promise<() => void> {
    await removeDeadSocket(this.#path);
    return serveLines(this.#path, (line, gone) => answer(machine, line, gone));
  }
}

/** @throws {RequestError} for what is no request */
async function* answer(machine: Machine, line: string, gone: () => boolean): AsyncGenerator<string> {
  const { snapshot, parent, stop } = parseSaveRequest(line);
  const given = new AbortController();
  let done = 0;
  let reply: SaveReply | null = null;
  const work = saveMachine(machine, snapshot, {
    stop,
    ...(parent === null ? {} : { parent }),
    signal: given.signal,
    onProgress: (bytes) => {
      done = bytes;
    },
  }).then(
    (saved) => {
      reply = { saved };
    },
    (error: unknown) => {
      if (!given.signal.aborted) reply = { error: saveFault(error) };
    },
  );
  while (reply === null) {
    await Promise.race([work, after(TELL_MS)]);
    if (gone()) {
      given.abort();
      return;
    }
    if (reply === null) yield lineOf({ done });
  }
  yield lineOf(reply);
}

const lineOf = (reply: SaveReply): string => `${JSON.stringify(reply)}\n`;

const after = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
