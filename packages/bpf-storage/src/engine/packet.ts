import { type Expr, type FunctionBuilder, i32, i64 } from "@vm/wasm";

/**
 * Packets as LD_ABS and LD_IND find them: r6 points to a `struct __sk_buff` (linux/bpf.h), behind which the runtime keeps what that struct does not tell.
 * Offsets in bytes; u32 each, places in memory.
 */
export const PacketContext = {
  /** First byte of the packet, and the one after the last: fields of the struct itself. */
  data: 76,
  dataEnd: 80,
  /** Behind the struct: where the headers of the network and of the link begin. */
  network: 192,
  mac: 196,
} as const;

/** Distances from which on negative offsets count from the header of the network, or of the link (linux/filter.h, `SKF_NET_OFF` and `SKF_LL_OFF`). */
export const NET_OFF = -0x100000;
export const LL_OFF = -0x200000;

type I32 = Expr<"i32">;
type I64 = Expr<"i64">;

/**
 * Writes the load of so many bytes (1, 2 or 4), most significant first, at an offset of a packet; gives -1 if they are not in it (net/core/filter.c,
 * bpf_skb_load_helper_8 and its kin). Parameters of `f`: context i64, offset i32, bytes i32; more are the caller's.
 * @param place where an access of so many bytes at a place goes
 */
export function writePacketLoad(f: FunctionBuilder, place: (at: I32, size: I32) => I32): void {
  const [offset, size] = [f.param<"i32">(1), f.param<"i32">(2)];
  const [context, data, at, k] = [f.local("i32"), f.local("i32"), f.local("i32"), f.local("i32")];
  const value = f.local("i64");
  const none = (): void => f.return(i64.const(-1));
  f.set(context, place(i32.wrap_i64(f.param<"i64">(0)), i32.const(PacketContext.mac + 4)));
  f.set(data, i32.load(context, PacketContext.data));
  const from = (header: number, base: number): void =>
    f.set(at, i32.add(i32.sub(offset, i32.const(base)), i32.sub(i32.load(context, header), data)));
  f.set(at, offset);
  f.if(i32.lt_s(offset, i32.const(0)), () =>
    f.if(
      i32.ge_s(offset, i32.const(NET_OFF)),
      () => from(PacketContext.network, NET_OFF),
      () => {
        f.if(i32.lt_s(offset, i32.const(LL_OFF)), none);
        from(PacketContext.mac, LL_OFF);
      },
    ),
  );
  const length = i32.sub(i32.load(context, PacketContext.dataEnd), data);
  // The distance may be negative, but no sum here leaves 32 bits with its sign: packets are small.
  f.if(i32.lt_s(i32.sub(length, at), size), none);
  f.set(at, place(i32.add(data, at), size));
  f.loop((again) => {
    f.set(value, i64.or(i64.shl(value, i64.const(8)), i64.load8_u(i32.add(at, k))));
    f.set(k, i32.add(k, i32.const(1)));
    f.brIf(i32.lt_u(k, size), again);
  });
  f.value(value);
}

/** The offset that an instruction names: the immediate, and of LD_IND the lower half of the source register with it. */
export const packetOffset = (indirect: boolean, immediate: I32, source: () => I32): I32 =>
  indirect ? i32.add(source(), immediate) : immediate;

/** What ends the function that loads: the value is negative, which no packet's is. */
export const isMissing = (value: I64): I32 => i64.lt_s(value, i64.const(0));
