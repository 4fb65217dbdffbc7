/** Mappings of a process against a map from page numbers to what is there. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Folio } from "../src/gmem/folio.js";
import { GmemFlag } from "../src/gmem/inode.js";
import { UserFault } from "../src/gmem/vma.js";
import { errnoOf, newHost, PAGE } from "./gmem-fixture.js";

const FRAMES = 24;
const FILE_PAGES = 6;
/** Where mappings begin; each is followed by a page where nothing is. */
const BASE = 0x7f00_0000_0000;

/** A page, wherever it is mapped. */
interface Content {
  value: number;
  /** Whether it has a frame. */
  touched: boolean;
}

/** Few, so that operations meet. */
const page = fc.nat(9);
const operation = fc.oneof(
  fc.record({ op: fc.constant("mmap" as const), pages: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ op: fc.constant("mmap file" as const), pages: fc.integer({ min: 1, max: 5 }), first: fc.nat(2) }),
  fc.record({ op: fc.constant("munmap" as const), page, pages: fc.integer({ min: 1, max: 8 }) }),
  fc.record({ op: fc.constant("store" as const), page, value: fc.integer({ min: 1, max: 255 }) }),
  fc.record({ op: fc.constant("load" as const), page }),
  fc.record({ op: fc.constant("pin" as const), page }),
  fc.record({ op: fc.constant("unpin" as const), which: fc.nat(3) }),
);

async function setup() {
  const { arena, mm, task, newVm } = newHost({ pages: FRAMES });
  const size = FILE_PAGES * PAGE;
  const gmem = newVm(false).create({ size, flags: GmemFlag.Mmap | GmemFlag.InitShared });
  const file: Content[] = Array.from({ length: FILE_PAGES }, () => ({ value: 0, touched: false }));
  const mapped = new Map<number, Content>();
  /** Mapped pages that the process has touched where they are. */
  const present = new Set<number>();
  const pins: { folio: Folio; content: Content }[] = [];
  let next = 0;

  const isFile = (content: Content): boolean => file.includes(content);
  /** Anonymous pages that are mapped or pinned. */
  const anonymous = (): Content[] =>
    [...new Set([...mapped.values(), ...pins.map(({ content }) => content)])].filter((one) => !isFile(one));
  const reserved = (): number => FILE_PAGES + anonymous().length;

  const check = (): void => {
    const touched = [...anonymous(), ...file].filter((content) => content.touched);
    expect([mm.mapped, arena.taken, arena.capacity - arena.available]).toEqual([
      present.size,
      touched.length,
      reserved(),
    ]);
    for (const { folio, content } of pins) expect(folio.bytes[0]).toBe(content.value);
  };

  const touch = (at: number): Content | undefined => {
    const content = mapped.get(at);
    if (content === undefined) return undefined;
    content.touched = true;
    present.add(at);
    return content;
  };

  const mmap = async (contents: Content[], fits: boolean, map: () => Promise<number>): Promise<void> => {
    let addr = 0;
    const errno = await errnoOf(async () => {
      addr = await map();
    });
    expect(errno).toBe(fits ? "none" : "ENOMEM");
    if (!fits) return;
    expect(addr).toBe(BASE + next * PAGE);
    contents.forEach((content, k) => void mapped.set(next + k, content));
    next += contents.length + 1;
  };

  const signalOf = async (body: () => Promise<unknown>): Promise<string> => {
    try {
      await body();
    } catch (error) {
      if (error instanceof UserFault) return error.signal;
      throw error;
    }
    return "none";
  };

  const unmap = async (first: number, pages: number): Promise<void> => {
    await mm.munmap(task, BASE + first * PAGE, pages * PAGE - 1);
    for (let at = first; at < first + pages; at++) {
      mapped.delete(at);
      present.delete(at);
    }
  };

  const unpin = (which: number): void => {
    for (const { folio } of pins.splice(which, 1)) folio.put();
  };

  const perform = async (what: typeof operation extends fc.Arbitrary<infer T> ? T : never): Promise<void> => {
    if (what.op === "mmap") {
      const contents = Array.from({ length: what.pages }, () => ({ value: 0, touched: false }));
      const fits = reserved() + what.pages <= FRAMES;
      return mmap(contents, fits, () => mm.mmap(task, { length: what.pages * PAGE }));
    }
    if (what.op === "mmap file") {
      const offset = what.first * PAGE;
      const contents = file.slice(what.first, what.first + what.pages);
      return mmap(contents, true, () => mm.mmap(task, { length: contents.length * PAGE, file: gmem, offset }));
    }
    if (what.op === "munmap") return unmap(what.page, what.pages);
    if (what.op === "unpin") return unpin(what.which);
    const addr = BASE + what.page * PAGE;
    const content = touch(what.page);
    if (what.op === "pin") {
      let folio: Folio | undefined;
      const errno = await errnoOf(async () => {
        folio = await mm.gupFast(task, addr);
      });
      expect(errno).toBe(content === undefined ? "EFAULT" : "none");
      if (folio !== undefined && content !== undefined) pins.push({ folio, content });
      return;
    }
    const expected = content === undefined ? "SIGSEGV" : "none";
    if (what.op === "store") {
      expect(await signalOf(() => mm.store(task, addr, Uint8Array.of(what.value)))).toBe(expected);
      if (content !== undefined) content.value = what.value;
      return;
    }
    const load = async (): Promise<void> =>
      expect(await mm.load(task, addr, 1)).toEqual(Uint8Array.of(content?.value ?? 0));
    expect(await signalOf(load)).toBe(expected);
  };

  const end = async (): Promise<void> => {
    await gmem.close(task);
    await mm.exit(task);
    while (pins.length > 0) unpin(0);
    expect([mm.mapped, arena.taken, arena.available]).toEqual([0, 0, FRAMES]);
  };

  return { perform, check, end };
}

test("memory is where it was mapped until it is unmapped, in whole or in part, and frames come back with the last pin", () =>
  fc.assert(
    fc.asyncProperty(fc.array(operation, { minLength: 10, maxLength: 40, size: "max" }), async (operations) => {
      const { perform, check, end } = await setup();
      for (const what of operations) {
        await perform(what);
        check();
      }
      await end();
    }),
    { numRuns: 300 },
  ));
