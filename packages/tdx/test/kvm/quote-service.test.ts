import { describe, expect, test } from "vitest";
import { QuoteService, type QuoteServiceDesc, QuoteStatus } from "../../src/kvm/quote-service.js";
import { TdvmcallStatus } from "../../src/kvm/tdvmcall.js";

const { SUCCESS, RETRY, GPA_INUSE, ALIGN_ERROR, INVALID_OPERAND } = TdvmcallStatus;
const PAGE = 4096;
const HEADER = 24;
const SIZE = 4 * PAGE;

/** Memory of 64 pages, all shared until said otherwise. */
class Memory {
  readonly bytes = new Uint8Array(64 * PAGE);
  isShared = true;

  read(gpa: number, to: Uint8Array): boolean {
    if (!this.isShared || gpa + to.length > this.bytes.length) return false;
    to.set(this.bytes.subarray(gpa, gpa + to.length));
    return true;
  }

  write(gpa: number, from: Uint8Array): boolean {
    if (!this.isShared || gpa + from.length > this.bytes.length) return false;
    this.bytes.set(from, gpa);
    return true;
  }
}

function setUp(desc: Partial<QuoteServiceDesc> = {}) {
  const memory = new Memory();
  const view = new DataView(memory.bytes.buffer);
  const quotes: { report: Uint8Array; resolve: (quote: Uint8Array) => void; reject: (error: Error) => void }[] = [];
  const failures: unknown[] = [];
  let done = 0;
  const service = new QuoteService({
    memory,
    makeQuote: (report) => new Promise((resolve, reject) => quotes.push({ report, resolve, reject })),
    onDone: () => done++,
    onFailure: (error) => failures.push(error),
    ...desc,
  });
  /** As Linux' guest driver lays it out. */
  const request = (gpa = 0, inLen = 1024, version = 1n) => {
    view.setBigUint64(gpa, version, true);
    view.setBigUint64(gpa + 8, 0n, true);
    view.setUint32(gpa + 16, inLen, true);
    view.setUint32(gpa + 20, 0, true);
    memory.bytes.fill(0xaa, gpa + HEADER, gpa + HEADER + 1024);
  };
  const status = (gpa = 0) => view.getBigUint64(gpa + 8, true);
  const outLen = (gpa = 0) => view.getUint32(gpa + 20, true);
  request();
  return { memory, view, quotes, failures, service, request, status, outLen, done: () => done };
}

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("GetQuote", () => {
  test("is in flight until the quote is there", async () => {
    const { service, quotes, status, outLen, memory, done } = setUp();
    expect(service.getQuote(0, BigInt(SIZE))).toBe(SUCCESS);
    expect(status()).toBe(QuoteStatus.IN_FLIGHT);
    expect(quotes[0]?.report).toEqual(new Uint8Array(1024).fill(0xaa));
    quotes[0]?.resolve(Uint8Array.of(1, 2, 3));
    await settled();
    expect(status()).toBe(QuoteStatus.SUCCESS);
    expect(outLen()).toBe(3);
    expect([...memory.bytes.subarray(HEADER, HEADER + 3)]).toEqual([1, 2, 3]);
    expect(done()).toBe(1);
    expect(service.inFlight).toBe(0);
  });

  test("the report is the one that was there when the guest asked", () => {
    const { service, quotes, memory } = setUp();
    service.getQuote(0, BigInt(SIZE));
    memory.bytes.fill(0, HEADER, HEADER + 1024);
    expect(quotes[0]?.report[0]).toBe(0xaa);
  });

  // A guest that looks at out_len alone must find no empty quote: it is beyond every buffer.
  test.each<[string, (quote: { resolve: (quote: Uint8Array) => void; reject: (error: Error) => void }) => void]>([
    ["the service fails", ({ reject }) => reject(new Error("no quoting enclave"))],
    ["the quote is empty", ({ resolve }) => resolve(new Uint8Array())],
    ["the quote is too long", ({ resolve }) => resolve(new Uint8Array(SIZE - HEADER + 1))],
  ])("an error and no length when %s", async (_what, how) => {
    const { service, quotes, status, outLen, failures, done } = setUp();
    service.getQuote(0, BigInt(SIZE));
    how(quotes[0] as (typeof quotes)[number]);
    await settled();
    expect(status()).toBe(QuoteStatus.ERROR);
    expect(outLen()).toBeGreaterThan(128 * 1024);
    expect(failures).toHaveLength(1);
    expect(done()).toBe(1);
  });

  test("a quote that just fits", async () => {
    const { service, quotes, status, outLen } = setUp();
    service.getQuote(0, BigInt(SIZE));
    quotes[0]?.resolve(new Uint8Array(SIZE - HEADER));
    await settled();
    expect([status(), outLen()]).toEqual([QuoteStatus.SUCCESS, SIZE - HEADER]);
  });

  test("a late quote comes all the same, and the buffer can be used again then only", async () => {
    const { service, quotes, status, request } = setUp();
    service.getQuote(0, BigInt(SIZE));
    expect(service.getQuote(0, BigInt(SIZE))).toBe(GPA_INUSE);
    expect(service.getQuote(3 * PAGE, BigInt(PAGE))).toBe(GPA_INUSE);
    quotes[0]?.resolve(Uint8Array.of(1));
    await settled();
    expect(status()).toBe(QuoteStatus.SUCCESS);
    request();
    expect(service.getQuote(0, BigInt(SIZE))).toBe(SUCCESS);
  });

  test("requests in different buffers do not meet", async () => {
    const { service, quotes, status, request } = setUp();
    request(SIZE);
    service.getQuote(0, BigInt(SIZE));
    expect(service.getQuote(SIZE, BigInt(SIZE))).toBe(SUCCESS);
    quotes[1]?.resolve(Uint8Array.of(1));
    await settled();
    expect([status(0), status(SIZE)]).toEqual([QuoteStatus.IN_FLIGHT, QuoteStatus.SUCCESS]);
  });

  test("too many requests are to come again", () => {
    const { service, request } = setUp({ maxInFlight: 1 });
    request(SIZE);
    service.getQuote(0, BigInt(SIZE));
    expect(service.getQuote(SIZE, BigInt(SIZE))).toBe(RETRY);
  });

  test("a buffer that has become private meanwhile is left alone", async () => {
    const { service, quotes, memory, failures, status } = setUp();
    service.getQuote(0, BigInt(SIZE));
    memory.isShared = false;
    quotes[0]?.resolve(Uint8Array.of(1));
    await settled();
    expect(failures).toHaveLength(1);
    expect(status()).toBe(QuoteStatus.IN_FLIGHT);
    expect(service.inFlight).toBe(0);
  });

  test.each<[string, (world: ReturnType<typeof setUp>) => bigint, bigint]>([
    ["a buffer that is no page", ({ service }) => service.getQuote(8, BigInt(SIZE)), ALIGN_ERROR],
    ["a size that is no page", ({ service }) => service.getQuote(0, 100n), ALIGN_ERROR],
    ["no size", ({ service }) => service.getQuote(0, 0n), INVALID_OPERAND],
    ["too large a buffer", ({ service }) => service.getQuote(0, 132n * 1024n), INVALID_OPERAND],
    ["a buffer beyond memory", ({ service }) => service.getQuote(64 * PAGE, BigInt(PAGE)), INVALID_OPERAND],
    [
      "another version",
      ({ service, request }) => {
        request(0, 1024, 2n);
        return service.getQuote(0, BigInt(SIZE));
      },
      INVALID_OPERAND,
    ],
    [
      "no report",
      ({ service, request }) => {
        request(0, 0);
        return service.getQuote(0, BigInt(SIZE));
      },
      INVALID_OPERAND,
    ],
  ])("%s is refused", (_what, ask, status) => {
    const world = setUp();
    expect(ask(world)).toBe(status);
    expect(world.quotes).toHaveLength(0);
  });
});
