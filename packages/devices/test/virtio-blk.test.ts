import { describe, expect, test } from "vitest";
import { type BlockBackend, VirtioBlk, type VirtioBlkDesc } from "../src/index.js";
import { type Buffer, TestDriver } from "./virtio-driver.js";

const [IN, OUT, FLUSH, GET_ID] = [0, 1, 4, 8] as const;
const [OK, IOERR, UNSUPP] = [0, 1, 2] as const;
const SECTORS = 2048;

/** A disk in memory; with `slow` every call waits until `settle` is called. */
class FakeDisk implements BlockBackend {
  readonly sectors: number = SECTORS;
  readonly data = new Uint8Array(SECTORS * 512);
  readonly log: string[] = [];
  slow = false;
  broken = false;
  private waiting: (() => void)[] = [];

  constructor(readonly readonly = false) {}

  read(sector: number, dst: Uint8Array): void | Promise<void> {
    return this.do(`read ${sector}+${dst.length / 512}`, () =>
      dst.set(this.data.subarray(sector * 512, sector * 512 + dst.length)),
    );
  }

  write(sector: number, src: Uint8Array): void | Promise<void> {
    return this.do(`write ${sector}+${src.length / 512}`, () => this.data.set(src, sector * 512));
  }

  flush(): void | Promise<void> {
    return this.do("flush", () => undefined);
  }

  get pending(): number {
    return this.waiting.length;
  }

  /** Lets call number `index` of those that wait finish, and everything that follows from it happen. */
  async settle(index = 0): Promise<void> {
    this.waiting.splice(index, 1)[0]?.();
    await new Promise((done) => setImmediate(done));
  }

  private do(what: string, work: () => void): void | Promise<void> {
    this.log.push(what);
    const attempt = () => {
      if (this.broken) throw new Error("disk on fire");
      work();
    };
    if (!this.slow) return attempt();
    return new Promise<void>((resolve) => this.waiting.push(resolve)).then(attempt);
  }
}

function setup(extra: Partial<VirtioBlkDesc> = {}, disk = new FakeDisk()) {
  const driver = new TestDriver(new VirtioBlk({ backend: disk, ...extra })).start();
  /** One call of the backend finishes, and what follows from it happens. */
  const settle = async (index = 0): Promise<void> => {
    await disk.settle(index);
    driver.turns.run();
  };
  const submit = (type: number, sector: number, ...data: Buffer[]) => {
    const header = new Uint8Array(16);
    const view = new DataView(header.buffer);
    view.setUint32(0, type, true);
    view.setBigUint64(8, BigInt(sector), true);
    const status = driver.buffer(Uint8Array.of(0xee), true);
    const head = driver.add(0, driver.buffer(header), ...data, status);
    driver.notify(0);
    return { head, status: () => driver.bytes(status)[0] };
  };
  return { driver, disk, submit, settle };
}

const pattern = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8)) & 0xff);

describe("features and configuration (virtio 1.2, 5.2)", () => {
  test("capacity, segments, block size, flush", () => {
    const { driver } = setup();
    expect(driver.read(0x08)).toBe(2);
    driver.write(0x14, 0);
    expect(driver.read(0x10)).toBe(0x10000000 | (1 << 2) | (1 << 6) | (1 << 9));
    expect([0x100, 0x104, 0x10c, 0x114].map((offset) => driver.read(offset))).toEqual([SECTORS, 0, 254, 512]);
  });

  test("a read-only backend makes a read-only disk", () => {
    const { driver, submit, disk } = setup({}, new FakeDisk(true));
    expect(driver.read(0x10) & (1 << 5)).not.toBe(0);
    expect(submit(OUT, 0, driver.buffer(512)).status()).toBe(IOERR);
    expect(disk.log).toEqual([]);
  });

  test("host mistakes are refused at once", () => {
    const backend: BlockBackend = Object.assign(new FakeDisk(), { sectors: 1.5 });
    expect(() => new VirtioBlk({ backend })).toThrow(RangeError);
    expect(() => new VirtioBlk({ backend: new FakeDisk(), serial: "x".repeat(21) })).toThrow(RangeError);
  });
});

