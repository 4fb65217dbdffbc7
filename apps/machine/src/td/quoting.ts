import { hashesMatch, parseTdReport, QuoteService, quoteBody, type ReportPlatform, SimulatedPlatform } from "@vm/tdx";
import { ReachableMemory } from "../reach.js";
import type { TdRam } from "./ram.js";

const DAY_MS = 86_400_000;
/** Bytes of REPORTMACSTRUCT. */
const MAC_STRUCT = 256;
/** Days for which collateral is current. */
const CURRENT = 30;

/** A platform made up from `seed`, with collateral that is current for 30 days from the day of `unixTime`, seconds since 1970. */
export function simulatedPlatform(seed: string, unixTime: number): SimulatedPlatform {
  const day = Math.floor((unixTime * 1000) / DAY_MS) * DAY_MS;
  return new SimulatedPlatform({
    seed,
    current: { notBefore: new Date(day), notAfter: new Date(day + CURRENT * DAY_MS) },
  });
}

/** Answers GetQuote by quotes of a platform, of reports that are really the module's. @param makePlatform called for the first quote: its keys and certificates take their time */
export function quoting(ram: TdRam, makePlatform: () => SimulatedPlatform, reports: ReportPlatform): QuoteService {
  let platform: SimulatedPlatform | null = null;
  return new QuoteService({
    memory: new ReachableMemory(ram.mmu),
    makeQuote: async (bytes) => {
      const verdict = reports.verify(bytes.subarray(0, MAC_STRUCT));
      if (verdict !== "valid") throw new RangeError(`the report is not this platform's: ${verdict}`);
      if (!hashesMatch(bytes)) throw new RangeError("the report says something else than its hashes");
      platform ??= makePlatform();
      return platform.quote(quoteBody(parseTdReport(bytes)), 4);
    },
  });
}
