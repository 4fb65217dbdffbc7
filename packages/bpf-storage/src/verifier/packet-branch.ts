import { JmpOp } from "../isa/opcodes.js";
import { toNumberU } from "./int64.js";
import { AT_PACKET_END, BEYOND_PACKET_END, type Reg } from "./reg.js";
import { isZero } from "./scalar.js";
import type { State } from "./state.js";

/** What comparing a packet pointer to the packet's end (or meta data to the packet) says. */

/** Greatest offset into a packet that is followed. */
const MAX_PACKET_OFF = 0xffff;

const FLIPPED: Readonly<Record<number, number>> = {
  [JmpOp.Jeq]: JmpOp.Jeq,
  [JmpOp.Jne]: JmpOp.Jne,
  [JmpOp.Jset]: JmpOp.Jset,
  [JmpOp.Jgt]: JmpOp.Jlt,
  [JmpOp.Jge]: JmpOp.Jle,
  [JmpOp.Jlt]: JmpOp.Jgt,
  [JmpOp.Jle]: JmpOp.Jge,
  [JmpOp.Jsgt]: JmpOp.Jslt,
  [JmpOp.Jsge]: JmpOp.Jsle,
  [JmpOp.Jslt]: JmpOp.Jsgt,
  [JmpOp.Jsle]: JmpOp.Jsge,
};

/** The comparison with its operands exchanged. */
export const flipOp = (op: number): number => FLIPPED[op] ?? op;

/** Whether a comparison of a packet pointer with the end is known from an earlier one. */
export const packetBranchTaken = (dst: Reg, src: Reg, op: number): boolean | undefined => {
  const [packet, order] =
    src.kind === "pkt_end" ? [dst, op] : dst.kind === "pkt_end" ? [src, flipOp(op)] : [undefined, op];
  if (packet === undefined || packet.size >= 0) return undefined;
  if ((order === JmpOp.Jle || order === JmpOp.Jgt) && packet.size === BEYOND_PACKET_END) return order === JmpOp.Jgt;
  if (order === JmpOp.Jlt || order === JmpOp.Jge) return order === JmpOp.Jge;
  return undefined;
};

/** All pointers with the same variable part get the range that this one was found to have. */
const learnRange = (state: State, packet: Reg, open: boolean): void => {
  if (packet.off < 0 || (packet.off === 0 && open)) return;
  const most = toNumberU(packet.v.umax);
  if (most > MAX_PACKET_OFF || most + packet.off > MAX_PACKET_OFF) return;
  const range = packet.off + (open ? 1 : 0);
  state.replace((reg) =>
    reg.kind === packet.kind && reg.id === packet.id && reg.size < range ? reg.with({ size: range }) : undefined,
  );
};

/** Notes how the pointer in a register compares to the end. */
const markEnd = (state: State, index: number, beyond: boolean): void => {
  const reg = state.frame.regs[index] as Reg;
  if (reg.kind !== "pkt") return;
  state.frame.regs[index] = reg.with({ size: beyond ? BEYOND_PACKET_END : AT_PACKET_END });
};

const isStart = (reg: Reg, kind: "pkt"): boolean => reg.kind === kind && reg.off === 0 && isZero(reg.v);

/** Learns from a comparison of packet pointers for both outcomes; false where it is none of that kind. */
export const learnPacket = (
  op: number,
  dst: Reg,
  src: Reg,
  dstIndex: number,
  srcIndex: number,
  stays: State,
  jumps: State,
): boolean => {
  const forward = (dst.kind === "pkt" && src.kind === "pkt_end") || (dst.kind === "pkt_meta" && isStart(src, "pkt"));
  const backward = (dst.kind === "pkt_end" && src.kind === "pkt") || (isStart(dst, "pkt") && src.kind === "pkt_meta");
  if (!forward && !backward) return false;
  const order = forward ? op : flipOp(op);
  const [packet, index] = forward ? [dst, dstIndex] : [src, srcIndex];
  switch (order) {
    case JmpOp.Jgt:
      // packet > end: where it is not, the packet reaches up to the pointer.
      learnRange(stays, packet, false);
      markEnd(jumps, index, true);
      return true;
    case JmpOp.Jlt:
      learnRange(jumps, packet, true);
      markEnd(stays, index, false);
      return true;
    case JmpOp.Jge:
      learnRange(stays, packet, true);
      markEnd(jumps, index, false);
      return true;
    case JmpOp.Jle:
      learnRange(jumps, packet, false);
      markEnd(stays, index, true);
      return true;
    default:
      return false;
  }
};
