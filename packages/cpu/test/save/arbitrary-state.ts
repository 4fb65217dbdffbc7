import fc from "fast-check";
import type { VcpuState } from "../../src/index.js";
import { FakeMachine } from "../fake-machine.js";

type Word = VcpuState["rip"];
type Segment = VcpuState["tr"];

const u32 = fc.integer({ min: 0, max: 0xffffffff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const word: fc.Arbitrary<Word> = fc.record({ lo: u32, hi: u32 });
const low: fc.Arbitrary<Word> = u32.map((lo) => ({ lo, hi: 0 }));
/** With 48 bits. */
const canonical: fc.Arbitrary<Word> = fc
  .record({ lo: u32, hi: fc.integer({ min: -0x8000, max: 0x7fff }) })
  .map(({ lo, hi }) => ({ lo, hi: hi >>> 0 }));
const bits = (mask: number): fc.Arbitrary<number> => u32.map((value) => (value & mask) >>> 0);
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

/** Attributes with a limit that suits their G bit. */
const segment = (attributes: readonly number[], base: fc.Arbitrary<Word>): fc.Arbitrary<Segment> =>
  fc
    .record({
      selector: u16,
      base,
      pages: fc.integer({ min: 0, max: 0xfffff }),
      attributes: fc.constantFrom(...attributes),
    })
    .map(({ pages, ...rest }) => ({ ...rest, limit: rest.attributes & 0x8000 ? pages * 4096 + 4095 : pages }));
const segment8086: fc.Arbitrary<Segment> = u16.map((selector) => ({
  selector,
  base: { lo: selector * 16, hi: 0 },
  limit: 0xffff,
  attributes: 0xf3,
}));

const CODE_16 = 0x9b;
const CODE_32 = 0xc0fb;
const CODE_64 = 0xa09b;
const STACKS = [0x93, 0xc0f3, 0x4093];
const DATAS = [0, 0x93, 0xc0f3, 0xc0b7, 0xfb];

interface Kind {
  readonly cr0: number;
  readonly cr4: number;
  readonly efer: number;
  readonly vm: boolean;
  readonly code: readonly number[];
}
const KINDS: Readonly<Record<string, Kind>> = {
  real: { cr0: 0x10, cr4: 0, efer: 0, vm: false, code: [CODE_16] },
  protected: { cr0: 0x11, cr4: 0x10, efer: 0x800, vm: false, code: [CODE_16, CODE_32, 0] },
  paged: { cr0: 0x80010013 | 0, cr4: 0x20, efer: 0, vm: false, code: [CODE_32] },
  virtual8086: { cr0: 0x80000011 | 0, cr4: 0x1, efer: 0, vm: true, code: [] },
  compatibility: { cr0: 0x80050033 | 0, cr4: 0x2a0, efer: 0xd01, vm: false, code: [CODE_16, CODE_32] },
  long: { cr0: 0x80050033 | 0, cr4: 0x7706a0, efer: 0xd01, vm: false, code: [CODE_64] },
};

const event = fc.record({
  vector: fc.integer({ min: 0, max: 255 }),
  errorCode: fc.option(u32),
  kind: fc.constantFrom("exception" as const, "interrupt" as const, "software" as const),
  generalDetect: fc.boolean(),
  cr2: fc.option(word),
});

/** ES and B as the unmasked exceptions have them. */
const statusOf = (fsw: number, fcw: number): number => (fsw & ~fcw & 0x3f ? fsw | 0x8080 : fsw & ~0x8080);

const float = fc
  .record({ fcw: u16.map((fcw) => (fcw & 0x1f7f) | 0x40), fsw: u16, ftw: fc.integer({ min: 0, max: 255 }) })
  .map(({ fcw, fsw, ftw }) => ({ fcw, fsw: statusOf(fsw, fcw), ftw }));

/** MSRs as they are after reset, some with other values. */
const msrs = (reset: VcpuState["msrs"]): fc.Arbitrary<VcpuState["msrs"]> =>
  fc
    .record({ star: word, lstar: canonical, mask: low, aux: low, esp: canonical, cs: word })
    .map(({ star, lstar, mask, aux, esp, cs }) => {
      const set = new Map([
        [0xc0000081, star],
        [0xc0000082, lstar],
        [0xc0000084, mask],
        [0xc0000103, aux],
        [0x175, esp],
        [0x174, cs],
      ]);
      return reset.map(({ number, value }) => ({ number, value: set.get(number) ?? value }));
    });

/** CR4 with what the default CPU has of it. */
const CR4_OFFERED = 0x7706fc;
/** Without VME, which it does not have. */
const known = (cr4: number): number => cr4 & CR4_OFFERED;

/** States that the default CPU can be in. */
export const states: fc.Arbitrary<VcpuState> = fc.constantFrom(...Object.values(KINDS)).chain((kind) => {
  const { vcpu } = new FakeMachine();
  const wide = kind.code.includes(CODE_64);
  const data = kind.vm ? segment8086 : segment(DATAS, low);
  const based = kind.vm ? segment8086 : segment(DATAS, canonical);
  return fc
    .record({
      general: fc.array(word, { minLength: 16, maxLength: 16 }),
      rip: wide ? canonical : low,
      rflags: bits(0x3d7fd5).map((flags) => flags | 2 | (kind.vm ? 0x20000 : 0)),
      segments: fc.tuple(
        data,
        kind.vm ? segment8086 : segment(kind.code, low),
        kind.vm ? segment8086 : segment(STACKS, low),
        data,
        based,
        based,
      ),
      ldtr: segment([0, 0x82], canonical),
      tr: segment([0x83, 0x8b], canonical),
      gdtr: fc.record({ base: canonical, limit: u16 }),
      idtr: fc.record({ base: canonical, limit: u16 }),
      cr2: word,
      cr3: fc.record({ lo: u32, hi: fc.integer({ min: 0, max: 0xff }) }),
      xcr0: fc.constantFrom(1, 3, 0x203),
      pkru: u32,
      view: u16,
      debug: fc.tuple(word, word, word, word, low, low),
      float,
      fpr: bytes(80),
      mxcsr: u16,
      xmm: bytes(256),
      msrs: msrs(vcpu.save().msrs),
      tscOffset: word,
      tscAdjust: word,
      activity: fc.constantFrom("active" as const, "active" as const, "hlt" as const, "shutdown" as const),
      wakeMasked: fc.boolean(),
      shadow: fc.constantFrom("none" as const, "sti" as const, "mov-ss" as const),
      nmiPending: fc.boolean(),
      nmiBlocked: fc.boolean(),
      event: fc.option(event),
      debugTraps: bits(0x400f),
      retired: fc.maxSafeNat(),
      singleStep: fc.boolean(),
    })
    .map(({ float: x87, ...rest }) => ({
      ...rest,
      ...x87,
      version: 1 as const,
      cr0: kind.cr0 >>> 0,
      cr4: known(kind.cr4),
      efer: kind.efer,
      shadow: rest.activity === "hlt" ? ("none" as const) : rest.shadow,
    }));
});
