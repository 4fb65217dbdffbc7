import {
  cookieHash,
  DIALECTS,
  type DialectName,
  DisconnectedError,
  linux as findLinux,
  GuestOsError,
  type KvmiClient,
  type LinuxKernel,
  once,
} from "@vm/kvmi";
import { AttachError, attach } from "@vm/kvmi/node";
import { UsageError } from "../errors.js";
import { ExitCode } from "../exit-code.js";
import { Progress } from "../progress.js";
import { say } from "../report.js";
import { withinTime } from "../within-time.js";
import { readKey } from "./machine.js";

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
  let client: KvmiClient | undefined;
  const attached = async (): Promise<number> => {
    client = await attach(flags.kvmi, {
      dialect: DIALECTS[flags.kvmiDialect],
      cookieHash: hash,
      signal: stop.signal,
      onStranger: (error) => say(error.message),
    }).catch((error: unknown) => {
      throw error instanceof AttachError ? new UsageError(`--kvmi ${flags.kvmi}: ${error.message}`) : error;
    });
    progress.end();
    return work(client, stop.signal).catch((error: unknown) => {
      if (!(error instanceof GuestOsError || error instanceof DisconnectedError)) throw error;
      if (!stop.signal.aborted) say(error.message);
      return ExitCode.NoStatus;
    });
  };
  try {
    return await Promise.race([stopped, attached()]);
  } finally {
    progress.end();
    clearTimeout(timer);
    process.off("SIGINT", interrupt);
    client?.close();
  }
}

/** Calls `look` until it finds something, as long as the guest has not got that far. */
export const waitFor = <T>(look: () => Promise<T | null>, stop: AbortSignal): Promise<T> =>
  told(() => once(look, { signal: stop }));

/** The guest's kernel, as soon as it has got far enough to be found. @throws {GuestOsError} */
export const linux = (client: KvmiClient, stop: AbortSignal): Promise<LinuxKernel> =>
  told(() => findLinux(client, { signal: stop }));

async function told<T>(wait: () => Promise<T>): Promise<T> {
  const progress = new Progress("waiting for the guest's kernel");
  try {
    return await wait();
  } finally {
    progress.end();
  }
}
