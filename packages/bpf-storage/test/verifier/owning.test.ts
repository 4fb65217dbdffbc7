import { describe, expect, test } from "vitest";
import type { Insn } from "../../src/isa/insn.js";
import { Fd, func, kcall, refusal, tc, value } from "./kfunc-kernel.js";
import { programId } from "./kfunc-program.js";
import { addi, call, exit, jeqi, jnei, ldx, mov, movi, Size, sti, stx } from "./small-kernel.js";

const done = [movi(0, 0), exit];
const SPIN_LOCK = 93;
const SPIN_UNLOCK = 94;

const make = (struct: string): Insn[] => [movi(1, programId(struct)), movi(2, 0), kcall("bpf_obj_new_impl")];
/** Goes on with what is made in R6. */
const made = (struct: string): Insn[] => [...make(struct), jnei(0, 0, 2), movi(0, 0), exit, mov(6, 0)];
const drop = (from: number): Insn[] => [mov(1, from), movi(2, 0), kcall("bpf_obj_drop_impl")];
const lock = [...value(1, Fd.lists), call(SPIN_LOCK)];
const unlock = [...value(1, Fd.lists), call(SPIN_UNLOCK)];
const push = (from: number, off = 8): Insn[] => [
  ...[...value(1, Fd.lists, 8), mov(2, from), addi(2, off), movi(3, 0), movi(4, 0)],
  kcall("bpf_list_push_front_impl"),
];
/** Puts what is in R6 into the tree; the function that orders it comes `after` instructions behind. */
const insertLeaf = (after: number): Insn[] => [
  ...[...value(1, Fd.lists, 24), mov(2, 6), addi(2, 32), ...func(3, after + 4), movi(4, 0), movi(5, 0)],
  kcall("bpf_rbtree_add_impl"),
];
const info = (...starts: number[]): { readonly funcInfo: { readonly insn: number; readonly type: number }[] } => ({
  funcInfo: starts.map((insn, k) => ({ insn, type: programId(k === 0 ? "main" : "inner") })),
});

describe("objects of the program", () => {
  test("one is made, checked for NULL, written and dropped", () => {
    const use = [sti(Size.Dw, 6, 0, 7), ldx(Size.Dw, 7, 6, 0)];
    expect(refusal(tc([...made("item"), ...use, ...drop(6), ...done]))).toBe("");
  });

  test("one that is not dropped is a reference that is left", () => {
    expect(refusal(tc([...made("item"), ...done]))).toBe("EINVAL: Unreleased reference id=2 alloc_insn=2");
  });

  test("it may be NULL until that is ruled out", () => {
    expect(refusal(tc([...make("item"), sti(Size.Dw, 0, 0, 7), ...done]))).toBe(
      "EACCES: R0 invalid mem access 'ptr_or_null_'",
    );
    expect(refusal(tc([...make("item"), ...drop(0), ...done]))).toBe(
      "EACCES: Possibly NULL pointer passed to trusted arg0",
    );
  });

  test("after it is dropped its address is a number", () => {
    expect(refusal(tc([...made("item"), mov(7, 6), ...drop(6), ldx(Size.Dw, 0, 7, 0), ...done]))).toBe(
      "EACCES: R7 invalid mem access 'scalar'",
    );
  });

  test("locks, nodes and counts in it are not touched directly, nor is what is past its end", () => {
    expect(refusal(tc([...made("item"), sti(Size.Dw, 6, 8, 0), ...drop(6), ...done]))).toBe(
      "EACCES: direct access to bpf_list_node is disallowed",
    );
    expect(refusal(tc([...made("locked"), ldx(Size.W, 0, 6, 8), ...drop(6), ...done]))).toBe(
      "EACCES: direct access to bpf_spin_lock is disallowed",
    );
    expect(refusal(tc([...made("plain"), ldx(Size.Dw, 0, 6, 16), ...drop(6), ...done]))).toBe(
      "EACCES: access beyond struct plain at off 16 size 8",
    );
  });

  test("a pointer that is kept in it comes back as a number", () => {
    expect(refusal(tc([...made("pointing"), ldx(Size.Dw, 7, 6, 0), ...drop(6), ldx(Size.W, 0, 7, 0), ...done]))).toBe(
      "EACCES: R7 invalid mem access 'scalar'",
    );
  });

  test("what is made is a struct whose number is known", () => {
    expect(refusal(tc([movi(1, 1), movi(2, 0), kcall("bpf_obj_new_impl"), ...done]))).toBe(
      "EINVAL: bpf_obj_new/bpf_percpu_obj_new type ID argument must be of a struct",
    );
    expect(refusal(tc([ldx(Size.W, 1, 1, 0), movi(2, 0), kcall("bpf_obj_new_impl"), ...done]))).toBe(
      "EINVAL: R1 must be a known constant",
    );
  });

  test("what every CPU has of its own has only numbers, and is not read directly", () => {
    const each = (struct: string): Insn[] => [movi(1, programId(struct)), movi(2, 0), kcall("bpf_percpu_obj_new_impl")];
    const end = [mov(1, 0), movi(2, 0), kcall("bpf_percpu_obj_drop_impl")];
    const checked = [jeqi(0, 0, 3), ...end];
    expect(refusal(tc([...each("plain"), ...checked, ...done]))).toBe("");
    expect(refusal(tc([...each("plain"), jeqi(0, 0, 4), ldx(Size.Dw, 1, 0, 0), ...end, ...done]))).toBe(
      "EACCES: R0 is ptr_plain access percpu memory: off=0",
    );
    expect(refusal(tc([...each("pointing"), ...checked, ...done]))).toBe(
      "EINVAL: bpf_percpu_obj_new type ID argument must be of a struct of scalars",
    );
    const wrong = [jeqi(0, 0, 3), mov(1, 0), movi(2, 0), kcall("bpf_obj_drop_impl")];
    expect(refusal(tc([...each("plain"), ...wrong, ...done]))).toBe(
      "EINVAL: arg#0 expected for bpf_percpu_obj_drop_impl()",
    );
  });
});

