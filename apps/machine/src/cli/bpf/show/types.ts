import type { Btf } from "@vm/bpf-storage";
import { rawJson, rawText } from "./btf-raw.js";
import { pretty } from "./json.js";

/** Types that are shown at once. */
const PIECE = 256;

/** All types as `bpftool btf dump` has them, in pieces. @throws {BpfError} for types that make no sense */
export function* typesShown(btf: Btf, json: boolean): Generator<string> {
  const layout = json ? JSON_LAYOUT : PLAIN_LAYOUT;
  const { firstId, count } = btf;
  if (json && firstId === count) {
    yield `{\n    "types": []\n}\n`;
    return;
  }
  yield layout.before;
  for (let id = firstId; id < count; id += PIECE) {
    const ids = Array.from({ length: Math.min(PIECE, count - id) }, (_, k) => id + k);
    yield `${id === firstId ? "" : layout.between}${ids.map((one) => layout.type(btf, one)).join(layout.between)}`;
  }
  yield layout.after;
}

const PLAIN_LAYOUT = { before: "", between: "", after: "", type: rawText };
const JSON_LAYOUT = {
  before: `{\n    "types": [`,
  between: ",",
  after: "\n    ]\n}\n",
  type: (btf: Btf, id: number): string => pretty(rawJson(btf, id), 2),
};
