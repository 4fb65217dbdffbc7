import { TdvmcallStatus } from "./tdvmcall.js";

/** What the guest polls for. Source: GHCI, TDG.VP.VMCALL<GetQuote>, "TD Quote Request Buffer". */
export const QuoteStatus = {
  SUCCESS: 0n,
  ERROR: 0x8000_0000_0000_0000n,
  SERVICE_UNAVAILABLE: 0x8000_0000_0000_0001n,
  IN_FLIGHT: 0xffff_ffff_ffff_ffffn,
} as const;

/** Memory that guest and host share, by guest-physical addresses without the shared bit. */
export interface SharedMemory {
  /** False, and nothing read, if not all of it is shared memory. */
  read(gpa: number, to: Uint8Array): boolean;
  /** False, and nothing written, if not all of it is shared memory. */
  write(gpa: number, from: Uint8Array): boolean;
}

export interface QuoteServiceDesc {
  readonly memory: SharedMemory;
  /** Makes a quote of a TDREPORT of 1024 bytes. May reject, and take as long as it likes. */
  readonly makeQuote: (report: Uint8Array) => Promise<Uint8Array>;
  /** Bytes that a guest's buffer may have, default 128 KiB. */
  readonly maxBuffer?: number;
  /** Requests that may be in flight, default 16. */
  readonly maxInFlight?: number;
  /** A request has left its flight: time to notify the guest. */
  readonly onDone?: () => void;
  /** Why a guest has got no quote. */
  readonly onFailure?: (error: unknown) => void;
}

const PAGE = 4096n;
const HEADER = 24;
const VERSION = 1n;
const REPORT = 1024;
const AT_STATUS = 8;
const AT_IN_LEN = 16;
const AT_OUT_LEN = 20;
/** Longer than any buffer: guests that look at the length alone do not take a failure for an empty quote. Linux 6.12 is one. */
const NO_LENGTH = 0xffff_ffff;

/**
 * TDVMCALL GetQuote in the guest's shared memory: the request is taken, the guest polls its status. A buffer is the host's until then, so a guest that has given up
 * waiting finds the quote there later, or an error; never success without a quote.
 */
export class QuoteService {
  readonly #desc: QuoteServiceDesc;
  readonly #maxBuffer: number;
  readonly #maxInFlight: number;
  readonly #inFlight = new Set<{ readonly gpa: number; readonly size: number }>();

  constructor(desc: QuoteServiceDesc) {
    this.#desc = desc;
    this.#maxBuffer = desc.maxBuffer ?? 128 * 1024;
    this.#maxInFlight = desc.maxInFlight ?? 16;
  }

  /** Requests that wait for their quote. */
  get inFlight(): number {
    return this.#inFlight.size;
  }

  /**
   * Takes a request, or says why not.
   * @param gpa of the buffer, without the shared bit
   * @returns a TDVMCALL status: ALIGN_ERROR for what is not whole pages, INVALID_OPERAND, GPA_INUSE while a part of the buffer is in flight, RETRY while there are too
   *   many requests
   */
  getQuote(gpa: number, size: bigint): bigint {
    if (BigInt(gpa) % PAGE !== 0n || size % PAGE !== 0n) return TdvmcallStatus.ALIGN_ERROR;
    if (size === 0n || size > BigInt(this.#maxBuffer)) return TdvmcallStatus.INVALID_OPERAND;
    const buffer = { gpa, size: Number(size) };
    for (const other of this.#inFlight)
      if (gpa < other.gpa + other.size && other.gpa < gpa + buffer.size) return TdvmcallStatus.GPA_INUSE;
    if (this.#inFlight.size >= this.#maxInFlight) return TdvmcallStatus.RETRY;
    const report = this.#readRequest(gpa);
    if (report === null || !this.#writeStatus(gpa, QuoteStatus.IN_FLIGHT)) return TdvmcallStatus.INVALID_OPERAND;
    this.#inFlight.add(buffer);
    void this.#answer(buffer, report);
    return TdvmcallStatus.SUCCESS;
  }

  /** The TDREPORT, copied: the guest may write to the buffer at any time. */
  #readRequest(gpa: number): Uint8Array | null {
    const request = new Uint8Array(HEADER + REPORT);
    if (!this.#desc.memory.read(gpa, request)) return null;
    const view = new DataView(request.buffer);
    if (view.getBigUint64(0, true) !== VERSION || view.getUint32(AT_IN_LEN, true) !== REPORT) return null;
    return request.slice(HEADER);
  }

  async #answer(buffer: { readonly gpa: number; readonly size: number }, report: Uint8Array): Promise<void> {
    const { makeQuote, onDone, onFailure } = this.#desc;
    try {
      const quote = await makeQuote(report);
      if (quote.length === 0) throw new RangeError("the quoting service has given an empty quote");
      this.#writeQuote(buffer, quote);
    } catch (error) {
      this.#writeLength(buffer.gpa, NO_LENGTH);
      this.#writeStatus(buffer.gpa, QuoteStatus.ERROR);
      onFailure?.(error);
    } finally {
      this.#inFlight.delete(buffer);
      onDone?.();
    }
  }

  #writeQuote({ gpa, size }: { readonly gpa: number; readonly size: number }, quote: Uint8Array): void {
    if (quote.length > size - HEADER)
      throw new RangeError(`a quote of ${quote.length} bytes, and the guest has room for ${size - HEADER}`);
    const isThere =
      this.#desc.memory.write(gpa + HEADER, quote) &&
      this.#writeLength(gpa, quote.length) &&
      this.#writeStatus(gpa, QuoteStatus.SUCCESS);
    if (!isThere) throw new RangeError(`the buffer at 0x${gpa.toString(16)} is not shared any more`);
  }

  #writeLength(gpa: number, length: number): boolean {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, length, true);
    return this.#desc.memory.write(gpa + AT_OUT_LEN, bytes);
  }

  #writeStatus(gpa: number, status: bigint): boolean {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, status, true);
    return this.#desc.memory.write(gpa + AT_STATUS, bytes);
  }
}
