import type { Server } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import {
  cookieHash,
  DIALECTS,
  type DialectName,
  DisconnectedError,
  GuestOsError,
  KvmiClient,
  type KvmiEvent,
  LinuxKernel,
  NotStartedError,
  ProtocolError,
  streamTransport,
} from "@vm/kvmi";
import { UsageError } from "../errors.js";
import { ExitCode } from "../exit-code.js";
import { Progress } from "../progress.js";
import { say } from "../report.js";
import { withinTime } from "../within-time.js";
import { readKey } from "./machine.js";
import { listen } from "./socket.js";

/** The flags of every command that looks into a machine which runs elsewhere. */
export interface ToolFlags {
  readonly kvmi: string;
  readonly kvmiDialect: DialectName;
  readonly kvmiKey?: string;
  readonly timeout?: string;
}

/** A tool's work. `stop` is aborted when the program is to leave, after which the machine is gone too. */
export type Work = (client: KvmiClient, stop: AbortSignal) => Promise<number>;

/**
 * Listens where a machine looks for its tool, has `work` do its work with the first that comes, and leaves.
 * @returns the status of the program: that of `work`; 124 after the time-out, 125 if the guest is not what it takes or goes, 130 after
 * Ctrl-C, 141 if nobody reads what it prints
 * @throws {UsageError} for a path that cannot be listened on
 */
export async function withMachine(flags: ToolFlags, work: Work): Promise<number> {
  const timeout = flags.timeout === undefined ? null : Number(flags.timeout);
  if (timeout !== null && !(timeout > 0)) throw new UsageError(`--timeout "${flags.timeout}" is no number of seconds`);
  const { kvmiKey } = flags;
  const hash =
    kvmiKey === undefined
      ? undefined
      : await cookieHash(await withinTime({ began: performance.now(), timeout }, (signal) => readKey(kvmiKey, signal)));
  const stop = new AbortController();
  const stopped = new Promise<number>((resolve) => {
    stop.signal.addEventListener("abort", () => resolve(stop.signal.reason));
  });
  const interrupt = (): void => stop.abort(ExitCode.Interrupted);
  process.once("SIGINT", interrupt);
  process.stdout.on("error", () => stop.abort(ExitCode.BrokenPipe));
  const timer =
    timeout === null
      ? undefined
      : setTimeout(() => {
          stop.abort(ExitCode.Timeout);
          say(`timed out after ${timeout} s`);
        }, timeout * 1000);
  const progress = new Progress("waiting for the machine");
  let listener: Server | undefined;
  let client: KvmiClient | undefined;
  try {
    const dialect = DIALECTS[flags.kvmiDialect];
    const arrived = new Promise<KvmiClient>((resolve, reject) => {
      listen(flags.kvmi, (socket) => {
        // Whoever is no machine is left, and the next one waited for.
        KvmiClient.accept(streamTransport(socket), { dialect, cookieHash: hash }).then(resolve, (error: unknown) => {
          if (error instanceof ProtocolError) say(error.message);
        });
      }).then((server) => {
        listener = server;
      }, reject);
    });
    const worked = arrived.then((machine) => {
      client = machine;
      progress.end();
      // Its path is free for the next tool from here on.
      listener?.close();
      return work(machine, stop.signal).catch((error: unknown) => {
        if (!(error instanceof GuestOsError || error instanceof DisconnectedError)) throw error;
        if (!stop.signal.aborted) say(error.message);
        return ExitCode.NoStatus;
      });
    });
    return await Promise.race([worked, stopped]);
  } finally {
    progress.end();
    clearTimeout(timer);
    process.off("SIGINT", interrupt);
    listener?.close();
    client?.close();
  }
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
