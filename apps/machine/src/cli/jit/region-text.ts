import type { ExplainedBlock, ExplainedEntry, ExplainedExit, ExplainedRegion, ExplainedWay, Landing } from "@vm/cpu";
import { address, count, number, times } from "./numbers.js";

/** Bytes of an instruction that are shown in one column; most have no more. */
const BYTES_WIDTH = 24;

/** A region in one line. */
export function regionLine({ number: own, wide, state, successor, blocks, entries }: ExplainedRegion): string {
  const instructions = blocks.reduce((sum, block) => sum + block.instructions.length, 0);
  const fate = {
    used: "can be entered",
    replaced: `replaced by region ${successor}`,
    evicted: "let go, to make room for others",
    dropped: "void, because its code was written to or decoded code was dropped",
  }[state];
  const size = `${count(instructions, "instruction")} in ${count(blocks.length, "block")}`;
  return `region ${own}${wide ? " (wide)" : ""}: ${size}, entered ${times(sum(entries.map(({ entered }) => entered)))}; ${fate}`;
}

/**
 * A region with its guest code, exits and WebAssembly.
 * @param at the address that was asked for
 * @param wasm its text, null to leave it out
 */
export function regionText(region: ExplainedRegion, at: bigint, wasm: string | null): string {
  const { blocks, entries, exits } = region;
  const entered = sum(entries.map((entry) => entry.entered));
  const executed = sum(blocks.map((block) => block.executed * block.instructions.length));
  const left = sum(exits.map((exit) => exit.count));
  const each = entered === 0 ? "" : `, about ${number(executed / entered)} instructions each time it is entered`;
  const parts = [
    `${regionLine(region)}\n`,
    `heat\n${entries.map((entry) => `  ${entryLine(entry, region.wide)}\n`).join("")}`,
    `guest code${each}\n${blocks.map((block, k) => blockText(block, k, at)).join("")}`,
    `exits taken, ${times(left)}\n${exits.map((exit) => `  ${exitLine(exit, left, blocks)}\n`).join("")}`,
  ];
  if (wasm !== null)
    parts.push(
      `wasm: (vCPU's state block, entry) -> record to go on with; offsets as in packages/cpu/src/state.ts\n${wasm}`,
    );
  return parts.join("\n");
}

function entryLine({ block, entered, left }: ExplainedEntry, wide: boolean): string {
  const next = wide ? "it is looked at again" : "a wider region is made";
  const then =
    left === null ? "not entered here any more" : left === 0 ? "stays" : `${number(left)} more until ${next}`;
  return `block ${block}: entered ${times(entered)}; ${then}`;
}

function blockText({ instructions, executed, ways }: ExplainedBlock, k: number, at: bigint): string {
  const lines = instructions.map(({ address: own, bytes, text }) => {
    const hit = own <= at && at < own + BigInt(bytes.length);
    const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    return `${hit ? " => " : "    "}${address(own)}  ${hex.padEnd(BYTES_WIDTH)}  ${text}\n`;
  });
  return `  block ${k}, executed ${times(executed)}\n${lines.join("")}      ${ways.map(wayText).join("; ")}\n`;
}

function wayText({ when, block, address: to, landing }: ExplainedWay): string {
  const verb = { next: "on", taken: "taken", else: "else", found: "perhaps", back: "back", elsewhere: "else" }[when];
  if (block !== null) return `${verb} to block ${block}`;
  return to === null ? `${verb} out, wherever it leads` : `${verb} out to ${address(to)}${landingText(landing)}`;
}

/** What is known of where a way out leads, in parentheses; "" if nothing is. */
function landingText(landing: Landing | null): string {
  if (landing === null) return " (another page)";
  const { decoded, text, regular, head, address: at } = landing;
  if (!decoded) return " (never executed)";
  if (text === null) return " (an instruction in two pages: interpreted)";
  if (!regular) return ` ("${text}": interpreted)`;
  if (head === null || head.address !== at) return ` ("${text}")`;
  if (head.region !== null) return ` (region ${head.region})`;
  if (head.wished) return " (hot, waits for its region)";
  return ` (came there ${number(head.heat)} of ${times(head.threshold)})`;
}

function exitLine(
  { kind, block, instruction, count: often }: ExplainedExit,
  all: number,
  blocks: readonly ExplainedBlock[],
): string {
  const share = `${((100 * often) / all).toFixed(1)} %`;
  const at = `${address(instruction.address)} ${instruction.text}`;
  const way = blocks[block]?.ways.find(
    (each) => each.block === null && (each.when === "taken") === (kind === "link" || kind === "call"),
  );
  const to = way === undefined || way.address === null ? "" : ` to ${address(way.address)}${landingText(way.landing)}`;
  const words = {
    budget: `before block ${block}: the slice of time was used up`,
    instruction: `at ${at}: a TLB miss, a fault, or for once not what regions do`,
    record: `behind ${at}${to}`,
    address: `behind ${at}${to}`,
    link: `from ${at}, taken${to}`,
    indirect: `from ${at}, to where only execution tells`,
    call: `from ${at}, in what it calls${to}: control did not come back before something else than a region had to go on`,
    page: `behind ${at}: the next block's page is not in the TLB, or its code has changed`,
  }[kind];
  return `${number(often).padStart(12)} ${share.padStart(8)}  ${words}`;
}

const sum = (counts: readonly number[]): number => counts.reduce((a, b) => a + b, 0);
