import type { MmioSize, PortSize } from "@vm/devices";
import { type Door, Violation } from "../door.js";
import { Random } from "../random.js";
import { Board, CPUS, PCI_DEVICES, PCI_MEMORY, PORT_RANGES, WINDOWS } from "./device-board.js";

const ACTS = 300;
/** So that a turn which is too long tells of an act that is. */
const ACTS_A_TURN = 25;
/** Timers that devices may have set at a time: two APICs, the PIT, two of each UART; one to spare. */
const MOST_TIMERS = 8;
/** What processors may hear while the timers of one moment are served. */
const MOST_AT_ONCE = 64;
/** Bytes that may wait for the guest, so that what grows is not what the host itself has sent. */
const MOST_INPUT = 2000;
const SAVED_BYTES = 2 ** 20;
/** MSRs: IA32_APIC_BASE, IA32_TSC_DEADLINE, the first of x2APIC. */
const [APIC_BASE, TSC_DEADLINE, X2APIC] = [0x1b, 0x6e0, 0x800] as const;

const number = (random: Random): number =>
  random.pick([
    () => random.below(16),
    () => 1 << random.below(31),
    () => random.pick([0, 1, 0x7f, 0x80, 0xff, 0xfff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff]),
    () => random.word(),
  ])() >>> 0;

/** One thing done to a board; what it answers, if it does. */
type Act = (board: Board) => readonly number[];

function portAct(random: Random): Act {
  const [base, count] = random.pick(PORT_RANGES);
  const port = random.chance(95) ? base + random.below(count) : random.below(0x10000);
  const size = random.pick([1, 1, 1, 2, 4] as const) as PortSize;
  const value = number(random) % 2 ** (8 * size);
  if (random.chance(40)) return (board) => [board.portRead(port, size)];
  return (board) => {
    board.ports.write(port, size, value);
    return [];
  };
}

function memoryAct(random: Random): Act {
  const cpu = random.below(CPUS);
  const size = random.pick([1, 2, 4, 4, 4, 4, 8] as const) as MmioSize | 8;
  const [lo, hi] = [number(random) % 2 ** Math.min(32, 8 * size), number(random)];
  const registers = random.below(0x400) & ~3;
  const reading = random.chance(35);
  const [base, bytes] = random.pick(WINDOWS);
  const apic = random.chance(50);
  // The I/O APIC has two registers, and what they select; virtio and the APIC have many.
  const offset = random.chance(80) ? registers % bytes : random.below(bytes);
  const chosen = base + (base === WINDOWS[0]?.[0] && random.chance(70) ? random.pick([0, 0x10]) : offset);
  return (board) => {
    const gpa = apic ? (board.apics[cpu]?.pageBase ?? 0xfee00000) + registers : chosen;
    if (reading) return [board.read(cpu, gpa, size)];
    board.write(cpu, gpa, size, lo, hi);
    return [];
  };
}

/** Registers of configuration space behind which there is more than a byte that is kept. */
const PCI_REGISTERS = [0x04, 0x10, 0x14, 0x40, 0x42, 0x44, 0x60, 0x64, 0x9c, 0xa0, 0xa8] as const;

/** Configuration space, by which devices are moved; and what they decode. */
function pciAct(random: Random): Act {
  const size = random.pick([1, 2, 4, 4] as const) as MmioSize & PortSize;
  const where = PCI_MEMORY + 0x4000 * random.below(4);
  const value = random.pick([number(random), where, where, 0xe000_0001, 2, 6, 0x8000, 0xc000]) >>> 0;
  const reading = random.chance(35);
  if (random.chance(50)) {
    const gpa = where + random.pick([random.below(0x40), 0x1000, 0x3000, random.below(0x4000)]);
    return (board) => {
      if (reading) return [board.read(0, gpa, size)];
      board.write(0, gpa, size, value % 2 ** (8 * size), 0);
      return [];
    };
  }
  const device = random.pick(PCI_DEVICES);
  const register = random.chance(80) ? random.pick(PCI_REGISTERS) : random.below(0x100);
  const port = 0xcfc + (register & 3);
  return (board) => {
    board.ports.write(0xcf8, 4, (0x8000_0000 + device * 0x800 + (register & 0xfc)) >>> 0);
    if (reading) return [board.portRead(port, size)];
    board.ports.write(port, size, value % 2 ** (8 * size));
    return [];
  };
}

function msrAct(random: Random): Act {
  const cpu = random.below(CPUS);
  const msr = random.pick([APIC_BASE, TSC_DEADLINE, X2APIC + random.below(0x40), X2APIC + random.below(0x100)]);
  const [lo, hi] = [number(random), random.chance(70) ? 0 : number(random)];
  // Mostly what keeps the APIC where it is.
  const base = msr === APIC_BASE && random.chance(80) ? (0xfee00000 | random.pick([0x800, 0xc00, 0])) >>> 0 : lo;
  const near = msr === TSC_DEADLINE && random.chance(60);
  const ahead = number(random);
  if (random.chance(30)) return (board) => [board.apics[cpu]?.readMsr(msr) ?? -1];
  return (board) => {
    const ticks = board.clock.now() + (board.tscOffset[cpu] ?? 0) + ahead;
    const [l, h] = near ? [(ticks % 2 ** 32) >>> 0, Math.floor(ticks / 2 ** 32)] : [base, hi];
    return [Number(board.apics[cpu]?.writeMsr(msr, l, h) ?? false)];
  };
}

