import type { Random } from "../random.js";
import type { CodeBits } from "../replay/initial-state.js";

/** The start of an instruction: everything before ModRM, and what ModRM must be. */
export interface Template {
  /** Tells opcode and ModRM of templates apart. */
  readonly key: number;
  readonly prefixes: readonly number[];
  readonly opcode: readonly number[];
  /** Opcode extension or register in ModRM.reg. */
  readonly reg?: number;
  readonly modrm?: number;
}

const PREFIX_BYTES = new Set([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf0, 0xf2, 0xf3]);
const MANDATORY: readonly (readonly number[])[] = [[], [0x66], [0xf3], [0xf2]];
const MAPS: readonly (readonly number[])[] = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]];
/** In 64-bit mode VEX and EVEX, elsewhere LES, LDS and BOUND. */
const OTHER_ENCODINGS = new Set([0x62, 0xc4, 0xc5]);

/**
 * Every opcode of every map with every mandatory prefix and every ModRM.reg; every x87 register form. Other prefixes come at random.
 * @param keep which, by key
 */
export function* templates(bits: CodeBits, random: Random, keep: (key: number) => boolean): Generator<Template> {
  const optional = (one: number, ...bytes: number[]): number[] => (random.oneIn(one) ? bytes : []);
  const rex = (): number[] => (bits === 64 && !random.oneIn(3) ? [0x40 | random.below(16)] : []);
  for (const [number, map] of MAPS.entries()) {
    for (let last = 0; last < 256; last++) {
      if (map.length === 0 && notAnOpcode(last, bits)) continue;
      if (map.length === 1 && (last === 0x38 || last === 0x3a)) continue;
      const opcode = [...map, last];
      const first = (number << 17) | (last << 9);
      for (const mandatory of MANDATORY) {
        for (let reg = 0; reg < 8; reg++) {
          if (!keep(first | reg)) continue;
          const segment =
            bits === 64 ? optional(40, 0x65) : optional(10, random.pick([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65]));
          const prefixes = [...segment, ...optional(40, 0x67), ...optional(30, 0xf0), ...mandatory, ...rex()];
          yield { key: first | reg, prefixes, opcode, reg };
        }
      }
      if (map.length === 0 && last >= 0xd8 && last <= 0xdf)
        for (let modrm = 0xc0; modrm < 256; modrm++)
          if (keep(first | 0x100 | modrm)) yield { key: first | 0x100 | modrm, prefixes: [], opcode, modrm };
    }
  }
  // LFENCE, MFENCE, SFENCE.
  for (const modrm of [0xe8, 0xf0, 0xf8]) {
    const key = (1 << 17) | (0xae << 9) | 0x100 | modrm;
    if (keep(key)) yield { key, prefixes: [], opcode: [0x0f, 0xae], modrm };
  }
}

function notAnOpcode(byte: number, bits: CodeBits): boolean {
  if (byte === 0x0f || PREFIX_BYTES.has(byte)) return true;
  return bits === 64 && (OTHER_ENCODINGS.has(byte) || (byte & 0xf0) === 0x40);
}
