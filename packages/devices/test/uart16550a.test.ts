import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Uart16550A } from "../src/index.js";
import { FakeClock, FakeLine } from "./fakes.js";

const [DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR] = [0, 1, 2, 3, 4, 5, 6, 7] as const;
const FCR = IIR;
const READY = 0x0b;
const ascii = (text: string) => new TextEncoder().encode(text);

function setup() {
  const irq = new FakeLine();
  const sent: number[] = [];
  const uart = new Uart16550A({ irq, onTransmit: (byte) => sent.push(byte) });
  const read = (register: number) => uart.ioRead(0x3f8 + register, 1);
  const write = (register: number, value: number) => uart.ioWrite(0x3f8 + register, 1, value);
  const drain = () => {
    const bytes: number[] = [];
    while ((read(LSR) & 1) !== 0) bytes.push(read(DATA));
    return String.fromCharCode(...bytes);
  };
  return { uart, irq, sent, read, write, drain };
}

describe("registers", () => {
  test("power-up: transmitter empty, no interrupt pending, modem present", () => {
    const { read } = setup();
    expect([IER, IIR, LCR, MCR, LSR, MSR].map(read)).toEqual([0, 1, 0, 0, 0x60, 0xb0]);
  });

  test("DLAB swaps in the divisor latch", () => {
    const { read, write, sent } = setup();
    write(LCR, 0x83);
    write(DATA, 1);
    write(IER, 2);
    expect([read(DATA), read(IER), read(LCR)]).toEqual([1, 2, 0x83]);
    write(LCR, 3);
    expect([read(IER), sent]).toEqual([0, []]);
  });

  test("the scratch register and IER keep their bits; LSR and MSR are read-only", () => {
    const { read, write } = setup();
    write(SCR, 0xa5);
    write(IER, 0xff);
    write(LSR, 0xff);
    write(MSR, 0xff);
    expect([read(SCR), read(IER), read(LSR), read(MSR)]).toEqual([0xa5, 0x0f, 0x60, 0xb0]);
  });

  test("IIR bits 7:6 say that the FIFOs are on", () => {
    const { read, write } = setup();
    write(FCR, 1);
    expect(read(IIR)).toBe(0xc1);
    write(FCR, 0);
    expect(read(IIR)).toBe(0x01);
  });
});

describe("transmitter", () => {
  test("every byte leaves at once, in order, and the holding register is empty again", () => {
    const { sent, read, write } = setup();
    for (const byte of [72, 105]) write(DATA, byte);
    expect(sent).toEqual([72, 105]);
    expect(read(LSR)).toBe(0x60);
  });

  test("enabling the THRE interrupt raises it; reading IIR as its source clears it; the next byte raises it again", () => {
    const { irq, read, write } = setup();
    write(MCR, READY);
    write(IER, 2);
    expect(irq.level).toBe(true);
    expect(read(IIR)).toBe(0x02);
    expect([irq.level, read(IIR)]).toEqual([false, 0x01]);
    write(DATA, 65);
    expect([irq.level, read(IIR)]).toEqual([true, 0x02]);
  });

  test("a burst is one rising edge", () => {
    const { irq, write } = setup();
    write(MCR, READY);
    write(IER, 2);
    for (let i = 0; i < 16; i++) write(DATA, 65);
    expect(irq.edges).toBe(1);
  });
});

