import { writeFile } from "node:fs/promises";
import {
  ATTRIBUTE_SEPT_VE_DISABLE,
  hashesMatch,
  parseTdReport,
  quoteBody,
  ReportError,
  SIMULATED_NOTICE,
  SIMULATED_TCB,
  type TdReport15,
  writePem,
} from "@vm/tdx";
import { simulatedPlatform } from "../../td/quoting.js";
import { reason, UsageError } from "../errors.js";
import { ExitCode } from "../exit-code.js";
import { readFile } from "../read-file.js";
import { say } from "../report.js";
import { timeFlag } from "./time.js";

export interface QuoteFlags {
  readonly report?: string;
  readonly reportData?: string;
  readonly version: "4" | "5";
  readonly out: string;
  readonly collateralOut?: string;
  readonly rootOut?: string;
  readonly seed: string;
  readonly time?: string;
}

const REPORT_MAX = 4096;

/** `vm td quote`: a quote under the simulated root. @throws {UsageError} */
export async function quoteCommand(flags: QuoteFlags): Promise<number> {
  const report = await reportOf(flags);
  const now = flags.time === undefined ? new Date() : timeFlag("--time", flags.time);
  const platform = simulatedPlatform(flags.seed, now.getTime() / 1000);
  await write("--out", flags.out, platform.quote(report, flags.version === "5" ? 5 : 4));
  if (flags.collateralOut !== undefined)
    await write("--collateral-out", flags.collateralOut, `${JSON.stringify(platform.collateral, null, 2)}\n`);
  if (flags.rootOut !== undefined) await write("--root-out", flags.rootOut, writePem(platform.root));
  say(`${SIMULATED_NOTICE}: the quote is under a made-up root, and whoever knows the seed can make such quotes`);
  return ExitCode.Ok;
}

/** What the quote is to say: a TD's report, or that of a TD of nothing. */
async function reportOf({ report, reportData }: QuoteFlags): Promise<TdReport15> {
  const data = reportData === undefined ? undefined : hexFlag(reportData);
  if (report === undefined) return { ...EMPTY, reportData: data ?? EMPTY.reportData };
  if (data !== undefined) throw new UsageError("--report-data: the report of --report has its own");
  const bytes = await readFile("--report", report, { most: REPORT_MAX, signal: new AbortController().signal });
  try {
    const parsed = quoteBody(parseTdReport(bytes));
    if (!hashesMatch(bytes)) throw new UsageError(`--report ${report}: its hashes are not those of what it says`);
    return parsed;
  } catch (error) {
    if (!(error instanceof ReportError)) throw error;
    throw new UsageError(`--report ${report}: ${error.message}`);
  }
}

const zeros = new Uint8Array(48);
/** A TD that nothing was added to, with SEPT_VE_DISABLE and x87 to AVX. */
const EMPTY: TdReport15 = {
  teeTcbSvn: SIMULATED_TCB.teeTcbSvn,
  mrSeam: SIMULATED_TCB.mrSeam,
  mrSignerSeam: SIMULATED_TCB.mrSignerSeam,
  seamAttributes: SIMULATED_TCB.attributes,
  tdAttributes: ATTRIBUTE_SEPT_VE_DISABLE,
  xfam: 7n,
  mrTd: zeros,
  mrConfigId: zeros,
  mrOwner: zeros,
  mrOwnerConfig: zeros,
  rtMr0: zeros,
  rtMr1: zeros,
  rtMr2: zeros,
  rtMr3: zeros,
  reportData: new Uint8Array(64),
  teeTcbSvn2: SIMULATED_TCB.teeTcbSvn2,
  mrServiceTd: zeros,
};

/** Up to 64 bytes; zeros follow. */
function hexFlag(text: string): Uint8Array {
  const digits = text.replace(/^0x/i, "");
  if (!/^(?:[0-9a-f]{2}){0,64}$/i.test(digits))
    throw new UsageError(`--report-data ${text.slice(0, 40)}: not up to 64 bytes in hexadecimal`);
  const data = new Uint8Array(64);
  data.set(Buffer.from(digits, "hex"));
  return data;
}

async function write(flag: string, path: string, content: Uint8Array | string): Promise<void> {
  await writeFile(path, content).catch((error: unknown) => {
    throw new UsageError(`${flag} ${path}: ${reason(error)}`);
  });
}
