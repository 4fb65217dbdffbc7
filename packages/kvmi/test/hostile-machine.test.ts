import { describe, expect, it } from "vitest";
import { errorCode, eventArch, handshakeFromVm, header, MAX_PAYLOAD } from "../src/codec/wire.js";
import {
  DIALECTS,
  DialectIndex,
  type DialectName,
  DisconnectedError,
  KvmiClient,
  ProtocolError,
  type Transport,
  transportPair,
} from "../src/index.js";
import { bytes, le, settled } from "./raw-tool.js";

const zeros = (n: number): Uint8Array => new Uint8Array(n);
const greeting = handshakeFromVm.encode({ struct_size: 96, uuid: zeros(16), start_time: 0n, name: zeros(64) });

/** A machine that sends whatever bytes it is told to. */
class Machine {
  readonly index: DialectIndex;
  readonly near: Transport;
  closed = false;
  #received = zeros(0);

  constructor(
    readonly transport: Transport,
    near: Transport,
    dialect: DialectName,
  ) {
    this.index = new DialectIndex(DIALECTS[dialect]);
    this.near = near;
    transport.start({
      data: (more) => {
        this.#received = bytes(this.#received, more);
      },
      drained: () => undefined,
      closed: () => {
        this.closed = true;
      },
    });
  }

  static async met(dialect: DialectName = "libkvmi"): Promise<{ machine: Machine; client: KvmiClient }> {
    const [near, far] = transportPair();
    const machine = new Machine(far, near, dialect);
    far.write(greeting);
    return { machine, client: await KvmiClient.accept(near, { dialect: DIALECTS[dialect] }) };
  }

  send(id: number, seq: number, payload: Uint8Array): void {
    this.transport.write(bytes(header.encode({ id, size: payload.length, seq }), payload));
  }

  /** Answers the last command with its own id and number. */
  async answer(payload: Uint8Array, { id = 0, seq = 0 } = {}): Promise<void> {
    await settled();
    const commands = this.#received.subarray(24);
    const { id: asked, seq: number } = header.decode(commands);
    this.send(asked + id, number + seq, payload);
  }
}

const data = (size: number): Uint8Array => bytes(errorCode.encode({ err: 0 }), zeros(size));

/** An event of the machine whose own part has `size` bytes. */
function event(dialect: DialectName, id: number, size: number, common = 8 + eventArch.size): Uint8Array {
  const body = bytes(le(2, common), le(2, 0), dialect === "libkvmi" ? [id] : [0], zeros(eventArch.size + 3 + size));
  return dialect === "libkvmi" ? body : bytes(le(2, id), zeros(6), body);
}

const all = Object.keys(DIALECTS) as DialectName[];

