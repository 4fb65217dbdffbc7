import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BpfError, type BpfMap, ERRNO, type MapDesc, MapFlag, MapType } from "../../src/index.js";
import { outcomeOf } from "../outcome.js";
import { ownKernel } from "./own.js";
import type { ReferenceKernel } from "./reference-kernel.js";
import { ReferenceSockets } from "./reference-sockets.js";
import { SystemSide, words } from "./system-side.js";

/**
 * The kernel's selftest sk_storage_map (map_tests/sk_storage_map.c), which has no programs. What only bpf(2) looks at, types of keys that are missing
 * or no numbers, is not here; and its threads are orders in which things happen.
 */

const [ANY, NOEXIST, EXIST, LOCK] = [0n, 1n, 2n, 4n];
/** `struct val { int cnt; struct bpf_spin_lock l; }` */
const DESC: MapDesc = {
  ...{ type: MapType.SkStorage, keySize: 4, valueSize: 8, maxEntries: 0, flags: MapFlag.NoPrealloc },
  ...{ name: "sk_storage_map", fields: { spinLock: 4 } },
};

describe.each(["6.1", "6.12"] as const)("sk_storage_map, %s", (generation) => {
  test("basic", () => {
    const kernel = ownKernel(generation);
    const [sockets, system] = [new ReferenceSockets(kernel), new SystemSide(kernel)];
    const fd = sockets.open(sockets.socket());
    const map = kernel.runtime.createMap(DESC);
    const update = (count: number, lock: number, flags: bigint) => system.update(map, fd, words(count, lock), flags);
    const value = () => system.lookup(map, fd);
    let count = 0xeb9f;

    expect(update(count, 1, NOEXIST | LOCK), "bpf_map_update_elem(BPF_NOEXIST|BPF_F_LOCK)").toBe(0);
    expect(value(), "bpf_map_lookup_elem_flags(BPF_F_LOCK)").toEqual(Uint32Array.of(count, 0));

    count += 1;
    expect(update(count, 2, EXIST | LOCK), "bpf_map_update_elem(BPF_EXIST|BPF_F_LOCK)").toBe(0);
    expect(value(), "bpf_map_lookup_elem_flags(BPF_F_LOCK)").toEqual(Uint32Array.of(count, 0));

    count += 1;
    expect(update(count, 2, EXIST), "bpf_map_update_elem(BPF_EXIST)").toBe(0);
    expect(value(), "bpf_map_lookup_elem_flags(BPF_F_LOCK)").toEqual(Uint32Array.of(count, 0));

    expect(update(count + 1, 2, NOEXIST | LOCK), "bpf_map_update_elem(BPF_NOEXIST|BPF_F_LOCK)").toBe(-ERRNO.EEXIST);
    expect(update(count + 1, 2, NOEXIST), "bpf_map_update_elem(BPF_NOEXIST)").toBe(-ERRNO.EEXIST);
    expect(value(), "bpf_map_lookup_elem_flags(BPF_F_LOCK)").toEqual(Uint32Array.of(count, 0));

    count += 1;
    expect(update(count, 2, ANY), "bpf_map_update_elem()").toBe(0);
    expect(value(), "bpf_map_lookup_elem_flags(BPF_F_LOCK)").toEqual(Uint32Array.of(count, 0));

    expect(system.delete(map, fd), "bpf_map_delete_elem()").toBe(0);
    expect(value(), "bpf_map_lookup_elem_flags(BPF_F_LOCK)").toBe(-ERRNO.ENOENT);
    expect(system.delete(map, fd), "bpf_map_delete_elem()").toBe(-ERRNO.ENOENT);

    const bad = (change: Partial<MapDesc>) => outcomeOf(() => kernel.runtime.createMap({ ...DESC, ...change }));
    expect(bad({ maxEntries: 1 }), "bpf_map_create(bad_xattr)").toBe("EINVAL");
    expect(bad({ flags: 0 }), "bap_create_map_xattr(bad_xattr)").toBe("EINVAL");
    expect(bad({}), "bpf_map_create(good_xattr)").toBe("made");
  });

  test("stress_free: sockets are closed and the map goes in any order, and memory is what it was", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(3), { minLength: 1, maxLength: 60 }), fc.nat(), (steps, seed) => {
        const kernel = ownKernel(generation);
        const [sockets, system] = [new ReferenceSockets(kernel), new SystemSide(kernel)];
        const before = kernel.arena.used;
        let map: BpfMap | null = null;
        const open: number[] = [];
        const give = (sock: number, to: BpfMap): void =>
          expect(system.update(to, sockets.open(sock), words(0xeb9f, 0), NOEXIST)).toBe(0);
        const close = (at: number): void => sockets.close(open.splice(at % open.length, 1)[0] as number);
        const free = (): void => {
          if (map !== null) kernel.runtime.freeMap(map);
          map = null;
        };
        for (const [k, step] of steps.entries()) {
          if (step === 0) free();
          else if (step === 1 && open.length > 0) close(seed + k);
          else {
            map ??= kernel.runtime.createMap(DESC);
            const sock = sockets.socket();
            open.push(sock);
            give(sock, map);
          }
        }
        if (seed % 2 === 0) free();
        while (open.length > 0) close(seed);
        free();
        expect(kernel.arena.used).toBe(before);
      }),
      { numRuns: 60 },
    );
  });

  test("stress_change: values are given and taken, one while another is", () => {
    fc.assert(
      fc.property(fc.array(fc.record({ take: fc.boolean(), inside: fc.boolean() }), { maxLength: 40 }), (steps) => {
        const kernel = ownKernel(generation);
        const [sockets, system] = [new ReferenceSockets(kernel), new SystemSide(kernel)];
        const before = kernel.arena.used;
        const sock = sockets.socket();
        const fd = sockets.open(sock);
        const map = kernel.runtime.createMap(DESC);
        const left = [...steps];
        const statuses = { give: new Set<number>(), take: new Set<number>() };
        const step = (): void => {
          const next = left.shift();
          if (next === undefined) return;
          if (next.take) statuses.take.add(system.delete(map, fd));
          else statuses.give.add(system.update(map, fd, words(0xeb9f, 0), ANY));
        };
        // Another thread comes in between where a function begins.
        kernel.runtime.entered = () => {
          if (left[0]?.inside === true) step();
        };
        while (left.length > 0) step();
        kernel.runtime.entered = null;
        expect([...statuses.give].filter((status) => status !== 0 && status !== -ERRNO.EAGAIN)).toEqual([]);
        expect([...statuses.take].filter((status) => status !== 0 && status !== -ERRNO.ENOENT)).toEqual([]);
        sockets.close(sock);
        kernel.runtime.freeMap(map);
        expect(kernel.arena.used).toBe(before);
      }),
      { numRuns: 60 },
    );
  });
});

/** The kernel's map_tests/task_storage_map.c: lookups by many threads leave the CPU as it was. */
test.each(["6.1", "6.12"] as const)(
  "task_storage_map, stress_lookup, %s: nobody is inside when all have looked",
  (generation) => {
    const kernel: ReferenceKernel = ownKernel(generation);
    const system = new SystemSide(kernel);
    const fd = kernel.open("tasks", kernel.fork(1));
    const map = kernel.runtime.createMap({ ...DESC, type: MapType.TaskStorage, fields: undefined, name: "task" });
    const inside: number[] = [];
    kernel.runtime.entered = () => inside.push(kernel.busy);
    expect(system.update(map, fd, words(1, 0))).toBe(0);
    for (let k = 0; k < 2000; k++) expect(system.lookup(map, fd)).toEqual(Uint32Array.of(1, 0));
    expect(new Set(inside)).toEqual(new Set([1]));
    expect(kernel.busy).toBe(0);
  },
);
