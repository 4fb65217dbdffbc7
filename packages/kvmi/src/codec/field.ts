/** One field of a structure on the wire. All integers are little-endian. */
export interface Field<T> {
  /** Bytes. */
  readonly size: number;
  /** Natural alignment in bytes. */
  readonly align: number;
  /** C spelling, for documentation. */
  readonly c: string;
  /** What the field is to the receiver: a value, padding that must be zero, or bytes nobody looks at. */
  readonly role: "value" | "zero" | "ignored";
  read(view: DataView, at: number): T;
  write(view: DataView, at: number, value: T): void;
  /** Whether the padding inside is zero. */
  clean(view: DataView, at: number): boolean;
}

/** `clean` of a field without padding. */
export const always = (): boolean => true;

function scalar<T>(
  c: string,
  size: number,
  read: (view: DataView, at: number) => T,
  write: (view: DataView, at: number, value: T) => void,
): Field<T> {
  return { size, align: size, c, role: "value", read, write, clean: always };
}

export const u8: Field<number> = scalar(
  "u8",
  1,
  (view, at) => view.getUint8(at),
  (view, at, value) => view.setUint8(at, value),
);
export const u16: Field<number> = scalar(
  "u16",
  2,
  (view, at) => view.getUint16(at, true),
  (view, at, value) => view.setUint16(at, value, true),
);
export const u32: Field<number> = scalar(
  "u32",
  4,
  (view, at) => view.getUint32(at, true),
  (view, at, value) => view.setUint32(at, value, true),
);
export const s32: Field<number> = scalar(
  "s32",
  4,
  (view, at) => view.getInt32(at, true),
  (view, at, value) => view.setInt32(at, value, true),
);
export const u64: Field<bigint> = scalar(
  "u64",
  8,
  (view, at) => view.getBigUint64(at, true),
  (view, at, value) => view.setBigUint64(at, value, true),
);
export const s64: Field<bigint> = scalar(
  "s64",
  8,
  (view, at) => view.getBigInt64(at, true),
  (view, at, value) => view.setBigInt64(at, value, true),
);

const bytesAt = (view: DataView, at: number, size: number): Uint8Array =>
  new Uint8Array(view.buffer, view.byteOffset + at, size);

/** `size` bytes as they are. Reading copies; writing fewer bytes leaves zeros behind them. */
export function bytes(size: number): Field<Uint8Array> {
  return {
    size,
    align: 1,
    c: `u8[${size}]`,
    role: "value",
    read: (view, at) => bytesAt(view, at, size).slice(),
    write: (view, at, value) => {
      const to = bytesAt(view, at, size);
      to.fill(0);
      to.set(value.subarray(0, size));
    },
    clean: always,
  };
}

/** Padding of `size` bytes; a receiver that checks refuses anything but zeros. */
export function pad(size: number): Field<undefined> {
  return {
    size,
    align: 1,
    c: `pad[${size}]`,
    role: "zero",
    read: () => undefined,
    write: (view, at) => void bytesAt(view, at, size).fill(0),
    clean: (view, at) => {
      for (let k = 0; k < size; k++) if (view.getUint8(at + k) !== 0) return false;
      return true;
    },
  };
}

/** Like {@link pad}, but whatever stands there is accepted. */
export function ignored(size: number): Field<undefined> {
  return { ...pad(size), role: "ignored", clean: always };
}

/** `count` elements in a row. */
export function array<T>(element: Field<T>, count: number): Field<readonly T[]> {
  return {
    size: element.size * count,
    align: element.align,
    c: `${element.c}[${count}]`,
    role: "value",
    read: (view, at) => Array.from({ length: count }, (_, k) => element.read(view, at + k * element.size)),
    write: (view, at, value) => {
      for (let k = 0; k < count; k++) element.write(view, at + k * element.size, value[k] as T);
    },
    clean: (view, at) => {
      for (let k = 0; k < count; k++) if (!element.clean(view, at + k * element.size)) return false;
      return true;
    },
  };
}
