import fc from "fast-check";
import { BODY_ENCLAVE, BODY_TD_10, BODY_TD_15, type Quote, type QuoteBody } from "../../src/index.js";

/** So many bytes that follow from one number: drawn one by one they would take most of a test's time. */
const exactly = (length: number) => fc.nat().map((seed) => noise(seed, length));

function noise(seed: number, length: number): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

const u16 = fc.integer({ min: 0, max: 0xffff });
const u64 = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });

const td10 = {
  teeTcbSvn: exactly(16),
  mrSeam: exactly(48),
  mrSignerSeam: exactly(48),
  seamAttributes: u64,
  tdAttributes: u64,
  xfam: u64,
  mrTd: exactly(48),
  mrConfigId: exactly(48),
  mrOwner: exactly(48),
  mrOwnerConfig: exactly(48),
  rtMr0: exactly(48),
  rtMr1: exactly(48),
  rtMr2: exactly(48),
  rtMr3: exactly(48),
  reportData: exactly(64),
};

const enclaveReport = fc.record({
  cpuSvn: exactly(16),
  miscSelect: fc.integer({ min: 0, max: 0xffff_ffff }),
  reserved1: exactly(12),
  isvExtProdId: exactly(16),
  attributes: exactly(16),
  mrEnclave: exactly(32),
  reserved2: exactly(32),
  mrSigner: exactly(32),
  reserved3: exactly(32),
  configId: exactly(64),
  isvProdId: u16,
  isvSvn: u16,
  configSvn: u16,
  reserved4: exactly(42),
  isvFamilyId: exactly(16),
  reportData: exactly(64),
});

const enclave: fc.Arbitrary<QuoteBody> = enclaveReport.map((report) => ({ type: BODY_ENCLAVE, report }));
const oldTd: fc.Arbitrary<QuoteBody> = fc.record(td10).map((report) => ({ type: BODY_TD_10, report }));
const newTd: fc.Arbitrary<QuoteBody> = fc
  .record({ ...td10, teeTcbSvn2: exactly(16), mrServiceTd: exactly(48) })
  .map((report) => ({ type: BODY_TD_15, report }));

/** Version, TEE type and body of all combinations that exist. */
const kinds = fc.oneof(
  enclave.map((body) => ({ version: 3, teeType: 0, body })),
  fc.tuple(fc.constantFrom(4, 5), enclave).map(([version, body]) => ({ version, teeType: 0, body })),
  fc.tuple(fc.constantFrom(4, 5), oldTd).map(([version, body]) => ({ version, teeType: 0x81, body })),
  newTd.map((body) => ({ version: 5, teeType: 0x81, body })),
);

/** Quotes that are well-formed and signed by nobody. */
export const quotes: fc.Arbitrary<Quote> = fc
  .record({
    kind: kinds,
    header: fc.record({ qeSvn: u16, pceSvn: u16, qeVendorId: exactly(16), userData: exactly(20) }),
    signature: fc.record({
      signature: exactly(64),
      attestationKey: exactly(64),
      qeReport: enclaveReport,
      qeReportSignature: exactly(64),
      qeAuthData: fc.uint8Array({ maxLength: 100 }),
      certification: fc.record({ type: fc.constantFrom(1, 2, 3, 4, 5, 7), data: fc.uint8Array({ maxLength: 100 }) }),
    }),
  })
  .map(({ kind: { version, teeType, body }, header, signature }) => ({
    header: { version, attestationKeyType: 2, teeType, ...header },
    body,
    signature,
  }));
