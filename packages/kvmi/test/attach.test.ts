import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { temporaryFolder } from "@vm/presets/testing";
import { describe, expect, it } from "vitest";
import { connectTransport, KvmiServer, reconnect } from "../src/index.js";
import { attach } from "../src/node.js";
import { FakeVm } from "./fakes.js";
import { IDENTITY } from "./raw-tool.js";

const machine = (path: string): (() => void) => {
  const server = new KvmiServer({ vm: new FakeVm(), identity: IDENTITY });
  return reconnect({ server, open: () => connectTransport((onread) => connect({ path, onread })), retryMs: 1 });
};

const listening = async (path: string): Promise<void> => {
  while (!existsSync(path)) await new Promise((resolve) => setImmediate(resolve));
};

describe("attach", () => {
  it("waits for a machine, passes over strangers, and leaves the path free", async () => {
    const path = join(temporaryFolder(), "sock");
    const strangers: string[] = [];
    const client = attach(path, { handshakeMs: 1e6, onStranger: ({ message }) => void strangers.push(message) });
    await listening(path);
    const stranger = connect(path);
    stranger.on("error", () => undefined);
    stranger.write(new Uint8Array(200).fill(0xff));
    await once(stranger, "close");
    const stop = machine(path);
    expect((await client).identity).toEqual(IDENTITY);
    expect(await (await client).vcpuCount()).toBe(1);
    expect(strangers).toEqual([expect.stringContaining("does not keep to the protocol")]);
    expect(existsSync(path)).toBe(false);
    stop();
    (await client).close();
  });

  it("takes the place of a tool that has been killed, and of no other", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "sock");
    const other = createServer().listen(path);
    await once(other, "listening");
    await expect(attach(path)).rejects.toMatchObject({ name: "AttachError", code: "busy" });
    other.close();
    writeFileSync(path, "");
    await expect(attach(path)).rejects.toMatchObject({ code: "not-socket" });
    await expect(attach(join(folder, "no/sock"))).rejects.toMatchObject({ code: "no-directory" });
    await expect(attach(join(path, "below a file"))).rejects.toMatchObject({
      code: "system",
      cause: expect.any(Error),
    });
  });

  it("ends with its signal", async () => {
    const path = join(temporaryFolder(), "sock");
    const stop = new AbortController();
    const waiting = attach(path, { signal: stop.signal });
    await listening(path);
    const met = connect(path);
    await once(met, "connect");
    stop.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    expect(existsSync(path)).toBe(false);
    met.destroy();
    await expect(attach(path, { signal: stop.signal })).rejects.toThrow("enough");
  });
});
