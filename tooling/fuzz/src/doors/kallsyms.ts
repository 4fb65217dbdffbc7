import { GuestOsError, inTurns, kallsymsIn, type Symbols } from "@vm/kvmi";
import { image, type Order } from "../../../../packages/kvmi/test/linux-image.js";
import { type Door, Violation } from "../door.js";
import { spoil } from "../linux/types.js";
import { Random } from "../random.js";

const ORDERS: readonly Order[] = ["before 6.4", "6.1.y with sequence numbers", "since 6.4"];
const DIGITS = new TextEncoder().encode("0\x001\x002\x003\x004\x005\x006\x007\x008\x009\0");
/** Bytes of noise around a table. */
const NOISE = 4096;

/** The symbol table of a guest's kernel. */
export const kallsyms: Door = {
  name: "kallsyms",
  summary: "the symbol table of a guest's kernel: damaged, and places that look like one",
  check: async (seed, opened) => {
    const random = new Random(seed);
    const kind = random.pick(["whole", "spoilt", "spoilt", "spoilt", "decoys", "words"] as const);
    const count = 1000 + random.below(2000);
    const bytes =
      kind === "decoys"
        ? decoys(random)
        : kind === "words"
          ? words(random)
          : image(random.pick(ORDERS), count, random.chance(50));
    const own = new Uint8Array(bytes);
    if (kind === "spoilt") spoil(own, random, NOISE, own.length - NOISE);
    opened();
    let found: Symbols | null = null;
    let outcome = "found";
    try {
      found = await inTurns(kallsymsIn(own));
      if (found === null) outcome = "none";
    } catch (error) {
      if (!(error instanceof GuestOsError)) throw error;
      outcome = "refused";
    }
    if (kind === "whole" && found?.size !== count)
      throw new Violation("symbols", `${found?.size ?? "none"} of ${count} symbols of a table that is whole`);
    return { kinds: { image: kind, outcome } };
  },
};

/** Places that begin like a token table, densely. */
function decoys(random: Random): Uint8Array {
  const out = new Uint8Array(1 << (16 + random.below(6))).fill(random.pick([0, 0x30, 0x41]));
  const every = DIGITS.length + random.below(600);
  for (let at = 0; at + DIGITS.length < out.length; at += every) out.set(DIGITS, at);
  return out;
}

/** A whole token table behind numbers that ascend, as markers do, for as long as there is room. */
function words(random: Random): Uint8Array {
  const table = image("since 6.4", 1000, false);
  const digits = 256 + random.below(1 << 18);
  const out = new Uint8Array(4 * digits + table.length);
  const view = new DataView(out.buffer);
  for (let k = 0; k < digits; k++) view.setUint32(4 * k, random.chance(1) ? 0 : k * (1 + random.below(3)), true);
  out.set(table.subarray(NOISE), 4 * digits);
  return out;
}
