import fc from "fast-check";
import {
  type Expr,
  type FunctionBuilder,
  f32,
  f32x4,
  f64,
  f64x2,
  i8x16,
  i16x8,
  i32,
  i32x4,
  i64,
  i64x2,
  select,
  type ValType,
  v128,
} from "../src/index.js";

/** An operation of the builder: its operand types, and what it makes of operands. */
export interface Operation {
  readonly name: string;
  readonly operands: readonly ValType[];
  readonly emit: (f: FunctionBuilder, operands: Expr<ValType>[]) => Expr<ValType>;
}

/** A well-typed expression; `leaf` is a parameter or a constant. */
export type Tree =
  | { readonly leaf: (f: FunctionBuilder) => Expr<ValType> }
  | { readonly operation: Operation; readonly operands: readonly Tree[] };

/** The parameters every generated function has. */
export const PARAMS: readonly ValType[] = ["i32", "i64", "f32", "f64"];

type Builder = (...operands: never[]) => Expr<ValType>;
type Namespace = Readonly<Record<string, Builder>>;

/** All operations of one namespace whose name matches, with the same operand types. */
function family(prefix: string, namespace: Namespace, names: RegExp, operands: readonly ValType[]): Operation[] {
  return Object.entries(namespace)
    .filter(([name]) => names.test(name))
    .map(([name, build]) => ({
      name: `${prefix}.${name}`,
      operands,
      emit: (_f, values) => (build as (...v: Expr<ValType>[]) => Expr<ValType>)(...values),
    }));
}

const COMPARE = /^(eq|ne|[lg][te](_[su])?)$/;
const INTEGER = /^(add|sub|mul|div_[su]|rem_[su]|and|or|xor|shl|shr_[su]|rot[lr])$/;
const INTEGER1 = /^(clz|ctz|popcnt|extend\d+_s)$/;
const FLOAT = /^(add|sub|mul|div|min|max|copysign)$/;
const FLOAT1 = /^(abs|neg|ceil|floor|trunc|nearest|sqrt)$/;
const LOAD = /^load/;
const VECTOR2 =
  /^(add|sub|mul|div|p?min|p?max|eq|ne|[lg][te]|gt_s|and|andnot|or|xor|swizzle|avgr_u|q15mulr_sat_s|dot_i16x8_s|(min|max)_[su]|(add|sub)_sat_[su]|narrow_.*|extmul_.*)$/;
const VECTOR1 = /^(not|abs|neg|sqrt|extend_.*|extadd_.*)$/;

const v128s: readonly (readonly [string, Namespace, ValType, number])[] = [
  ["i8x16", i8x16 as unknown as Namespace, "i32", 16],
  ["i16x8", i16x8 as unknown as Namespace, "i32", 8],
  ["i32x4", i32x4 as unknown as Namespace, "i32", 4],
  ["i64x2", i64x2 as unknown as Namespace, "i64", 2],
  ["f32x4", f32x4 as unknown as Namespace, "f32", 4],
  ["f64x2", f64x2 as unknown as Namespace, "f64", 2],
];
const scalars = { i32, i64, f32, f64 } as unknown as Record<"i32" | "i64" | "f32" | "f64", Namespace>;
const from = (to: "i32" | "i64" | "f32" | "f64", names: RegExp, operand: ValType): Operation[] =>
  family(to, scalars[to], names, [operand]);
const lanes = (to: ValType | null): Operation[] =>
  v128s.flatMap(([prefix, namespace, type, count]) =>
    Object.entries(namespace).flatMap(([name, build]): Operation[] => {
      const make = build as unknown as (a: Expr<ValType>, lane: number, b?: Expr<ValType>) => Expr<ValType>;
      if (/^extract_lane/.test(name) && to === type) {
        return [
          { name: `${prefix}.${name}`, operands: ["v128"], emit: (_f, [a]) => make(a as Expr<ValType>, count - 1) },
        ];
      }
      if (name === "replace_lane" && to === "v128") {
        return [
          {
            name: `${prefix}.${name}`,
            operands: ["v128", type],
            emit: (_f, [a, b]) => make(a as Expr<ValType>, count - 1, b),
          },
        ];
      }
      return [];
    }),
  );
const choose = (type: ValType): Operation => ({
  name: `select.${type}`,
  operands: ["i32", type, type],
  emit: (_f, [c, a, b]) => select(c as Expr<"i32">, a as Expr<ValType>, b as Expr<ValType>),
});
const tee = (type: ValType): Operation => ({
  name: `tee.${type}`,
  operands: [type],
  emit: (f, [a]) => f.tee(f.local(type), a as Expr<ValType>),
});

