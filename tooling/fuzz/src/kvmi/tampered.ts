import { handshakeFromVm, header, MAX_PAYLOAD, type Transport, transportPair } from "@vm/kvmi";
import { concat } from "../bytes.js";
import type { Random } from "../random.js";

/** Payload bytes of the longest noise. */
const NOISE = 700;

/**
 * The tool's end of a connection to a machine at `far`'s other end, with what the machine says changed on the way: messages that are lost, come twice, are
 * cut, renumbered or made up, and any byte another one.
 * @param percent how often a message is changed
 */
export function tampered(machine: Transport, random: Random, percent: number): Transport {
  const [near, far] = transportPair();
  let unread = new Uint8Array(0);
  let greeted = false;
  machine.start({
    data: (more) => {
      unread = concat([unread, more]);
      for (;;) {
        const length = greeted ? messageLength(unread) : handshakeFromVm.size;
        if (length === null || unread.length < length) return;
        const message = unread.slice(0, length);
        unread = unread.slice(length);
        const changed = random.chance(greeted ? percent : percent / 4);
        for (const part of changed ? change(message, random) : [message]) far.write(part);
        greeted = true;
      }
    },
    drained: () => undefined,
    closed: () => far.close(),
  });
  far.start({
    data: (bytes) => machine.write(bytes.slice()),
    drained: () => undefined,
    closed: () => machine.close(),
  });
  return near;
}

/** Bytes of the message that begins there; null: not known yet. */
function messageLength(bytes: Uint8Array): number | null {
  return bytes.length < header.size ? null : header.size + header.decode(bytes).size;
}

function change(message: Uint8Array, random: Random): readonly Uint8Array[] {
  const view = new DataView(message.buffer);
  switch (random.below(9)) {
    case 0:
      return [];
    case 1:
      return [message, message.slice()];
    case 2:
      return [message.slice(0, random.below(message.length))];
    case 3:
      view.setUint16(0, random.pick([0, 1, 2, 3, 5, 9, 12, random.below(0x10000)]), true);
      return [message];
    case 4:
      view.setUint16(2, random.pick([0, 4, 8, 16, MAX_PAYLOAD, 0xffff, random.below(600)]), true);
      return [message];
    case 5:
      view.setUint32(4, random.pick([0, 1, 0xffffffff, random.below(200)]), true);
      return [message];
    case 6: {
      // Shorter than it should be, and it says so.
      const kept = message.slice(0, header.size + random.below(message.length - header.size + 1));
      new DataView(kept.buffer).setUint16(2, kept.length - header.size, true);
      return [kept];
    }
    case 7: {
      const payload = Uint8Array.from(random.bytes(random.below(NOISE)));
      const id = random.pick([0, 1, 3, 9]);
      return [message, concat([header.encode({ id, size: payload.length, seq: random.below(50) }), payload])];
    }
    default:
      for (let k = 1 + random.below(4); k > 0; k--) message[random.below(message.length)] = random.word() & 0xff;
      return [message];
  }
}
