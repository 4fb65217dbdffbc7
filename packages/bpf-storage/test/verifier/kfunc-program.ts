import type { VerifierBtf } from "../../src/verifier/btf-port.js";
import { testBtf } from "./selftest-btf.js";
import { Types } from "./types-builder.js";

/** A program with structs of its own. */

const buildProgram = (): { readonly btf: VerifierBtf; readonly id: (name: string) => number } => {
  const types = new Types();
  const int = types.int(4);
  const u64 = types.int(8);
  const lock = types.struct("bpf_spin_lock", 4, [["val", int, 0]]);
  const head = types.struct("bpf_list_head", 16, []);
  const node = types.struct("bpf_list_node", 24, []);
  const root = types.struct("bpf_rb_root", 16, []);
  const leaf = types.struct("bpf_rb_node", 32, []);
  const count = types.struct("bpf_refcount", 4, []);
  const wq = types.struct("bpf_wq", 16, []);
  const task = types.struct("task_struct", 16, []);
  types.struct("item", 64, [
    ["key", u64, 0],
    ["link", node, 8],
    ["leaf", leaf, 32],
  ]);
  types.struct("counted", 40, [
    ["key", u64, 0],
    ["count", count, 8],
    ["link", node, 16],
  ]);
  types.struct("locked", 16, [
    ["key", u64, 0],
    ["lock", lock, 8],
  ]);
  types.struct("plain", 16, [
    ["a", u64, 0],
    ["b", u64, 8],
  ]);
  types.struct("pointing", 16, [["at", types.pointer(int), 0]]);
  const plain = types.struct("value_of_plain", 8, [["at", u64, 0]]);
  types.struct(
    "lists",
    48,
    [
      ["lock", lock, 0],
      ["head", head, 8],
      ["root", root, 24],
    ],
    {
      1: ["contains:item:link"],
      2: ["contains:item:leaf"],
    },
  );
  types.struct("kptrs", 32, [
    ["unref", types.pointer(task, "kptr_untrusted"), 0],
    ["ref", types.pointer(task, "kptr"), 8],
    ["own", types.pointer(plain, "kptr"), 16],
    ["each", types.pointer(plain, "percpu_kptr"), 24],
  ]);
  types.struct("guarded", 16, [
    ["lock", lock, 0],
    ["own", types.pointer(plain, "kptr"), 8],
  ]);
  types.struct("queue", 16, [["work", wq, 0]]);
  const main = types.proto([], int);
  types.add({ shape: { kind: "func", name: "main", proto: main, linkage: "global" } });
  types.add({ shape: { kind: "func", name: "inner", proto: main, linkage: "static" } });
  types.add({
    shape: { kind: "func", name: "throwing", proto: main, linkage: "global" },
    tags: { [-1]: ["exception_callback:caught"] },
  });
  types.add({ shape: { kind: "func", name: "helping", proto: main, linkage: "global" } });
  const skb = types.pointer(types.struct("__sk_buff", 192, []));
  types.add({ shape: { kind: "func", name: "seeing", proto: types.proto([["skb", skb]], int), linkage: "global" } });
  const cookie = types.proto([["cookie", u64]], int);
  types.add({ shape: { kind: "func", name: "caught", proto: cookie, linkage: "global" } });
  const [none, context] = [main, types.proto([["skb", skb]], int)];
  const two = types.proto(
    [
      ["a", u64],
      ["b", u64],
    ],
    int,
  );
  for (const [name, proto] of Object.entries({ none, two, context })) {
    types.add({ shape: { kind: "func", name: `caught_${name}`, proto, linkage: "global" } });
    const tags = { [-1]: [`exception_callback:caught_${name}`] };
    types.add({ shape: { kind: "func", name: `throwing_${name}`, proto: main, linkage: "global" }, tags });
  }
  const dynptr = types.pointer(types.struct("bpf_dynptr", 16, []));
  types.add({ shape: { kind: "func", name: "sized", proto: types.proto([["p", dynptr]], int), linkage: "global" } });
  const id = (name: string): number =>
    types.list.findIndex(({ shape }) => (shape.kind === "func" || shape.kind === "struct") && shape.name === name) + 1;
  return { btf: testBtf(types.list), id };
};

export const { btf: programBtf, id: programId } = buildProgram();
