import {
  type CollateralSource,
  parseQuote,
  QuoteError,
  SIMULATED_TCB,
  SimulatedPlatform,
  type TdReport15,
  VerifyInputError,
  verifyQuote,
} from "@vm/tdx";
import { type Door, Violation } from "../door.js";
import { Random } from "../random.js";
import { randomLog } from "../tdx/log.js";
import { spoilt, spoiltText } from "../tdx/spoil.js";

const NOON = new Date(Date.UTC(2026, 0, 2, 12));
const CURRENT = { notBefore: new Date(Date.UTC(2026, 0)), notAfter: new Date(Date.UTC(2026, 1)) };
/** Header, the type and size of a body of version 5, and the largest body: bytes that the attestation key signs. */
const SIGNED = { 4: 48 + 584, 5: 48 + 6 + 648 } as const;

let made: SimulatedPlatform | null = null;
const platform = (): SimulatedPlatform => {
  made ??= new SimulatedPlatform({ seed: "fuzz", current: CURRENT });
  return made;
};

/** Quotes, and what vouches for them. */
export const tdQuote: Door = {
  name: "td-quote",
  summary: "quotes of TDs, their collateral and their event logs, damaged",
  // Ten signatures are verified in one go.
  computes: true,
  check: (seed, opened) => {
    const random = new Random(seed);
    const version = random.pick([4, 5] as const);
    const whole = platform().quote(report(random), version);
    const damage = random.pick(["none", "quote", "collateral", "log", "root", "all"] as const);
    const has = (what: typeof damage): boolean => damage === what || damage === "all";
    const quote = has("quote") ? spoilt(random, whole) : whole;
    const collateral = has("collateral") ? spoiltCollateral(random, platform().collateral) : platform().collateral;
    const root = has("root") ? spoilt(random, platform().root) : platform().root;
    const eventLog = has("log") ? spoilt(random, randomLog(random, 4096, 8, 100)) : undefined;
    opened();
    const parsed = typed(QuoteError, () => parseQuote(quote));
    const options = { collateral, root, time: NOON, ...(eventLog === undefined ? {} : { eventLog }) };
    const verified = typed(VerifyInputError, () => verifyQuote(quote, options));
    const accepted = verified?.accepted === true;
    if (damage === "none" && !accepted)
      throw new Violation("rejected", `a true quote: ${verified?.reasons.map(({ code }) => code)}`);
    if (accepted && (parsed === null || differs(quote, whole, SIGNED[version])))
      throw new Violation("accepted", "what was signed has been changed");
    const outcome = verified === null ? "no quote" : accepted ? "accepted" : (verified.reasons[0]?.code ?? "status");
    return { kinds: { damage, outcome, quote: parsed === null ? "refused" : "read" } };
  },
};

const differs = (a: Uint8Array, b: Uint8Array, length: number): boolean =>
  a.subarray(0, length).join() !== b.subarray(0, length).join();

/** A TD that an honest platform has quoted; what it says of itself is anything. */
function report(random: Random): TdReport15 {
  const digest = (length = 48): Uint8Array => Uint8Array.from(random.bytes(length));
  return {
    ...{ teeTcbSvn: SIMULATED_TCB.teeTcbSvn, teeTcbSvn2: SIMULATED_TCB.teeTcbSvn2 },
    ...{ mrSeam: SIMULATED_TCB.mrSeam, mrSignerSeam: SIMULATED_TCB.mrSignerSeam },
    ...{ seamAttributes: SIMULATED_TCB.attributes, tdAttributes: 1n << 28n, xfam: 7n },
    ...{ mrTd: digest(), mrConfigId: digest(), mrOwner: digest(), mrOwnerConfig: digest() },
    ...{ rtMr0: digest(), rtMr1: digest(), rtMr2: digest(), rtMr3: digest() },
    ...{ reportData: digest(64), mrServiceTd: new Uint8Array(48) },
  };
}

/** Members that are damaged as text, or that stand in each other's place. */
function spoiltCollateral(random: Random, from: CollateralSource): CollateralSource | string {
  const names = Object.keys(from) as (keyof CollateralSource)[];
  const changed: Record<string, string> = { ...from };
  for (let k = random.below(3); k >= 0; k--) {
    const name = random.pick(names);
    changed[name] = random.chance(80) ? spoiltText(random, from[name] as string) : (from[random.pick(names)] as string);
  }
  if (random.chance(80)) return changed as unknown as CollateralSource;
  return spoiltText(random, JSON.stringify(changed));
}

/** What comes out, or null for the door's own error. Any other is the case's. */
function typed<T>(kind: typeof QuoteError | typeof VerifyInputError, work: () => T): T | null {
  try {
    return work();
  } catch (error) {
    if (error instanceof kind) return null;
    throw error;
  }
}
