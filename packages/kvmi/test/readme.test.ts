import { connect } from "node:net";
import { join } from "node:path";
import { importExample, temporaryFolder } from "@vm/presets/testing";
import { expect, it, vi } from "vitest";
import { connectTransport, KvmiServer, reconnect } from "../src/index.js";
import { FakeVm } from "./fakes.js";
import { IDENTITY } from "./raw-tool.js";

it("the example of the README prints what it says", async () => {
  const path = join(temporaryFolder(), "sock");
  vi.stubEnv("INTROSPECTOR", path);
  const lines: string[] = [];
  vi.spyOn(console, "log").mockImplementation((line) => void lines.push(line));
  await importExample(0);
  const vm = new FakeVm();
  const server = new KvmiServer({ vm, identity: IDENTITY });
  const stop = reconnect({ server, open: () => connectTransport((onread) => connect({ path, onread })), retryMs: 1 });
  await vi.waitFor(() => expect(vm.cpu.crs.has(3)).toBe(true), 10_000);
  const written = new Promise((resolve) => vm.cpu.events?.cr(3, 0x1000n, 0x2000n, resolve));
  expect(await written).toBe(0x2000n);
  stop();
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
  expect(lines).toEqual(["guest has 1 vCPU", "CR3 becomes 0x2000"]);
});
