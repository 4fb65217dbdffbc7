import { isMmx } from "../../src/code/mmx.js";
import { rowOf } from "../../src/code/rows.js";
import { DecodeStatus, decode, Insn, type Mode } from "../../src/decode/index.js";
import { FORMS } from "../../src/decode/opcodes.js";
import { BITS } from "../../src/sem/bits.js";
import { CONTROL } from "../../src/sem/control.js";
import type { Row } from "../../src/sem/ctx.js";
import { INTEGER } from "../../src/sem/integer.js";
import { MULDIV } from "../../src/sem/muldiv.js";
import { SHIFT } from "../../src/sem/shift.js";
import { SSE_CONVERT } from "../../src/sem/sse-convert.js";
import { SSE_FLOAT } from "../../src/sem/sse-float.js";
import { SSE_INT } from "../../src/sem/sse-int.js";
import { SSE_MOVE } from "../../src/sem/sse-move.js";
import { SSE_SHUFFLE } from "../../src/sem/sse-shuffle.js";
import { INTERRUPT_HELPERS } from "../../src/vcpu/helpers/control/interrupts.js";
import { SYSTEM_CALL_HELPERS } from "../../src/vcpu/helpers/control/system-call.js";
import { TRANSFER_HELPERS } from "../../src/vcpu/helpers/control/transfer.js";
import { DATA_HELPERS } from "../../src/vcpu/helpers/data/data.js";
import { IO_HELPERS } from "../../src/vcpu/helpers/data/io.js";
import { STACK_HELPERS } from "../../src/vcpu/helpers/data/stack.js";
import { STRING_HELPERS } from "../../src/vcpu/helpers/data/string.js";
import { FXSAVE_HELPERS } from "../../src/vcpu/helpers/extended/fxsave.js";
import { SSE_HELPERS } from "../../src/vcpu/helpers/extended/sse.js";
import { XSAVE_HELPERS } from "../../src/vcpu/helpers/extended/xsave.js";
import { CONTROL_REGISTER_HELPERS } from "../../src/vcpu/helpers/system/control-registers.js";
import { DESCRIPTOR_HELPERS } from "../../src/vcpu/helpers/system/descriptor-tables.js";
import { SYSTEM_HELPERS } from "../../src/vcpu/helpers/system/system.js";
import { X87_HELPERS } from "../../src/vcpu/helpers/x87/x87.js";
import { everyModrm, Random, systematic } from "../decode-samples.js";

interface Family {
  readonly what: string;
  readonly where: string;
  readonly source: string;
  readonly names: ReadonlySet<string>;
}

const generated = (what: string, file: string, source: string, rows: readonly Row[]): Family => ({
  what,
  where: `src/sem/${file}.ts`,
  source,
  names: new Set(rows.map(({ name }) => name)),
});
const helpers = (what: string, file: string, source: string, table: Readonly<Record<string, unknown>>): Family => ({
  what,
  where: `src/vcpu/helpers/${file}.ts`,
  source,
  names: new Set(Object.keys(table)),
});

