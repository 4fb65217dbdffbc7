import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isoTime } from "../../src/verify/document.js";
import { type Json, JsonError, JsonObject, parseJson } from "../../src/verify/json.js";

/** As JSON.parse has it. */
function plain(value: Json): unknown {
  if (value instanceof JsonObject)
    return Object.fromEntries([...value.members].map(([name, one]) => [name, plain(one)]));
  return Array.isArray(value) ? value.map(plain) : value;
}

describe("JSON", () => {
  it("is read as JSON.parse reads it", () => {
    const json = fc.json({ depthSize: "small", maxDepth: 5 }).filter((text) => !/\d{16}|__proto__|\.\d{21}/.test(text));
    fc.assert(
      fc.property(json, (text) => {
        expect(plain(parseJson(text))).toEqual(plain(parseJson(JSON.stringify(JSON.parse(text)))));
        expect(plain(parseJson(text))).toEqual(JSON.parse(text));
      }),
    );
  });

  it("throws nothing but JsonError where JSON.parse throws", () => {
    const pieces = fc.array(
      fc.constantFrom(
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        '"',
        "\\",
        "u0041",
        "1",
        "-",
        "0",
        "e",
        ".",
        "true",
        "null",
        " ",
        "a",
        "\n",
      ),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(pieces, (parts) => {
        const text = parts.join("");
        let valid = true;
        try {
          JSON.parse(text);
        } catch {
          valid = false;
        }
        if (!valid) expect(() => parseJson(text)).toThrow(JsonError);
      }),
      { numRuns: 1000 },
    );
  });

  it.each([
    ["a member twice", '{"a":1,"a":1}'],
    ["a member twice, one escaped", '{"a":1,"\\u0061":1}'],
    ["a member twice, deep within", '[[{"b":{"a":1,"a":2}}]]'],
    ["__proto__ twice", '{"__proto__":1,"__proto__":2}'],
    ["too deep", `${"[".repeat(20)}${"]".repeat(20)}`],
    ["a number of 16 digits", "1234567890123456"],
  ])("is refused with %s", (_, text) => {
    expect(() => parseJson(text)).toThrow(JsonError);
  });

  it("keeps the text of objects as it was", () => {
    const text = ' { "a" : { "b" : [ 1 , 2 ] } , "c":0 } ';
    const outer = parseJson(text);
    expect(outer).toBeInstanceOf(JsonObject);
    expect((outer as JsonObject).text).toBe(text.trim());
    expect(((outer as JsonObject).members.get("a") as JsonObject).text).toBe('{ "b" : [ 1 , 2 ] }');
  });
});

describe("times", () => {
  it("are those of the calendar, to the second, in UTC", () => {
    expect(isoTime("2024-02-29T23:59:59Z")).toBe(Date.UTC(2024, 1, 29, 23, 59, 59));
    for (const text of [
      "2023-02-29T00:00:00Z",
      "2024-01-01T24:00:00Z",
      "2024-01-01T00:00:60Z",
      "2024-01-01 00:00:00Z",
      "2024-01-01T00:00:00",
      "2024-01-01T00:00:00+00:00",
      "2024-1-1T00:00:00Z",
      "0000-00-00T00:00:00Z",
    ])
      expect(isoTime(text)).toBeNaN();
  });
});
