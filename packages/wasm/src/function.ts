import { Bytes } from "./bytes.js";
import { emitNode, LocalNode, Node, NodeKind } from "./node.js";
import {
  type Expr,
  type Func,
  type FuncType,
  type Label,
  type Local,
  VAL_TYPE,
  type ValType,
  WasmBuildError,
} from "./types.js";

type I32 = Expr<"i32">;
type Any = Expr<ValType>;

/** Stores by name: opcode and log2 of the natural alignment. */
const STORES = {
  "i32.store": [0x36, 2],
  "i64.store": [0x37, 3],
  "f32.store": [0x38, 2],
  "f64.store": [0x39, 3],
  "i32.store8": [0x3a, 0],
  "i32.store16": [0x3b, 1],
  "i64.store8": [0x3c, 0],
  "i64.store16": [0x3d, 1],
  "i64.store32": [0x3e, 2],
} as const;
export type StoreOp = keyof typeof STORES | "v128.store";

/**
 * Body of one function: statements are written as they are called, expressions are trees from `ops.ts`.
 * Temporaries come from a pool (`temp`/`scope`), so that a large function needs few locals.
 */
export class FunctionBuilder implements Func {
  #code = new Bytes(1024);
  readonly #head = new Bytes(64);
  readonly #locals: ValType[] = [];
  readonly #free: Record<ValType, LocalNode<ValType>[]> = { i32: [], i64: [], f32: [], f64: [], v128: [] };
  #scope: LocalNode<ValType>[] | null = null;
  #depth = 0;
  #loop = 0;
  #loops = 0;

  constructor(
    readonly index: number,
    readonly typeIndex: number,
    readonly params: readonly ValType[],
    readonly result: ValType | null,
  ) {}

  /** The parameter at `position`. */
  param<T extends ValType>(position: number): Local<T> {
    const type = this.params[position];
    if (type === undefined)
      throw new WasmBuildError("parameter", `no parameter ${position}; the function has ${this.params.length}`);
    return new LocalNode(position, type as T);
  }

