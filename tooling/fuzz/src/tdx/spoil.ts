import type { Random } from "../random.js";

/** A copy with a few bytes, words or stretches changed, a tenth of them cut off or drawn out. */
export function spoilt(random: Random, from: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = Uint8Array.from(from);
  const view = new DataView(bytes.buffer);
  for (let k = random.below(5); k >= 0 && bytes.length >= 8; k--) {
    const at = random.below(bytes.length - 4);
    const how = random.below(4);
    if (how < 2) bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
    else if (how === 2) view.setUint32(at, random.chance(50) ? random.word() : random.below(64), true);
    else bytes.copyWithin(at, random.below(bytes.length), random.below(bytes.length));
  }
  if (!random.chance(10)) return bytes;
  const length = random.below(2 * bytes.length);
  if (length <= bytes.length) return bytes.slice(0, length);
  const longer = new Uint8Array(length);
  longer.set(bytes);
  return longer;
}

/** The same of a text, by its bytes or by its characters in another order. */
export function spoiltText(random: Random, text: string): string {
  if (random.chance(70)) return new TextDecoder("latin1").decode(spoilt(random, new TextEncoder().encode(text)));
  const [from, to] = [random.below(text.length + 1), random.below(text.length + 1)];
  return text.slice(0, from) + text.slice(to);
}
