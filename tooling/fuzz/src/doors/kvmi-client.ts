import {
  DIALECTS,
  type Dialect,
  DisconnectedError,
  handshakeFromVm,
  KvmiClient,
  KvmiError,
  KvmiServer,
  type Transport,
  transportPair,
} from "@vm/kvmi";
import { FakeVm } from "../../../../packages/kvmi/test/fakes.js";
import { happen } from "../../../../packages/kvmi/test/happen.js";
import type { Door } from "../door.js";
import { tampered } from "../kvmi/tampered.js";
import { Random } from "../random.js";
import { inTime, turn } from "../turn.js";

const EVENTS = ["cr", "msr", "breakpoint", "hypercall", "pf", "descriptor", "cpuid"] as const;
const FLOOD = 6000;

/** Machines that do not keep to the protocol, against the client. */
export const kvmiClient: Door = {
  name: "kvmi-client",
  summary: "what a machine says to an introspection tool, changed on the way or made up",
  check: async (seed) => {
    const random = new Random(seed);
    const dialect: Dialect = random.pick(Object.values(DIALECTS));
    const vm = new FakeVm(2);
    const kind = random.pick(["tampered", "tampered", "tampered", "noise", "flood"] as const);
    const transport = kind === "tampered" ? honest(vm, dialect, random) : liar(random, kind === "flood");
    const settled: Promise<string>[] = [];
    const outcomes = new Set<string>();
    const watch = (work: Promise<unknown>): void => void settled.push(work.then(() => "answered", outcomeOf));
    const accepted = KvmiClient.accept(transport, { dialect, handshakeMs: 50 });
    const client = await inTime("a handshake", accepted).catch((error: unknown) => outcomeOf(error));
    if (typeof client === "string") return { kinds: { machine: kind, outcome: `handshake ${client}` } };
    watch(read(client, random));
    for (let k = random.below(60); k > 0; k--) {
      watch(act(client, random));
      if (random.chance(40)) await turn();
      happen(vm, (below) => random.below(below));
    }
    client.close();
    for (const each of settled) outcomes.add(await inTime("the end of what was asked", each));
    return { kinds: { machine: kind, outcome: [...outcomes].sort().join("+") } };
  },
};

/** How a promise of the client's may fail; anything else is thrown. */
function outcomeOf(error: unknown): string {
  if (error instanceof KvmiError || error instanceof DisconnectedError) return error.name;
  throw error;
}

/** A machine that keeps to the protocol, behind somebody who does not. */
function honest(vm: FakeVm, dialect: Dialect, random: Random): Transport {
  const [near, far] = transportPair();
  const identity = { uuid: new Uint8Array(16), name: "fuzzed", startTime: 0 };
  void new KvmiServer({ vm, identity, dialect }).hook(far);
  return tampered(near, random, random.pick([0, 2, 10, 50]));
}

/** Noise behind a handshake, or events nobody asked for. */
function liar(random: Random, flood: boolean): Transport {
  const [near, far] = transportPair();
  far.start({ data: () => undefined, drained: () => undefined, closed: () => undefined });
  const size = flood || random.chance(50) ? handshakeFromVm.size : random.pick([0, 1, 48 << 20, 0xffffffff, 200]);
  const nothing = { uuid: new Uint8Array(16), start_time: 0n, name: new Uint8Array(64) };
  far.write(handshakeFromVm.encode({ struct_size: size, ...nothing }));
  if (!flood) for (let k = random.below(200); k > 0; k--) far.write(Uint8Array.from(random.bytes(random.below(100))));
  else {
    // The longest message there is, many times over: an event in one dialect, nothing in the others.
    const message = new Uint8Array(8192);
    new DataView(message.buffer).setUint32(0, 1 | (8184 << 16), true);
    new DataView(message.buffer).setUint16(8, 800, true);
    for (let k = 0; k < FLOOD; k++) far.write(message);
  }
  return near;
}

/** Reads events, and answers most. */
async function read(client: KvmiClient, random: Random): Promise<void> {
  for await (const event of client.events) {
    const { regs } = event.state;
    if (random.chance(10)) await client.setRegisters(event.vcpu, regs);
    if (random.chance(95)) event.reply({ newValue: 1n, context: { address: regs.rip, data: new Uint8Array(9) } });
  }
}

function act(client: KvmiClient, random: Random): Promise<unknown> {
  const vcpu = random.below(2);
  const acts: readonly (() => Promise<unknown>)[] = [
    () => client.vcpuCount(),
    () => client.readPhysical(random.below(0x5000), 1 + random.below(64)),
    () => client.registers(vcpu, random.chance(50) ? [0x174] : []),
    () => client.translate(vcpu, BigInt(random.below(0x20000))),
    () => client.controlEvent(vcpu, random.pick(EVENTS), random.chance(80)),
    () => client.controlCr(vcpu, 3, true),
    () => client.setPageAccess(new Map([[0x1000, random.below(8)]])),
    () => client.pause(vcpu),
    () => client.ask("getVersion", {}),
  ];
  return random.pick(acts)();
}