describe("receiver", () => {
  test("without FIFOs one byte shows at a time and the rest waits", () => {
    const { uart, read, drain } = setup();
    uart.receive(ascii("abc"));
    expect(read(LSR) & 1).toBe(1);
    expect(uart.backlog).toBe(3);
    expect(drain()).toBe("abc");
    expect(uart.backlog).toBe(0);
  });

  test.each([
    [0x00, 1],
    [0x40, 4],
    [0x80, 8],
    [0xc0, 14],
  ])("with FCR bits %i the trigger level is %i; below it the time-out is reported", (bits, trigger) => {
    const { uart, read, write } = setup();
    write(FCR, 1 | bits);
    write(IER, 1);
    if (trigger > 1) {
      uart.receive(new Uint8Array(trigger - 1));
      expect(read(IIR)).toBe(0xcc);
    }
    uart.receive(new Uint8Array(1));
    expect(read(IIR)).toBe(trigger > 1 || bits === 0 ? 0xc4 : 0xcc);
  });

  test("the interrupt stays up until the last byte is read", () => {
    const { uart, irq, read, write } = setup();
    write(FCR, 1);
    write(MCR, READY);
    write(IER, 1);
    uart.receive(ascii("xy"));
    read(DATA);
    expect(irq.level).toBe(true);
    read(DATA);
    expect(irq.level).toBe(false);
  });

  test("without MCR.OUT2 no interrupt leaves the chip", () => {
    const { uart, irq, write } = setup();
    write(IER, 1);
    write(MCR, 0x03);
    uart.receive(ascii("x"));
    expect(irq.level).toBe(false);
    write(MCR, READY);
    expect(irq.level).toBe(true);
  });

  test("received data outranks THRE", () => {
    const { uart, read, write } = setup();
    write(IER, 3);
    uart.receive(ascii("x"));
    expect(read(IIR)).toBe(0x04);
    read(DATA);
    expect(read(IIR)).toBe(0x02);
  });

  test("once the guest has written the MCR, input waits for RTS", () => {
    const { uart, write, drain } = setup();
    write(MCR, 0x08);
    uart.receive(ascii("abc"));
    expect(drain()).toBe("");
    write(MCR, 0x0a);
    expect(drain()).toBe("abc");
  });

  test("a receiver reset loses nothing that was typed ahead", () => {
    const { uart, write, drain } = setup();
    const text = "the quick brown fox jumps over the lazy dog";
    uart.receive(ascii(text.slice(0, 10)));
    uart.receive(ascii(text.slice(10)));
    write(FCR, 1);
    write(FCR, 7);
    write(FCR, 0);
    write(FCR, 1);
    expect(drain()).toBe(text);
  });

  test("all input arrives in order, whatever the chunks and however often the FIFO is switched", () => {
    const step = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.constantFrom(0, 1, 3, 7, 0xc1));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), fc.nat(5), (steps, reads) => {
        const { uart, read, write } = setup();
        const expected: number[] = [];
        const got: number[] = [];
        for (const next of steps) {
          if (typeof next === "number") write(FCR, next);
          else {
            expected.push(...next);
            uart.receive(next);
          }
          for (let i = 0; i < reads && (read(LSR) & 1) !== 0; i++) got.push(read(DATA));
        }
        while ((read(LSR) & 1) !== 0) got.push(read(DATA));
        expect(got).toEqual(expected);
      }),
    );
  });
});

describe("loopback", () => {
  test("sent bytes come back and do not leave; host input waits", () => {
    const { uart, sent, write, drain } = setup();
    write(FCR, 1);
    write(MCR, 0x12);
    uart.receive(ascii("host"));
    for (const byte of ascii("loop")) write(DATA, byte);
    expect(drain()).toBe("loop");
    expect(sent).toEqual([]);
    write(MCR, 0x02);
    expect(drain()).toBe("host");
  });

  test.each([
    [0x1a, 0x90],
    [0x11, 0x20],
    [0x14, 0x40],
    [0x10, 0x00],
  ])("MCR %i shows as modem lines %i", (mcr, lines) => {
    const { read, write } = setup();
    write(MCR, mcr);
    expect(read(MSR) & 0xf0).toBe(lines);
  });

  test("changed modem lines set delta bits, which a read clears, and raise the modem interrupt", () => {
    const { read, write } = setup();
    write(IER, 8);
    write(MCR, 0x1a);
    expect(read(IIR)).toBe(0x00);
    expect(read(MSR)).toBe(0x90 | 0x02);
    expect([read(MSR), read(IIR)]).toEqual([0x90, 0x01]);
  });

  test("the ring indicator is reported when it ends, not when it starts", () => {
    const { read, write } = setup();
    write(MCR, 0x10);
    read(MSR);
    write(MCR, 0x14);
    expect(read(MSR)).toBe(0x40);
    write(MCR, 0x10);
    expect(read(MSR)).toBe(0x04);
  });

  test("a full FIFO overruns: the newcomer is lost, LSR says so once, and the line status interrupt is the first", () => {
    const { read, write, drain } = setup();
    write(FCR, 1);
    write(MCR, 0x12);
    write(IER, 5);
    for (const byte of ascii("0123456789abcdefX")) write(DATA, byte);
    expect(read(IIR)).toBe(0xc6);
    expect(read(LSR)).toBe(0x63);
    expect(read(LSR)).toBe(0x61);
    expect(drain()).toBe("0123456789abcdef");
  });

  test("without FIFOs the newcomer overwrites the receive buffer", () => {
    const { read, write, drain } = setup();
    write(MCR, 0x12);
    for (const byte of ascii("ab")) write(DATA, byte);
    expect(read(LSR) & 2).toBe(2);
    expect(drain()).toBe("b");
  });
});

test("save and restore carry registers, FIFO and waiting input, and drive the line", () => {
  const { uart, read, write } = setup();
  write(FCR, 0x81);
  write(MCR, READY);
  write(IER, 1);
  write(SCR, 9);
  uart.receive(ascii("the quick brown"));
  uart.receive(ascii(" fox"));
  read(DATA);
  const copy = setup();
  copy.uart.restore(structuredClone(uart.save()));
  expect(copy.uart.save()).toEqual(uart.save());
  expect(copy.irq.level).toBe(true);
  expect(copy.drain()).toBe("he quick brown fox");
});

