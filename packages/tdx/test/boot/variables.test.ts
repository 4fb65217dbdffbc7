import { describe, expect, it } from "vitest";
import { withoutVariables } from "../../src/boot/variables.js";
import { TdImageError } from "../../src/index.js";
import { putStore, STORE_HEADER, VOLUME_HEADER } from "./variable-store.js";

const SIZE = 0x1000;
const STORE = 0x800;
const BEGIN = VOLUME_HEADER + STORE_HEADER;
const END = VOLUME_HEADER + STORE;

function volume(size = STORE): Uint8Array {
  const bytes = Uint8Array.from({ length: SIZE }, (_, k) => (k * 3) & 0x7f);
  putStore(bytes, size);
  return bytes;
}

const refused = (bytes: Uint8Array): unknown => {
  try {
    withoutVariables(bytes);
    return "nothing thrown";
  } catch (error) {
    return error instanceof TdImageError ? error.code : error;
  }
};

describe("variables that are erased", () => {
  it("leave the headers of the volume and the store, and what is behind the store, as they are", () => {
    const before = volume();
    const after = withoutVariables(before);
    expect(after.subarray(0, BEGIN)).toEqual(before.subarray(0, BEGIN));
    expect(after.subarray(BEGIN, END)).toEqual(new Uint8Array(END - BEGIN).fill(0xff));
    expect(after.subarray(END)).toEqual(before.subarray(END));
    expect(before).toEqual(volume());
  });

  it("are those of a store without authentication as well", () => {
    const bytes = volume();
    // EFI_VARIABLE_GUID, ddcf3616-3275-4164-98b6-fe85707ffe7d.
    bytes.set(
      [0x16, 0x36, 0xcf, 0xdd, 0x75, 0x32, 0x64, 0x41, 0x98, 0xb6, 0xfe, 0x85, 0x70, 0x7f, 0xfe, 0x7d],
      VOLUME_HEADER,
    );
    expect(withoutVariables(bytes)[BEGIN]).toBe(0xff);
  });

  it("are erased to the end of a volume that the store fills, and a store may be empty", () => {
    expect(withoutVariables(volume(SIZE - VOLUME_HEADER))[SIZE - 1]).toBe(0xff);
    expect(withoutVariables(volume(STORE_HEADER))).toEqual(volume(STORE_HEADER));
  });

  const changed = (change: (view: DataView) => void): Uint8Array => {
    const bytes = volume();
    change(new DataView(bytes.buffer));
    return bytes;
  };
  it.each([
    ["nothing", new Uint8Array(0)],
    ["63 bytes", volume().subarray(0, 63)],
    ["no volume", changed((view) => view.setUint8(40, 0))],
    ["no store", changed((view) => view.setUint8(VOLUME_HEADER, 0))],
    ["a header that ends elsewhere", changed((view) => view.setUint16(48, VOLUME_HEADER + 8, true))],
    ["a header that ends behind the volume", changed((view) => view.setUint16(48, 0xffff, true))],
    ["a store whose header is cut off", volume().subarray(0, VOLUME_HEADER + 18)],
    ["a store that is shorter than its header", volume(STORE_HEADER - 1)],
    ["a store that is longer than its volume", volume(SIZE - VOLUME_HEADER + 1)],
    ["a store of 4 GiB", volume(0xffff_ffff)],
    ["a store that was cut off", volume().subarray(0, END - 1)],
  ])("are refused in %s", (_, bytes) => expect(refused(bytes)).toBe("range"));
});
