import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it, vi } from "vitest";
import { ensureDistro, findDistro, GuestError } from "../src/index.js";

const dir = mkdtempSync(join(tmpdir(), "vm-no-distro-"));
afterAll(() => rmSync(dir, { recursive: true }));

it("a cache without a Debian root has none", async () => {
  expect(await findDistro(dir)).toBeUndefined();
});

it("is not made without root rights, and a sentence says so", async () => {
  vi.spyOn(process, "getuid").mockReturnValue(1000);
  const refusal = ensureDistro({ dir });
  await expect(refusal).rejects.toThrow(GuestError);
  await expect(refusal).rejects.toThrow("needs root rights");
});