describe("backpressure", () => {
  test("a far end that takes nothing leaves 16 bytes in the transmitter, THRE clear and no interrupt; what is written beyond is lost", () => {
    const { uart, irq, sent, read, write } = setup();
    write(FCR, 1);
    write(MCR, READY);
    uart.hold(true);
    write(IER, 2);
    expect([read(LSR) & 0x60, read(IIR) & 15]).toEqual([0x60, 2]);
    for (let byte = 0; byte < 20; byte++) write(DATA, byte);
    expect([sent, read(LSR) & 0x60, read(IIR) & 15, irq.level]).toEqual([[], 0, 1, false]);
    uart.hold(false);
    expect(sent).toEqual(Array.from({ length: 16 }, (_, k) => k));
    expect([read(LSR) & 0x60, irq.level, read(IIR) & 15]).toEqual([0x60, true, 2]);
  });

  test("state is restored with what waits to leave", () => {
    const { uart, write } = setup();
    uart.hold(true);
    write(DATA, 7);
    const other = setup();
    other.uart.restore(uart.save());
    expect(other.sent).toEqual([7]);
  });
});

describe("a paced receiver", () => {
  function paced() {
    const clock = new FakeClock();
    const uart = new Uart16550A({ irq: new FakeLine(), onTransmit: () => undefined, clock, paced: true });
    uart.ioWrite(0x3f8 + FCR, 1, 1);
    /** Empties the FIFO as a driver does, at `ns` a byte. */
    const drain = (ns: number) => {
      let count = 0;
      while ((uart.ioRead(0x3f8 + LSR, 1) & 1) !== 0) {
        clock.passTo(clock.now() + ns);
        uart.ioRead(0x3f8 + DATA, 1);
        count++;
      }
      return count;
    };
    return { clock, uart, drain };
  }

  test("hands over one load of the FIFO, then pauses as long as the guest took for it", () => {
    const { clock, uart, drain } = paced();
    uart.receive(new Uint8Array(40));
    expect(drain(10_000)).toBe(16);
    clock.advanceTo(clock.now() + 159_000);
    expect(drain(10_000)).toBe(0);
    clock.advanceTo(clock.now() + 1000);
    expect(drain(10_000)).toBe(16);
  });

  test("goes on at once when the guest has nothing else to do", () => {
    const { uart, drain } = paced();
    uart.receive(new Uint8Array(40));
    drain(0);
    uart.hurry();
    expect(drain(0)).toBe(16);
    uart.hurry();
    expect(drain(0)).toBe(8);
    expect(uart.backlog).toBe(0);
  });
});

describe("THRE interrupts, with a clock", () => {
  function timed() {
    const clock = new FakeClock();
    const irq = new FakeLine();
    const sent: number[] = [];
    const uart = new Uart16550A({ irq, onTransmit: (byte) => sent.push(byte), clock });
    const read = (register: number) => uart.ioRead(0x3f8 + register, 1);
    const write = (register: number, value: number) => uart.ioWrite(0x3f8 + register, 1, value);
    write(MCR, READY);
    write(FCR, 1);
    return { clock, irq, uart, read, write, sent };
  }
  /** What a driver does in its interrupt: sends `bytes`, then has nothing more. */
  const serve = ({ read, write }: ReturnType<typeof timed>, bytes: number): void => {
    expect(read(IIR) & 0x0f).toBe(2);
    for (let k = 0; k < bytes; k++) write(DATA, k);
  };

  test("the first comes at once, the next 250 us later", () => {
    const t = timed();
    t.write(IER, 2);
    expect(t.irq.level).toBe(true);
    serve(t, 16);
    expect(t.irq.level).toBe(false);
    t.clock.advanceTo(249_999);
    expect(t.irq.level).toBe(false);
    t.clock.advanceTo(250_000);
    expect(t.irq.level).toBe(true);
  });

  test("IIR and LSR tell in between that the transmitter is empty: who looks again goes on sending", () => {
    const t = timed();
    t.write(IER, 2);
    serve(t, 16);
    expect(t.read(LSR) & 0x20).toBe(0x20);
    serve(t, 16);
    expect(t.sent).toHaveLength(32);
    expect(t.irq.edges).toBe(1);
  });

  test("a driver that has turned them off meanwhile is left alone", () => {
    const t = timed();
    t.write(IER, 2);
    serve(t, 16);
    t.write(IER, 0);
    t.clock.advanceTo(1_000_000);
    expect(t.irq.edges).toBe(1);
  });

  test("a guest that has nothing else to do gets it at once", () => {
    const t = timed();
    t.write(IER, 2);
    serve(t, 16);
    t.uart.hurry();
    expect(t.irq.level).toBe(true);
  });

  test("what is received interrupts at once", () => {
    const t = timed();
    t.write(IER, 3);
    serve(t, 16);
    t.uart.receive(ascii("x"));
    expect(t.irq.level).toBe(true);
  });

  test("a restored device keeps the distance", () => {
    const t = timed();
    t.write(IER, 2);
    serve(t, 16);
    const irq = new FakeLine();
    const copy = new Uart16550A({ irq, onTransmit: () => undefined, clock: t.clock });
    copy.restore(t.uart.save());
    expect(irq.level).toBe(false);
    t.clock.advanceTo(250_000);
    expect(irq.level).toBe(true);
  });
});
