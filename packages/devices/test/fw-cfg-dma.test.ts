import { describe, expect, test } from "vitest";
import { FW_CFG_DMA_PORTS, FwCfg, FwCfgItem, PortBus } from "../src/index.js";
import { FakeMemory, FakeTurns } from "./fakes.js";

const BASE = 0x510;
const SIZE = 0x10_0000;
/** Where access structures lie, and where bytes go. */
const [ACCESS, BUFFER] = [0x1000, 0x2000];
const FILE = 0x20;
const CONTENT = Uint8Array.from({ length: 300_000 }, (_, k) => (k * 7 + (k >> 8)) & 0xff);

/** Bits of control. */
const [ERROR, READ, SKIP, SELECT, WRITE] = [1, 2, 4, 8, 16] as const;
const select = (item: number): number => (item * 0x1_0000 + SELECT) >>> 0;

/** Memory that counts what one turn moves. */
class CountedMemory extends FakeMemory {
  moved = 0;

  override read(gpa: number, dst: Uint8Array): boolean {
    this.moved += dst.length;
    return super.read(gpa, dst);
  }

  override write(gpa: number, src: Uint8Array): boolean {
    this.moved += src.length;
    return super.write(gpa, src);
  }
}

function setup(memory: CountedMemory = new CountedMemory(SIZE), content = CONTENT) {
  const turns = new FakeTurns();
  const device = new FwCfg({ basePort: BASE, ram: SIZE, processors: 1, dma: { memory, turns } });
  device.addFile("file", content);
  const ports = new PortBus();
  ports.attach(BASE, FW_CFG_DMA_PORTS, device);
  const register = (half: number, value: number) => {
    const view = new DataView(new ArrayBuffer(4));
    view.setUint32(0, value);
    ports.write(BASE + 4 + half, 4, view.getUint32(0, true));
  };
  /** Writes an access structure and tells the device where it is. */
  const begin = (control: number, length: number, address = BUFFER, at = ACCESS) => {
    memory.view.setUint32(at, control);
    memory.view.setUint32(at + 4, length);
    memory.view.setBigUint64(at + 8, BigInt(address));
    register(0, 0);
    register(4, at);
  };
  /** The same, to its end. */
  const transfer = (...what: Parameters<typeof begin>): number => {
    begin(...what);
    turns.run();
    return memory.view.getUint32(what[3] ?? ACCESS);
  };
  const control = () => memory.view.getUint32(ACCESS);
  const at = (gpa: number, length: number) => memory.bytes.slice(gpa, gpa + length);
  return { memory, turns, device, ports, register, begin, transfer, control, at };
}

