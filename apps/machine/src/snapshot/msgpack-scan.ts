import { LIMITS } from "./layout.js";

/** Bytes of the length that follows a type byte, and whether what it counts are bytes (else values, two for each pair of a map). */
const LENGTHS: Readonly<
  Record<number, { readonly size: 1 | 2 | 4; readonly kind: "bytes" | "text" | "array" | "map" }>
> = {
  196: { size: 1, kind: "bytes" },
  197: { size: 2, kind: "bytes" },
  198: { size: 4, kind: "bytes" },
  217: { size: 1, kind: "text" },
  218: { size: 2, kind: "text" },
  219: { size: 4, kind: "text" },
  220: { size: 2, kind: "array" },
  221: { size: 4, kind: "array" },
  222: { size: 2, kind: "map" },
  223: { size: 4, kind: "map" },
};

/** Bytes behind the type byte of what has a fixed size: nil, booleans, floats, integers. */
const FIXED: Readonly<Record<number, number>> = {
  192: 0,
  194: 0,
  195: 0,
  202: 4,
  203: 8,
  204: 1,
  205: 2,
  206: 4,
  207: 8,
  208: 1,
  209: 2,
  210: 4,
  211: 8,
};

interface Item {
  /** Where the next one begins. */
  readonly end: number;
  readonly text: boolean;
  /** Values inside, which come next. */
  readonly inside: number;
  readonly map: boolean;
}

/** An array or a map that is not yet complete. */
interface Open {
  left: number;
  readonly map: boolean;
}

/**
 * Walks over an encoded MessagePack value without making anything of it: a few bytes may ask a decoder for gigabytes. Extensions are refused, and keys other than text.
 * @returns why it is not one value of at most {@link LIMITS} values and levels, or null
 */
export function scanMsgpack(bytes: Uint8Array): string | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const stack: Open[] = [{ left: 1, map: false }];
  let at = 0;
  let values = 1;
  for (;;) {
    let top = stack.at(-1);
    while (top !== undefined && top.left === 0) {
      stack.pop();
      top = stack.at(-1);
    }
    if (top === undefined) return at === bytes.length ? null : `${bytes.length - at} bytes behind its end`;
    if (at >= bytes.length) return "cut short";
    const item = itemAt(view, at);
    if (item === null) return `no value at byte ${at}`;
    const isKey = top.map && top.left % 2 === 0;
    if (isKey && !item.text) return `a key at byte ${at} that is not text`;
    top.left--;
    at = item.end;
    if (at > bytes.length) return "cut short";
    values += item.inside;
    if (values > LIMITS.values) return `more than ${LIMITS.values} values`;
    if (item.inside === 0) continue;
    if (item.inside > bytes.length - at) return "cut short";
    if (stack.length > LIMITS.depth) return `more than ${LIMITS.depth} levels`;
    stack.push({ left: item.inside, map: item.map });
  }
}

function itemAt(view: DataView, at: number): Item | null {
  const type = view.getUint8(at);
  const leaf = (end: number, text = false): Item => ({ end, text, inside: 0, map: false });
  if (type < 0x80 || type >= 0xe0) return leaf(at + 1);
  if (type < 0x90) return { end: at + 1, text: false, inside: 2 * (type & 15), map: true };
  if (type < 0xa0) return { end: at + 1, text: false, inside: type & 15, map: false };
  if (type < 0xc0) return leaf(at + 1 + (type & 31), true);
  const fixed = FIXED[type];
  if (fixed !== undefined) return leaf(at + 1 + fixed);
  const form = LENGTHS[type];
  if (form === undefined) return null;
  const end = at + 1 + form.size;
  if (end > view.byteLength) return leaf(end);
  const length =
    form.size === 1 ? view.getUint8(at + 1) : form.size === 2 ? view.getUint16(at + 1) : view.getUint32(at + 1);
  if (form.kind === "bytes" || form.kind === "text") return leaf(end + length, form.kind === "text");
  return { end, text: false, inside: form.kind === "map" ? 2 * length : length, map: form.kind === "map" };
}
