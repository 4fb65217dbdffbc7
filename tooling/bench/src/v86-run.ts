/** `node v86-run.js IMAGE WORDS`: runs a multiboot image in npm's v86, its COM1 on stdout, a line at a time, until it is killed. */
import { readFile } from "node:fs/promises";
import { findV86 } from "./tools.js";

const MEMORY = 256 << 20;
const LINE_FEED = 10;

const [image, words] = process.argv.slice(2);
const v86 = findV86();
if (image === undefined || words === undefined || v86 === undefined)
  throw new Error("usage: v86-run IMAGE WORDS, with v86 installed");
const { V86 } = (await import(v86.module)) as typeof import("v86");
const bytes = await readFile(image);
const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
// Without a BIOS v86 begins at the image's entry.
const machine = new V86({
  wasm_path: v86.wasm,
  memory_size: MEMORY,
  multiboot: { buffer },
  cmdline: words,
  autostart: true,
});
let line = "";
machine.add_listener("serial0-output-byte", (byte: number) => {
  line += String.fromCharCode(byte);
  if (byte !== LINE_FEED) return;
  process.stdout.write(line);
  line = "";
});
