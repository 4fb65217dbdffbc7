import { BpfError } from "../errors.js";
import { invalid, type RawBtf, type RawType } from "./check-raw.js";
import { BtfKind, FuncLinkage, IntEncoding, VarLinkage } from "./kinds.js";

const MOST_TYPE = 0xfffff;
const typeIdValid = (id: number): boolean => id <= MOST_TYPE;
/** Bits of a structure's member in front of the bits of a field. */
const roundUp = (bits: number): number => Math.ceil(bits / 8);

/**
 * What is wrong with a type on its own, whatever others are (`*_check_meta`, kernel/bpf/btf.c of 6.12).
 * @throws {BpfError} EINVAL or ENOTSUPP
 */
export function checkMeta(btf: RawBtf, type: RawType): void {
  const fail = (phrase: string): never => invalid(`[${type.id}] ${phrase}`);
  const { kind, nameOffset, count, flag, word } = type;
  const empty = (): void => {
    if (count !== 0) fail("vlen != 0");
  };
  const noFlag = (): void => {
    if (flag) fail("Invalid btf_info kind_flag");
  };
  const identifier = (optional: boolean): void => {
    if (nameOffset === 0 ? !optional : !btf.isIdentifier(nameOffset)) fail("Invalid name");
  };
  switch (kind) {
    case BtfKind.Int:
      empty();
      noFlag();
      checkInt(btf.word(type, 0), word, fail);
      break;
    case BtfKind.Ptr:
    case BtfKind.Volatile:
    case BtfKind.Const:
    case BtfKind.Restrict:
    case BtfKind.Typedef:
    case BtfKind.TypeTag:
      empty();
      noFlag();
      if (!typeIdValid(word)) fail("Invalid type_id");
      if (kind === BtfKind.Typedef) identifier(false);
      else if (kind === BtfKind.TypeTag ? !btf.isNamed(nameOffset) : nameOffset !== 0) fail("Invalid name");
      break;
    case BtfKind.Array:
      if (nameOffset !== 0) fail("Invalid name");
      empty();
      noFlag();
      if (word !== 0) fail("size != 0");
      if (btf.word(type, 0) === 0 || !typeIdValid(btf.word(type, 0))) fail("Invalid elem");
      if (btf.word(type, 1) === 0 || !typeIdValid(btf.word(type, 1))) fail("Invalid index");
      break;
    case BtfKind.Struct:
    case BtfKind.Union:
      identifier(true);
      checkMembers(btf, type, fail);
      break;
    case BtfKind.Enum:
    case BtfKind.Enum64:
      if (![1, 2, 4, 8].includes(word)) fail("Unexpected size");
      identifier(true);
      for (let k = 0; k < count; k++) {
        const name = btf.word(type, (kind === BtfKind.Enum ? 2 : 3) * k);
        if (!btf.nameOffsetValid(name)) fail(`Invalid name_offset:${name}`);
        if (name === 0 || !btf.isIdentifier(name)) fail("Invalid name");
      }
      break;
    case BtfKind.Fwd:
      empty();
      if (word !== 0) fail("type != 0");
      identifier(false);
      break;
    case BtfKind.Func:
      identifier(false);
      if (count > FuncLinkage.Global) fail("Invalid func linkage");
      noFlag();
      break;
    case BtfKind.FuncProto:
      if (nameOffset !== 0) fail("Invalid name");
      noFlag();
      break;
    case BtfKind.Var:
      empty();
      noFlag();
      identifier(false);
      if (word === 0 || !typeIdValid(word)) fail("Invalid type_id");
      if (btf.word(type, 0) > VarLinkage.Global) fail("Linkage not supported");
      break;
    case BtfKind.Datasec:
      if (word === 0) fail("size == 0");
      noFlag();
      if (nameOffset === 0 || !btf.isPrintable(nameOffset)) fail("Invalid name");
      checkSection(btf, type, fail);
      break;
    case BtfKind.Float:
      empty();
      noFlag();
      if (![2, 4, 8, 12, 16].includes(word)) fail("Invalid type_size");
      break;
    default:
      if (!btf.isNamed(nameOffset)) fail("Invalid value");
      empty();
      noFlag();
      if ((btf.word(type, 0) | 0) < -1) fail("Invalid component_idx");
  }
}

type Fail = (phrase: string) => never;

function checkInt(data: number, size: number, fail: Fail): void {
  if ((data & ~0x0fffffff) !== 0) fail(`Invalid int_data:${data.toString(16)}`);
  const bits = (data & 0xff) + ((data >>> 16) & 0xff);
  if (bits > 128) fail("nr_bits exceeds 128");
  if (roundUp(bits) > size) fail("nr_bits exceeds type_size");
  const encoding = (data >>> 24) & 15;
  if (![0, IntEncoding.Signed, IntEncoding.Char, IntEncoding.Bool].some((one) => one === encoding))
    throw new BpfError("ENOTSUPP", "Unsupported encoding");
}

function checkMembers(btf: RawBtf, type: RawType, fail: Fail): void {
  let last = 0;
  for (let k = 0; k < type.count; k++) {
    const [name, member, place] = [btf.word(type, 3 * k), btf.word(type, 3 * k + 1), btf.word(type, 3 * k + 2)];
    if (!btf.nameOffsetValid(name)) fail(`Invalid member name_offset:${name}`);
    if (name !== 0 && !btf.isIdentifier(name)) fail("Invalid name");
    if (member === 0 || !typeIdValid(member)) fail("Invalid type_id");
    const offset = type.flag ? place & 0xffffff : place;
    if ((type.kind === BtfKind.Union && offset !== 0) || last > offset) fail("Invalid member bits_offset");
    if (roundUp(offset) > type.word) fail("Member bits_offset exceeds its struct size");
    last = offset;
  }
}

function checkSection(btf: RawBtf, type: RawType, fail: Fail): void {
  let end = 0;
  for (let k = 0; k < type.count; k++) {
    const [variable, offset, size] = [btf.word(type, 3 * k), btf.word(type, 3 * k + 1), btf.word(type, 3 * k + 2)];
    if (variable === 0 || !typeIdValid(variable)) fail("Invalid type_id");
    if (offset < end || offset >= type.word) fail("Invalid offset");
    if (size === 0 || size > type.word) fail("Invalid size");
    end = offset + size;
    if (end > type.word) fail("Invalid offset+size");
  }
}
