import type { ExplainedRegion, Explanation, Landing } from "@vm/cpu";
import { address, count, number, times } from "./numbers.js";
import { regionLine, regionText } from "./region-text.js";

/** The regions that are shown in full: those that can be entered, or else the last. */
export function shown(regions: readonly ExplainedRegion[]): readonly ExplainedRegion[] {
  const used = regions.filter(({ state }) => state === "used");
  return used.length > 0 ? used : regions.slice(-1);
}

/**
 * What became of the code at an address, for a person to read.
 * @param texts WebAssembly text by number of the region
 * @param mapped something is mapped at the address
 */
export function explanationText(explanation: Explanation, texts: ReadonlyMap<number, string>, mapped: boolean): string {
  const { regions, forgotten } = explanation;
  const full = shown(regions);
  const parts = [summary(explanation, mapped)];
  const others = regions.filter((region) => !full.includes(region)).map(regionLine);
  if (forgotten > 0) others.unshift(`${count(forgotten, "region")} before these`);
  if (others.length > 0) parts.push(`Besides there were\n${others.map((line) => `  ${line}\n`).join("")}`);
  for (const region of full) parts.push(regionText(region, explanation.address, texts.get(region.number) ?? null));
  return parts.join("\n");
}

function summary({ address: at, regions, now, refused }: Explanation, mapped: boolean): string {
  const used = regions.filter(({ state }) => state === "used").length;
  if (used > 0) return `${address(at)} is in ${count(used, "region")} that can be entered.\n`;
  const why = now === null ? unknown(mapped) : reasonOf(now, refused);
  const was = regions.length === 0 ? "in no region" : "in no region that can be entered any more";
  return `${address(at)} is ${was}: ${why}.\n`;
}

const unknown = (mapped: boolean): string =>
  mapped
    ? "no 64-bit code of that page was executed, or none since the page was written to last"
    : "nothing is mapped there in what was executed last; where its program ran, it did not become hot";

/** Why no region contains what is at an address. */
function reasonOf({ address: at, decoded, text, regular, head }: Landing, refused: number): string {
  if (!decoded) return "it was never executed, or not since code of that page was written last";
  if (text === null) return "the instruction goes on in the next page, and regions leave such to the interpreter";
  if (!regular) {
    const asked = refused === 0 ? "" : `; control comes to it often: a region was to begin there ${times(refused)}`;
    return `"${text}" is not for regions, the interpreter executes it${asked}`;
  }
  if (head === null) return `control does not come to "${text}" from anywhere that counts`;
  const where = head.address === at ? "it" : `${address(head.address)}, which leads to it,`;
  if (head.region !== null)
    return `region ${head.region} begins at ${where} and was made where the page has another address, or ends before`;
  if (head.wished) return `control came to ${where} often enough, and its region was about to be made`;
  return `control came to ${where} ${number(head.heat)} of the ${times(head.threshold)} that make it hot`;
}
