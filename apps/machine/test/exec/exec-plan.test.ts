import { expect, it } from "vitest";
import { rootWords } from "../../src/exec/exec-plan.js";

it.each([
  ["", { root: null, types: [], flags: "", readonly: false, init: "/init" }],
  [
    "root=/dev/vda1 ro rootfstype=ext4,xfs rootflags=noatime",
    { root: "/dev/vda1", types: ["ext4", "xfs"], flags: "noatime", readonly: true },
  ],
  ["root=a ro root=b rw rdinit=/linuxrc", { root: "b", readonly: false, init: "/linuxrc" }],
  ["quiet -- root=c ro", { root: null, readonly: false }],
])("the words by which a root is found: %s", (line, words) => {
  expect(rootWords(line)).toMatchObject(words);
});
