import { describe, expect, it } from "vitest";
import { run } from "../cli.js";
import { bootFlags, guests } from "./debian.js";

describe.skipIf(guests === null)("Debian's unmodified kernel in a guest_memfd", () => {
  it("boots, with the locks of its memory validated, and there is nothing to report", async () => {
    const { status, stdout, stderr } = await run(
      ...bootFlags("6.1"),
      ...["--memory-backend", "guest-memfd", "--lockdep", "--exec", "uname -r"],
    );
    expect(stderr).toBe("");
    expect(stdout).toMatch(/^6\.1\.\S+\n$/);
    expect(status).toBe(0);
  });
});
