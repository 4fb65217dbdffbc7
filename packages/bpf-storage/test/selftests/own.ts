import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Btf, type Generation, loadObject } from "../../src/index.js";
import { type ReferenceDesc, ReferenceKernel } from "./reference-kernel.js";

/** The bytes of one of the programs here. */
export const ownObject = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(fileURLToPath(new URL(`programs/${name}.bpf.o`, import.meta.url))));

const TYPES = loadObject(ownObject("kernel-types")).btf as Btf;

/** A reference kernel whose types are our own. */
export const ownKernel = (generation: Generation, engine: ReferenceDesc["engine"] = "jit"): ReferenceKernel =>
  new ReferenceKernel({ btf: TYPES, generation, engine });
