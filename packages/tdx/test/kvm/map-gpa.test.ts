import { describe, expect, test } from "vitest";
import type { TdPlatform } from "../../src/kvm/ports.js";
import { TdvmcallLeaf, TdvmcallStatus } from "../../src/kvm/tdvmcall.js";
import { call } from "./call.js";
import { newHost, runningTd } from "./fixture.js";
import { PAGE } from "./memory.js";

const world = newHost();
const SHARED = 2n ** 47n;
const MIB2 = 2 ** 21;
type Td = Awaited<ReturnType<typeof runningTd>>;
const withPorts = (platform: Partial<TdPlatform>) => runningTd(world, { platform: platform as TdPlatform });

describe("MapGPA", () => {
  const map = (td: Td, gpa: bigint, size: number) => call(td, TdvmcallLeaf.MapGpa, { R12: gpa, R13: BigInt(size) });

  test.each([
    ["to shared", SHARED + 0x10_0000n, false],
    ["to private", 0x10_0000n, true],
  ])("%s, in chunks of 2 MiB", async (_what, gpa, toPrivate) => {
    const td = await runningTd(world);
    expect(await map(td, gpa, 5 * 2 ** 20)).toMatchObject({ exit: { reason: "handled" }, r10: 0n });
    expect(td.log).toEqual([
      `map ${0x10_0000} ${MIB2} ${toPrivate}`,
      `map ${0x10_0000 + MIB2} ${MIB2} ${toPrivate}`,
      `map ${0x10_0000 + 2 * MIB2} ${2 ** 20} ${toPrivate}`,
    ]);
    await td.destroy();
  });

  test("an event after a chunk: RETRY, the next address with the shared bit as the guest gave it", async () => {
    const td = await withPorts({ hasEvents: () => true });
    expect(await map(td, SHARED + 0x1000n, 3 * MIB2)).toMatchObject({ r10: 1n, r11: SHARED + 0x1000n + BigInt(MIB2) });
    expect(td.log).toHaveLength(1);
    await td.destroy();
  });

  test("an event after the last chunk changes nothing", async () => {
    const td = await withPorts({ hasEvents: () => true });
    expect(await map(td, SHARED, MIB2)).toMatchObject({ r10: 0n });
    await td.destroy();
  });

  test.each<[string, boolean]>([
    ["at once", false],
    ["later", true],
  ])("a chunk that cannot be converted says so where it is, %s", async (_what, isLater) => {
    let chunks = 0;
    const results = ["done", "EAGAIN", "done", "EINVAL"] as const;
    const td = await withPorts({
      mapGpaRange: () => {
        const result = results[chunks++] ?? "done";
        return isLater ? Promise.resolve(result) : result;
      },
    });
    const second = SHARED + BigInt(MIB2);
    expect(await map(td, SHARED, 4 * MIB2)).toMatchObject({ r10: TdvmcallStatus.RETRY, r11: second });
    expect(await map(td, SHARED, 4 * MIB2)).toMatchObject({ r10: TdvmcallStatus.INVALID_OPERAND, r11: second });
    expect(chunks).toBe(4);
    await td.destroy();
  });

  test("what cannot be is refused with the address in R11", async () => {
    const td = await runningTd(world);
    expect(await map(td, SHARED + 1n, PAGE)).toMatchObject({ r10: TdvmcallStatus.ALIGN_ERROR, r11: SHARED + 1n });
    expect(await map(td, SHARED, 0)).toMatchObject({ r10: TdvmcallStatus.INVALID_OPERAND, r11: SHARED });
    expect(td.log).toEqual([]);
    await td.destroy();
  });
});