describe.each(all)("a machine that does not keep to the protocol (%s)", (dialect) => {
  const wrongEvents: [string, (machine: Machine) => [number, Uint8Array]][] = [
    ["an event nobody knows", () => [1, event(dialect, 200, 0)]],
    ["an event without its state", () => [1, event(dialect, 0, 0).subarray(0, 100)]],
    ["an event of no bytes", () => [1, zeros(0)]],
    ["an event without its own part", (m) => [1, event(dialect, m.index.eventNamed("cr")?.id ?? 0, 23)]],
    [
      "a common part that ends beyond the message",
      (m) => [1, event(dialect, m.index.eventNamed("cr")?.id ?? 0, 24, 0xffff)],
    ],
    ["a common part that ends before the state", (m) => [1, event(dialect, m.index.eventNamed("cr")?.id ?? 0, 24, 8)]],
    ["an answer nobody waits for", () => [2, data(0)]],
    ["noise", () => [0x7777, zeros(100)]],
  ];
  it.each(wrongEvents)("%s is a ProtocolError for whoever reads events, and ends the connection", async (_, make) => {
    const { machine, client } = await Machine.met(dialect);
    machine.send(make(machine)[0], 9, make(machine)[1]);
    await expect(client.events.next()).rejects.toBeInstanceOf(ProtocolError);
    expect((await client.events.next()).done).toBe(true);
    await client.closed;
    await settled();
    expect(machine.closed).toBe(true);
    await expect(client.vcpuCount()).rejects.toBeInstanceOf(DisconnectedError);
  });

  const wrongAnswers: [string, Uint8Array, object?][] = [
    ["too short for an error code", zeros(4)],
    ["too short for what was asked", data(15)],
    ["with an error that is none", errorCode.encode({ err: 3 })],
    ["to another command", data(16), { id: 100 }],
    ["to another number", data(16), { seq: 1 }],
  ];
  it.each(wrongAnswers)("an answer %s is a ProtocolError for whoever asked", async (_, payload, change = {}) => {
    const { machine, client } = await Machine.met(dialect);
    const asked = client.vcpuCount();
    await machine.answer(payload, change);
    await expect(asked).rejects.toBeInstanceOf(ProtocolError);
    await client.closed;
  });

  it.each([0, 7, 9, 4096])("memory of another size than asked for is one: %i bytes for 8", async (size) => {
    const { machine, client } = await Machine.met(dialect);
    const asked = client.readPhysical(0, 8);
    await machine.answer(data(size));
    await expect(asked).rejects.toBeInstanceOf(ProtocolError);
  });

  it("more vCPUs than there are numbers for are one", async () => {
    const { machine, client } = await Machine.met(dialect);
    const asked = client.vcpuCount();
    await machine.answer(bytes(errorCode.encode({ err: 0 }), le(4, 0x10001), zeros(12)));
    await expect(asked).rejects.toBeInstanceOf(ProtocolError);
  });

  it("registers with more MSRs than there are bytes are one", async () => {
    const { machine, client } = await Machine.met(dialect);
    const asked = client.registers(0, [1]);
    await machine.answer(data(472 + 16).with(8 + 464, 200));
    await expect(asked).rejects.toBeInstanceOf(ProtocolError);
  });

  it("a message larger than there can be is one", async () => {
    const { machine, client } = await Machine.met(dialect);
    machine.transport.write(header.encode({ id: 1, size: MAX_PAYLOAD + 1, seq: 0 }));
    await expect(client.events.next()).rejects.toThrow(`a message of ${MAX_PAYLOAD + 1} bytes`);
  });
});

it("an event of the machine itself has a state of zeros, and one of a vCPU is none of the machine", async () => {
  const { machine, client } = await Machine.met("v12");
  const { vmEventId } = machine.index.dialect.rules;
  machine.send(vmEventId ?? 0, 1, bytes(le(2, 0), zeros(6)));
  const { value } = await client.events.next();
  expect([value?.name, value?.state.regs.rip, value?.state.sregs.cr3]).toEqual(["unhook", 0n, 0n]);
  machine.send(vmEventId ?? 0, 2, bytes(le(2, 7), zeros(100)));
  await expect(client.events.next()).rejects.toThrow("event cr as a message of the machine");
});

it.each([0, 3, 31, 48 << 20, 0xffffffff])("a handshake of %i bytes is refused as soon as it says so", async (size) => {
  const [near, far] = transportPair();
  far.start({ data: () => undefined, drained: () => undefined, closed: () => undefined });
  far.write(le(4, size));
  await expect(KvmiClient.accept(near)).rejects.toThrow(`a handshake of ${size} bytes`);
});

it("a handshake of up to 64 KiB is taken, in pieces of any size, with what comes behind it", async () => {
  const [near, far] = transportPair();
  const machine = new Machine(far, near, "libkvmi");
  const long = bytes(le(4, 0x10000), greeting.subarray(4), zeros(0x10000 - 96));
  for (let at = 0; at < 200; at++) far.write(long.slice(at, at + 1));
  far.write(long.slice(200));
  machine.send(1, 1, event("libkvmi", 10, 0));
  const client = await KvmiClient.accept(near);
  expect((await client.events.next()).value?.name).toBe("pause");
});

it("a machine that never says who it is, is left", async () => {
  const [near, far] = transportPair();
  let closed = false;
  far.start({ data: () => undefined, drained: () => undefined, closed: () => (closed = true) });
  far.write(greeting.slice(0, 95));
  await expect(KvmiClient.accept(near, { handshakeMs: 1 })).rejects.toThrow("no handshake within 1 ms");
  await settled();
  expect(closed).toBe(true);
});

it("a machine that sends events without end is left before they fill the memory", async () => {
  const { machine, client } = await Machine.met();
  for (let k = 0; k < 5000; k++) machine.send(1, k, event("libkvmi", 10, 0));
  await client.closed;
  let read = 0;
  const reading = (async () => {
    for await (const { name } of client.events) read += name === "pause" ? 1 : 0;
  })();
  await expect(reading).rejects.toThrow("more than 4096 events that nobody has read");
  expect(read).toBe(4096);
});