describe("DMA of FwCfg", () => {
  test("selects an item and reads it, and control is 0 behind it", () => {
    const { transfer, at } = setup();
    expect(transfer(select(FILE) + READ, 5)).toBe(0);
    expect(at(BUFFER, 6)).toEqual(Uint8Array.of(...CONTENT.subarray(0, 5), 0));
    // Another goes on where it ended.
    expect(transfer(READ, 3)).toBe(0);
    expect(at(BUFFER, 3)).toEqual(CONTENT.slice(5, 8));
  });

  test("skips what it is told to", () => {
    const { transfer, at } = setup();
    expect(transfer(select(FILE) + SKIP, 250_000)).toBe(0);
    expect(at(BUFFER, 4)).toEqual(new Uint8Array(4));
    expect(transfer(READ, 4)).toBe(0);
    expect(at(BUFFER, 4)).toEqual(CONTENT.slice(250_000, 250_004));
  });

  test("with nothing but an item to select, selects it: the data port goes on with it", () => {
    const { transfer, ports } = setup();
    expect(transfer(select(FILE), 100)).toBe(0);
    expect([ports.read(BASE + 1, 1), ports.read(BASE + 1, 1)]).toEqual([...CONTENT.subarray(0, 2)]);
  });

  test("goes on with what the selector port chose", () => {
    const { transfer, ports, at } = setup();
    ports.write(BASE, 2, FwCfgItem.Signature);
    ports.read(BASE + 1, 1);
    expect(transfer(READ, 3)).toBe(0);
    expect(String.fromCharCode(...at(BUFFER, 3))).toBe("EMU");
  });

  test("reads zeros behind the end of an item, and of one that is not there", () => {
    const { memory, transfer, at } = setup();
    memory.bytes.fill(0xee, BUFFER, BUFFER + 16);
    expect(transfer(select(FwCfgItem.Signature) + READ, 8)).toBe(0);
    expect(at(BUFFER, 9)).toEqual(Uint8Array.of(0x51, 0x45, 0x4d, 0x55, 0, 0, 0, 0, 0xee));
    expect(transfer(select(0x3fff) + READ, 12)).toBe(0);
    expect(at(BUFFER, 13)).toEqual(Uint8Array.of(...new Array(12).fill(0), 0xee));
  });

  test("reads rather than skips, and rather than writes", () => {
    const { transfer, at } = setup();
    expect(transfer(select(FILE) + READ + SKIP + WRITE, 4)).toBe(0);
    expect(at(BUFFER, 4)).toEqual(CONTENT.slice(0, 4));
  });

  test("writes nothing to items: an error", () => {
    const { transfer, memory, ports } = setup();
    memory.bytes.fill(0xee, BUFFER, BUFFER + 16);
    expect(transfer(select(FILE) + WRITE, 4)).toBe(ERROR);
    expect(ports.read(BASE + 1, 1)).toBe(CONTENT[0]);
  });

  test.each([
    ["the end of memory", SIZE - 4],
    ["no memory", 0x1234_5678_9000],
    ["more than 2^53", 2 ** 63],
  ])("tells of an error if bytes go to %s, and stores none of them", (_, address) => {
    const { transfer, memory } = setup();
    memory.bytes.fill(0xee, SIZE - 16);
    expect(transfer(select(FILE) + READ, 8, address)).toBe(ERROR);
    expect(memory.bytes.subarray(SIZE - 16)).toEqual(new Uint8Array(16).fill(0xee));
    // The next is none the worse.
    expect(transfer(select(FILE) + READ, 8)).toBe(0);
  });

  test.each([
    ["outside of memory", 0, SIZE],
    ["high", 0x1_0000, 0x1000],
    ["beyond 2^53", 0xffff_ffff, 0xffff_fff0],
  ])("an access structure %s does nothing", (_, high, low) => {
    const { register, turns, memory } = setup();
    const before = memory.bytes.slice();
    register(0, high);
    register(4, low);
    expect(turns.run()).toBe(0);
    expect(Buffer.compare(memory.bytes, before)).toBe(0);
  });

  test("an access structure that memory ends in is answered with an error, as there is room for that", () => {
    const { register, memory } = setup();
    register(4, SIZE - 8);
    expect(memory.view.getUint32(SIZE - 8)).toBe(ERROR);
  });

  test("the high half of the address counts for one access", () => {
    const { register, begin, turns, memory, control } = setup();
    begin(READ, 0);
    turns.run();
    memory.view.setUint32(ACCESS, select(FILE) + READ);
    register(0, 1);
    register(4, ACCESS);
    expect([turns.pending, control()]).toEqual([0, select(FILE) + READ]);
    register(4, ACCESS);
    turns.run();
    expect(control()).toBe(0);
  });

  test("the register takes halves of 4 bytes, nothing else", () => {
    const { ports, memory, turns, control } = setup();
    memory.view.setUint32(ACCESS, select(FILE) + READ);
    memory.view.setUint32(ACCESS + 4, 4);
    // 0x1000, big-endian.
    for (const [port, size, value] of [
      [BASE + 8, 2, 0],
      [BASE + 10, 2, 0x10],
      [BASE + 11, 1, 0],
      [BASE + 6, 4, 0x10_0000],
    ] as const)
      ports.write(port, size, value);
    expect(turns.run()).toBe(0);
    expect(control()).not.toBe(0);
    ports.write(BASE + 8, 4, 0x10_0000);
    expect(control()).not.toBe(0);
    turns.run();
    expect(control()).toBe(0);
  });

  test("while one is under way another is not begun, and its access structure stays as it is", () => {
    const { begin, turns, memory, control, at } = setup();
    begin(select(FILE) + READ, 4);
    begin(select(FwCfgItem.Signature) + READ, 4, BUFFER + 0x100, ACCESS + 0x100);
    expect(turns.pending).toBe(1);
    turns.run();
    expect([control(), memory.view.getUint32(ACCESS + 0x100)]).toEqual([0, select(FwCfgItem.Signature) + READ]);
    expect([at(BUFFER, 4), at(BUFFER + 0x100, 4)]).toEqual([CONTENT.slice(0, 4), new Uint8Array(4)]);
  });

  describe("long transfers", () => {
    const MIB = 2 ** 20;
    /** Memory that takes everything there is below 2^53, and keeps its first MiB. */
    class Endless extends CountedMemory {
      override write(gpa: number, src: Uint8Array): boolean {
        this.moved += src.length;
        if (gpa + src.length <= SIZE) this.bytes.set(src, gpa);
        return true;
      }
    }

    test("move 1 MiB in a turn, and the guest sees their end at their end", () => {
      const { memory, begin, turns, control } = setup(new Endless(SIZE));
      begin(select(FILE) + READ, 5 * MIB + 3, MIB);
      for (let turn = 0; turn < 6; turn++) {
        expect([turns.pending, control() !== 0]).toEqual([1, true]);
        memory.moved = 0;
        turns.turn();
        expect(memory.moved).toBe(turn < 5 ? MIB : 3 + 4);
      }
      expect([turns.pending, control()]).toEqual([0, 0]);
    });

    test("of 4 GiB move no more in a turn either", () => {
      const { memory, begin, turns, control } = setup(new Endless(SIZE));
      begin(select(FILE) + READ, 0xffff_ffff, MIB);
      for (let turn = 0; turn < 3; turn++) {
        memory.moved = 0;
        turns.turn();
        expect(memory.moved).toBe(MIB);
      }
      expect(control()).not.toBe(0);
    });

    test("of 4 GiB that are skipped move nothing", () => {
      const { memory, transfer, ports } = setup();
      expect(transfer(select(FILE) + SKIP, 0xffff_ffff)).toBe(0);
      expect(memory.moved).toBe(16 + 4);
      expect(ports.read(BASE + 1, 1)).toBe(0);
    });

    test("are saved and restored in the middle", () => {
      const content = Uint8Array.from({ length: 3 * MIB }, (_, k) => (k * 13 + (k >> 12)) & 0xff);
      const from = setup(new CountedMemory(4 * MIB), content);
      from.begin(select(FILE) + READ, content.length, MIB / 2);
      from.turns.turn();
      const to = setup(new CountedMemory(4 * MIB), content);
      to.memory.bytes.set(from.memory.bytes);
      to.device.restore(structuredClone(from.device.save()));
      expect(to.turns.run()).toBe(2);
      expect(to.control()).toBe(0);
      expect(Buffer.compare(to.at(MIB / 2, content.length), content)).toBe(0);
    });

    test("restored over one that is under way take one turn at a time", () => {
      const { memory, begin, turns, device } = setup(new Endless(SIZE));
      begin(select(FILE) + READ, 0xffff_ffff, MIB);
      turns.turn();
      device.restore(structuredClone(device.save()));
      expect(turns.pending).toBe(1);
      memory.moved = 0;
      turns.turn();
      expect(memory.moved).toBe(MIB);
    });
  });

  test("a high half that was written survives save and restore", () => {
    const from = setup();
    from.register(0, 1);
    const to = setup();
    to.device.restore(structuredClone(from.device.save()));
    to.memory.view.setUint32(ACCESS, select(FILE) + READ);
    to.register(4, ACCESS);
    expect(to.turns.run()).toBe(0);
    expect(to.control()).toBe(select(FILE) + READ);
  });
});
