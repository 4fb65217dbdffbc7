import { expect, it } from "vitest";
import { EscapeKey } from "../src/cli/escape.js";

const typed = (text: string): Uint8Array => new TextEncoder().encode(text);

it.each([
  ["plain keys, Ctrl-C among them, go to the guest", "ls\x03", "ls\x03", []],
  ["Ctrl-A x quits", "\x01x", "", ["quit"]],
  ["Ctrl-A s saves", "\x01s", "", ["save"]],
  ["Ctrl-A h helps", "a\x01hb", "ab", ["help"]],
  ["Ctrl-A a and Ctrl-A Ctrl-A send Ctrl-A", "\x01a\x01\x01", "\x01\x01", []],
  ["Ctrl-A and any other key helps", "\x01?", "", ["help"]],
])("%s", (_, keys, input, actions) => {
  const split = new EscapeKey().push(typed(keys));
  expect([new TextDecoder().decode(split.input), split.actions]).toEqual([input, actions]);
});

it("the two keys may come apart", () => {
  const keys = new EscapeKey();
  expect(keys.push(typed("\x01")).actions).toEqual([]);
  expect(keys.push(typed("x")).actions).toEqual(["quit"]);
});