/** Time passes: little, much, or to the next timer. */
function timeAct(random: Random): Act {
  const ns = random.pick([1, 2, 100, 840, 1e4, 1e6, 1e9, 1e12]) * (1 + random.below(4));
  const toNext = random.chance(50);
  return (board) => {
    const { clock } = board;
    const { next } = clock;
    if (toNext && next !== Number.POSITIVE_INFINITY) clock.skipTo(next);
    else clock.advance(ns);
    const before = total(board);
    clock.fire();
    if (total(board) - before > MOST_AT_ONCE)
      throw new Violation("storm", `${total(board) - before} signals while the timers of one moment were served`);
    if (clock.timers > MOST_TIMERS) throw new Violation("timers", `${clock.timers} are set`);
    return [clock.next];
  };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const total = ({ heard }: Board): number => Object.values(heard).reduce((sum, n) => sum + n, 0);

/** What the world around does: takes interrupts, sends input, takes no output, moves the TSC. */
function otherAct(random: Random): Act {
  const cpu = random.below(CPUS);
  const which = random.below(2);
  const bytes = Uint8Array.from(random.bytes(random.below(40)));
  const [held, offset] = [random.chance(50), random.below(2 ** 31)];
  return random.pick<Act>([
    (board) => [board.apics[cpu]?.hasInterrupt() ? board.apics[cpu].acknowledge() : -1],
    (board) => [board.apics[cpu]?.hasInterrupt() ? board.apics[cpu].acknowledge() : -1],
    (board) => {
      const uart = board.uarts[which];
      if (uart !== undefined && uart.backlog < MOST_INPUT) uart.receive(bytes);
      return [uart?.backlog ?? 0];
    },
    (board) => {
      board.hold(which, held);
      return [];
    },
    (board) => {
      board.uarts[which]?.hurry();
      return [];
    },
    (board) => {
      board.tscOffset[cpu] = offset;
      board.apics[cpu]?.tscChanged();
      return [];
    },
    (board) => [Number(board.host.turn())],
  ]);
}

function act(random: Random): Act {
  const kind = random.below(100);
  if (kind < 35) return portAct(random);
  if (kind < 50) return memoryAct(random);
  if (kind < 62) return pciAct(random);
  if (kind < 70) return msrAct(random);
  return kind < 85 ? timeAct(random) : otherAct(random);
}

/** A board at the same time in the state that `board` saves; throws unless it saves the same again. */
function copyOf(board: Board): Board {
  const state = board.save();
  const copy = new Board();
  copy.clock.skipTo(board.clock.now());
  copy.host.bytes.set(board.host.bytes);
  board.held.forEach((held, which) => {
    copy.hold(which, held);
  });
  copy.restore(structuredClone(state));
  const [before, after] = [text(state), text(copy.save())];
  if (before.length > SAVED_BYTES) throw new Violation("size", `${before.length} bytes are saved`);
  if (before !== after) throw new Violation("saved state", firstDifference(before, after));
  return copy;
}

const text = (state: unknown): string =>
  JSON.stringify(state, (_, value: unknown) =>
    value instanceof Uint8Array
      ? Buffer.from(value).toString("base64")
      : value === Number.POSITIVE_INFINITY
        ? "Infinity"
        : value,
  );

function firstDifference(a: string, b: string): string {
  let at = 0;
  while (a[at] === b[at]) at++;
  return `${a.slice(Math.max(0, at - 80), at + 40)} came back as ${b.slice(Math.max(0, at - 80), at + 40)}`;
}

/** Registers of all devices on the board: any access of any size, while time passes and the state is saved and restored. */
export const devices: Door = {
  name: "devices",
  summary: "ports, device memory and MSRs of every device on the board, any access of any size, while time passes",
  check: async (seed) => {
    const random = new Random(seed);
    const restoredAt = random.below(ACTS);
    let boards = [new Board()];
    let answers = 0;
    for (let k = 0; k < ACTS; k++) {
      if (k % ACTS_A_TURN === 0) await turn();
      if (k === restoredAt) boards = [boards[0] as Board, copyOf(boards[0] as Board)];
      const doIt = act(random);
      const [first, ...others] = boards.map(doIt) as [readonly number[], ...(readonly number[])[]];
      answers += first.length;
      for (const value of first)
        if (Number.isNaN(value) || value < -1) throw new Violation("answer", `${value} is none`);
      for (const other of others)
        if (other.join() !== first.join())
          throw new Violation("restored board", `act ${k} gives ${other.join()} instead of ${first.join()}`);
    }
    const [original, restored] = boards.map((board) => text(board.save()));
    if (restored !== undefined && original !== restored)
      throw new Violation("restored board", firstDifference(original as string, restored));
    return { sums: { accesses: ACTS, answers } };
  },
};
