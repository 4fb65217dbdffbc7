import { describe, expect, it, vi } from "vitest";
import { DEFAULTS, recall, remember, toSettings } from "../src/settings.js";

const CHOSEN = {
  guest: "debian-6.1",
  memory: 1024,
  cpus: 4,
  words: "quiet",
  disk: "kept",
  size: 64,
  reader: true,
} as const;

/** A store of strings as `localStorage` is, with what is in it. */
function storage(text: string | null) {
  const stored = { text };
  vi.stubGlobal("localStorage", {
    getItem: () => stored.text,
    setItem: (_: string, value: string) => {
      stored.text = value;
    },
  });
  return stored;
}

describe("settings", () => {
  it("are what a form says, whose numbers are strings", () => {
    const fields = { ...CHOSEN, memory: "1024", cpus: "4", size: "64" };
    expect(toSettings(fields)).toEqual(CHOSEN);
  });

  it.each([
    ["memory", [15, 3073, 512.5, "x", ""]],
    ["cpus", [0, 33, 1.5, -1, null]],
    ["size", [0, 65537, Number.NaN]],
    ["guest", [1, null, "x".repeat(2000)]],
    ["words", [{}, "x".repeat(2000)]],
    ["disk", ["other", 3]],
    ["reader", ["yes", "on", 1, null]],
  ] as const)("a %s that is none is the default", (name, values) => {
    for (const value of values)
      expect(toSettings({ ...CHOSEN, [name]: value })).toEqual({ ...CHOSEN, [name]: DEFAULTS[name] });
  });

  it.each([null, undefined, 3, "text", []])("%j holds none, so all are the defaults", (found) => {
    expect(toSettings(found)).toEqual(DEFAULTS);
  });

  it("are remembered", () => {
    storage(null);
    expect(recall()).toEqual(DEFAULTS);
    remember(CHOSEN);
    expect(recall()).toEqual(CHOSEN);
  });

  it("are the defaults where what was stored is damaged", () => {
    storage("{");
    expect(recall()).toEqual(DEFAULTS);
  });

  it("are the defaults where the browser keeps nothing, and nobody hears of it", () => {
    const refuse = () => {
      throw new Error("denied");
    };
    vi.stubGlobal("localStorage", { getItem: refuse, setItem: refuse });
    remember(CHOSEN);
    expect(recall()).toEqual(DEFAULTS);
  });
});
