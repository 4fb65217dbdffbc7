import { turn } from "../../../turn.js";
import { type LineServerOptions, serveLines } from "../../line-server.js";
import { answer } from "./answer.js";
import type { Inventory } from "./inventory.js";
import { parseQuery, QueryError } from "./query.js";

/** Characters that are handed to a client at once; the next are made when it has taken them. */
const CHUNK = 32 << 10;
/** Time of the event loop that an answer takes at once, ms. */
const TURN_MS = 5;

/**
 * Answers requests about what is there on a Unix socket, each by one line; see `serveLines`.
 * @returns what ends it, and removes the socket
 * @throws whatever the system says to the path, as an error with a code
 */
export const serve = (path: string, inventory: Inventory, options?: LineServerOptions): Promise<() => void> =>
  serveLines(path, (line, gone) => piecesOf(inventory, line, gone), options);

/** @throws {QueryError} for what is no request; what is not there is answered with an error */
async function* piecesOf(inventory: Inventory, line: string, gone: () => boolean): AsyncGenerator<string> {
  const query = parseQuery(line);
  let pieces: Generator<string, void>;
  try {
    pieces = answer(inventory, query);
  } catch (error) {
    if (!(error instanceof QueryError)) throw error;
    yield `${JSON.stringify({ error: error.message })}\n`;
    return;
  }
  let text = "";
  let began = performance.now();
  for (const piece of pieces) {
    text += piece;
    if (text.length >= CHUNK) {
      yield text;
      text = "";
    } else if (performance.now() - began < TURN_MS) continue;
    await turn();
    if (gone()) return;
    began = performance.now();
  }
  yield `${text}\n`;
}
