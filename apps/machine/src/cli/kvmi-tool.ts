import { lstatSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import {
  cookieHash,
  DIALECTS,
  type DialectName,
  KvmiClient,
  type KvmiEvent,
  LinuxKernel,
  NotStartedError,
  streamTransport,
} from "@vm/kvmi";
import { reason, UsageError } from "./errors.js";
import { ExitCode } from "./exit-code.js";
import { readKey } from "./kvmi-machine.js";
import { Progress } from "./progress.js";

/** The flags of every command that looks into a machine which runs elsewhere. */
export interface ToolFlags {
  readonly kvmi: string;
  readonly kvmiDialect: DialectName;
  readonly kvmiKey?: string;
  readonly timeout?: string;
}

/**
 * Listens where a machine looks for its tool, has `work` do its work with the first that comes, and leaves.
 * @returns the status of the program: that of `work`, or 124 after the time-out, 130 after Ctrl-C
 * @throws {UsageError} for a path that cannot be listened on
 */
export async function withMachine(flags: ToolFlags, work: (client: KvmiClient) => Promise<number>): Promise<number> {
  const timeout = flags.timeout === undefined ? null : Number(flags.timeout);
  if (timeout !== null && !(timeout > 0)) throw new UsageError(`--timeout "${flags.timeout}" is no number of seconds`);
  const hash = flags.kvmiKey === undefined ? undefined : await cookieHash(readKey(flags.kvmiKey));
  const dialect = DIALECTS[flags.kvmiDialect];
  let client: KvmiClient | null = null;
  let listener: Server | undefined;
  let end: (status: number) => void = () => undefined;
  const ended = new Promise<number>((resolve) => {
    end = resolve;
  });
  const interrupt = (): void => end(ExitCode.Interrupted);
  process.once("SIGINT", interrupt);
  const progress = new Progress("waiting for the machine");
  const timer = timeout === null ? undefined : setTimeout(() => end(ExitCode.Timeout), timeout * 1000);
  try {
    const arrived = new Promise<KvmiClient>((resolve, reject) => {
      listener = listen(flags.kvmi, (socket) => {
        KvmiClient.accept(streamTransport(socket), { dialect, cookieHash: hash }).then(resolve, () => undefined);
      });
      listener.on("error", (error) => reject(new UsageError(`--kvmi ${flags.kvmi}: ${reason(error)}`)));
    });
    const working = arrived.then((machine) => {
      client = machine;
      progress.end();
      listener?.close();
      return work(machine);
    });
    return await Promise.race([working, ended]);
  } finally {
    progress.end();
    clearTimeout(timer);
    process.off("SIGINT", interrupt);
    listener?.close();
    (client as KvmiClient | null)?.close();
    removeSocket(flags.kvmi);
  }
}

type Socket = Parameters<typeof streamTransport>[0];

/** A socket that an earlier tool left behind is in nobody's way; any other file stays. */
function removeSocket(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true) rmSync(path);
}

function listen(path: string, onConnection: (socket: Socket) => void): Server {
  removeSocket(path);
  return createServer(onConnection).listen(path);
}

/** Time between two looks at a guest that has not got far enough, ms. */
const LOOK_MS = 100;

/** Calls `look` until it finds something, as long as the guest has not got that far. */
export async function once<T>(look: () => Promise<T | null>): Promise<T> {
  const progress = new Progress("waiting for the guest's kernel");
  try {
    for (;;) {
      const found = await look().catch((error: unknown) => {
        if (error instanceof NotStartedError) return null;
        throw error;
      });
      if (found !== null) return found;
      await delay(LOOK_MS);
    }
  } finally {
    progress.end();
  }
}

/** The guest's kernel, as soon as it has got far enough to be found. @throws {GuestOsError} */
export const linux = (client: KvmiClient): Promise<LinuxKernel> => once(() => LinuxKernel.find(client));

/** Stops all vCPUs while `work` looks, then lets them go on. No other events must be enabled. */
export async function whilePaused<T>(client: KvmiClient, work: () => Promise<T>): Promise<T> {
  const count = await client.vcpuCount();
  const events: KvmiEvent[] = [];
  for (let vcpu = 0; vcpu < count; vcpu++) await client.pause(vcpu);
  while (events.length < count) {
    const { value, done } = await client.events.next();
    if (done === true) break;
    events.push(value);
  }
  try {
    return await work();
  } finally {
    for (const event of events) event.reply();
  }
}
