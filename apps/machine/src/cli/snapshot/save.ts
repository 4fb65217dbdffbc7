import { connect } from "node:net";
import { resolve } from "node:path";
import { SOCKET_PATH_MAX } from "@vm/kvmi/node";
import type { SaveReply, SaveRequest } from "../control/protocol.js";
import { UsageError } from "../errors.js";
import { ExitCode } from "../exit-code.js";
import { printable } from "../printable.js";
import { Progress } from "../progress.js";
import { say } from "../report.js";

export interface SaveFlags {
  readonly control: string;
  readonly parent?: string;
  readonly stop?: true;
}

/** The machine says nothing for so long, ms. */
const PATIENCE = 30_000;
/** Characters of a line that it says. */
const LINE_MOST = 16 << 10;

/** `vm snapshot save`: has a machine that runs save itself. @returns the status of the program @throws {UsageError} if it could not */
export async function saveByControl(folder: string, { control, parent, stop }: SaveFlags): Promise<number> {
  const length = Buffer.byteLength(control);
  if (length > SOCKET_PATH_MAX)
    throw new UsageError(`--control ${control}: the path has ${length} bytes; a socket's can have ${SOCKET_PATH_MAX}`);
  const request: SaveRequest = {
    snapshot: resolve(folder),
    parent: parent === undefined ? null : resolve(parent),
    stop: stop === true,
  };
  const progress = new Progress("saving");
  try {
    const reply = await exchange(control, `${JSON.stringify(request)}\n`);
    progress.end();
    if ("error" in reply) throw new UsageError(printable(String(reply.error)));
    say(printable(String((reply as { saved: string }).saved)));
    return ExitCode.Ok;
  } finally {
    progress.end();
  }
}

/** The last line of the answer. */
function exchange(path: string, request: string): Promise<SaveReply> {
  return new Promise((resolve, reject) => {
    let rest = "";
    const socket = connect(path, () => socket.write(request));
    const fail = (why: string): void => {
      socket.destroy();
      reject(new UsageError(`--control ${path}: ${why}`));
    };
    socket.setEncoding("utf8");
    socket.setTimeout(PATIENCE, () => fail(`no answer for ${PATIENCE / 1000} s`));
    socket.on("error", (error: NodeJS.ErrnoException) => fail(WORDS[error.code ?? ""] ?? error.message));
    socket.on("end", () => fail("the machine ended before it was saved"));
    socket.on("data", (text: string) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      if (rest.length > LINE_MOST) fail(`an answer of more than ${LINE_MOST} characters`);
      for (const line of lines) {
        const reply = replyOf(line);
        if (reply === null) return fail("what listens there is no machine with --control");
        if ("done" in reply) continue;
        socket.destroy();
        resolve(reply);
      }
    });
  });
}

const WORDS: Readonly<Record<string, string>> = {
  ENOENT: "no machine listens there: expected the socket of vm boot --control SOCKET",
  ECONNREFUSED: "nobody listens there any more: the machine has ended",
  ENOTSOCK: "it is no socket",
  EACCES: "permission denied",
};

/** Null for what is no reply. */
function replyOf(line: string): SaveReply | null {
  try {
    const reply: unknown = JSON.parse(line);
    const isReply =
      typeof reply === "object" && reply !== null && ["done", "saved", "error"].some((name) => name in reply);
    return isReply ? (reply as SaveReply) : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