/** Every operation by the type of its result. */
export const OPERATIONS: Readonly<Record<ValType, readonly Operation[]>> = {
  i32: [
    ...family("i32", scalars.i32, INTEGER, ["i32", "i32"]),
    ...family("i32", scalars.i32, COMPARE, ["i32", "i32"]),
    ...family("i32", scalars.i32, INTEGER1, ["i32"]),
    ...from("i32", /^eqz$/, "i32"),
    ...from("i64", /^eqz$/, "i64"),
    ...from("i32", LOAD, "i32"),
    ...from("i32", /^wrap_i64$/, "i64"),
    ...from("i32", /f32/, "f32"),
    ...from("i32", /f64/, "f64"),
    ...family("i64", scalars.i64, COMPARE, ["i64", "i64"]),
    ...family("f32", scalars.f32, COMPARE, ["f32", "f32"]),
    ...family("f64", scalars.f64, COMPARE, ["f64", "f64"]),
    ...v128s.flatMap(([prefix, namespace]) => family(prefix, namespace, /^bitmask$/, ["v128"])),
    ...family("v128", v128 as unknown as Namespace, /^any_true$/, ["v128"]),
    ...lanes("i32"),
    choose("i32"),
    tee("i32"),
  ],
  i64: [
    ...family("i64", scalars.i64, INTEGER, ["i64", "i64"]),
    ...family("i64", scalars.i64, INTEGER1, ["i64"]),
    ...from("i64", LOAD, "i32"),
    ...from("i64", /_i32_[su]$/, "i32"),
    ...from("i64", /f32/, "f32"),
    ...from("i64", /f64/, "f64"),
    ...lanes("i64"),
    choose("i64"),
    tee("i64"),
  ],
  f32: [
    ...family("f32", scalars.f32, FLOAT, ["f32", "f32"]),
    ...family("f32", scalars.f32, FLOAT1, ["f32"]),
    ...from("f32", LOAD, "i32"),
    ...from("f32", /_i32/, "i32"),
    ...from("f32", /_i64/, "i64"),
    ...from("f32", /_f64/, "f64"),
    ...lanes("f32"),
    choose("f32"),
    tee("f32"),
  ],
  f64: [
    ...family("f64", scalars.f64, FLOAT, ["f64", "f64"]),
    ...family("f64", scalars.f64, FLOAT1, ["f64"]),
    ...from("f64", LOAD, "i32"),
    ...from("f64", /_i32/, "i32"),
    ...from("f64", /_i64/, "i64"),
    ...from("f64", /_f32/, "f32"),
    ...lanes("f64"),
    choose("f64"),
    tee("f64"),
  ],
  v128: [
    ...[["v128", v128 as unknown as Namespace] as const, ...v128s].flatMap(([prefix, namespace]) => [
      ...family(prefix, namespace, VECTOR2, ["v128", "v128"]),
      ...family(prefix, namespace, VECTOR1, ["v128"]),
      ...family(prefix, namespace, LOAD, ["i32"]),
      ...family(prefix, namespace, /^sh[lr](_[su])?$/, ["v128", "i32"]),
      ...family(prefix, namespace, /^bitselect$/, ["v128", "v128", "v128"]),
    ]),
    ...v128s.flatMap(([prefix, namespace, type]) => family(prefix, namespace, /^splat$/, [type])),
    ...lanes("v128"),
    {
      name: "i8x16.shuffle",
      operands: ["v128", "v128"],
      emit: (_f, [a, b]) =>
        i8x16.shuffle(
          a as Expr<"v128">,
          b as Expr<"v128">,
          Array.from({ length: 16 }, (_, k) => (k * 7) % 32),
        ),
    },
    choose("v128"),
    tee("v128"),
  ],
};

/** Names in the namespaces that are no operation on operands. */
export const CONSTANTS: ReadonlySet<string> = new Set(["const", "const2"]);

const bigInt64 = fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n });
const constant: Readonly<Record<ValType, fc.Arbitrary<Expr<ValType>>>> = {
  i32: fc.integer().map((value) => i32.const(value)),
  i64: bigInt64.map((value) => i64.const(value)),
  f32: fc.float().map((value) => f32.const(value)),
  f64: fc.double().map((value) => f64.const(value)),
  v128: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => v128.const(bytes)),
};

/** A well-typed tree of type `type`, at most `depth` operations deep. */
export function tree(type: ValType, depth: number): fc.Arbitrary<Tree> {
  const param = PARAMS.indexOf(type);
  const leaves: fc.Arbitrary<Tree>[] = [constant[type].map((expr): Tree => ({ leaf: () => expr }))];
  if (param >= 0) leaves.push(fc.constant<Tree>({ leaf: (f) => f.param(param) }));
  const leaf = fc.oneof(...leaves);
  if (depth === 0) return leaf;
  const inner = fc
    .constantFrom(...OPERATIONS[type])
    .chain((operation) =>
      fc
        .tuple(...operation.operands.map((operand) => tree(operand, depth - 1)))
        .map((operands): Tree => ({ operation, operands })),
    );
  return fc.oneof({ weight: 1, arbitrary: leaf }, { weight: 4, arbitrary: inner });
}

export function emitTree(f: FunctionBuilder, t: Tree): Expr<ValType> {
  if ("leaf" in t) return t.leaf(f);
  return t.operation.emit(
    f,
    t.operands.map((operand) => emitTree(f, operand)),
  );
}
