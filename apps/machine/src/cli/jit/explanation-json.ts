import type { Explanation } from "@vm/cpu";

/**
 * All that is known, as JSON: addresses and bytes in hexadecimal.
 * @param texts WebAssembly text by number of the region; `wasm` is null for those that have none
 */
export function explanationJson(explanation: Explanation, texts: ReadonlyMap<number, string>): string {
  const regions = explanation.regions.map((region) => ({ ...region, wasm: texts.get(region.number) ?? null }));
  const value = (_: string, each: unknown): unknown => {
    if (typeof each === "bigint") return `0x${each.toString(16)}`;
    return each instanceof Uint8Array ? Buffer.from(each).toString("hex") : each;
  };
  return `${JSON.stringify({ ...explanation, regions }, value, 2)}\n`;
}
