import { Btf, BtfError, btfIn, GuestOsError, inTurns, prototype } from "@vm/kvmi";
import type { Door } from "../door.js";
import { NAMES, randomTypes, spoil } from "../linux/types.js";
import { Random } from "../random.js";

/** Types of a large kernel. */
const LARGE = 150_000;
/** Smaller ones are not taken for the kernel's own. */
const PADDING = 0x10000;

/** The account that a guest's kernel gives of its types. */
export const btf: Door = {
  name: "btf",
  summary: "type information of a guest's kernel, with types that lead anywhere, and damaged",
  check: async (seed, opened) => {
    const random = new Random(seed);
    const large = random.chance(5);
    const bytes = randomTypes(random, large ? LARGE : 1 + random.below(400), PADDING);
    const spoilt = random.chance(60);
    if (spoilt) spoil(bytes, random, 0, random.chance(50) ? 64 : bytes.length);
    const image = new Uint8Array(4096 * (1 + random.below(4)) + bytes.length);
    image.set(bytes, 4096);
    opened();
    const outcomes = new Set<string>();
    try {
      const types = random.chance(50) ? await inTurns(btfIn(image)) : await inTurns(Btf.read(bytes));
      if (types === null) outcomes.add("none");
      else for (let k = 0; k < 40; k++) outcomes.add(look(types, random));
    } catch (error) {
      if (!(error instanceof GuestOsError)) throw error;
      outcomes.add("refused");
    }
    return {
      kinds: {
        types: `${large ? "large" : "small"} ${spoilt ? "spoilt" : "whole"}`,
        outcome: [...outcomes].sort().join("+"),
      },
    };
  },
};

function look(types: Btf, random: Random): string {
  const struct = random.pick(NAMES);
  const path = Array.from({ length: 1 + random.below(3) }, () => random.pick(NAMES)).join(".");
  try {
    types.sizeOf(struct);
    const found = prototype(types, struct);
    for (const type of [...(found?.parameters ?? []).map((each) => each.type), ...(found ? [found.result] : [])])
      if (type.kind === "enum") type.nameOf(BigInt(random.word()));
    return types.member(struct, path) === null ? "no member" : "member";
  } catch (error) {
    if (error instanceof BtfError) return "makes no sense";
    throw error;
  }
}