describe("lists and trees", () => {
  test("what is put into a list is owned by it, and can be read until the lock is given back", () => {
    const inside = [...lock, ...push(6), ldx(Size.Dw, 0, 6, 0), ...unlock];
    expect(refusal(tc([...made("item"), ...inside, ...done]))).toBe("");
    const after = [...lock, ...push(6), ...unlock, ldx(Size.Dw, 0, 6, 0)];
    expect(refusal(tc([...made("item"), ...after, ...done]))).toBe("EACCES: R6 invalid mem access 'scalar'");
  });

  test("it is not put there twice, nor dropped", () => {
    expect(refusal(tc([...made("item"), ...lock, ...push(6), ...push(6), ...unlock, ...done]))).toBe(
      "EINVAL: arg#1 expected pointer to allocated object",
    );
    expect(refusal(tc([...made("item"), ...lock, ...push(6), ...unlock, ...drop(6), ...done]))).toBe(
      "EINVAL: R1 must be referenced or trusted",
    );
  });

  test("the lock of the list is held", () => {
    expect(refusal(tc([...made("item"), ...push(6), ...done]))).toBe(
      "EINVAL: bpf_spin_lock at off=0 must be held for bpf_list_head",
    );
    const other = [...made("locked"), mov(1, 6), addi(1, 8), call(SPIN_LOCK), ...value(1, Fd.lists, 8)];
    const { log } = tc([...other, kcall("bpf_list_pop_front"), ...done]);
    expect(log).toContain("held lock and object are not in the same allocation");
  });

  test("other functions are not called while it is held", () => {
    expect(refusal(tc([...lock, ...make("item"), ...unlock, ...done]))).toBe(
      "EINVAL: function calls are not allowed while holding a lock",
    );
  });

  test("the node is the member of the struct that the list says", () => {
    expect(refusal(tc([...made("item"), ...lock, ...push(6, 0), ...unlock, ...done]))).toBe(
      "EINVAL: bpf_list_node not found at offset=0",
    );
    expect(refusal(tc([...made("counted"), ...lock, ...push(6, 16), ...unlock, ...done]))).toBe(
      "EINVAL: operation on bpf_list_head expects arg#1 bpf_list_node at offset=8 in struct item, but arg is at offset=16 in struct counted",
    );
  });

  test("what is taken out of a list is owned, and points to its node", () => {
    const pop = [...lock, ...value(1, Fd.lists, 8), kcall("bpf_list_pop_front"), mov(6, 0), ...unlock];
    const free = [jeqi(6, 0, 4), addi(6, -8), ...drop(6)];
    expect(refusal(tc([...pop, ...free, ...done]))).toBe("");
    expect(refusal(tc([...pop, ...done]))).toBe("EINVAL: Unreleased reference id=2 alloc_insn=5");
    expect(refusal(tc([...pop, jeqi(6, 0, 3), ...drop(6), ...done]))).toBe(
      "EINVAL: R1 must have zero offset when passed to release func or trusted arg to kfunc",
    );
  });

  test("a tree orders its elements by a function of the program, which owns none of them", () => {
    const before = [...made("item"), ...lock];
    const after = [...unlock, ...done];
    const order = [ldx(Size.Dw, 0, 1, -32), movi(0, 0), exit];
    const program = (callback: Insn[]): string => {
      const start = before.length + insertLeaf(0).length + after.length;
      const insns = [...before, ...insertLeaf(after.length), ...after, ...callback];
      return refusal(tc(insns, info(0, start)));
    };
    expect(program(order)).toBe("");
    expect(program([movi(0, 2), exit])).toContain("At callback return the register R0 has smin=2 smax=2");
    expect(program([mov(2, 1), ...value(1, Fd.lists, 24), kcall("bpf_rbtree_remove"), ...done])).toBe(
      "EINVAL: rbtree_remove not allowed in rbtree cb",
    );
    expect(program([...value(1, Fd.lists), call(SPIN_UNLOCK), ...done])).toBe(
      "EACCES: can't spin_{lock,unlock} in rbtree cb",
    );
  });

  test("the first of a tree is not owned until it is taken out", () => {
    const first = [...lock, ...value(1, Fd.lists, 24), kcall("bpf_rbtree_first"), jeqi(0, 0, 5)];
    const remove = [...value(1, Fd.lists, 24), mov(2, 0), kcall("bpf_rbtree_remove"), mov(6, 0)];
    const rest = [...unlock, jeqi(6, 0, 4), addi(6, -32), ...drop(6), ...done];
    expect(refusal(tc([movi(6, 0), ...first, ...remove, ...rest]))).toBe("");
    const dropped = [...lock, ...value(1, Fd.lists, 24), kcall("bpf_rbtree_first"), mov(6, 0), ...unlock];
    expect(refusal(tc([...dropped, ldx(Size.Dw, 0, 6, -32), ...done]))).toBe("EACCES: R6 invalid mem access 'scalar'");
    const own = [...made("item"), ...lock, ...value(1, Fd.lists, 24), mov(2, 6), addi(2, 32)];
    expect(refusal(tc([...own, kcall("bpf_rbtree_remove"), ...unlock, ...done]))).toBe(
      "EINVAL: rbtree_remove node input must be non-owning ref",
    );
  });

  test("an object with a count of references has more than one owner", () => {
    const again = [mov(1, 6), movi(2, 0), kcall("bpf_refcount_acquire_impl"), mov(7, 0)];
    expect(refusal(tc([...made("counted"), ...again, ...drop(6), ...drop(7), ...done]))).toBe("");
    expect(refusal(tc([...made("counted"), ...again, ...drop(6), ...done]))).toContain("Unreleased reference");
    expect(refusal(tc([...made("plain"), ...again, ...drop(6), ...drop(7), ...done]))).toBe(
      "EINVAL: arg#0 doesn't point to a type with bpf_refcount field",
    );
  });

  test("the pointer that is locked by is told apart from others", () => {
    const both = [...made("locked"), stx(Size.Dw, 10, 6, -8), ...make("locked"), mov(7, 0), ldx(Size.Dw, 6, 10, -8)];
    const use = [mov(1, 6), addi(1, 8), call(SPIN_LOCK), mov(1, 7), addi(1, 8), call(SPIN_UNLOCK)];
    const verdict = tc([...both, jeqi(7, 0, 6), ...use, ...done]);
    expect(refusal(verdict)).toBe("EINVAL: bpf_spin_unlock of different lock");
  });
});
