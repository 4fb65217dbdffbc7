import fc from "fast-check";
import { BtfBuilder } from "./builder.js";

/** Type information that has something of everything, as a kernel accepts it. */
export function everything(): Uint8Array {
  const build = new BtfBuilder();
  const int = build.int("int", 4, 1);
  const struct = build.struct("s", 16, [
    ["a", int, 0],
    ["", build.union("", 4, [["x", int, 0]]), 32],
    ["p", build.ptr(2), 64],
  ]);
  build.struct("fields", 8, [
    ["a", int, 0, 3],
    ["b", build.enum("small", [["Z", 0]]), 3, 5],
    ["c", int, 32, 0],
  ]);
  build.typedef("t", build.const(struct));
  build.ptr(build.typeTag("rcu", build.volatile(build.restrict(build.fwd("later")))));
  build.func("f", build.proto(int, [["x", struct]]));
  build.datasec(".data", 24, [
    [build.var("v", build.array(int, int, 4)), 0, 16],
    [build.var("w", build.float("double", 8), 0), 16, 8],
  ]);
  build.enum64("e", [["A", 1n]]);
  build.declTag("tag", struct, 1);
  return build.build();
}

/** Bytes with some of their words changed. */
export const mutated = (good: Uint8Array): fc.Arbitrary<Uint8Array> =>
  fc
    .array(
      fc.tuple(
        fc.nat(Math.floor(good.length / 4) - 1),
        fc.oneof(
          fc.nat(40).map((value) => () => value),
          fc.nat(31).map((bit) => (old: number) => old ^ (1 << bit)),
          fc.constantFrom(-1, 1, 8).map((more) => (old: number) => old + more),
          fc.nat(19).map((kind) => (old: number) => (old & ~0x1f000000) | (kind << 24)),
          fc.integer().map((value) => () => value),
        ),
      ),
      { minLength: 1, maxLength: 3 },
    )
    .map((changes) => {
      const bytes = good.slice();
      const view = new DataView(bytes.buffer);
      for (const [word, change] of changes) view.setInt32(4 * word, change(view.getInt32(4 * word, true)), true);
      return bytes;
    });
