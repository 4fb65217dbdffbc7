import { BpfError, loadObject, ObjectError } from "@vm/bpf-storage";
import { GuestOsError } from "@vm/kvmi";
import type { Plugin } from "../../index.js";
import { bpf } from "../../plugins/bpf/plugin.js";
import { UsageError } from "../errors.js";
import { printableLines } from "../printable.js";
import { readFile } from "../read-file.js";
import { say } from "../report.js";
import { MachineSocket } from "./machine-socket.js";
import { parseRecordFormat, recordText } from "./record-format.js";

/** The flags that let programs look into the machine. */
export interface BpfFlags {
  readonly bpf?: readonly string[];
  readonly bpfRecord?: string;
  readonly bpfSocket?: string;
}

/** Bytes of an object. */
const OBJECT_MAX = 64 << 20;

/** Programs as the flags ask for them. @throws {UsageError} for what cannot be read or has no effect */
export async function bpfPlugins(flags: BpfFlags, signal: AbortSignal): Promise<Plugin[]> {
  const { bpf: paths = [], bpfRecord, bpfSocket } = flags;
  if (bpfRecord !== undefined && paths.length === 0) throw new UsageError("--bpf-record needs --bpf");
  const format = bpfRecord === undefined ? null : parseRecordFormat(bpfRecord);
  if (bpfSocket !== undefined && paths.length === 0) throw new UsageError("--bpf-socket needs --bpf");
  const socket = bpfSocket === undefined ? null : await MachineSocket.prepare(bpfSocket, paths.length);
  const plugins: Plugin[] = socket === null ? [] : [socket.plugin];
  for (const [place, path] of paths.entries()) {
    const object = await readFile("--bpf", path, { most: OBJECT_MAX, signal });
    checkObject(path, object);
    plugins.push(
      bpf({
        object,
        onRecord: ({ map, bytes }) => say(`${map}: ${recordText(bytes, format)}`),
        onPrint: (line) => say(printableLines(line.trimEnd())),
        onAttached: (attached) => {
          say(`${path}: ${attached.loaded.programs.map(({ from }) => from.section).join(", ")} attached`);
          socket?.attached(place, path, attached);
        },
        onError: (error) => {
          socket?.failed();
          const known = error instanceof BpfError || error instanceof ObjectError || error instanceof GuestOsError;
          if (!known) throw error;
          say(`--bpf ${path}: ${error.message}; the guest goes on without`);
        },
      }),
    );
  }
  return plugins;
}

/** What no kernel could make anything of is refused before one is booted. @throws {UsageError} */
function checkObject(path: string, object: Uint8Array): void {
  try {
    loadObject(object);
  } catch (error) {
    if (error instanceof ObjectError) throw new UsageError(`--bpf ${path}: ${error.message}`);
    throw error;
  }
}
