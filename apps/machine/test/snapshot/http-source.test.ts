import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "@vm/presets/testing";
import { afterEach, describe, expect, it } from "vitest";
import { SnapshotError } from "../../src/snapshot/error.js";
import { HttpSource } from "../../src/snapshot/http-source.js";
import { RangedServer, type RangeRequest } from "./ranged-server.js";

const BYTES = Uint8Array.from({ length: 1000 }, (_, k) => k);
let server: RangedServer;
afterEach(() => server.close());

async function setup(options: ConstructorParameters<typeof HttpSource>[1] = {}) {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "a b"), BYTES);
  writeFileSync(join(folder, "empty"), "");
  server = await new RangedServer(folder).listen();
  const pauses: number[] = [];
  const pause = async (ms: number): Promise<void> => void pauses.push(ms);
  return { source: new HttpSource(server.url, { pause, ...options }), pauses };
}

/** Answers the first requests so, and the others as a server should. */
function first(times: number, answer: (request: RangeRequest) => void): void {
  server.answer = (request) => (times-- > 0 ? answer(request) : server.send(request));
}

describe("a file on a web server", () => {
  it("is read by ranges, without what is behind its end", async () => {
    const { source } = await setup();
    const file = await source.open("a b");
    expect(file.size).toBe(1000);
    const bytes = new Uint8Array(20);
    expect(await file.read(5, bytes)).toBe(20);
    expect(bytes).toEqual(BYTES.subarray(5, 25));
    expect(await file.read(990, bytes)).toBe(10);
    expect([await file.read(1000, bytes), await file.read(5, new Uint8Array(0))]).toEqual([0, 0]);
    expect(server.requests).toEqual(["a b 0+1", "a b 5+20", "a b 990+10"]);
    await file.close();
  });

  it("may be empty", async () => {
    const { source } = await setup();
    expect((await source.open("empty")).size).toBe(0);
    expect((await source.open("empty", 100)).size).toBe(0);
  });

  it.each([100, 5000])("comes with its first bytes, if these (%i) are going to be read", async (first) => {
    const { source } = await setup();
    const file = await source.open("a b", first);
    expect(file.size).toBe(1000);
    const bytes = new Uint8Array(20);
    expect(await file.read(80, bytes)).toBe(20);
    expect(bytes).toEqual(BYTES.subarray(80, 100));
    expect(server.requests.length).toBe(1);
    expect(await file.read(990, bytes)).toBe(10);
    expect(server.requests.length).toBe(first < 1000 ? 2 : 1);
  });

  it("is asked for nothing once it has been closed", async () => {
    const { source } = await setup();
    const file = await source.open("a b");
    let asked: () => void = () => undefined;
    const under = new Promise<void>((resolve) => {
      asked = resolve;
    });
    server.answer = () => asked();
    const read = file.read(0, new Uint8Array(8));
    await under;
    await file.close();
    await expect(read).rejects.toMatchObject({ code: "io", message: expect.stringContaining("a b has been closed") });
    await expect(file.read(0, new Uint8Array(8))).rejects.toThrow("has been closed");
    expect(server.requests.length).toBe(2);
  });

  it("is in a folder that has others beside it", async () => {
    await setup();
    const source = new HttpSource(`${server.url}/one/two/?key=1`);
    expect((await source.beside("other one")).name).toBe(`${server.url}/one/other%20one?key=1`);
  });

  it("is asked for again when a server has a bad moment, after a while and not for ever", async () => {
    const { source, pauses } = await setup();
    first(3, ({ response }) => void response.writeHead(503).end());
    expect((await source.open("a b")).size).toBe(1000);
    expect(pauses).toEqual([250, 1000, 4000]);
    first(4, ({ response }) => void response.destroy());
    await expect(source.open("a b")).rejects.toMatchObject({ code: "io", message: /a b cannot be read/ });
  });

  it("is asked for again when less has come, and when nothing comes", async () => {
    const { source, pauses } = await setup({ timeoutMs: 50 });
    const file = await source.open("a b");
    first(1, ({ response, bytes }) => {
      response.writeHead(206, { "Content-Range": "bytes 0-99/1000", ETag: '"one"' });
      response.end(bytes.subarray(0, 50));
    });
    const bytes = new Uint8Array(100);
    expect(await file.read(0, bytes)).toBe(100);
    expect(bytes).toEqual(BYTES.subarray(0, 100));
    first(1, () => {});
    expect(await file.read(0, bytes)).toBe(100);
    expect(pauses).toEqual([250, 250]);
  });

  it("is no longer asked for once the signal says so", async () => {
    const abort = new AbortController();
    const { source } = await setup({ signal: abort.signal });
    server.answer = () => abort.abort(new Error("enough"));
    await expect(source.open("a b")).rejects.toThrow("enough");
    await expect(source.open("a b")).rejects.toThrow("enough");
    expect(server.requests.length).toBe(1);
  });

  const bad: readonly [string, string, (request: RangeRequest) => void][] = [
    ["that is not there", "absent", ({ response }) => void response.writeHead(404).end()],
    ["of a server without ranges", "foreign", ({ response, bytes }) => void response.writeHead(200).end(bytes)],
    ["that may not be read", "forbidden", ({ response }) => void response.writeHead(403).end()],
    ["of a server that is a teapot", "io", ({ response }) => void response.writeHead(418).end()],
    ["whose range is another one", "size", (request) => server.send({ ...request, from: 7, to: 7 })],
    ["of no size", "size", (request) => server.send(request, { "Content-Range": "bytes 0-0/*" })],
    [
      "that does not end",
      "size",
      ({ response }) => {
        response.writeHead(206, { "Content-Range": "bytes 0-0/1000" });
        const more = (): void => void response.write(Buffer.alloc(65536), (error) => error ?? more());
        more();
      },
    ],
  ];
  it.each(bad)("%s is refused: %s", async (_, code, answer) => {
    const { source } = await setup();
    server.answer = answer;
    const refused = source.open("a b");
    await expect(refused).rejects.toBeInstanceOf(SnapshotError);
    await expect(refused).rejects.toMatchObject({ code, message: expect.stringContaining("a b") });
  });

  it("that has become another one since it was opened is refused", async () => {
    const { source } = await setup();
    const file = await source.open("a b");
    server.answer = (request) => server.send(request, { ETag: '"two"' });
    await expect(file.read(0, new Uint8Array(8))).rejects.toMatchObject({ code: "corrupt" });
    server.answer = (request) => server.send({ ...request, bytes: request.bytes.subarray(0, 500) });
    await expect(file.read(0, new Uint8Array(8))).rejects.toMatchObject({ code: "corrupt" });
  });
});

it("what is no URL is none", () => {
  expect(() => new HttpSource("http://[")).toThrow(SnapshotError);
});