describe("requests", () => {
  test("OUT writes, IN reads it back, across buffers of any size", () => {
    const { driver, submit } = setup();
    const data = pattern(1536);
    const parts = [data.subarray(0, 100), data.subarray(100, 1000), data.subarray(1000)];
    expect(submit(OUT, 5, ...parts.map((part) => driver.buffer(part))).status()).toBe(OK);
    expect(driver.take(0)?.written).toBe(1);
    const into = [driver.buffer(700, true), driver.buffer(836, true)];
    expect(submit(IN, 5, ...into).status()).toBe(OK);
    expect(driver.take(0)?.written).toBe(1537);
    expect([...into.flatMap((buffer) => [...driver.bytes(buffer)])]).toEqual([...data]);
  });

  test("long requests move in pieces of 256 KiB", () => {
    const { driver, submit, disk } = setup();
    const data = pattern(600 * 1024);
    expect(submit(OUT, 0, driver.buffer(data)).status()).toBe(OK);
    expect(disk.log).toEqual(["write 0+512", "write 512+512", "write 1024+176"]);
    expect(Buffer.compare(disk.data.subarray(0, data.length), data)).toBe(0);
  });

  test("FLUSH reaches the backend", () => {
    const { submit, disk } = setup();
    expect(submit(FLUSH, 0).status()).toBe(OK);
    expect(disk.log).toEqual(["flush"]);
  });

  test("GET_ID gives the serial, padded with zeros", () => {
    const { driver, submit } = setup({ serial: "disk-7" });
    const id = driver.buffer(20, true);
    expect(submit(GET_ID, 0, id).status()).toBe(OK);
    expect(String.fromCharCode(...driver.bytes(id))).toBe("disk-7".padEnd(20, "\0"));
  });

  test("an unknown type is UNSUPP", () => {
    expect(setup().submit(11, 0).status()).toBe(UNSUPP);
  });

  test.each([
    ["beyond the end", SECTORS - 1, 1024],
    ["at a sector no disk has", 2 ** 53, 512],
    ["of half a sector", 0, 256],
  ])("a request %s is IOERR and does not reach the backend", (_name, sector, length) => {
    const { driver, submit, disk } = setup();
    expect(submit(IN, sector, driver.buffer(length, true)).status()).toBe(IOERR);
    expect(driver.take(0)?.written).toBe(0);
    expect(submit(OUT, sector, driver.buffer(length)).status()).toBe(IOERR);
    expect(disk.log).toEqual([]);
  });

  test("the last sector is reachable", () => {
    const { driver, submit } = setup();
    expect(submit(IN, SECTORS - 1, driver.buffer(512, true)).status()).toBe(OK);
  });

  test.each([
    ["IN", IN, true, false],
    ["OUT", OUT, false, false],
    ["GET_ID", GET_ID, true, false],
    ["IN, asynchronous", IN, true, true],
  ])("data outside RAM (%s) needs a reset, and the request is never finished", async (_name, type, write, slow) => {
    const { driver, disk, submit, settle } = setup({ serial: "disk" });
    disk.slow = slow;
    const request = submit(type, 0, { gpa: 0x7000_0000, length: 512, write });
    if (slow) await settle();
    expect([driver.needsReset, driver.read(0x60), driver.irq.level]).toEqual([true, 2, true]);
    expect([request.status(), driver.take(0), driver.mmio.save().device]).toEqual([0xee, null, { inFlight: [] }]);
    disk.slow = false;
    driver.start();
    expect(submit(IN, 0, driver.buffer(512, true)).status()).toBe(OK);
  });

  test.each([
    ["without a status byte", (d: TestDriver<unknown>) => [d.buffer(16)]],
    ["with a short header", (d: TestDriver<unknown>) => [d.buffer(8), d.buffer(1, true)]],
  ])("a request %s needs a reset", (_name, buffers) => {
    const { driver } = setup();
    driver.add(0, ...buffers(driver as TestDriver<unknown>));
    driver.notify(0);
    expect(driver.needsReset).toBe(true);
  });
});

describe("backend errors", () => {
  test.each([false, true])("are IOERR and reported to the host (asynchronous: %s)", async (slow) => {
    const errors: unknown[] = [];
    const { driver, submit, disk, settle } = setup({ onError: (error) => errors.push(error) });
    disk.slow = slow;
    disk.broken = true;
    const requests = [submit(IN, 0, driver.buffer(512, true)), submit(FLUSH, 0)];
    while (disk.pending > 0) await settle();
    expect(requests.map((request) => request.status())).toEqual([IOERR, IOERR]);
    expect(errors.map(String)).toEqual(["Error: disk on fire", "Error: disk on fire"]);
  });
});

