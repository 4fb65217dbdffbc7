import { type Expr, type FunctionBuilder, i32, type Label } from "@vm/wasm";

/** A jump table to code that is written in the order of its numbers: what does not leave goes on to the next. */
export function jumpTable(
  f: FunctionBuilder,
  selector: Expr<"i32">,
  count: number,
  write: (number: number) => void,
): void {
  const labels: Label[] = [];
  const nest = (depth: number): void => {
    if (depth === count) {
      labels.reverse();
      f.brTable(selector, labels, labels[0] as Label);
      return;
    }
    f.block((label) => {
      labels.push(label);
      nest(depth + 1);
    });
    write(count - 1 - depth);
  };
  nest(0);
}

/** Jumps have two tables, so that neither is nested too deep. */
const BITS = 9;

/**
 * Writes blocks of code that go to each other by number, without regard to their structure. Control begins with block 0.
 * @param write writes a block; it must end by going on or by leaving
 */
export function writeBlocks(
  f: FunctionBuilder,
  count: number,
  write: (block: number, go: (to: number) => void) => void,
): void {
  const selector = f.local("i32");
  f.loop((again) => {
    jumpTable(f, i32.shr_u(selector, i32.const(BITS)), ((count - 1) >> BITS) + 1, (chunk) => {
      const first = chunk << BITS;
      const size = Math.min(1 << BITS, count - first);
      jumpTable(f, i32.and(selector, i32.const((1 << BITS) - 1)), size, (k) =>
        write(first + k, (to) => {
          // The next one follows, unless it is in another table.
          if (to === first + k + 1 && k + 1 < size) return;
          f.set(selector, i32.const(to));
          f.br(again);
        }),
      );
      f.unreachable();
    });
    f.unreachable();
  });
}