  /** A new local that lives as long as the function. */
  local<T extends ValType>(type: T): Local<T> {
    this.#locals.push(type);
    return new LocalNode(this.params.length + this.#locals.length - 1, type);
  }

  /** A pooled local, given back when the innermost `scope` ends. Its initial value is undefined. */
  temp<T extends ValType>(type: T): Local<T> {
    const local = (this.#free[type].pop() as LocalNode<T> | undefined) ?? (this.local(type) as LocalNode<T>);
    if (this.#scope === null) throw new WasmBuildError("scope", "temp() outside scope()");
    this.#scope.push(local);
    local.width = 64;
    return local;
  }

  /** Runs `body`; its temporaries return to the pool afterwards. */
  scope<R>(body: () => R): R {
    const outer = this.#scope;
    const mine: LocalNode<ValType>[] = [];
    this.#scope = mine;
    try {
      return body();
    } finally {
      for (let i = mine.length - 1; i >= 0; i--)
        this.#free[(mine[i] as LocalNode<ValType>).type].push(mine[i] as LocalNode<ValType>);
      this.#scope = outer;
    }
  }

  /** Evaluates `value` once into a temporary. */
  let<T extends ValType>(type: T, value: Expr<T>): Local<T> {
    const local = this.temp(type) as LocalNode<T>;
    local.width = -1;
    local.loop = this.#loop;
    this.set(local, value);
    return local;
  }

  /** @throws WasmBuildError `loop` for a temporary from outside of the loop, if it was taken for narrower than `value` */
  set<T extends ValType>(local: Local<T>, value: Expr<T>): void {
    this.#assigned(local as LocalNode<T>, value as Node);
    emitNode(this.#code, value as Node);
    this.#code.u8(0x21);
    this.#code.u32(local.index);
  }

  /**
   * `set` of a local whose width is followed, not only a temporary's.
   * @param always false where the statement may be passed by
   */
  assign<T extends ValType>(local: Local<T>, value: Expr<T>, always: boolean): void {
    // `value` may be the local itself.
    const { width } = value as Node;
    (local as LocalNode<T>).width = 64;
    this.set(local, value);
    (local as LocalNode<T>).width = always ? width : 64;
  }

  /** From here on `local` may hold anything. */
  widen(local: Local<ValType>): void {
    (local as LocalNode<ValType>).width = 64;
  }

  /** Follows along the statements as they are written what a local may hold. */
  #assigned(local: LocalNode<ValType>, { width }: Node): void {
    if (width <= local.width) return;
    if (local.loop !== this.#loop && local.width >= 0 && local.width < 64)
      throw new WasmBuildError(
        "loop",
        `a temporary of ${local.width} bits from before a loop is assigned ${width} bits in it`,
      );
    local.width = width;
  }

  /** An expression that assigns `local` and has the assigned value. */
  tee<T extends ValType>(local: Local<T>, value: Expr<T>): Expr<T> {
    this.#assigned(local as LocalNode<T>, value as Node);
    return new Node(NodeKind.Indexed, 0x22, value as Node, null, null, local.index);
  }

  store<T extends ValType>(op: StoreOp, address: I32, value: Expr<T>, offset = 0): void {
    emitNode(this.#code, address as Node);
    emitNode(this.#code, value as Node);
    if (op === "v128.store") {
      this.#code.u8(0xfd);
      this.#code.u32(11);
      this.#code.u32(4);
    } else {
      const [opcode, align] = STORES[op];
      this.#code.u8(opcode);
      this.#code.u32(align);
    }
    this.#code.u32(offset);
  }

  memoryFill(address: I32, value: I32, length: I32): void {
    this.#emitAll([address, value, length]);
    this.#code.u8(0xfc);
    this.#code.u32(11);
    this.#code.u8(0);
  }

  memoryCopy(to: I32, from: I32, length: I32): void {
    this.#emitAll([to, from, length]);
    this.#code.u8(0xfc);
    this.#code.u32(10);
    this.#code.u8(0);
    this.#code.u8(0);
  }

  /** `if (condition) { then } else { otherwise }` */
  if(condition: I32, then: (label: Label) => void, otherwise?: () => void): void {
    emitNode(this.#code, condition as Node);
    this.#code.u8(0x04);
    this.#code.u8(0x40);
    this.#depth++;
    then({ depth: this.#depth });
    if (otherwise !== undefined) {
      this.#code.u8(0x05);
      otherwise();
    }
    this.#end();
  }

  /** A block; branching to its label leaves it. */
  block(body: (label: Label) => void): void {
    this.#code.u8(0x02);
    this.#code.u8(0x40);
    this.#depth++;
    body({ depth: this.#depth });
    this.#end();
  }

  /** A loop; branching to its label starts the next iteration, falling out of it ends it. */
  loop(body: (label: Label) => void): void {
    this.#code.u8(0x03);
    this.#code.u8(0x40);
    this.#depth++;
    const outer = this.#loop;
    this.#loop = ++this.#loops;
    body({ depth: this.#depth });
    this.#loop = outer;
    this.#end();
  }

  br(label: Label): void {
    this.#code.u8(0x0c);
    this.#code.u32(this.#distance(label));
  }

  brIf(condition: I32, label: Label): void {
    emitNode(this.#code, condition as Node);
    this.#code.u8(0x0d);
    this.#code.u32(this.#distance(label));
  }

  brTable(selector: I32, labels: readonly Label[], fallback: Label): void {
    emitNode(this.#code, selector as Node);
    this.#code.u8(0x0e);
    this.#code.u32(labels.length);
    for (const label of labels) this.#code.u32(this.#distance(label));
    this.#code.u32(this.#distance(fallback));
  }

  return(value?: Any): void {
    if (value !== undefined) emitNode(this.#code, value as Node);
    this.#code.u8(0x0f);
  }

  unreachable(): void {
    this.#code.u8(0x00);
  }

  /** Writes statements that the function begins with; what was written already comes after them. No construct may be open around `body`. */
  ahead(body: () => void): void {
    const code = this.#code;
    this.#code = this.#head;
    try {
      body();
    } finally {
      this.#code = code;
    }
  }

  /** The value of a call, as an expression. */
  call<T extends ValType>(func: Func, ...args: Any[]): Expr<T> {
    return new Node(NodeKind.Indexed, 0x10, null, null, null, func.index, 0, null, args as Node[]);
  }

  callIndirect<T extends ValType>(type: FuncType, table: number, selector: I32, ...args: Any[]): Expr<T> {
    return new Node(NodeKind.CallIndirect, 0x11, null, null, null, type.index, table, null, [
      ...args,
      selector,
    ] as Node[]);
  }

  globalGet<T extends ValType>(index: number): Expr<T> {
    return new Node(NodeKind.Indexed, 0x23, null, null, null, index);
  }

  globalSet(index: number, value: Any): void {
    emitNode(this.#code, value as Node);
    this.#code.u8(0x24);
    this.#code.u32(index);
  }

  /** Evaluates an expression that leaves no value: a call of a function without result. */
  do(effect: Any): void {
    emitNode(this.#code, effect as Node);
  }

  drop(value: Any): void {
    emitNode(this.#code, value as Node);
    this.#code.u8(0x1a);
  }

  /** Leaves `value` as the value of the function body. */
  value(value: Any): void {
    emitNode(this.#code, value as Node);
  }

  /** Writes the body with its local declarations (core spec 5.5.13). */
  write(out: Bytes): void {
    const body = new Bytes(this.#head.length + this.#code.length + 64);
    const groups: [number, ValType][] = [];
    for (const type of this.#locals) {
      const last = groups.at(-1);
      if (last !== undefined && last[1] === type) last[0]++;
      else groups.push([1, type]);
    }
    body.u32(groups.length);
    for (const [count, type] of groups) {
      body.u32(count);
      body.u8(VAL_TYPE[type]);
    }
    body.append(this.#head);
    body.append(this.#code);
    body.u8(0x0b);
    out.sized(body);
  }

  /** Constructs between here and the one of `label`. */
  #distance({ depth }: Label): number {
    if (depth > this.#depth)
      throw new WasmBuildError(
        "scope",
        `branch to a label at depth ${depth} from depth ${this.#depth}: its construct has ended`,
      );
    return this.#depth - depth;
  }

  #emitAll(values: readonly Any[]): void {
    for (const value of values) emitNode(this.#code, value as Node);
  }

  #end(): void {
    this.#code.u8(0x0b);
    this.#depth--;
  }
}
