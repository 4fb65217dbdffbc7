/**
 * A small encoder for ACPI Machine Language (ACPI 6.5 chapter 20) and resource descriptors (6.4): what a DSDT of fixed
 * devices needs. Every function returns the bytes of one term; terms nest by passing them on.
 */
export type Aml = readonly number[];

/** What AML cannot express. */
export type AmlErrorCode = "name" | "integer" | "length" | "eisa-id" | "hid";

/** Thrown for a name or value that AML cannot express. */
export class AmlError extends Error {
  override readonly name = "AmlError";

  constructor(
    readonly code: AmlErrorCode,
    message: string,
  ) {
    super(message);
  }
}

const ascii = (text: string): number[] => [...text].map((char) => char.charCodeAt(0));
const u16 = (value: number): number[] => [value & 0xff, (value >>> 8) & 0xff];
const u32 = (value: number): number[] => [...u16(value), ...u16(value >>> 16)];

/** A NameSeg: 1-4 of A-Z, 0-9 and _, not starting with a digit; padded with _ (20.2.2). A leading \ makes it absolute. */
export function nameString(name: string): Aml {
  const segment = name.startsWith("\\") ? name.slice(1) : name;
  if (!/^[A-Z_][A-Z0-9_]{0,3}$/.test(segment))
    throw new AmlError("name", `"${name}" is not an AML name of 1-4 characters A-Z, 0-9, _`);
  return [...(name.startsWith("\\") ? [0x5c] : []), ...ascii(segment.padEnd(4, "_"))];
}

/** PkgLength and the body it covers; the length counts its own bytes (20.2.4). */
function sized(body: Aml): Aml {
  if (body.length + 1 < 0x40) return [body.length + 1, ...body];
  for (let extra = 1; extra <= 3; extra++) {
    const length = body.length + 1 + extra;
    if (length >= 2 ** (4 + 8 * extra)) continue;
    const rest = Array.from({ length: extra }, (_, i) => (length >>> (4 + 8 * i)) & 0xff);
    return [(extra << 6) | (length & 15), ...rest, ...body];
  }
  throw new AmlError("length", `a package of ${body.length} bytes is longer than AML's 2^28`);
}

/** An integer constant 0-2^32-1 in its shortest form (20.2.3). */
export function integer(value: number): Aml {
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff)
    throw new AmlError("integer", `${value} is not an integer within 0-2^32-1`);
  if (value <= 1) return [value];
  if (value <= 0xff) return [0x0a, value];
  return value <= 0xffff ? [0x0b, ...u16(value)] : [0x0c, ...u32(value)];
}

/** A string constant of 7-bit characters. */
export const string = (text: string): Aml => [0x0d, ...ascii(text), 0];

/** `Name (name, value)`. */
export const name = (path: string, value: Aml): Aml => [0x08, ...nameString(path), ...value];

/** `Package () { ... }` of up to 255 elements. */
export const packageOf = (...elements: Aml[]): Aml => [0x12, ...sized([elements.length, ...elements.flat()])];

/** `Scope (name) { ... }`. */
export const scope = (path: string, ...terms: Aml[]): Aml => [0x10, ...sized([...nameString(path), ...terms.flat()])];

/** `Device (name) { ... }`. */
export const device = (path: string, ...terms: Aml[]): Aml => [
  0x5b,
  0x82,
  ...sized([...nameString(path), ...terms.flat()]),
];

/** `Method (name, count) { ... }` of up to 7 arguments, not serialized. */
export const method = (path: string, count: number, ...terms: Aml[]): Aml => [
  0x14,
  ...sized([...nameString(path), count, ...terms.flat()]),
];

/** `Return (Arg0)` to `Return (Arg6)`. */
export const returnArgument = (index: number): Aml => [0xa4, 0x68 + index];

/** `Notify (device, value)`. */
export const notify = (path: string, value: number): Aml => [0x86, ...nameString(path), ...integer(value)];

/** `EisaId ("PNP0501")`: three letters of 5 bits and four hex digits, big-endian (19.6.36). */
export function eisaId(id: string): Aml {
  if (!/^[A-Z]{3}[0-9A-F]{4}$/.test(id)) throw new AmlError("eisa-id", `"${id}" is not an EISA ID such as PNP0501`);
  const letters = ascii(id.slice(0, 3)).reduce((bits, char) => (bits << 5) | (char - 0x40), 0);
  const digits = Number.parseInt(id.slice(3), 16);
  return integer(
    ((letters & 0xff) * 0x100 + (letters >> 8) + (digits & 0xff) * 0x1000000 + (digits >> 8) * 0x10000) >>> 0,
  );
}

/** `Buffer () { bytes }`. */
export const buffer = (bytes: Aml): Aml => [0x11, ...sized([...integer(bytes.length), ...bytes])];

/** `ResourceTemplate () { ... }`: a buffer of descriptors with an end tag, whose zero checksum means "not checked" (6.4.2.9). */
export const resourceTemplate = (...descriptors: Aml[]): Aml => buffer([...descriptors.flat(), 0x79, 0]);

/** `IO (Decode16, base, base, 1, count)` (6.4.2.5). */
export const ioPorts = (base: number, count: number): Aml => [0x47, 1, ...u16(base), ...u16(base), 1, count];

/** `Memory32Fixed (ReadWrite, base, size)` (6.4.3.4). */
export const memory32Fixed = (base: number, size: number): Aml => [0x86, ...u16(9), 1, ...u32(base), ...u32(size)];

/** Kinds of an address space, and the flags of one: a producer, whose first and last address are fixed. */
const Space = { Memory: 0, Io: 1, BusNumber: 2 } as const;
const FIXED = 0x0c;
/** All of the ports, not only those of ISA or others; read and write, not cacheable. */
const ENTIRE_RANGE = 0x03;
const READ_WRITE = 0x01;

/** A word address space descriptor (6.4.3.5.3) of `first` to `last` inclusive. */
const word = (kind: number, flags: number, first: number, last: number): Aml => {
  const range = [u16(0), u16(first), u16(last), u16(0), u16(last - first + 1)].flat();
  return [0x88, ...u16(3 + range.length), kind, FIXED, flags, ...range];
};

/** `WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode, 0, first, last, 0, count)`. */
export const wordBusNumbers = (first: number, last: number): Aml => word(Space.BusNumber, 0, first, last);

/** `WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange, 0, first, last, 0, count)`. */
export const wordIo = (first: number, last: number): Aml => word(Space.Io, ENTIRE_RANGE, first, last);

/** `DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, ReadWrite, 0, first, last, 0, size)` (6.4.3.5.2). */
export const dwordMemory = (first: number, last: number): Aml => {
  const range = [u32(0), u32(first), u32(last), u32(0), u32(last - first + 1)].flat();
  return [0x87, ...u16(3 + range.length), Space.Memory, FIXED, READ_WRITE, ...range];
};

/** `Interrupt (ResourceConsumer, Edge | Level, ActiveHigh, Exclusive) { gsi }` (6.4.3.6). */
export const interrupt = (gsi: number, trigger: "edge" | "level"): Aml => [
  0x89,
  ...u16(6),
  trigger === "edge" ? 0x03 : 0x01,
  1,
  ...u32(gsi),
];
