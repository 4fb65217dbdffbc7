import { decodeText } from "@vm/kvmi";
import { describe, expect, it } from "vitest";
import { PrintableLog, printable, printableJson, printableLines } from "../src/cli/printable.js";

const bytes = (...values: number[]): string => decodeText(Uint8Array.from(values));

describe("what comes from a guest is shown as one line that does nothing", () => {
  const shown: readonly (readonly [string, string, string])[] = [
    ["plain text stays", "a b\\x1b é € 😀 日本", "a b\\x1b é € 😀 日本"],
    ["ESC and the other C0 controls", "\x1b[2J\x07\r", "\\x1b[2J\\x07\\x0d"],
    ["line feed and tab", "one\ntwo\t", "one\\x0atwo\\x09"],
    ["DEL", "\x7f", "\\x7f"],
    ["C1 controls as characters", "\x9b2J\x85\x80", "\\x9b2J\\x85\\x80"],
    ["C1 controls as bytes", bytes(0x9b, 0x32, 0x4a), "\\x9b2J"],
    ["C1 controls as UTF-8", bytes(0xc2, 0x9b), "\\x9b"],
    ["bytes that are no UTF-8", bytes(0xff, 0xc0, 0xaf), "\\xff\\xc0\\xaf"],
    [
      "overrides of the direction of writing",
      "\u202egpj.exe\u202c\u2066\u2069\u200f\u061c",
      "\\u202egpj.exe\\u202c\\u2066\\u2069\\u200f\\u061c",
    ],
    ["line and paragraph separators", "\u2028\u2029", "\\u2028\\u2029"],
    ["what has no width", "\u200b\ufeff\u00ad", "\\u200b\\ufeff\\xad"],
    ["tags, private and unassigned characters", "\u{e0041}\ue000\u{10ffff}", "\\u{e0041}\\ue000\\u{10ffff}"],
    ["half of a surrogate pair", "\ud800x", "\\ud800x"],
  ];
  it.each(shown)("%s", (_, text, expected) => {
    expect(printable(text)).toBe(expected);
    expect(printable(printable(text))).toBe(expected);
  });

  it("of every character there is, none that is shown is a control", () => {
    const all = Array.from({ length: 0x110000 }, (_, code) => printable(String.fromCodePoint(code))).join("");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: those are what it is about
    expect(/[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/.test(all)).toBe(false);
  });
});

it("text of several lines keeps its lines", () => {
  expect(printableLines("one\n\ttwo\x1b[0m\r\n")).toBe("one\n\ttwo\\x1b[0m\\x0d\n");
});

it("JSON stays JSON, with everything in it", () => {
  const value = { name: "\x9b\u202e\u{e0041}\n\udc9b", more: [1, "é"] };
  const text = printableJson(JSON.stringify(value, null, 2));
  expect(printableLines(text)).toBe(text);
  expect(JSON.parse(text)).toEqual(value);
});

it("a log is shown as it comes, characters that are cut in two whole", () => {
  let shown = "";
  const log = new PrintableLog((text) => {
    shown += text;
  });
  const all = new TextEncoder().encode("[1] é\x1b[31m\r\nnext");
  for (const byte of all) log.push(Uint8Array.of(byte));
  expect(shown).toBe("[1] é\\x1b[31m\nnext");
});
