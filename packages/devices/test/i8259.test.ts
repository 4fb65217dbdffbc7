import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PicPair, PortBus } from "../src/index.js";

/** A pair as a PC's firmware leaves it: vectors 0x20 and 0x28, everything unmasked. */
function setup({ icw1 = 0x11, icw4 = 0x01 } = {}) {
  let requests = 0;
  const pics = new PicPair({ onRequest: () => requests++ });
  const ports = new PortBus();
  ports.attach(0x20, 2, pics.master);
  ports.attach(0xa0, 2, pics.slave);
  ports.attach(0x4d0, 2, pics.elcr);
  const out = (port: number, ...bytes: number[]) => {
    for (const byte of bytes) ports.write(port, 1, byte);
  };
  out(0x20, icw1);
  out(0x21, 0x20, 4, icw4);
  out(0xa0, icw1);
  out(0xa1, 0x28, 2, icw4);
  const set = (irq: number, level = true) => pics.line(irq).set(level);
  const pulse = (irq: number) => {
    set(irq);
    set(irq, false);
  };
  /** All vectors that the processor takes, one after the other, without an EOI. */
  const take = () => {
    const vectors: number[] = [];
    while (pics.requested) vectors.push(pics.acknowledge());
    return vectors;
  };
  const read = (port: number) => ports.read(port, 1);
  const isr = (port: number) => {
    out(port, 0x0b);
    return read(port);
  };
  const irr = (port: number) => {
    out(port, 0x0a);
    return read(port);
  };
  return { pics, out, set, pulse, take, read, isr, irr, requests: () => requests };
}

describe("requests and vectors (8259A datasheet)", () => {
  test("IRQ n of the master has vector base + n, of the slave its own base; INTR rises once", () => {
    const { pics, set, isr, requests } = setup();
    expect(pics.requested).toBe(false);
    set(3);
    expect([pics.requested, requests()]).toEqual([true, 1]);
    expect([pics.acknowledge(), pics.requested, isr(0x20)]).toEqual([0x23, false, 0x08]);
    set(9);
    expect([pics.acknowledge(), isr(0xa0), isr(0x20)]).toEqual([0x29, 0x02, 0x0c]);
  });

  test("lower numbers are of higher priority and interrupt what is in service; the slave is between 1 and 3", () => {
    const { pulse, take } = setup();
    for (const irq of [7, 3, 12, 0, 8]) pulse(irq);
    expect(take()).toEqual([0x20]);
    const other = setup();
    other.pulse(7);
    const vectors = [...other.take()];
    for (const irq of [3, 12, 8, 1, 0]) {
      other.pulse(irq);
      vectors.push(...other.take());
    }
    // 8 waits behind 12: the master sees the slave's line in service.
    expect(vectors).toEqual([0x27, 0x23, 0x2c, 0x21, 0x20]);
  });

  test("a masked line does not ask, and does when it is unmasked", () => {
    const { pics, out, set, read, take } = setup();
    out(0x21, 0xff);
    set(4);
    expect([pics.requested, read(0x20), read(0x21)]).toEqual([false, 0x10, 0xff]);
    out(0x21, 0xef);
    expect(take()).toEqual([0x24]);
  });

  test("an edge is latched and asks once; the line must fall before it asks again", () => {
    const { pulse, set, take, out } = setup();
    pulse(5);
    expect(take()).toEqual([0x25]);
    out(0x20, 0x20);
    set(5);
    expect(take()).toEqual([0x25]);
    out(0x20, 0x20);
    expect(take()).toEqual([]);
    set(5, false);
    set(5);
    expect(take()).toEqual([0x25]);
  });

  test("a level asks again after the EOI, and is gone when the line falls", () => {
    const { pics, set, take, out, read } = setup();
    out(0x4d0, 0xff);
    out(0x4d1, 0xff);
    expect([read(0x4d0), read(0x4d1)]).toEqual([0xf8, 0xde]);
    set(5);
    expect(take()).toEqual([0x25]);
    out(0x20, 0x65);
    expect(take()).toEqual([0x25]);
    out(0x20, 0x20);
    set(5, false);
    expect(pics.requested).toBe(false);
    out(0x4d0, 0);
    set(11);
    out(0x4d1, 0);
    set(11, false);
    expect(take()).toEqual([0x2b]);
  });

  test("ICW1 bit 3 makes every line a level", () => {
    const { set, take } = setup({ icw1: 0x19 });
    set(1);
    expect(take()).toEqual([0x21]);
    set(1, false);
    expect(take()).toEqual([]);
  });

  test("a request that vanished is answered with 7, which is not in service", () => {
    const { pics, out, set, isr } = setup();
    set(3);
    out(0x21, 0x08);
    expect([pics.requested, pics.acknowledge(), isr(0x20)]).toEqual([false, 0x27, 0]);
  });

  test("one that vanished on the slave with 15, the master's cascade then being in service", () => {
    const { pics, out, set, isr } = setup();
    out(0x4d1, 0x02);
    set(9);
    const master = pics.master.acknowledge();
    expect(master).toBe(2);
    set(9, false);
    expect(pics.slave.acknowledge()).toBe(7);
    expect([isr(0x20), isr(0xa0)]).toEqual([4, 0]);
    pics.master.ioWrite(0x20, 1, 0x20);
    set(9);
    pics.slave.ioWrite(0xa1, 1, 0x02);
    expect(pics.requested).toBe(true);
    expect(pics.acknowledge()).toBe(0x2f);
  });
});

