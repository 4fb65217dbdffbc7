import fc from "fast-check";
import { expect, test } from "vitest";
import { AttributeMap, MemoryAttribute } from "../src/gmem/attribute-map.js";
import { setMemoryAttributes } from "../src/gmem/attributes.js";
import { ConversionError, setMemoryAttributes2 } from "../src/gmem/convert.js";
import { GmemFlag } from "../src/gmem/inode.js";
import { errnoOf, newHost, PAGE } from "./gmem-fixture.js";

const { Private, None } = MemoryAttribute;

test("the map is what an array would be, and has as few intervals as there can be", () => {
  const SIZE = 24;
  const change = fc.record({ from: fc.nat(SIZE - 1), length: fc.integer({ min: 1, max: SIZE }), value: fc.nat(2) });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 12 }), (changes) => {
      const map = new AttributeMap(SIZE, 0);
      const model = new Array<number>(SIZE).fill(0);
      for (const { from, length, value } of changes) {
        const to = Math.min(from + length, SIZE);
        const uniform = model.slice(from, to).every((one) => one === value);
        expect(map.uniform(from, to, value)).toBe(uniform);
        map.set(from, to, value);
        model.fill(value, from, to);
      }
      expect(model.map((_, page) => map.at(page))).toEqual(model);
      expect(map.intervals).toBe(1 + model.filter((value, k) => k > 0 && value !== model[k - 1]).length);
    }),
  );
});

const good = { address: 0x100 * PAGE, size: PAGE, attributes: Private as number, flags: 0 };

test.each([
  ["a flag", "EINVAL", { flags: 1 }],
  ["an unknown attribute", "EINVAL", { attributes: 1 }],
  ["a size of 0", "EINVAL", { size: 0 }],
  ["an unaligned address", "EINVAL", { address: 1 }],
  ["an unaligned size", "EINVAL", { size: 1 }],
  ["a range that wraps", "EINVAL", { address: 2 ** 40 - PAGE, size: 2 * PAGE }],
  ["no mistake", "none", {}],
])("KVM_SET_MEMORY_ATTRIBUTES with %s: %s", async (_what, errno, over) => {
  const { task, newVm } = newHost();
  expect(await errnoOf(() => setMemoryAttributes(task, newVm(true), { ...good, ...over }))).toBe(errno);
});

test("the ioctl of VMs is ENOTTY with attributes in guest_memfds, and the other way round", async () => {
  const there = newHost({ params: { vmMemoryAttributes: false } });
  expect(await errnoOf(() => setMemoryAttributes(there.task, there.newVm(true), good))).toBe("ENOTTY");
  const here = newHost();
  const gmem = here.newVm(true).create();
  const desc = { offset: 0, size: PAGE, attributes: Private };
  expect(await errnoOf(() => setMemoryAttributes2(here.task, gmem, desc))).toBe("ENOTTY");
});

test("without private memory there is no PRIVATE attribute", async () => {
  const { task, newVm } = newHost();
  expect(await errnoOf(() => setMemoryAttributes(task, newVm(false), good))).toBe("EINVAL");
});

test("setting an attribute unmaps what is mapped by the other one, and setting it again nothing", async () => {
  const { task, newVm, bindAll } = newHost();
  const vm = newVm(true);
  const slot = await bindAll(vm, vm.create());
  const twoBefore = { ...good, address: 0xfe * PAGE, size: 4 * PAGE };
  await setMemoryAttributes(task, vm, twoBefore);
  expect(vm.tables.log).toEqual(["begin", "add 256-258", "unmap 256-258 shared", "end"]);
  await setMemoryAttributes(task, vm, good);
  expect(vm.tables.log).toHaveLength(4);
  expect([0x100, 0x101, 0x102].map((gfn) => vm.source.isPrivate(slot, gfn))).toEqual([true, true, false]);
  await setMemoryAttributes(task, vm, { ...good, attributes: None });
  expect(vm.tables.log.slice(4)).toEqual(["begin", "add 256-257", "unmap 256-257 private", "end"]);
});

