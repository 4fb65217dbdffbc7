import { expect, it } from "vitest";
import { lackingFeatures } from "../tools/replay/recording.js";
import { parseVector, type Vector } from "../tools/replay/vector.js";

const SHA1MSG1 = "0f38c9c1";
const SHA256MSG2 = "0f38cdc1";
const UD2 = "0f0b";
const NOP = "90";

/** `n` vectors of an instruction; refused with #UD, or completed. */
const vectors = (n: number, code: string, refused: boolean): Vector[] =>
  Array.from({ length: n }, (_, i) =>
    parseVector(JSON.stringify({ i, s: "1", c: code, ...(refused ? { x: [6, 0], ip: 0 } : {}) }), i + 1),
  );

it.each<[string, Vector[], string[]]>([
  ["refuses every vector of", [...vectors(15, SHA1MSG1, true), ...vectors(1, SHA256MSG2, true)], ["SHA"]],
  ["completes one vector of", [...vectors(40, SHA1MSG1, true), ...vectors(1, SHA256MSG2, false)], []],
  ["refuses too few vectors of", vectors(15, SHA1MSG1, true), []],
])("a processor that %s a feature", (_what, recorded, lacking) => {
  expect([...lackingFeatures([...recorded, ...vectors(1, NOP, false), ...vectors(20, UD2, true)])]).toEqual(lacking);
});
