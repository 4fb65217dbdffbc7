import { spawnSync } from "node:child_process";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decompress } from "../src/boot/decompress.js";
import { KernelError, UnknownPackingError } from "../src/boot/error.js";
import { X86Filter } from "../src/boot/xz/x86-filter.js";
import { Pace } from "../src/pace.js";

/** Calls of one function, jumps, opcodes within operands, and an operand that the end cuts off. */
const code = Buffer.from(
  "6GQAAACQ6F4AAACQ6FgAAACQ6FIAAACQ6EwAAACQ6EYAAACQ6EAAAACQ6DoAAACQ6DQAAACQ6C4AAACQ6ez////o6AAAAADpAej/////AOgBAgME6Q==",
  "base64",
);

/** `code`, packed by `xz --x86 --lzma2=dict=4KiB` and the options in the name. */
const PACKED = {
  "--check=none":
    "/Td6WFoAAAD/EtlBAgEEACEBAADaM60D4ABUACBdAHQaPBoJAsryUc4r7USDVdarYQQfvsRKVsmoUURSLg4iAAABNFWn462ABnKeegEAAAAAAFla",
  "--check=crc32":
    "/Td6WFoAAAFpIt42AgEEACEBAADaM60D4ABUACBdAHQaPBoJAsryUc4r7USDVdarYQQfvsRKVsmoUURSLg4iAAo8xu8AAThVq6wYLJBCmQ0BAAAAAAFZWg==",
  "--check=crc64":
    "/Td6WFoAAATm1rRGAgEEACEBAADaM60D4ABUACBdAHQaPBoJAsryUc4r7USDVdarYQQfvsRKVsmoUURSLg4iADQ+//eC9UTEAAE8Va9pdEgftvN9AQAAAAAEWVo=",
  "--check=sha256":
    "/Td6WFoAAArh+wyhAgEEACEBAADaM60D4ABUACBdAHQaPBoJAsryUc4r7USDVdarYQQfvsRKVsmoUURSLg4iAAcM1GFR82qeoDVPgOmJUgN7RxHCGiQlsBsZdTwHZislAAFUVQCIUOUYm0uaAQAAAAAKWVo=",
  "--check=crc32 --x86=start=4096":
    "/Td6WFoAAAFpIt42AwEEBAAQAAAhAQAAiwRQ5+AAVAAhXQB0Gj4ADAKm9v0I/1LmPLkH1msbRwjVPl5OmtX+38pbVw8AAAAACjzG7wABPVXuWG9RkEKZDQEAAAAAAVla",
  "--check=crc32 --block-size=24":
    "/Td6WFoAAAFpIt42AgEEACEBAADaM60D4AAXAAtdAHQaPBoJAotcgAAAAAAe/hcAAgEEACEBAADaM60D4AAXAAtdAHQUPBoJAotcgAAAAABBfn1OAgEEACEBAADaM60D4AAXABRdAHQOPBoJALyUjLTp2Vc7cbrW4syUALn4Ii4CAQQAIQEAANozrQMBAAwB6AUAAAAA6AECAwTpAAAAAFf9gdoABCMYIxgsGCENAABNGB5rm+NRQAMAAAAAAVla",
};
/** The same with another filter in place of x86. */
const OTHERS = {
  "--delta":
    "/Td6WFoAAAFpIt42AgEDAQAhAQAolRAa4ABUADxdAHQfD4AMZZel8rKJOKgNzxVhMFpwmcMIywvBKJRrmsaRyX8BPWrcyoqokO7742+fd05SQAbJsu3JaqWC8AAKPMbvAAFUVQCIUOWQQpkNAQAAAAABWVo=",
  "--arm":
    "/Td6WFoAAAFpIt42AgEHACEBAAB0QTmF4ABUADJdAHQY/BoI/wdxwD6O/aTcHL0x1SYTjofwTfP0OjSiz9iTfHlOOlouOKGTH7bwtBcWQ0j0AAAACjzG7wABSlXftxExkEKZDQEAAAAAAVla",
};
const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64"));
const unpack = (file: Uint8Array, size = code.length): Promise<Uint8Array> => decompress(file, size, new Pace());

describe("xz (The .xz File Format 1.2.1)", () => {
  it.each(Object.entries(PACKED))("unpacks what xz --x86 %s made", async (_, text) => {
    expect(Buffer.from(await unpack(bytesOf(text)))).toEqual(code);
  });

  it.each(Object.entries(OTHERS))("leaves %s to who knows it", async (_, text) => {
    await expect(unpack(bytesOf(text))).rejects.toThrow(UnknownPackingError);
    await expect(unpack(bytesOf(text))).rejects.toThrow(/filter 0x[37]/);
  });

  it("never gives other contents for a changed byte, and notices every byte that is missing", async () => {
    const file = bytesOf(PACKED["--check=crc64"]);
    for (let at = 0; at < file.length; at++) {
      const changed = file.slice();
      changed[at] = (changed[at] as number) ^ 0x10;
      // The last bytes of a chunk may be anything: they decide nothing any more.
      const contents = await unpack(changed).catch((error: unknown) => error);
      if (contents instanceof Uint8Array) expect(Buffer.from(contents), `byte ${at} changed`).toEqual(code);
      else expect(contents, `byte ${at} changed`).toBeInstanceOf(KernelError);
      await expect(unpack(file.subarray(0, at)), `cut at ${at}`).rejects.toThrow(KernelError);
    }
  });

  it("is refused before a byte is unpacked if its chunks hold more than is declared", async () => {
    await expect(unpack(bytesOf(PACKED["--check=crc32"]), code.length - 1)).rejects.toThrow(
      `more than the ${code.length - 1} bytes that it declares`,
    );
  });
});

/** `bytes` as `xz --x86` packs them. */
const xz = (bytes: Uint8Array): Uint8Array => {
  const args = ["-c", "--check=crc32", "--x86", "--lzma2=dict=4KiB"];
  return new Uint8Array(spawnSync("xz", args, { input: bytes }).stdout);
};
const hasXz = spawnSync("xz", ["--version"]).status === 0;

/** Bytes as they stand where calls are: opcodes, signs and others, thick enough to lie within each other. */
const thick = fc.array(fc.oneof(fc.constantFrom(0xe8, 0xe9, 0x00, 0xff), fc.nat(255)), { maxLength: 400 });

describe("the x86 filter", () => {
  it.skipIf(!hasXz)("undoes what xz does, whatever the bytes (needs xz)", async () => {
    await fc.assert(
      fc.asyncProperty(thick, async (values) => {
        const bytes = Uint8Array.from(values);
        expect(await unpack(xz(bytes), bytes.length)).toEqual(bytes);
      }),
      { numRuns: 300 },
    );
  });

  it("does the same in steps of any size", () => {
    fc.assert(
      fc.property(thick, fc.array(fc.integer({ min: 1, max: 50 })), fc.nat(0xffffffff), (values, steps, base) => {
        const [whole, parts] = [Uint8Array.from(values), Uint8Array.from(values)];
        new X86Filter(whole, base).run(whole.length);
        const filter = new X86Filter(parts, base);
        let end = 0;
        for (const step of steps) {
          end = Math.min(end + step, parts.length);
          filter.run(end);
        }
        filter.run(parts.length);
        expect(parts).toEqual(whole);
      }),
    );
  });

  it("leaves bytes without an opcode as they are", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(0xe7)), (values) => {
        const bytes = Uint8Array.from(values);
        new X86Filter(bytes, 0).run(bytes.length);
        expect([...bytes]).toEqual(values);
      }),
    );
  });
});
