import { Btf, decodeInsns, disassemble, encodeInsns, type Insn } from "@vm/bpf-storage";
import { LD_IMM64, Pseudo } from "../inventory/insns.js";
import type { XlatedReply } from "../inventory/rows.js";
import { type Json, type Members, members } from "./json.js";
import { prototype } from "./prototype.js";

/** An instruction, and what begins with it. */
interface Line {
  readonly pc: number;
  /** A function: null if it has no name. */
  readonly proto: string | null;
  /** A line of the source. */
  readonly source: string | null;
  readonly disasm: string;
  readonly insn: Insn;
  /** Of the instruction, both halves of a wide one. */
  readonly bytes: Uint8Array;
}

const base64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64"));

function* linesOf(reply: XlatedReply): Generator<Line> {
  const btf = reply.btf === null ? null : new Btf(base64(reply.btf));
  const insns = decodeInsns(base64(reply.insns));
  const functions = new Map(reply.functions.map(({ pc, type }) => [pc, type]));
  const sources = new Map(reply.lines.map(({ pc, text }) => [pc, text]));
  for (let pc = 0; pc < insns.length; pc++) {
    const insn = insns[pc] as Insn;
    const second = insn.code === LD_IMM64 ? insns[pc + 1] : undefined;
    const [type, text] = [functions.get(pc), sources.get(pc)];
    yield {
      ...{ pc, insn, disasm: disassembled(insn, second) },
      proto: btf === null || type === undefined ? null : prototype(btf, type),
      source: btf === null || text === undefined ? null : btf.string(text).trimStart(),
      bytes: encodeInsns(second === undefined ? [insn] : [insn, second]),
    };
    if (second !== undefined) pc++;
  }
}

/** As the verifier's log has it, with maps and functions by what names them. */
function disassembled(insn: Insn, second: Insn | undefined): string {
  const named = second === undefined ? null : named64(insn, second);
  return named === null ? disassemble(insn, second) : `(18) r${insn.dst} = ${named}`;
}

function named64({ src, imm }: Insn, second: Insn): string | null {
  switch (src) {
    case Pseudo.MapFd:
      return `map[id:${imm >>> 0}]`;
    case Pseudo.MapValue:
      return `map[id:${imm >>> 0}][0]+${second.imm >>> 0}`;
    case Pseudo.Func:
      return `subprog[${imm >= 0 ? "+" : ""}${imm}]`;
    default:
      return null;
  }
}

/** The instructions of a program as `bpftool prog dump xlated` has them. @param opcodes with their bytes */
export function xlatedText(reply: XlatedReply, opcodes: boolean): string {
  const parts: string[] = [];
  for (const { pc, proto, source, disasm, bytes } of linesOf(reply)) {
    if (proto !== null) parts.push(`${proto}:\n`);
    if (source !== null) parts.push(`; ${source}\n`);
    parts.push(`${String(pc).padStart(4)}: ${disasm}\n`);
    if (opcodes) parts.push(`       ${Array.from(bytes, hex).join(" ")}\n`);
  }
  return parts.join("");
}

/** The same as `bpftool -j prog dump xlated` has it. */
export function xlatedJson(reply: XlatedReply, opcodes: boolean): Json {
  return [...linesOf(reply)].map(({ proto, source, disasm, insn, bytes }) =>
    members(
      ["proto", proto ?? undefined],
      ["src", source ?? undefined],
      ["disasm", disasm],
      ["opcodes", opcodes ? opcodesJson(insn, bytes) : undefined],
    ),
  );
}

const opcodesJson = ({ code, src, dst }: Insn, bytes: Uint8Array): Members =>
  members(
    ["code", `0x${hex(code)}`],
    ["src_reg", `0x${src.toString(16)}`],
    ["dst_reg", `0x${dst.toString(16)}`],
    ["off", Array.from(bytes.subarray(2, 4), (byte) => `0x${hex(byte)}`)],
    ["imm", Array.from(bytes.subarray(4), (byte) => `0x${hex(byte)}`)],
  );

const hex = (byte: number): string => byte.toString(16).padStart(2, "0");
