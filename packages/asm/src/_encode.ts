import { type EncodedAddress, encodeAddress } from "./_address.js";
import type { Fixup } from "./_fixup.js";
import { type Bits, immWidth } from "./_match.js";
import type { Form, Pattern } from "./_notation.js";
import { NoSuchFormError } from "./errors.js";
import { describeOperand, type Mem, type Operand, toBigInt } from "./operand.js";
import type { Register } from "./registers.js";

/** One encoded instruction with zeros where the fixups go. */
export interface Encoded {
  readonly bytes: number[];
  readonly fixups: Fixup[];
}

/** Encodes operands that match `form`. @throws NoSuchFormError for AH..BH together with REX; address errors of `mem()`. */
export function encode(form: Form, operands: readonly Operand[], bits: Bits, where: () => string): Encoded {
  const { rm, reg } = assignModRm(form, operands);
  const memory = operands.find((o): o is Mem => typeof o === "object" && o.kind === "mem");
  const moffs = form.patterns.some((p) => p.kind === "moffs");
  const address = rm !== undefined && "base" in rm ? encodeAddress(rm, bits) : undefined;

  const prefixes: number[] = [];
  if (memory?.seg) prefixes.push([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65][memory.seg.num] as number);
  const addrSize = address?.size ?? (form.addrSize || bits / 8);
  if (addrSize !== bits / 8) prefixes.push(0x67);
  if (form.opSize === (bits === 16 ? 4 : 2)) prefixes.push(0x66);
  if (form.mandatory !== undefined) prefixes.push(form.mandatory);
  const rex = rexPrefix(form, operands, rm, reg, address);
  if (rex !== undefined) {
    if (operands.some((o) => typeof o === "object" && o.kind === "gpr" && o.high)) {
      throw new NoSuchFormError(
        `${where()}: ah, ch, dh and bh cannot appear in an instruction that needs a REX prefix`,
      );
    }
    prefixes.push(rex);
  }

  const out: Encoded = { bytes: prefixes, fixups: [] };
  out.bytes.push(...form.opcode);
  if (form.plusR) out.bytes[out.bytes.length - 1] = (form.opcode.at(-1) ?? 0) | (numberOf(reg) & 7);
  if (form.modrm !== undefined) {
    const regField = (form.modrm === "r" ? numberOf(reg) : form.modrm) & 7;
    if (address) {
      out.bytes.push((address.mod << 6) | (regField << 3) | address.rm);
      out.bytes.push(...address.sib);
      pushField(out, address.disp, address.dispWidth, address.fixup);
    } else {
      out.bytes.push(0xc0 | (regField << 3) | (numberOf(rm) & 7));
    }
  }
  if (moffs && memory) pushMoffs(out, memory, bits);
  pushImmediates(out, form, operands, bits);
  return out;
}

type RegOperand = Register | undefined;

function assignModRm(form: Form, operands: readonly Operand[]): { rm: RegOperand | Mem; reg: RegOperand } {
  let rm: RegOperand | Mem;
  let reg: RegOperand;
  form.patterns.forEach((pattern, i) => {
    const operand = operands[i];
    if (typeof operand !== "object" || operand.kind === "label" || operand.kind === "short") return;
    if (goesToRm(pattern)) rm = operand;
    else if (goesToReg(pattern) && operand.kind !== "mem") reg = operand;
  });
  return { rm, reg };
}

const goesToRm = ({ kind }: Pattern): boolean =>
  kind === "rm" || kind === "mem" || kind === "gpr-rm" || kind === "xmm-rm" || kind === "xmm-mem";
const goesToReg = ({ kind }: Pattern): boolean =>
  kind === "gpr" || kind === "xmm" || kind === "sreg" || kind === "cr" || kind === "dr";
const numberOf = (operand: RegOperand | Mem): number => (operand && "num" in operand ? operand.num : 0);

function rexPrefix(
  form: Form,
  operands: readonly Operand[],
  rm: RegOperand | Mem,
  reg: RegOperand,
  address: EncodedAddress | undefined,
): number | undefined {
  const w = form.rexW || (form.opSize === 8 && form.stack === "");
  const r = !form.plusR && numberOf(reg) >= 8;
  const b = (form.plusR ? numberOf(reg) : address ? address.base : numberOf(rm)) >= 8;
  const x = address !== undefined && address.index >= 8;
  const byteReg = operands.some(
    (o) => typeof o === "object" && o.kind === "gpr" && o.size === 1 && !o.high && o.num >= 4,
  );
  if (!w && !r && !x && !b && !byteReg) return undefined;
  return 0x40 | (w ? 8 : 0) | (r ? 4 : 0) | (x ? 2 : 0) | (b ? 1 : 0);
}

function pushImmediates(out: Encoded, form: Form, operands: readonly Operand[], bits: Bits): void {
  let selector: bigint | undefined;
  form.patterns.forEach((pattern, i) => {
    const operand = operands[i] as Operand;
    switch (pattern.kind) {
      case "imm":
        pushValue(out, operand, immWidth(pattern, bits), false);
        break;
      case "rel":
        pushValue(out, operand, pattern.width === "z" ? (bits === 16 ? 2 : 4) : 1, true);
        break;
      case "off":
        pushValue(out, operand, form.opSize || (bits === 16 ? 2 : 4), false);
        break;
      case "sel":
        selector = toBigInt(operand as number | bigint, "selector");
        break;
      default:
        break;
    }
  });
  if (selector !== undefined) pushField(out, selector, 2, undefined); // the selector follows its offset
}

function pushValue(out: Encoded, operand: Operand, width: number, relative: boolean): void {
  if (typeof operand === "number" || typeof operand === "bigint") {
    const value = BigInt(operand);
    if (relative) pushField(out, 0n, width, { relative, label: undefined, addend: value });
    else pushField(out, value, width, undefined);
    return;
  }
  const label = operand.kind === "short" ? operand.label : operand;
  if (label.kind !== "label") throw new NoSuchFormError(`${describeOperand(operand)} is not an immediate`);
  pushField(out, 0n, width, { relative, label, addend: 0n });
}

function pushMoffs(out: Encoded, memory: Mem, bits: Bits): void {
  const label = memory.base?.kind === "label" ? memory.base : undefined;
  if (label) pushField(out, 0n, bits / 8, { relative: false, label, addend: memory.disp });
  else pushField(out, memory.disp, bits / 8, undefined);
}

function pushField(out: Encoded, value: bigint, width: number, fixup: Omit<Fixup, "at" | "width"> | undefined): void {
  if (fixup) out.fixups.push({ ...fixup, at: out.bytes.length, width });
  out.bytes.push(...littleEndian(fixup ? 0n : value, width));
}

/** `value` modulo 2^(8 width) as bytes, least significant first. */
export function littleEndian(value: bigint, width: number): number[] {
  let word = Number(BigInt.asUintN(32, value));
  const bytes: number[] = [];
  for (let k = 0; k < width; k++) {
    if (k === 4) word = Number(BigInt.asUintN(32, value >> 32n));
    bytes.push(word & 0xff);
    word >>>= 8;
  }
  return bytes;
}
