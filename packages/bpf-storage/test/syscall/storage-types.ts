import { BtfBuilder } from "../btf/builder.js";

/** Numbers of types that maps of storage are made with. */
export interface StorageTypes {
  readonly bytes: Uint8Array;
  readonly int: number;
  readonly unsigned: number;
  readonly long: number;
  /** A structure of 4 bytes. */
  readonly four: number;
  /** An integer of 32 bits that begins at bit 1. */
  readonly shifted: number;
  /** A typedef of `int`. */
  readonly named: number;
  /** `struct { struct bpf_spin_lock lock; int number; }` */
  readonly locked: number;
  readonly timed: number;
  readonly listed: number;
  readonly tree: number;
  readonly work: number;
  /** Values that keep pointers to objects of the kernel, as 6.1 and as 6.12 write them. */
  readonly kptr: number;
  readonly untrusted: number;
  /** Functions: one that may be a program, and one that it may call. */
  readonly main: number;
  readonly part: number;
  /** Integers of so many bytes. */
  readonly array: (bytes: number) => number;
}

/** Type information with all that the statements ask for; `sizes` are bytes of values that are arrays. */
export function storageTypes(sizes: readonly number[] = []): StorageTypes {
  const build = new BtfBuilder();
  const int = build.int("int", 4, 1);
  const unsigned = build.int("unsigned int", 4);
  const long = build.int("long", 8, 1);
  const char = build.int("char", 1, 1);
  const four = build.struct("four", 4, [["a", int, 0]]);
  const shifted = build.int("shifted", 8, 0, 32, 1);
  const named = build.typedef("pid_t", int);
  const lock = build.struct("bpf_spin_lock", 4, [["val", unsigned, 0]]);
  const locked = build.struct("locked", 8, [
    ["lock", lock, 0],
    ["number", int, 32],
  ]);
  const timer = build.struct("bpf_timer", 16, [
    ["a", long, 0],
    ["b", long, 64],
  ]);
  const timed = build.struct("timed", 16, [["timer", timer, 0]]);
  const wq = build.struct("bpf_wq", 16, [
    ["a", long, 0],
    ["b", long, 64],
  ]);
  const work = build.struct("work", 16, [["work", wq, 0]]);
  const node = build.struct("bpf_list_node", 24, [
    ["a", long, 0],
    ["b", long, 64],
    ["c", long, 128],
  ]);
  const head = build.struct("bpf_list_head", 16, [
    ["a", long, 0],
    ["b", long, 64],
  ]);
  build.struct("item", 24, [["node", node, 0]]);
  const listed = build.struct("listed", 24, [
    ["lock", lock, 0],
    ["head", head, 64],
  ]);
  build.declTag("contains:item:node", listed, 1);
  const treeNode = build.struct("bpf_rb_node", 32, [["a", build.array(long, int, 4), 0]]);
  const root = build.struct("bpf_rb_root", 16, [["a", build.array(long, int, 2), 0]]);
  build.struct("leaf", 32, [["node", treeNode, 0]]);
  const tree = build.struct("tree", 24, [
    ["lock", lock, 0],
    ["root", root, 64],
  ]);
  build.declTag("contains:leaf:node", tree, 1);
  const task = build.struct("task_struct", 4, [["pid", int, 0]]);
  const kptr = build.struct("kept", 8, [["task", build.ptr(build.typeTag("kptr", task)), 0]]);
  const untrusted = build.struct("seen", 8, [["task", build.ptr(build.typeTag("kptr_untrusted", task)), 0]]);
  const arrays = new Map(sizes.map((size) => [size, build.array(char, int, size)]));
  const array = (bytes: number): number => {
    const id = arrays.get(bytes);
    if (id === undefined) throw new RangeError(`no array of ${bytes} bytes`);
    return id;
  };
  const main = build.func("main", build.proto(int, [["ctx", build.ptr(0)]]));
  const part = build.func("part", build.proto(int), 0);
  return {
    ...{ bytes: build.build(), main, part },
    ...{ int, unsigned, long, four, shifted, named, locked, timed, listed, tree, work, kptr, untrusted, array },
  };
}

/** The types of a kernel: `task_struct`, and what programs are attached to. */
export function kernelTypes(): { readonly bytes: Uint8Array; readonly id: (name: string) => number } {
  const build = new BtfBuilder();
  const ids = new Map<string, number>();
  const keep = (name: string, id: number): number => {
    ids.set(name, id);
    return id;
  };
  const int = build.int("int", 4, 1);
  const task = keep(
    "task_struct",
    build.struct("task_struct", 8, [
      ["pid", int, 0],
      ["tgid", int, 32],
    ]),
  );
  const inode = build.struct("inode", 8, [["i_ino", build.int("long", 8, 1), 0]]);
  const common = build.struct("sock_common", 4, [["skc_family", int, 0]]);
  const sock = build.struct("sock", 4, [["__sk_common", common, 0]]);
  build.struct("cgroup", 4, [["level", int, 0]]);
  const started = build.proto(0, [
    ["__data", build.ptr(0)],
    ["task", build.ptr(task)],
    ["inode", build.ptr(inode)],
  ]);
  keep("started", build.typedef("btf_trace_started", build.ptr(started)));
  const freed = build.proto(0, [["sk", build.ptr(sock)]]);
  keep("bpf_sk_storage_free", build.func("bpf_sk_storage_free", freed, 0));
  keep("use_task", build.func("use_task", build.proto(0, [["task", build.ptr(task)]]), 0));
  keep("sk_free", build.func("sk_free", freed, 0));
  return { bytes: build.build(), id: (name) => ids.get(name) as number };
}
