import { expect, it } from "vitest";
import { type PackageSource, resolveKernel } from "../src/resolve.js";

/** An archive: what the meta-package depends on, the names apt lists, and the names apt could really install. */
function source(recommended: string, names: readonly string[], installable: readonly string[] = names): PackageSource {
  return {
    names: async (prefix) => names.filter((name) => name.startsWith(prefix)),
    depends: async (name) => (name === "linux-image-cloud-amd64" ? [recommended] : []),
    candidate: async (name) => (installable.includes(name) ? { name, version: "1", size: 1 } : undefined),
  };
}

const K56 = "linux-image-6.1.0-56-cloud-amd64";
const BACKPORTS = ["linux-image-6.12.9+deb12-cloud-amd64", "linux-image-6.12.117+deb12-cloud-amd64"];

it("takes the kernel of Debian's meta-package for its series", async () => {
  const apt = source(K56, [K56, "linux-image-6.1.0-57-cloud-amd64", ...BACKPORTS]);
  expect((await resolveKernel(apt, "6.1"))?.name).toBe(K56);
});

it("takes the newest by number, not by letter, of another series", async () => {
  expect((await resolveKernel(source(K56, [K56, ...BACKPORTS]), "6.12"))?.name).toBe(BACKPORTS[1]);
});

it("takes neither unsigned nor debug packages nor names without a version", async () => {
  const names = [
    ...BACKPORTS.map((name) => `${name}-unsigned`),
    ...BACKPORTS.map((name) => `${name}-dbg`),
    "linux-image-6.12-cloud-amd64",
  ];
  expect(await resolveKernel(source(K56, names), "6.12")).toBeUndefined();
});

it("passes over a name apt lists and cannot install", async () => {
  expect((await resolveKernel(source(K56, BACKPORTS, BACKPORTS.slice(0, 1)), "6.12"))?.name).toBe(BACKPORTS[0]);
});
