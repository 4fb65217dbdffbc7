import { connect } from "node:net";
import { connectTransport, cookieHash, type DialectName, type EventFilter, parseFilter } from "@vm/kvmi";
import { SOCKET_PATH_MAX } from "@vm/kvmi/node";
import type { Plugin } from "../../index.js";
import { kvmi } from "../../plugins/kvmi/plugin.js";
import { reason, UsageError } from "../errors.js";
import { readFile } from "../read-file.js";
import { say } from "../report.js";

/** The flags that let a tool look into the machine. */
export interface KvmiFlags {
  readonly kvmi?: string;
  readonly kvmiDialect?: DialectName;
  readonly kvmiKey?: string;
  readonly kvmiFilter?: string;
}

/** Bytes of a key. */
const KEY_MAX = 2 ** 16;

/** Introspection as the flags ask for it. @throws {UsageError} for what cannot be read or has no effect */
export async function kvmiPlugins(flags: KvmiFlags, signal: AbortSignal): Promise<Plugin[]> {
  const { kvmi: path, kvmiDialect, kvmiKey, kvmiFilter } = flags;
  if (path === undefined) {
    const alone = kvmiKey !== undefined ? "--kvmi-key" : kvmiFilter !== undefined ? "--kvmi-filter" : null;
    if (alone !== null) throw new UsageError(`${alone} needs --kvmi`);
    return [];
  }
  const length = Buffer.byteLength(path);
  if (length > SOCKET_PATH_MAX)
    throw new UsageError(`--kvmi ${path}: the path has ${length} bytes; a socket's can have ${SOCKET_PATH_MAX}`);
  return [
    kvmi({
      open: () => connectTransport((onread) => connect({ path, onread })),
      dialect: kvmiDialect,
      cookieHash: kvmiKey === undefined ? undefined : await cookieHash(await readKey(kvmiKey, signal)),
      filter: kvmiFilter === undefined ? undefined : readFilter(kvmiFilter),
      log: (message) => say(`introspection: ${message}`),
    }),
  ];
}

/** @throws {UsageError} */
function readFilter(text: string): EventFilter {
  try {
    return parseFilter(text);
  } catch (error) {
    throw new UsageError(`--kvmi-filter: ${reason(error)}`);
  }
}

/** The bytes of a key file, without the line end that editors leave. @throws {UsageError} */
export async function readKey(path: string, signal: AbortSignal): Promise<Uint8Array> {
  const bytes = await readFile("--kvmi-key", path, { most: KEY_MAX, signal });
  return bytes.at(-1) === 10 ? bytes.subarray(0, -1) : bytes;
}
