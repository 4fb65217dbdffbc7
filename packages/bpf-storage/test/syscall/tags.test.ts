import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { Command, encodeInsns, MapType, ProgramType } from "../../src/index.js";
import { assemble } from "../engine/assemble.js";
import { Caller, mapFd } from "./caller.js";

/** Where `struct bpf_prog_info` has the tag, bytes. */
const [TAG, TAG_END, INFO] = [8, 16, 232];

const tagOf = (caller: Caller, source: string): string => {
  const program = caller.load(ProgramType.SocketFilter, source);
  const info = caller.room(INFO);
  expect(caller.call(Command.ObjGetInfoByFd, { 0: program, 4: INFO, 8: BigInt(info) })).toBe(0);
  return Buffer.from(caller.bytes(info, INFO).slice(TAG, TAG_END)).toString("hex");
};

describe("the tag of a program", () => {
  test.each([1, 5, 6, 7, 8, 100])("is the first 8 bytes of its digest by SHA-1: %i instructions", (count) => {
    const source = `${"mov %r0, 0\n".repeat(count)}exit`;
    const digest = createHash("sha1")
      .update(encodeInsns(assemble(source)))
      .digest("hex");
    expect(tagOf(new Caller(), source)).toBe(digest.slice(0, 16));
  });

  test("does not tell which maps it has", () => {
    const caller = new Caller();
    const [first, second] = [caller.mapCreate(MapType.Array, 4, 8, 1), caller.mapCreate(MapType.Hash, 4, 8, 1)];
    const naming = (fd: number) => `lddw %r1, ${mapFd(fd)}\nmov %r0, 0\nexit`;
    expect(tagOf(caller, naming(first))).toBe(tagOf(caller, naming(second)));
    expect(tagOf(caller, naming(first))).not.toBe(tagOf(caller, "mov %r0, 0\nexit"));
  });
});
