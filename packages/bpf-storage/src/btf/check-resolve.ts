import { BpfError } from "../errors.js";
import { checkMember, isRegularInt } from "./check-member.js";
import type { RawBtf, RawType } from "./check-raw.js";
import { BtfKind, isModifier } from "./kinds.js";

/** Types that wait for others (MAX_RESOLVE_DEPTH). */
const MOST_DEPTH = 32;

const State = { Untouched: 0, Waiting: 1, Resolved: 2 } as const;
/** What is being followed: a structure may point to itself, but not contain itself; a pointer may not point to itself. */
type Mode = "any" | "pointer" | "composite";

const { Ptr, Array: ArrayKind, Struct, Union, Fwd, Func, FuncProto, Var, Datasec, DeclTag, Int } = BtfKind;
const isComposite = (kind: number): boolean => kind === Struct || kind === Union;
const isSourceOnly = (kind: number): boolean => kind === Var || kind === DeclTag || kind === Datasec;
const hasNoSize = (kind: number): boolean => kind === 0 || kind === Fwd || kind === Func || kind === FuncProto;
const needsResolve = (kind: number): boolean =>
  isModifier(kind) || isComposite(kind) || isSourceOnly(kind) || kind === Ptr || kind === ArrayKind || kind === Func;

/** A type that waits, and which of its members comes next. */
interface Frame {
  readonly type: RawType;
  next: number;
}

/** What types lead to: that all of it is there, has a size where one is needed, and does not go on for ever (`*_resolve`, kernel/bpf/btf.c). */
export class Resolver {
  readonly #state: Uint8Array;
  readonly #id: Uint32Array;
  readonly #size: Float64Array;
  readonly #stack: Frame[] = [];
  #mode: Mode = "any";

  constructor(readonly btf: RawBtf) {
    this.#state = new Uint8Array(btf.types.length);
    this.#id = new Uint32Array(btf.types.length);
    this.#size = new Float64Array(btf.types.length);
  }

  /** @throws {BpfError} EINVAL, EEXIST for a loop, E2BIG for types that are too deep */
  check(type: RawType): void {
    if (needsResolve(type.kind)) this.#resolve(type);
    if (type.kind === FuncProto) this.#checkProto(type);
  }

  #resolve(type: RawType): void {
    if (this.#state[type.id] === State.Resolved) return;
    this.#mode = "any";
    this.#stack.length = 0;
    this.#push(type);
    for (let top = this.#stack.at(-1); top !== undefined; top = this.#stack.at(-1)) this.#step(top);
  }

  #step(frame: Frame): void {
    const { type } = frame;
    switch (type.kind) {
      case ArrayKind:
        this.#array(type);
        break;
      case Struct:
      case Union:
        this.#composite(frame);
        break;
      case Datasec:
        this.#section(frame);
        break;
      case Func:
        this.#func(type);
        break;
      case DeclTag:
        this.#tag(type);
        break;
      default:
        this.#reference(type);
    }
  }