/** A guest_memfd of 8 shared pages, bound at 0x100 and mapped at `addr`. */
async function convertible() {
  const host = newHost({ params: { vmMemoryAttributes: false } });
  const vm = host.newVm(true);
  const gmem = vm.create({ flags: GmemFlag.Mmap | GmemFlag.InitShared });
  const slot = await host.bindAll(vm, gmem);
  const addr = await host.mm.mmap(host.task, { length: gmem.size, file: gmem });
  const convert = (attributes: number, offset = 0, size = gmem.size): Promise<void> =>
    setMemoryAttributes2(host.task, gmem, { offset, size, attributes });
  return { ...host, vm, gmem, slot, addr, convert };
}

test.each([
  ["a flag", "EINVAL", { flags: 1 }],
  ["an unknown attribute", "EINVAL", { attributes: 1 }],
  ["a size of 0", "EINVAL", { size: 0 }],
  ["an unaligned offset", "EINVAL", { offset: 1 }],
  ["a range that ends beyond the file", "EINVAL", { offset: 7 * PAGE, size: 2 * PAGE }],
  ["a range that wraps", "EINVAL", { offset: 2 ** 53, size: PAGE }],
  ["no mistake", "none", {}],
])("KVM_SET_MEMORY_ATTRIBUTES2 with %s: %s", async (_what, errno, over) => {
  const { task, gmem } = await convertible();
  const desc = { offset: 0, size: PAGE, attributes: Private, ...over };
  expect(await errnoOf(() => setMemoryAttributes2(task, gmem, desc))).toBe(errno);
});

test("a page converted in place keeps its bytes, and while it is private the process gets SIGBUS", async () => {
  const { mm, task, vm, slot, addr, convert } = await convertible();
  await mm.store(task, addr + PAGE, Uint8Array.of(5));
  await convert(Private, PAGE, PAGE);
  expect(vm.tables.log).toEqual(["begin", "add 257-258", "unmap 257-258 shared", "end"]);
  expect([0x100, 0x101].map((gfn) => vm.source.isPrivate(slot, gfn))).toEqual([false, true]);
  await expect(mm.load(task, addr + PAGE, 1)).rejects.toThrow("SIGBUS");
  await expect(mm.store(task, addr + PAGE, Uint8Array.of(6))).rejects.toThrow("SIGBUS");
  await convert(None, PAGE, PAGE);
  expect(vm.tables.log.slice(4)).toEqual(["begin", "add 257-258", "unmap 257-258 private", "end"]);
  expect(await mm.load(task, addr + PAGE, 1)).toEqual(Uint8Array.of(5));
});

test("a pinned page cannot become private: EAGAIN, error_offset says which, no attribute has changed", async () => {
  const { mm, task, vm, slot, addr, convert } = await convertible();
  const pin = await mm.gupFast(task, addr + 3 * PAGE);
  await expect(convert(Private, PAGE, 4 * PAGE)).rejects.toEqual(new ConversionError(3 * PAGE));
  expect(vm.source.isPrivate(slot, 0x101)).toBe(false);
  expect(vm.tables.log).toEqual([]);
  await convert(Private, 4 * PAGE, PAGE);
  pin.put();
  await convert(Private);
  expect(vm.source.isPrivate(slot, 0x103)).toBe(true);
});

test("without INIT_SHARED all pages are private at first", async () => {
  const host = newHost({ params: { vmMemoryAttributes: false } });
  const vm = host.newVm(true);
  const gmem = vm.create({ flags: GmemFlag.Mmap });
  const slot = await host.bindAll(vm, gmem);
  expect(vm.source.isPrivate(slot, 0x107)).toBe(true);
  const addr = await host.mm.mmap(host.task, { length: PAGE, file: gmem });
  await expect(host.mm.load(host.task, addr, 1)).rejects.toThrow("SIGBUS");
});
