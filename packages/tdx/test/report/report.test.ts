import { createHash, createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  encodeTdInfo,
  FieldError,
  hashesMatch,
  parseTdReport,
  quoteBody,
  ReportError,
  ReportPlatform,
  SIMULATED_TCB,
  type TdInfo,
} from "../../src/index.js";
import { data, HAS_DATA, WITHOUT_DATA } from "../data.js";

const register = (value: number) => new Uint8Array(48).fill(value);
const TD: TdInfo = {
  attributes: 0x1000_0000n,
  xfam: 0x6_02e7n,
  mrTd: register(1),
  mrConfigId: register(2),
  mrOwner: register(3),
  mrOwnerConfig: register(4),
  rtMr0: register(5),
  rtMr1: register(6),
  rtMr2: register(7),
  rtMr3: register(8),
  servTdHash: register(0),
};
const REPORT_DATA = Uint8Array.from({ length: 64 }, (_, k) => k);
const SECRET = new Uint8Array(32).fill(9);
const PLATFORM = new ReportPlatform({ secret: SECRET, cpuSvn: new Uint8Array(16).fill(3) });
const REPORT = PLATFORM.create(encodeTdInfo(TD), REPORT_DATA);
const mac = (report: Uint8Array) => report.slice(0, 256);

const flipped = (bytes: Uint8Array, bit: number): Uint8Array => {
  const copy = Uint8Array.from(bytes);
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return copy;
};

describe("a report", () => {
  test("says what it was made of", () => {
    const report = parseTdReport(REPORT);
    expect(report.td).toEqual(TD);
    expect(report.tcb).toEqual(SIMULATED_TCB);
    expect(report.mac).toMatchObject({ type: 0x81, subtype: 0, version: 0, reportData: REPORT_DATA });
  });

  test("has SHA-384 of 239 bytes of TEE_TCB_INFO and of TDINFO, and a MAC over all before it", () => {
    const sha384 = (bytes: Uint8Array) => Uint8Array.from(createHash("sha384").update(bytes).digest());
    const report = parseTdReport(REPORT);
    expect(report.mac.teeTcbInfoHash).toEqual(sha384(REPORT.subarray(256, 256 + 239)));
    expect(report.mac.teeInfoHash).toEqual(sha384(REPORT.subarray(512)));
    const expected = createHmac("sha256", SECRET).update(REPORT.subarray(0, 224)).digest();
    expect(report.mac.mac).toEqual(Uint8Array.from(expected));
    expect(hashesMatch(REPORT)).toBe(true);
  });

  test("has version 1 if there are service TDs", () => {
    const report = PLATFORM.create(encodeTdInfo({ ...TD, servTdHash: register(1) }), REPORT_DATA);
    expect(parseTdReport(report).mac.version).toBe(1);
    expect(PLATFORM.verify(mac(report))).toBe("valid");
  });

  test("is what a quote says of a TD", () => {
    expect(quoteBody(parseTdReport(REPORT))).toMatchObject({
      mrTd: TD.mrTd,
      tdAttributes: TD.attributes,
      rtMr3: TD.rtMr3,
      reportData: REPORT_DATA,
      mrServiceTd: TD.servTdHash,
    });
  });

  test("has 1024 bytes", () => {
    for (const length of [0, 1023, 1025])
      expect(() => parseTdReport(new Uint8Array(length))).toThrow(`a report of ${length} bytes; it has 1024`);
  });

  test.each([
    ["of an SGX enclave", 0, 0, "type"],
    ["of another subtype", 1, 1, "type"],
    ["of another version", 2, 2, "type"],
    ["with reserved bytes", 3, 1, "reserved"],
    ["with reserved bytes", 15, 1, "reserved"],
    ["with reserved bytes", 223, 1, "reserved"],
  ])("is none %s (%#)", (_name, at, value, code) => {
    const report = REPORT.slice();
    report[at] = value;
    expect(() => parseTdReport(report)).toThrow(expect.objectContaining({ code }));
    expect(PLATFORM.verify(mac(report))).toBe("invalid-reportmacstruct");
  });

  test("does not have the hashes of another TD or module", () => {
    expect(hashesMatch(flipped(REPORT, 512 * 8))).toBe(false);
    expect(hashesMatch(flipped(REPORT, 1023 * 8))).toBe(false);
    expect(hashesMatch(flipped(REPORT, 256 * 8))).toBe(false);
    expect(hashesMatch(flipped(REPORT, 494 * 8))).toBe(false);
    expect(hashesMatch(flipped(REPORT, 495 * 8))).toBe(true);
  });

  test("is parsed or refused with its error, whatever it holds", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1024, maxLength: 1024 }), (bytes) => {
        try {
          parseTdReport(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(ReportError);
        }
      }),
    );
  });
});

describe("a platform", () => {
  test("knows its own reports, and with any bit flipped none", () => {
    expect(PLATFORM.verify(mac(REPORT))).toBe("valid");
    for (let bit = 0; bit < 256 * 8; bit += 5) {
      const inSvn = bit >> 3 >= 16 && bit >> 3 < 32;
      const verdict = PLATFORM.verify(flipped(mac(REPORT), bit));
      if (inSvn && verdict === "invalid-cpusvn") continue;
      expect(verdict, `bit ${bit}`).toBe("invalid-reportmacstruct");
    }
  });

  test("knows no report of another", () => {
    const other = new ReportPlatform({ secret: new Uint8Array(32), cpuSvn: new Uint8Array(16).fill(3) });
    expect(other.verify(mac(REPORT))).toBe("invalid-reportmacstruct");
  });

  test("knows its reports of an older CPUSVN, and none of a newer", () => {
    const later = new ReportPlatform({ secret: SECRET, cpuSvn: new Uint8Array(16).fill(4) });
    expect(later.verify(mac(REPORT))).toBe("valid");
    expect(PLATFORM.verify(mac(later.create(encodeTdInfo(TD), REPORT_DATA)))).toBe("invalid-cpusvn");
  });

  test("takes secrets of 32 bytes, CPUSVNs of 16, TDINFO of 512, report data of 64 and REPORTMACSTRUCTs of 256", () => {
    expect(() => new ReportPlatform({ secret: new Uint8Array(31) })).toThrow(FieldError);
    expect(() => new ReportPlatform({ secret: SECRET, cpuSvn: new Uint8Array(15) })).toThrow(FieldError);
    expect(() => PLATFORM.create(new Uint8Array(511), REPORT_DATA)).toThrow("tdInfo has 511 bytes; it has to have 512");
    expect(() => PLATFORM.create(new Uint8Array(512), new Uint8Array(63))).toThrow("reportData has 63 bytes");
    expect(() => PLATFORM.verify(REPORT)).toThrow("reportMac has 1024 bytes; it has to have 256");
  });
});

describe.skipIf(!HAS_DATA)(`a real report${WITHOUT_DATA}`, () => {
  test("has the hashes of the rest of it, and is no report of ours", () => {
    const bytes = data("cc-trusted-api/tdreport.bin");
    const report = parseTdReport(bytes);
    expect(hashesMatch(bytes)).toBe(true);
    expect(report.tcb.valid).toBe(0x3_01ffn);
    expect(encodeTdInfo(report.td)).toEqual(bytes.subarray(512));
    const newest = new ReportPlatform({ secret: SECRET, cpuSvn: new Uint8Array(16).fill(255) });
    expect(newest.verify(mac(bytes))).toBe("invalid-reportmacstruct");
    expect(PLATFORM.verify(mac(bytes))).toBe("invalid-cpusvn");
  });
});
