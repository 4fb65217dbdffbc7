import { readFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";

/** A request as {@link RangedServer.answer} sees it. */
export interface RangeRequest {
  readonly file: string;
  readonly from: number;
  readonly to: number;
  readonly bytes: Buffer;
  readonly response: ServerResponse;
}

/** A web server of the files in a folder that answers to byte ranges, until the test has it do otherwise. */
export class RangedServer {
  readonly #server = createServer((request, response) => {
    const file = decodeURIComponent(new URL(request.url ?? "/", "http://x").pathname).slice(1);
    let bytes: Buffer;
    try {
      bytes = readFileSync(join(this.#folder, file));
    } catch {
      response.writeHead(this.absent).end();
      return;
    }
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    const [from, to] = [Number(range?.[1]), Math.min(Number(range?.[2]), bytes.length - 1)];
    this.requests.push(`${file} ${from}+${to - from + 1}`);
    this.answer({ file, from, to, bytes, response });
  });
  readonly #folder: string;
  /** What was asked for. */
  readonly requests: string[] = [];
  answer: (request: RangeRequest) => void = (request) => this.send(request);
  url = "";
  /** Status of what is not there. */
  absent = 404;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return this;
  }

  close(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => void this.#server.close(() => resolve()));
  }

  /** What a server of static files answers. */
  send({ from, to, bytes, response }: RangeRequest, headers: Record<string, string> = {}): void {
    if (from >= bytes.length) {
      response.writeHead(416, { "Content-Range": `bytes */${bytes.length}` }).end();
      return;
    }
    const range = `bytes ${from}-${to}/${bytes.length}`;
    response.writeHead(206, { "Content-Range": range, ETag: '"one"', ...headers }).end(bytes.subarray(from, to + 1));
  }
}