  /** Pointers, variables, typedefs and qualifiers. */
  #reference(type: RawType): void {
    const next = this.#target(type, type.word, "Invalid type_id");
    if (this.#waits(next)) return;
    if (isModifier(next.kind) && (type.kind === Ptr || type.kind === Var)) {
      const end = this.btf.type(this.#id[next.id] as number);
      if (end?.kind === Ptr && this.#waits(end)) return;
    }
    const sized = this.#sized(next.id);
    if (sized !== null) {
      this.#pop(type, sized.type.id, 0);
      return;
    }
    const resolved = this.#state[next.id] === State.Resolved;
    const end = resolved ? (this.btf.type(this.#id[next.id] as number) ?? next) : next;
    if (type.kind === Var || !(end.kind === 0 || end.kind === Fwd || end.kind === FuncProto))
      throw this.#problem(type, "Invalid type_id");
    this.#pop(type, resolved ? end.id : next.id, 0);
  }

  #array(type: RawType): void {
    const { btf } = this;
    const [elementId, indexId, count] = [btf.word(type, 0), btf.word(type, 1), btf.word(type, 2)];
    const index = this.#target(type, indexId, "Invalid index");
    if (hasNoSize(index.kind)) throw this.#problem(type, "Invalid index");
    if (this.#waits(index)) return;
    const indexType = this.#sized(indexId)?.type;
    if (indexType?.kind !== Int || !isRegularInt(btf, indexType)) throw this.#problem(type, "Invalid index");
    const element = this.#target(type, elementId, "Invalid elem");
    if (hasNoSize(element.kind)) throw this.#problem(type, "Invalid elem");
    if (this.#waits(element)) return;
    const sized = this.#sized(elementId);
    if (sized === null) throw this.#problem(type, "Invalid elem");
    if (sized.type.kind === Int && !isRegularInt(btf, sized.type)) throw this.#problem(type, "Invalid array of int");
    if (sized.size * count > 0xffffffff) throw this.#problem(type, "Array size overflows U32_MAX");
    this.#pop(type, sized.type.id, sized.size * count);
  }

  #composite(frame: Frame): void {
    const { type } = frame;
    // A member that was waited for has been resolved, and is checked now.
    if (frame.next > 0) this.#member(type, frame.next - 1);
    for (let k = frame.next; k < type.count; k++) {
      const member = this.#target(type, this.btf.word(type, 3 * k + 1), "Invalid member");
      if (hasNoSize(member.kind)) throw this.#problem(type, "Invalid member");
      if (!this.#isSink(member.kind) && this.#state[member.id] !== State.Resolved) {
        frame.next = k + 1;
        this.#push(member);
        return;
      }
      this.#member(type, k);
    }
    this.#pop(type, 0, 0);
  }

  #member(struct: RawType, k: number): void {
    const id = this.btf.word(struct, 3 * k + 1);
    const member = this.btf.type(id) as RawType;
    const sized = this.#sized(id);
    if (sized === null && isModifier(member.kind)) throw this.#problem(struct, "Invalid member");
    const type = isModifier(member.kind) ? (sized?.type ?? member) : member;
    const problem = checkMember(this.btf, {
      struct,
      place: this.btf.word(struct, 3 * k + 2),
      type,
      size: sized?.size ?? 0,
    });
    if (problem !== null) throw this.#problem(struct, problem);
  }

  #section(frame: Frame): void {
    const { type } = frame;
    this.#mode = "any";
    for (let k = frame.next; k < type.count; k++) {
      const variable = this.btf.type(this.btf.word(type, 3 * k));
      if (variable?.kind !== Var) throw this.#problem(type, "Not a VAR kind member");
      if (this.#state[variable.id] !== State.Resolved) {
        frame.next = k + 1;
        this.#push(variable);
        return;
      }
      const sized = this.#sized(variable.word);
      if (sized === null) throw this.#problem(type, "Invalid type");
      if (this.btf.word(type, 3 * k + 2) < sized.size) throw this.#problem(type, "Invalid size");
    }
    this.#pop(type, 0, 0);
  }

  #func(type: RawType): void {
    const proto = this.btf.type(type.word);
    if (proto?.kind !== FuncProto) throw this.#problem(type, "Invalid type_id");
    for (let k = 0; k < proto.count; k++)
      if (this.btf.word(proto, 2 * k) === 0 && this.btf.word(proto, 2 * k + 1) !== 0)
        throw this.#problem(type, `Invalid arg#${k + 1}`);
    this.#pop(type, proto.id, 0);
  }

  #tag(type: RawType): void {
    const tagged = this.btf.type(type.word);
    const kind = tagged?.kind ?? 0;
    if (tagged === undefined || !(kind === Func || kind === Var || kind === BtfKind.Typedef || isComposite(kind)))
      throw this.#problem(type, "Invalid type_id");
    if (this.#waits(tagged)) return;
    const component = this.btf.word(type, 0) | 0;
    if (component !== -1) {
      const whole = isComposite(kind) ? tagged : kind === Func ? this.btf.type(tagged.word) : undefined;
      if (whole === undefined || component >= whole.count) throw this.#problem(type, "Invalid component_idx");
    }
    this.#pop(type, tagged.id, 0);
  }

  /** What a function returns and takes has to have a size. */
  #checkProto(type: RawType): void {
    const check = (id: number, phrase: string): void => {
      const target = this.#target(type, id, phrase);
      if (needsResolve(target.kind)) this.#resolve(target);
      if (this.#sized(id) === null) throw this.#problem(type, phrase);
    };
    if (type.word !== 0) check(type.word, "Invalid return type");
    for (let k = 0; k < type.count; k++) {
      const [name, id] = [this.btf.word(type, 2 * k), this.btf.word(type, 2 * k + 1)];
      const phrase = `Invalid arg#${k + 1}`;
      if (id === 0 && name === 0 && k === type.count - 1) return;
      if (name !== 0 && !(this.btf.nameOffsetValid(name) && this.btf.isIdentifier(name)))
        throw this.#problem(type, phrase);
      if (id === 0) throw this.#problem(type, phrase);
      check(id, phrase);
    }
  }

  /** A type that is there and may be part of another. */
  #target(from: RawType, id: number, phrase: string): RawType {
    const type = this.btf.type(id);
    if (type === undefined || isSourceOnly(type.kind)) throw this.#problem(from, phrase);
    return type;
  }

  #isSink(kind: number): boolean {
    if (this.#mode === "any") return !needsResolve(kind);
    if (isModifier(kind)) return false;
    return this.#mode === "pointer" ? kind !== Ptr : kind !== ArrayKind && !isComposite(kind);
  }

  /** Whether a type has to be resolved first; it is then next. */
  #waits(type: RawType): boolean {
    if (this.#isSink(type.kind) || this.#state[type.id] === State.Resolved) return false;
    this.#push(type);
    return true;
  }

  #push(type: RawType): void {
    if (this.#stack.length === MOST_DEPTH)
      throw new BpfError("E2BIG", `[${type.id}] Exceeded max resolving depth:${MOST_DEPTH}`);
    if (this.#state[type.id] !== State.Untouched) throw new BpfError("EEXIST", `[${type.id}] Loop detected`);
    this.#state[type.id] = State.Waiting;
    this.#stack.push({ type, next: 0 });
    if (this.#mode !== "any") return;
    if (type.kind === Ptr) this.#mode = "pointer";
    else if (isComposite(type.kind) || type.kind === ArrayKind) this.#mode = "composite";
  }

  #pop(type: RawType, id: number, size: number): void {
    this.#id[type.id] = id;
    this.#size[type.id] = size;
    this.#state[type.id] = State.Resolved;
    this.#stack.pop();
  }

  /** What a type is in the end, and its bytes; null if it has none. */
  #sized(id: number): { type: RawType; size: number } | null {
    const own = this.btf.type(id);
    const followed = own !== undefined && (isModifier(own.kind) || own.kind === Var);
    const type = followed ? this.btf.type(this.#id[id] as number) : own;
    if (
      type === undefined ||
      hasNoSize(type.kind) ||
      isModifier(type.kind) ||
      type.kind === Var ||
      type.kind === DeclTag
    )
      return null;
    if (type.kind === ArrayKind) return { type, size: this.#size[type.id] as number };
    return { type, size: type.kind === Ptr ? 8 : type.word };
  }

  #problem(type: RawType, phrase: string): BpfError {
    return new BpfError("EINVAL", `[${type.id}] ${phrase}`);
  }
}
