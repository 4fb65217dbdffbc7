import { describe, expect, it } from "vitest";
import { DiskErrors } from "../../src/cli/disk-errors.js";

describe("errors of disks while a guest runs", () => {
  const told = (errors: readonly unknown[]): string[] => {
    const sentences: string[] = [];
    const disks = new DiskErrors((sentence) => sentences.push(sentence));
    for (const error of errors) disks.add(error);
    disks.end();
    return sentences;
  };

  it("a full or broken disk of the host is said in words, once, and counted", () => {
    const full = Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
    expect(told(Array.from({ length: 1000 }, () => full))).toEqual([
      "disk error: no space is left on the host's device",
      "disk errors: 1000 in all",
    ]);
  });

  it("eight different sentences are said, the rest counted", () => {
    const sentences = told(Array.from({ length: 100 }, (_, k) => new Error(`sector ${k}`)));
    expect(sentences).toHaveLength(9);
    expect(sentences.at(-1)).toBe("disk errors: 100 in all");
  });

  it("one error is one sentence", () => {
    expect(told([new Error("the image has shrunk")])).toEqual(["disk error: the image has shrunk"]);
  });
});
