import { connect } from "node:net";
import { SOCKET_PATH_MAX } from "@vm/kvmi/node";
import { UsageError } from "../../errors.js";
import { answer } from "./answer.js";
import type { Inventory } from "./inventory.js";
import { type Query, QueryError, queryLine } from "./query.js";
import type { Reply } from "./rows.js";

/** Bytes of a reply. */
const REPLY_MOST = 256 << 20;
/** The machine says nothing for so long, ms. */
const PATIENCE = 10_000;
const LINE_FEED = 10;

/** Where requests are answered. */
export type Ask = (query: Query) => Promise<Reply>;

/** Asks what is in this process. */
export const askHere =
  (inventory: Inventory): Ask =>
  async (query) => {
    try {
      return JSON.parse([...answer(inventory, query)].join("")) as Reply;
    } catch (error) {
      if (error instanceof QueryError) return { error: error.message };
      throw error;
    }
  };

/** Asks the machine that listens at a path. The promise rejects with a UsageError if none does, or it answers something else. */
export const askMachine =
  (path: string): Ask =>
  async (query) => {
    const length = Buffer.byteLength(path);
    if (length > SOCKET_PATH_MAX)
      throw new UsageError(`--machine ${path}: the path has ${length} bytes; a socket's can have ${SOCKET_PATH_MAX}`);
    return replyOf(path, await exchange(path, `${queryLine(query)}\n`));
  };

function exchange(path: string, request: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let length = 0;
    const socket = connect(path, () => socket.write(request));
    const fail = (why: string): void => {
      socket.destroy();
      reject(new UsageError(`--machine ${path}: ${why}`));
    };
    socket.setTimeout(PATIENCE, () => fail(`no answer for ${PATIENCE / 1000} s`));
    socket.on("error", (error: NodeJS.ErrnoException) => fail(WORDS[error.code ?? ""] ?? error.message));
    socket.on("data", (piece: Buffer) => {
      const end = piece.indexOf(LINE_FEED);
      pieces.push(end < 0 ? piece : piece.subarray(0, end));
      length += piece.length;
      if (length > REPLY_MOST) fail(`an answer of more than ${REPLY_MOST >>> 20} MiB`);
      else if (end >= 0) {
        socket.destroy();
        resolve(Buffer.concat(pieces));
      }
    });
    socket.on("end", () => fail("the machine ended before it had answered"));
  });
}

const WORDS: Readonly<Record<string, string>> = {
  ENOENT: "no machine listens there: expected the socket of vm boot --bpf FILE.bpf.o --bpf-socket SOCKET",
  ECONNREFUSED: "nobody listens there any more: the machine has ended",
  ENOTSOCK: "it is no socket",
  EACCES: "permission denied",
};

/** @throws {UsageError} for what is no reply */
function replyOf(path: string, line: Buffer): Reply {
  let reply: unknown = null;
  try {
    reply = JSON.parse(line.toString("utf8"));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  if (typeof reply === "object" && reply !== null && !Array.isArray(reply)) return reply as Reply;
  throw new UsageError(`--machine ${path}: what listens there is no machine with --bpf-socket`);
}