describe("an asynchronous backend", () => {
  test("finishes requests in its own order, each with an interrupt", async () => {
    const { driver, submit, disk, settle } = setup();
    disk.slow = true;
    const first = submit(IN, 0, driver.buffer(512, true));
    const second = submit(IN, 1, driver.buffer(512, true));
    expect([driver.take(0), driver.irq.level]).toEqual([null, false]);
    await settle(1);
    expect([driver.take(0)?.head, driver.irq.level]).toEqual([second.head, true]);
    await settle();
    expect(driver.take(0)?.head).toBe(first.head);
    expect([first.status(), second.status()]).toEqual([OK, OK]);
  });

  test("long requests go on piece by piece", async () => {
    const { driver, submit, disk, settle } = setup();
    disk.slow = true;
    const data = pattern(400 * 1024);
    const request = submit(OUT, 0, driver.buffer(data));
    await settle();
    expect(driver.take(0)).toBe(null);
    await settle();
    expect(request.status()).toBe(OK);
    expect(Buffer.compare(disk.data.subarray(0, data.length), data)).toBe(0);
  });

  test("what finishes after a reset touches neither memory nor rings", async () => {
    const { driver, submit, disk, settle } = setup();
    disk.slow = true;
    disk.data.fill(0x77);
    const buffer = driver.buffer(512, true);
    const request = submit(IN, 0, buffer);
    driver.start();
    const before = driver.memory.bytes.slice();
    await settle();
    expect(Buffer.compare(driver.memory.bytes, before)).toBe(0);
    expect([request.status(), driver.irq.level, driver.needsReset]).toEqual([0xee, false, false]);
  });

  test("requests in flight at a save are done again after the restore", async () => {
    const { driver, submit, disk } = setup();
    disk.slow = true;
    disk.data.fill(0x77);
    const buffer = driver.buffer(512, true);
    const request = submit(IN, 3, buffer);
    const state = structuredClone(driver.mmio.save());
    expect(state.device).toEqual({ inFlight: [request.head] });
    const copy = setup({}, disk);
    disk.slow = false;
    copy.driver.memory.bytes.set(driver.memory.bytes);
    copy.driver.mmio.restore(state);
    copy.driver.turns.run();
    expect(copy.driver.bytes(buffer)).toEqual(new Uint8Array(512).fill(0x77));
    expect(copy.driver.memory.view.getUint16(copy.driver.rings(0).used + 2, true)).toBe(1);
    expect(copy.driver.irq.level).toBe(true);
  });

  test("a restore drops the requests of before", async () => {
    const { driver, submit, disk, settle } = setup();
    const idle = driver.mmio.save();
    disk.slow = true;
    disk.data.fill(0x77);
    const buffer = driver.buffer(512, true);
    const request = submit(IN, 0, buffer);
    driver.mmio.restore(idle);
    await settle();
    expect([request.status(), driver.take(0), driver.bytes(buffer)]).toEqual([0xee, null, new Uint8Array(512)]);
  });

  test("has at most so many requests as the depth says; the others wait in the queue, and are taken as it falls", async () => {
    const { driver, disk, submit, settle } = setup({ depth: 2 });
    disk.slow = true;
    const requests = [0, 1].map((sector) => submit(IN, sector, driver.buffer(512, true)));
    const third = submit(FLUSH, 0);
    expect(disk.log).toEqual(["read 0+1", "read 1+1"]);
    await settle(1);
    expect(disk.log.at(-1)).toBe("flush");
    await settle();
    await settle();
    expect([...requests, third].map((request) => request.status())).toEqual([OK, OK, OK]);
  });

  test("with depth 1 does one request after the other, in the order of the queue", async () => {
    const { driver, disk, submit, settle } = setup({ depth: 1 });
    disk.slow = true;
    const heads = [0, 1, 2].map((sector) => submit(IN, sector, driver.buffer(512, true)).head);
    for (const head of heads) {
      expect([disk.pending, driver.take(0)]).toEqual([1, null]);
      await settle();
      expect(driver.take(0)?.head).toBe(head);
    }
  });

  test("takes nothing new after a reset until what it is still doing for the old driver is done", async () => {
    const { driver, disk, submit, settle } = setup();
    disk.slow = true;
    submit(OUT, 7, driver.buffer(new Uint8Array(512).fill(1)));
    driver.start();
    const request = submit(OUT, 7, driver.buffer(new Uint8Array(512).fill(2)));
    expect(disk.log).toEqual(["write 7+1"]);
    await settle();
    expect(disk.log).toEqual(["write 7+1", "write 7+1"]);
    await settle();
    expect([request.status(), disk.data[7 * 512]]).toEqual([OK, 2]);
  });

  test("what it is doing is told to the machine until it is done", async () => {
    const { driver, disk, submit, settle } = setup();
    disk.slow = true;
    submit(IN, 0, driver.buffer(512, true));
    submit(FLUSH, 0);
    expect(driver.turns.begun).toBe(2);
    await settle();
    await settle();
    expect(driver.turns.begun).toBe(0);
  });
});

