import { SnapshotError } from "./error.js";
import type { SnapshotFile, SnapshotSource } from "./source.js";

export interface HttpSourceOptions {
  /** Ends what is under way, and all that comes. */
  readonly signal?: AbortSignal | undefined;
  /** Default: the host's. */
  readonly fetch?: typeof fetch;
  /** Waits before a request is made again, ms. */
  readonly pause?: (ms: number) => Promise<void>;
  /** Ms that one request may take, default 30000. */
  readonly timeoutMs?: number;
}

/** Times a request is made before its failure is one. */
const ATTEMPTS = 4;
/** Ms before the second, four times as many before each one after. */
const FIRST_PAUSE = 250;
const TIMEOUT = 30_000;

/**
 * The folder of a snapshot on a web server that answers to byte ranges (RFC 9110, 14), as any server of static files does. What fails for a moment is tried again.
 * A file that is another one than when it was opened, by its ETag, is refused.
 */
export class HttpSource implements SnapshotSource {
  readonly name: string;
  readonly #folder: URL;
  readonly #options: HttpSourceOptions;

  /** @param url of the folder, with or without a slash at its end @throws {SnapshotError} "foreign" for what is no URL */
  constructor(url: string, options: HttpSourceOptions = {}) {
    this.name = url;
    this.#options = options;
    if (!URL.canParse(url)) throw new SnapshotError("foreign", `${url} is no URL of a folder`);
    this.#folder = new URL(url);
    if (!this.#folder.pathname.endsWith("/")) this.#folder.pathname += "/";
  }

  async open(file: string, first = 1): Promise<SnapshotFile> {
    const name = `${this.name}/${file}`;
    const url = new URL(this.#folder);
    url.pathname += encodeURIComponent(file);
    const closing = new AbortController();
    const requests = new Requests(url, name, this.#options, closing.signal);
    // How long it is comes with any part of it.
    const { bytes: begin, total, etag } = await requests.range(0, Math.max(1, first));
    return {
      size: total,
      read: async (offset, dst) => {
        const length = Math.min(dst.length, total - offset);
        if (length <= 0) return 0;
        if (offset + length <= begin.length) {
          dst.set(begin.subarray(offset, offset + length));
          return length;
        }
        const answer = await requests.range(offset, length);
        if (answer.etag !== etag || answer.total !== total)
          throw new SnapshotError("corrupt", `${name} is another file than when the snapshot was opened`);
        dst.set(answer.bytes);
        return length;
      },
      close: async () => closing.abort(new SnapshotError("io", `${name} has been closed`)),
    };
  }

  async beside(name: string): Promise<SnapshotSource> {
    const url = new URL(this.#folder);
    url.pathname = url.pathname.replace(/[^/]+\/$/, encodeURIComponent(name));
    return new HttpSource(url.href, this.#options);
  }
}

/** Bytes of a file, and what the server says of it. */
interface Answer {
  readonly bytes: Uint8Array;
  /** Bytes that the file has. */
  readonly total: number;
  readonly etag: string | null;
}

/** A request that may go better the next time. */
class Trouble extends Error {
  override readonly name = "Trouble";
  readonly code = "trouble";
}

class Requests {
  readonly #url: URL;
  readonly #name: string;
  readonly #options: HttpSourceOptions;
  readonly #closed: AbortSignal;

  /** @param closed ends them as the signal of the options does */
  constructor(url: URL, name: string, options: HttpSourceOptions, closed: AbortSignal) {
    this.#url = url;
    this.#name = name;
    this.#options = options;
    this.#closed = closed;
  }

  /** `length` bytes from `offset` on, fewer at the end of the file. @throws {SnapshotError} "absent", "forbidden", "foreign", "size", "io" */
  async range(offset: number, length: number): Promise<Answer> {
    const { pause = sleep } = this.#options;
    for (let attempt = 1; ; attempt++) {
      this.#check();
      try {
        return await this.#try(offset, length);
      } catch (error) {
        this.#check();
        if (error instanceof SnapshotError) throw error;
        if (attempt === ATTEMPTS)
          throw new SnapshotError("io", `${this.#name} cannot be read: ${(error as Error).message}`, { cause: error });
      }
      await pause(FIRST_PAUSE * 4 ** (attempt - 1));
    }
  }

  #check(): void {
    this.#options.signal?.throwIfAborted();
    this.#closed.throwIfAborted();
  }

  async #try(offset: number, length: number): Promise<Answer> {
    const { timeoutMs = TIMEOUT } = this.#options;
    const signals = [this.#options.signal, this.#closed];
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(new Trouble(`no answer within ${timeoutMs} ms`)), timeoutMs);
    const onAbort = ({ target }: Event): void => limit.abort((target as AbortSignal).reason);
    for (const signal of signals) signal?.addEventListener("abort", onAbort);
    try {
      return await this.#ask(offset, length, limit.signal);
    } finally {
      clearTimeout(timer);
      for (const signal of signals) signal?.removeEventListener("abort", onAbort);
    }
  }

  async #ask(offset: number, length: number, signal: AbortSignal): Promise<Answer> {
    const { fetch: get = fetch } = this.#options;
    const headers = { Range: `bytes=${offset}-${offset + length - 1}`, "Accept-Encoding": "identity" };
    const response = await get(this.#url, { headers, signal });
    const { status } = response;
    const etag = response.headers.get("etag");
    const range = /^bytes (?:(\d+)-(\d+)|\*)\/(\d+)$/.exec(response.headers.get("content-range") ?? "");
    const total = Number(range?.[3] ?? Number.NaN);
    if (status !== 206) {
      await response.body?.cancel();
      if (status === 416 && total === 0) return { bytes: new Uint8Array(), total, etag };
      this.#refuse(status);
    }
    const end = Math.min(offset + length, total);
    if (!Number.isSafeInteger(total) || Number(range?.[1]) !== offset || Number(range?.[2]) !== end - 1) {
      await response.body?.cancel();
      throw new SnapshotError("size", `${this.#name}: the server has not sent the ${length} bytes at ${offset}`);
    }
    return { bytes: await this.#body(response, end - offset), total, etag };
  }

  #refuse(status: number): never {
    if (status === 404 || status === 410)
      throw new SnapshotError("absent", `${this.#name} is not there: no snapshot, or one whose writing never ended`);
    if (status === 200)
      throw new SnapshotError("foreign", `${this.#name}: the server sends whole files only, and ranges are needed`);
    if (status === 401 || status === 403)
      throw new SnapshotError("forbidden", `${this.#name} may not be read, or is not there: the server says ${status}`);
    if (status === 429 || status >= 500) throw new Trouble(`the server says ${status}`);
    throw new SnapshotError("io", `${this.#name} cannot be read: the server says ${status}`);
  }

  /** What was sent: exactly `length` bytes, and no more are taken. */
  async #body(response: Response, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    let done = 0;
    const reader = response.body?.getReader();
    for (let part = await reader?.read(); part?.value !== undefined; part = await reader?.read()) {
      if (done + part.value.length > length) {
        await reader?.cancel();
        throw new SnapshotError(
          "size",
          `${this.#name}: the server sends more than the ${length} bytes it was asked for`,
        );
      }
      bytes.set(part.value, done);
      done += part.value.length;
    }
    if (done < length) throw new Trouble(`only ${done} of ${length} bytes have come`);
    return bytes;
  }
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