describe("end of interrupt", () => {
  test("non-specific: the highest in service; specific: the named one", () => {
    const { out, pulse, take, isr } = setup();
    for (const irq of [6, 4, 1]) {
      pulse(irq);
      take();
    }
    expect(isr(0x20)).toBe(0x52);
    out(0x20, 0x20);
    expect(isr(0x20)).toBe(0x50);
    out(0x20, 0x66);
    expect(isr(0x20)).toBe(0x10);
    out(0x20, 0x20, 0x20);
    expect(isr(0x20)).toBe(0);
  });

  test("automatic EOI leaves nothing in service", () => {
    const { pulse, take, isr } = setup({ icw4: 0x03 });
    for (const irq of [6, 4]) pulse(irq);
    expect([take(), isr(0x20)]).toEqual([[0x24, 0x26], 0]);
  });

  test("rotation on non-specific and specific EOI and by command: the served line becomes the lowest", () => {
    const order = (s: ReturnType<typeof setup>) => {
      for (let irq = 0; irq < 8; irq++) if (irq !== 2) s.pulse(irq);
      return [0, 1, 3, 4, 5, 6, 7].map(() => {
        const vector = s.pics.acknowledge();
        s.out(0x20, 0x60 | (vector & 7));
        return vector & 7;
      });
    };
    const a = setup();
    a.pulse(3);
    a.take();
    a.out(0x20, 0xa0);
    expect(order(a)).toEqual([4, 5, 6, 7, 0, 1, 3]);
    const b = setup();
    b.pulse(5);
    b.take();
    b.out(0x20, 0xe5);
    expect(order(b)).toEqual([6, 7, 0, 1, 3, 4, 5]);
    const c = setup();
    c.out(0x20, 0xc0);
    expect(order(c)).toEqual([1, 3, 4, 5, 6, 7, 0]);
  });

  test("rotation on automatic EOI, on and off", () => {
    const s = setup({ icw4: 0x03 });
    s.out(0x20, 0x80);
    const round = () => {
      s.pulse(0);
      s.pulse(1);
      const first = s.pics.acknowledge();
      s.pulse(first & 7);
      return [first, ...s.take()];
    };
    expect(round()).toEqual([0x20, 0x21, 0x20]);
    s.out(0x20, 0x00);
    s.out(0x20, 0xc7);
    expect(round()).toEqual([0x20, 0x20, 0x21]);
  });
});

describe("modes", () => {
  test("special mask: lines that are in service and masked hold nothing back, and no EOI touches them", () => {
    const { out, pulse, take, isr } = setup();
    pulse(1);
    take();
    pulse(5);
    out(0x21, 0x02);
    expect(take()).toEqual([]);
    out(0x20, 0x68);
    expect(take()).toEqual([0x25]);
    out(0x20, 0x20);
    expect(isr(0x20)).toBe(0x02);
    out(0x20, 0x48);
    out(0x20, 0x20);
    expect(isr(0x20)).toBe(0);
  });

  test("special fully nested: the slave may interrupt itself", () => {
    const { pulse, take } = setup({ icw4: 0x11 });
    pulse(12);
    expect(take()).toEqual([0x2c]);
    pulse(8);
    expect(take()).toEqual([0x28]);
  });

  test("poll: the next read acknowledges and tells the line", () => {
    const { out, pulse, read, isr } = setup();
    out(0x20, 0x0c);
    expect(read(0x20)).toBe(0);
    pulse(4);
    out(0x20, 0x0c);
    expect([read(0x20), isr(0x20)]).toEqual([0x84, 0x10]);
    expect(read(0x21)).toBe(0);
  });

  test("initialisation clears masks, service, priorities and latched edges", () => {
    const { out, pulse, take, read, isr, irr, pics } = setup();
    pulse(1);
    take();
    out(0x21, 0x55);
    out(0x20, 0xc3);
    pulse(6);
    out(0x20, 0x11);
    out(0x21, 0x40, 4, 1);
    expect([read(0x21), isr(0x20), irr(0x20), pics.requested]).toEqual([0, 0, 0, false]);
    pulse(0);
    pulse(4);
    expect(take()).toEqual([0x40]);
  });

  test("without ICW4 or as a single chip fewer words follow", () => {
    const { out, read, pulse, take } = setup();
    out(0x20, 0x10);
    out(0x21, 0x47, 4, 0xf0);
    expect(read(0x21)).toBe(0xf0);
    out(0x20, 0x12);
    out(0x21, 0x48, 0x0f);
    expect(read(0x21)).toBe(0x0f);
    out(0x21, 0);
    pulse(9);
    expect(take()).toEqual([0x4a]);
  });
});

test("there is no IRQ 16", () => expect(() => setup().pics.line(16)).toThrow(RangeError));

test("whatever is written, the registers stay bytes, vectors too, and save and restore carry it all", () => {
  const step = fc.record({
    port: fc.constantFrom(0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1),
    byte: fc.nat(255),
    irq: fc.nat(15),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const a = setup();
      for (const { port, byte, irq } of steps) {
        a.out(port, byte);
        a.set(irq, (byte & 1) === 0);
        if (a.pics.requested && (byte & 2) !== 0) expect(a.pics.acknowledge()).toBeLessThan(256);
      }
      const b = setup();
      b.pics.restore(structuredClone(a.pics.save()));
      expect(b.pics.save()).toEqual(a.pics.save());
      expect(b.pics.requested).toBe(a.pics.requested);
      expect(b.pics.acknowledge()).toBe(a.pics.acknowledge());
      for (const port of [0x20, 0x21, 0xa0, 0xa1]) {
        const value = a.read(port);
        expect([value, value >= 0 && value <= 255]).toEqual([b.read(port), true]);
      }
    }),
  );
});
