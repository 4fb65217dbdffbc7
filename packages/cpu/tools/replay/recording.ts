import { classify } from "./classify.js";
import { bytesOf, expectedException, type Vector } from "./vector.js";

const INVALID_OPCODE = 6;

/** Offered features that an x86-64 processor may lack, and that raise #UD there. */
const OPTIONAL = new Set(
  `ADX AES CLFLUSHOPT CLWB FSGSBASE MOVBE PCLMULQDQ POPCNT SHA SSE4_1 SSE4_2 SSSE3 XSAVE XSAVEC XSAVEOPT`.split(" "),
);

/** So many vectors of a feature must there be before it counts as absent. */
const ENOUGH = 16;

/**
 * The features (iced-x86's names) that the recording processor lacked: it refused every vector of theirs with #UD.
 * Such vectors tell what that processor was, not what their instructions do.
 */
export function lackingFeatures(vectors: readonly Vector[]): ReadonlySet<string> {
  const refusals = new Map<string, number>();
  const present = new Set<string>();
  for (const vector of vectors) {
    if (vector.b !== undefined) continue;
    const refused = expectedException(vector)?.vector === INVALID_OPCODE;
    for (const feature of classify(bytesOf(vector.c), vector.mode ?? 64)?.features ?? []) {
      if (!refused) present.add(feature);
      else if (OPTIONAL.has(feature)) refusals.set(feature, (refusals.get(feature) ?? 0) + 1);
    }
  }
  const lacking = [...refusals].filter(([feature, n]) => n >= ENOUGH && !present.has(feature));
  return new Set(lacking.map(([feature]) => feature));
}