const GENERATED: readonly Family[] = [
  generated("moves, arithmetic, logic", "integer", "SDM vol. 2", INTEGER),
  generated("shifts and rotations", "shift", "SDM vol. 2", SHIFT),
  generated("multiplication, division", "muldiv", "SDM vol. 2", MULDIV),
  generated("bits", "bits", "SDM vol. 2", BITS),
  generated("near branches, stack, flags, fences", "control", "SDM vol. 2", CONTROL),
  generated("SSE: moves", "sse-move", "SDM vol. 1, ch. 9-12", SSE_MOVE),
  generated("SSE: integers, logic", "sse-int", "SDM vol. 1, ch. 9-12", SSE_INT),
  generated("SSE: shuffles, shifts", "sse-shuffle", "SDM vol. 1, ch. 9-12", SSE_SHUFFLE),
  generated(
    "SSE: floating point; what is not ordinary in `src/vcpu/outside`",
    "sse-float",
    "SDM vol. 1, ch. 10-12",
    SSE_FLOAT,
  ),
  generated(
    "SSE: conversions; AES, SHA, strings and rarities in `src/vcpu/outside`",
    "sse-convert",
    "SDM vol. 1, ch. 10-12",
    SSE_CONVERT,
  ),
];
const HELPED: readonly Family[] = [
  helpers("far transfers", "control/transfer", "SDM vol. 3, 5.8", TRANSFER_HELPERS),
  helpers("software interrupts, IRET", "control/interrupts", "SDM vol. 3, ch. 6", INTERRUPT_HELPERS),
  helpers("system calls", "control/system-call", "SDM vol. 3, 5.8.7, 5.8.8", SYSTEM_CALL_HELPERS),
  helpers("strings, REP in chunks of a page", "data/string", "SDM vol. 2, REP", STRING_HELPERS),
  helpers("ports", "data/io", "SDM vol. 1, ch. 19", IO_HELPERS),
  helpers("stack: segments, flags, frames", "data/stack", "SDM vol. 2", STACK_HELPERS),
  helpers("wide and rare", "data/data", "SDM vol. 2", DATA_HELPERS),
  helpers(
    "control and debug registers, moves of segments",
    "system/control-registers",
    "SDM vol. 3, 2.5",
    CONTROL_REGISTER_HELPERS,
  ),
  helpers("descriptor tables", "system/descriptor-tables", "SDM vol. 3, 2.4, 3.5", DESCRIPTOR_HELPERS),
  helpers("system", "system/system", "SDM vol. 2", SYSTEM_HELPERS),
  helpers("x87; what is ordinary as wasm functions in `src/x87`", "x87/x87", "SDM vol. 1, ch. 8", X87_HELPERS),
  helpers("FXSAVE, MXCSR", "extended/fxsave", "SDM vol. 1, 10.5", FXSAVE_HELPERS),
  helpers("XSAVE, protection keys", "extended/xsave", "SDM vol. 1, ch. 13", XSAVE_HELPERS),
  helpers("CRC32, EMMS, masked stores", "extended/sse", "SDM vol. 2", SSE_HELPERS),
];

/** Made of records of the SSE rows. */
const MMX: Family = {
  what: "MMX",
  where: "src/code/mmx.ts",
  source: "SDM vol. 1, ch. 9",
  names: new Set(),
};
const FAMILIES: readonly Family[] = [...GENERATED, MMX, ...HELPED];

const MODES: readonly Mode[] = [64, 32, 16];
const STRIDE = 16;

/** The family that executes an instruction; null if it is decoded, and then #UD. */
function familyOf(insn: Insn): Family | null {
  if (isMmx(insn)) return MMX;
  const row = rowOf(insn);
  if (row !== null) return GENERATED.find(({ names }) => names.has(row.name)) ?? null;
  return HELPED.find(({ names }) => names.has(insn.op)) ?? null;
}

/** Every instruction the decoder knows, by the family that executes it. @throws Error that names a form without a sample */
function instructions(): ReadonlyMap<Family | null, ReadonlySet<string>> {
  const met = new Set<number>();
  const found = new Map<Family | null, Set<string>>();
  const insn = new Insn();
  for (const mode of MODES) {
    const bytes = Buffer.concat([systematic(mode, STRIDE, new Random(mode)), everyModrm(STRIDE, new Random(mode))]);
    for (let at = 0; at < bytes.length; at += STRIDE) {
      if (decode(bytes, at, at + STRIDE, mode, insn) !== DecodeStatus.Ok) continue;
      met.add(insn.form);
      const family = familyOf(insn);
      found.set(family, (found.get(family) ?? new Set()).add(insn.op));
    }
  }
  const missing = FORMS.filter(({ id }) => !met.has(id));
  if (missing.length > 0)
    throw new Error(
      `no sample of ${missing
        .slice(0, 10)
        .map(({ op, id }) => `${op} (${id})`)
        .join(", ")}`,
    );
  return found;
}

/** Every instruction by family, with the file that says what it does. */
export function instructionList(): string {
  const found = instructions();
  const list = (family: Family | null) => [...(found.get(family) ?? [])].sort().join(" ");
  return [
    ...FAMILIES.map((family) => `- ${family.what} (\`${family.where}\`; ${family.source}): ${list(family)}`),
    `- decoded, and undefined (#UD): ${list(null)}`,
  ].join("\n");
}
