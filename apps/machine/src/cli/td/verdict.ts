import { BODY_ENCLAVE, type ParsedQuote, SIMULATED_NOTICE, type Verification } from "@vm/tdx";
import { printable, printableJson } from "../printable.js";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const iso = (time: Date): string => time.toISOString().replace(".000Z", "Z");

/** What a quote says, by the names of its fields, in the order of its bytes. */
function fields(quote: ParsedQuote): (readonly [name: string, value: string])[] {
  return Object.entries(quote.body.report).map(([name, value]) => [
    name,
    value instanceof Uint8Array ? hex(value) : typeof value === "bigint" ? `0x${value.toString(16)}` : `${value}`,
  ]);
}

const isSimulated = ({ root }: Verification): boolean => root.includes(SIMULATED_NOTICE);

/** For a person. */
export function verdictText(verification: Verification, time: Date): string {
  const { accepted, tcbStatus, advisoryIds, reasons, quote, platform, tcbEvaluation, rtmrs, root } = verification;
  const lines: [string, string][] = [
    ["verdict", accepted ? "accepted" : "REJECTED"],
    ["status", tcbStatus ?? "unknown: nothing was proven that has one"],
    ["advisories", advisoryIds.join(", ") || "none"],
    ["root", root],
    ["time", iso(time)],
  ];
  if (quote) {
    const { version } = quote.header;
    lines.push(["quote", `version ${version} of ${quote.body.type === BODY_ENCLAVE ? "an SGX enclave" : "a TD"}`]);
  }
  if (platform) lines.push(["platform", `FMSPC ${hex(platform.fmspc)}, PCEID ${hex(platform.pceId)}`]);
  if (tcbEvaluation)
    lines.push(["evaluation", `TCB info ${tcbEvaluation.tcbInfo}, QE identity ${tcbEvaluation.qeIdentity}`]);
  for (const [i, same] of (rtmrs?.matches ?? []).entries()) {
    const told = same ? "the event log leads to it" : "the event log does not lead to it";
    lines.push([`log RTMR${i}`, i === 3 && !same ? `${told}, which is not demanded` : told]);
  }
  if (quote) lines.push(...fields(quote).map(([name, value]): [string, string] => [name, value]));
  const heads = lines.map(([name, value]) => `${name.padEnd(15)} ${printable(value)}`);
  const why = reasons.map(({ code, message }) => `reason          ${code}: ${printable(message)}`);
  const [verdict = "", ...rest] = heads;
  const notice = isSimulated(verification)
    ? [`notice          ${SIMULATED_NOTICE}: everybody can make such quotes`]
    : [];
  return `${[verdict, ...notice, ...why, ...rest].join("\n")}\n`;
}

/** For a program. */
export function verdictJson(verification: Verification, time: Date): string {
  const { accepted, tcbStatus, advisoryIds, reasons, quote, platform, tcbEvaluation, rtmrs, root } = verification;
  const told = {
    accepted,
    tcbStatus: tcbStatus ?? null,
    advisoryIds,
    reasons,
    root,
    simulated: isSimulated(verification),
    time: iso(time),
    quote: quote
      ? { version: quote.header.version, bodyType: quote.body.type, ...Object.fromEntries(fields(quote)) }
      : null,
    platform: platform
      ? {
          fmspc: hex(platform.fmspc),
          pceId: hex(platform.pceId),
          pceSvn: platform.pceSvn,
          components: platform.components,
        }
      : null,
    tcbEvaluation: tcbEvaluation ?? null,
    rtmrs: rtmrs
      ? rtmrs.matches.map((matches, i) => ({ replayed: hex(rtmrs.rtmrs.get(i as 0 | 1 | 2 | 3)), matches }))
      : null,
  };
  return `${printableJson(JSON.stringify(told, null, 2))}\n`;
}
