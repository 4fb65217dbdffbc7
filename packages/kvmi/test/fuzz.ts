import { header, MAX_PAYLOAD } from "../src/codec/wire.js";
import { commandsOf, DIALECTS, type DialectName, KvmiServer, transportPair } from "../src/index.js";
import { FakeVm } from "./fakes.js";
import { happen } from "./happen.js";
import { bytes, IDENTITY, le, settled } from "./raw-tool.js";

/** Numbers that repeat: mulberry32. */
export function random(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

const INTERESTING = [0, 1, 2, 3, 4, 7, 8, 255, 4095, 4096, 4097, 0x3fff, 0x4000, 0xffff, 0xffffffff];

/** One message that means something to the dialect, or nearly; sometimes noise. */
function message(dialect: DialectName, next: (below: number) => number, seq: number): Uint8Array {
  const { rules } = DIALECTS[dialect];
  const commands = commandsOf(DIALECTS[dialect]);
  const kind = next(20);
  if (kind === 0) return Uint8Array.from({ length: next(64) }, () => next(256));
  const spec = commands[next(commands.length)];
  const id = kind === 1 ? next(0x10000) : kind === 2 || spec === undefined ? rules.eventReplyId : spec.id;
  const wanted = kind === 2 ? 16 : (spec?.vcpuHeader ? 8 : 0) + (spec?.request.size ?? 0);
  const size = next(4) === 0 ? next(kind === 3 ? MAX_PAYLOAD + 8 : 600) : wanted + 16 * next(3);
  const payload = new Uint8Array(size);
  const view = new DataView(payload.buffer);
  // Mostly well-formed: one or two fields of some width with a telling value.
  for (let k = next(5); k > 0 && size >= 8; k--) {
    const at = next(size - 7);
    view.setUint32(at & ~3, INTERESTING[next(INTERESTING.length)] as number, true);
    if (next(2) === 0) view.setUint32(at & ~3, next(256), true);
  }
  if (next(8) !== 0 && spec?.vcpuHeader && size >= 8) payload.set(le(8, next(3)), 0);
  return bytes(header.encode({ id, size, seq: next(10) === 0 ? next(100) : seq }), payload);
}

/** What went wrong, or "". */
function left(vm: FakeVm): string {
  for (const vcpu of vm.vcpus) {
    if (vcpu.held) return "a vCPU is held";
    if (vcpu.events !== null) return "a vCPU is still watched";
    const rest = vcpu.crs.size + vcpu.watched.size + vcpu.controlledMsrs.size + (vcpu.stepping ? 1 : 0) + vcpu.view;
    if (rest > 0) return "something is still intercepted";
  }
  return vm.access.size + vm.allocated.size + vm.remapped.size === 0 ? "" : "memory is still restricted";
}

/**
 * Sends `count` messages, over as many connections as it takes, in pieces of any size, with events in between, and kills each
 * connection at a random byte. @throws if a connection leaves something behind
 */
export async function fuzz(
  dialect: DialectName,
  seed: number,
  count: number,
): Promise<{ connections: number; replies: number }> {
  const next = random(seed);
  const vm = new FakeVm(2);
  // VM_CONTROL_CLEANUP is there to leave things behind.
  const commands = commandsOf(DIALECTS[dialect])
    .map(({ name }) => name)
    .filter((name) => name !== "controlCleanup");
  const server = new KvmiServer({ vm, identity: IDENTITY, dialect: DIALECTS[dialect], commands });
  let sent = 0;
  let connections = 0;
  let replies = 0;
  while (sent < count) {
    const [near, far] = transportPair();
    let open = true;
    near.start({ data: () => void replies++, drained: () => undefined, closed: () => (open = false) });
    const served = server.hook(far);
    connections++;
    near.write(bytes(le(4, 24), new Uint8Array(20)));
    for (let k = next(400); k > 0 && open; k--) {
      const batch = bytes(...Array.from({ length: 1 + next(4) }, () => message(dialect, next, sent++)));
      const cut = next(40) === 0 ? next(batch.length + 1) : batch.length;
      if (next(3) === 0)
        for (let at = 0, size = 1; at < cut; at += size, size = 1 + next(7))
          near.write(batch.slice(at, Math.min(at + size, cut)));
      else near.write(batch.slice(0, cut));
      // A tool that has sent much waits for its turn.
      await (next(8) === 0 ? settled() : Promise.resolve());
      for (const vcpu of vm.vcpus) {
        vcpu.initialized = next(50) !== 0;
        if (vcpu.busy) vcpu.arrive();
        else if (!vcpu.held) vcpu.busy = next(4) === 0;
      }
      happen(vm, next);
      if (cut < batch.length) break;
    }
    near.close();
    const gone = served.then(() => true);
    // What it had sent before is still carried out, by vCPUs that get on with their work.
    while ((await Promise.race([gone, settled().then(() => false)])) === false)
      for (const vcpu of vm.vcpus) if (vcpu.busy) vcpu.arrive();
    for (const vcpu of vm.vcpus) vcpu.busy = vcpu.kicked = false;
    const wrong = left(vm);
    if (wrong !== "") throw new Error(`${dialect}, seed ${seed}, behind message ${sent}: ${wrong}`);
  }
  return { connections, replies };
}
