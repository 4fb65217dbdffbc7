import fc from "fast-check";
import { expect, test } from "vitest";
import { type Expr, type FunctionBuilder, i32, type Label, type Local, ModuleBuilder } from "../src/index.js";

/** Statements over three i32 variables. Label numbers count outward from the innermost construct, modulo what there is. */
type Statement =
  | { readonly kind: "set"; readonly to: number; readonly from: number; readonly add: number }
  | { readonly kind: "block" | "loop"; readonly body: readonly Statement[] }
  | {
      readonly kind: "if";
      readonly on: number;
      readonly yes: readonly Statement[];
      readonly no: readonly Statement[] | null;
    }
  | { readonly kind: "br" | "brIf"; readonly on: number; readonly label: number }
  | { readonly kind: "brTable"; readonly on: number; readonly labels: readonly number[]; readonly fallback: number }
  | { readonly kind: "return"; readonly on: number };

const VARIABLES = 3;
const variable = fc.nat({ max: VARIABLES - 1 });
const label = fc.nat({ max: 5 });
const program = fc.letrec<{ statement: Statement; list: Statement[] }>((tie) => ({
  list: fc.array(tie("statement"), { maxLength: 5, depthIdentifier: "nest" }),
  statement: fc.oneof(
    { maxDepth: 4, depthIdentifier: "nest" },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant("set" as const),
        to: variable,
        from: variable,
        add: fc.integer({ min: -3, max: 3 }),
      }),
    },
    fc.record({ kind: fc.constantFrom("br" as const, "brIf" as const, "brIf" as const), on: variable, label }),
    fc.record({
      kind: fc.constant("brTable" as const),
      on: variable,
      labels: fc.array(label, { maxLength: 4 }),
      fallback: label,
    }),
    fc.record({ kind: fc.constant("return" as const), on: variable }),
    fc.record({ kind: fc.constantFrom("block" as const, "loop" as const), body: tie("list") }),
    fc.record({ kind: fc.constant("if" as const), on: variable, yes: tie("list"), no: fc.option(tie("list")) }),
  ),
})).list;

/** Every loop iteration takes one; at zero the function returns. Both sides count alike. */
const FUEL = 50;
const OUT_OF_FUEL = -1;

function emit(
  f: FunctionBuilder,
  statements: readonly Statement[],
  vars: readonly Local<"i32">[],
  fuel: Local<"i32">,
  labels: readonly Label[],
): void {
  const at = (n: number): Label => labels[labels.length - 1 - (n % labels.length)] as Label;
  const v = (n: number): Local<"i32"> => vars[n] as Local<"i32">;
  for (const s of statements) {
    if (s.kind === "set") f.set(v(s.to), i32.add(v(s.from), i32.const(s.add)));
    else if (s.kind === "block") f.block((l) => emit(f, s.body, vars, fuel, [...labels, l]));
    else if (s.kind === "loop") {
      f.loop((l) => {
        f.if(i32.eqz(f.tee(fuel, i32.sub(fuel, i32.const(1)))), () => f.return(i32.const(OUT_OF_FUEL)));
        emit(f, s.body, vars, fuel, [...labels, l]);
      });
    } else if (s.kind === "if") {
      const body = (list: readonly Statement[], l: Label): void => emit(f, list, vars, fuel, [...labels, l]);
      let mine: Label | undefined;
      const { no } = s;
      const then = (l: Label): void => {
        mine = l;
        body(s.yes, l);
      };
      if (no === null) f.if(v(s.on), then);
      else f.if(v(s.on), then, () => body(no, mine as Label));
    } else if (s.kind === "br") f.br(at(s.label));
    else if (s.kind === "brIf") f.brIf(v(s.on), at(s.label));
    else if (s.kind === "brTable") f.brTable(v(s.on), s.labels.map(at), at(s.fallback));
    else if (s.kind === "return") f.return(result(vars, s.on));
  }
}

const result = (vars: readonly Local<"i32">[], on: number): Expr<"i32"> =>
  i32.add(
    i32.mul(vars[on] as Local<"i32">, i32.const(1009)),
    i32.add(vars[0] as Local<"i32">, i32.mul(vars[1] as Local<"i32">, i32.const(31))),
  );

/** How a list of statements ended: fell through, left a construct by its distance, or returned. */
type End = { readonly br: number } | { readonly value: number } | null;

function interpret(statements: readonly Statement[], vars: number[], fuel: { left: number }, depth: number): End {
  const get = (n: number): number => vars[n] as number;
  const value = (on: number): number => (Math.imul(get(on), 1009) + get(0) + Math.imul(get(1), 31)) | 0;
  /** What leaving a nested construct means here. */
  const outward = (end: End): End => (end !== null && "br" in end ? (end.br === 0 ? null : { br: end.br - 1 }) : end);
  for (const s of statements) {
    let end: End = null;
    if (s.kind === "set") vars[s.to] = (get(s.from) + s.add) | 0;
    else if (s.kind === "block") end = outward(interpret(s.body, vars, fuel, depth + 1));
    else if (s.kind === "if") {
      const list = get(s.on) !== 0 ? s.yes : (s.no ?? []);
      end = outward(interpret(list, vars, fuel, depth + 1));
    } else if (s.kind === "loop") {
      for (;;) {
        if (--fuel.left === 0) return { value: OUT_OF_FUEL };
        const inner = interpret(s.body, vars, fuel, depth + 1);
        if (inner !== null && "br" in inner && inner.br === 0) continue;
        end = outward(inner);
        break;
      }
    } else if (s.kind === "br") end = { br: s.label % depth };
    else if (s.kind === "brIf") end = get(s.on) !== 0 ? { br: s.label % depth } : null;
    else if (s.kind === "brTable") end = { br: (s.labels[get(s.on) >>> 0] ?? s.fallback) % depth };
    else if (s.kind === "return") return { value: value(s.on) };
    if (end !== null) return end;
  }
  return null;
}

test("programs of nested blocks, loops, ifs and branches do what an interpreter of the same statements does", () => {
  fc.assert(
    fc.property(program, fc.integer({ min: -2, max: 4 }), fc.integer({ min: -2, max: 4 }), (statements, a, b) => {
      const m = new ModuleBuilder();
      const f = m.function(["i32", "i32"], "i32");
      const vars = [f.param<"i32">(0), f.param<"i32">(1), f.local("i32")];
      const fuel = f.local("i32");
      f.set(fuel, i32.const(FUEL));
      f.block((l) => emit(f, statements, vars, fuel, [l]));
      f.value(result(vars, 2));
      m.exportFunction("f", f);
      const bytes = m.bytes();
      expect(WebAssembly.validate(bytes)).toBe(true);
      const run = (
        new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports as { f: (a: number, b: number) => number }
      ).f;
      const state = [a, b, 0];
      const end = interpret(statements, state, { left: FUEL }, 1);
      const [x = 0, y = 0, z = 0] = state;
      const expected = end !== null && "value" in end ? end.value : (Math.imul(z, 1009) + x + Math.imul(y, 31)) | 0;
      expect(run(a, b)).toBe(expected);
    }),
    { numRuns: 500 },
  );
});
