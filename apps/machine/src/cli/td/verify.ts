import { ACCEPTABLE_STATUSES, type TcbStatus, type Verification, VerifyInputError, verifyQuote } from "@vm/tdx";
import { UsageError } from "../errors.js";
import { ExitCode } from "../exit-code.js";
import { readFile } from "../read-file.js";
import { quoteBytes } from "./input.js";
import { timeFlag } from "./time.js";
import { verdictJson, verdictText } from "./verdict.js";

export interface VerifyQuoteFlags {
  readonly collateral: string;
  readonly root: string;
  readonly time: string;
  readonly eventLog?: string;
  readonly accept?: string;
  readonly json?: true;
}

/** Status of a quote that is not accepted. */
export const REJECTED = 1;
const QUOTE_MAX = 2 << 20;
const COLLATERAL_MAX = 64 << 20;
const ROOT_MAX = 1 << 16;
const LOG_MAX = 64 << 20;

/** `vm td verify`: whether a quote is true. @throws {UsageError} */
export async function verifyCommand(path: string, flags: VerifyQuoteFlags): Promise<number> {
  const time = timeFlag("--time", flags.time);
  const acceptedStatuses = statusesFlag(flags.accept);
  const quote = quoteBytes(await file("", path, QUOTE_MAX));
  const collateral = await file("--collateral", flags.collateral, COLLATERAL_MAX);
  const root = await file("--root", flags.root, ROOT_MAX);
  const eventLog = flags.eventLog === undefined ? undefined : await file("--event-log", flags.eventLog, LOG_MAX);
  const verification = usable(() =>
    verifyQuote(quote, {
      collateral: new TextDecoder().decode(collateral),
      root,
      time,
      ...(eventLog && { eventLog }),
      policy: { acceptedStatuses },
    }),
  );
  process.stdout.write(flags.json ? verdictJson(verification, time) : verdictText(verification, time));
  return verification.accepted ? ExitCode.Ok : REJECTED;
}

const file = (what: string, path: string, most: number): Promise<Uint8Array> =>
  readFile(what, path, { most, signal: new AbortController().signal });

function usable(verify: () => Verification): Verification {
  try {
    return verify();
  } catch (error) {
    if (!(error instanceof VerifyInputError)) throw error;
    throw new UsageError(error.message);
  }
}

/** Statuses of --accept, besides UpToDate. */
function statusesFlag(list: string | undefined): TcbStatus[] {
  const names = list === undefined ? [] : list.split(",").map((name) => name.trim());
  const statuses = names.map((name) => {
    const known = ACCEPTABLE_STATUSES.find((status) => status.toLowerCase() === name.toLowerCase());
    if (known === undefined)
      throw new UsageError(
        `--accept ${name}: no status that can be accepted; these are: ${ACCEPTABLE_STATUSES.join(", ")}`,
      );
    return known;
  });
  return [...new Set<TcbStatus>(["UpToDate", ...statuses])];
}