describe("one notification", () => {
  const GIB = 2 ** 30;
  /** A disk of 16 GiB that counts what it is asked for. */
  class VastDisk implements BlockBackend {
    readonly sectors = (16 * GIB) / 512;
    readonly readonly = false;
    bytes = 0;

    read(_sector: number, dst: Uint8Array): void {
      this.bytes += dst.length;
    }
    write(_sector: number, src: Uint8Array): void {
      this.bytes += src.length;
    }
    flush(): void {}
  }

  /** A driver that has offered `chains` requests of `buffers` buffers of `length` bytes, all of them the same memory. */
  function flood(type: number, chains: number, buffers: number, length: number) {
    const disk = new VastDisk();
    const driver = new TestDriver(new VirtioBlk({ backend: disk }), 256).start();
    const header = driver.buffer(Uint8Array.of(type, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
    const write = type === IN;
    const data = { ...driver.buffer(length), write };
    const status = driver.buffer(1, true);
    const head = driver.add(0, header, ...Array.from({ length: buffers }, () => data), status);
    for (let k = 1; k < chains; k++) driver.offer(0, head);
    driver.write(0x50, 0);
    return { disk, driver };
  }

  test.each([
    ["IN", IN],
    ["OUT", OUT],
  ])(
    "that asks for 256 times 512 MiB by %s moves nothing itself, and 1 MiB and a piece in a turn at most",
    (_, type) => {
      const { disk, driver } = flood(type, 256, 254, 2 ** 21);
      expect(disk.bytes).toBe(0);
      let before = 0;
      for (let turn = 0; turn < 100; turn++) {
        driver.turns.turn();
        expect(disk.bytes - before).toBeGreaterThan(0);
        expect(disk.bytes - before).toBeLessThanOrEqual(2 ** 20 + 2 ** 18);
        before = disk.bytes;
      }
      expect(driver.take(0)).toBe(null);
      driver.write(0x70, 0);
      expect(driver.turns.run()).toBeLessThanOrEqual(1);
      expect(disk.bytes).toBe(before);
    },
  );

  test("that offers 256 requests of 256 buffers without a byte follows about a thousand of them in a turn", () => {
    const { driver } = flood(IN, 256, 254, 0);
    driver.turns.turn();
    let given = 0;
    while (driver.take(0)) given++;
    expect(given).toBe(4);
    expect(driver.turns.run()).toBeLessThanOrEqual(64);
  });

  test("costs the same as a thousand", () => {
    const { driver } = flood(IN, 1, 1, 512);
    for (let k = 0; k < 1000; k++) driver.write(0x50, 0);
    expect(driver.turns.pending).toBe(1);
  });

  test("of a backend that takes its time keeps no more than 16 pieces of 256 KiB", () => {
    const disk = new FakeDisk();
    disk.slow = true;
    const driver = new TestDriver(new VirtioBlk({ backend: disk }), 256).start();
    const header = driver.buffer(new Uint8Array(16));
    const head = driver.add(0, header, driver.buffer(2 ** 20 - 512, true), driver.buffer(1, true));
    for (let k = 1; k < 256; k++) driver.offer(0, head);
    driver.notify(0);
    expect(disk.log).toEqual(Array.from({ length: 16 }, () => "read 0+512"));
  });
});
