import type { BtfMember, VerifierBtf } from "./btf-port.js";
import { sizeOfType } from "./btf-size.js";
import type { Env } from "./env.js";
import type { Reg } from "./reg.js";

/** Programs that are members of a structure of functions, which a part of the kernel calls: congestion control, and the kernel's own test. */

const TCP = "tcp_congestion_ops";
const DUMMY = "bpf_dummy_ops";

/** Members that no program can be (linux 6.12, net/ipv4/bpf_tcp_ca.c: those without a stub). */
const UNSUPPORTED: Readonly<Record<string, readonly string[]>> = { [TCP]: ["get_info"], [DUMMY]: [] };

/** Refuses programs that are members of no structure that is known here. */
export const checkStructOps = (env: Env): void => {
  const { attachTo, gpl, sleepable } = env.request;
  if (gpl === false) env.fail("EINVAL", "struct ops programs must have a GPL compatible license");
  if (attachTo === undefined) env.fail("ENOTSUPP", "struct_ops programs are members of a structure of functions");
  const struct = attachTo.struct ?? "";
  const unsupported = UNSUPPORTED[struct];
  if (unsupported === undefined)
    env.fail("ENOTSUPP", `struct_ops programs for struct ${struct} are not supported by this verifier`);
  const refuse = (code: "ENOTSUPP" | "EINVAL"): never =>
    env.fail(code, `attach to unsupported member ${attachTo.name} of struct ${struct}`);
  if (unsupported.includes(attachTo.name)) refuse("ENOTSUPP");
  if (struct === DUMMY && sleepable === true && attachTo.name !== "test_sleepable") refuse("EINVAL");
};

/** Whether an argument may be NULL: a function of the kernel stands for each member, and names those that may `__nullable`. */
export const isNullableArgument = (env: Env, index: number): boolean => {
  const { attachTo, kernelBtf: btf } = env.request;
  const id = btf?.functionByName?.(`${attachTo?.struct}__${attachTo?.name}`);
  const shape = id === undefined ? undefined : btf?.shape(id);
  return shape?.kind === "func" && btf?.params(shape.proto)[index]?.name.endsWith("__nullable") === true;
};

/** The struct that an argument points to: sockets of congestion control are TCP's. */
export const argumentStruct = (env: Env, btf: VerifierBtf, id: number): number => {
  const { attachTo } = env.request;
  const isSocket = attachTo?.struct === TCP && id === btf.structByName("sock");
  return isSocket ? (btf.structByName("tcp_sock") ?? id) : id;
};

/** What congestion control may write: structs that a TCP socket begins with, and members of them. */
const WRITABLE: readonly (readonly [struct: string, ...path: string[]])[] = [
  ["sock", "sk_pacing_rate"],
  ["sock", "sk_pacing_status"],
  ["inet_connection_sock", "icsk_ca_priv"],
  ["inet_connection_sock", "icsk_ack", "pending"],
  ...["snd_cwnd", "snd_cwnd_cnt", "snd_cwnd_stamp", "snd_ssthresh", "ecn_flags", "app_limited"].map(
    (name): readonly [string, string] => ["tcp_sock", name],
  ),
];

/** Where a member is, bytes: first and past the last. */
const place = (btf: VerifierBtf, id: number, path: readonly string[]): readonly [number, number] | undefined => {
  let at = 0;
  let type = id;
  for (const name of path) {
    const member: BtfMember | undefined = btf.members(type).find((each) => each.name === name);
    if (member === undefined) return undefined;
    at += Math.floor(member.bitOffset / 8);
    type = member.type;
  }
  return [at, at + sizeOfType(btf, type)];
};

const checkTcpWrite = (env: Env, btf: VerifierBtf, off: number, size: number): void => {
  for (const [struct, ...path] of WRITABLE) {
    const id = btf.structByName(struct);
    const range = id === undefined ? undefined : place(btf, id, path);
    if (range === undefined) continue;
    const [first, end] = range;
    const starts = path[0] === "icsk_ca_priv" ? off >= first && off < end : off === first;
    if (!starts) continue;
    if (off + size > end)
      env.fail("EACCES", `write access at off ${off} with size ${size} beyond the member of tcp_sock ended at ${end}`);
    return;
  }
  env.fail("EACCES", `no write support to tcp_sock at off ${off}`);
};

/** A store to a struct of the kernel by a program that is a member of a structure. */
export const checkStructWrite = (env: Env, reg: Reg, off: number, size: number): void => {
  const { btf } = reg;
  const { struct } = env.request.attachTo ?? {};
  const shape = btf?.shape(reg.btfId);
  const name = shape?.kind === "struct" ? shape.name : "";
  if (btf === undefined || shape?.kind !== "struct") env.fail("EACCES", "only read is supported");
  if (struct === DUMMY) {
    if (name !== "bpf_dummy_ops_state") env.fail("EACCES", "only access to bpf_dummy_ops_state is supported");
    if (off + size > shape.size) env.fail("EACCES", `write access at off ${off} with size ${size}`);
    return;
  }
  if (name !== "tcp_sock") env.fail("EACCES", "only read is supported");
  checkTcpWrite(env, btf, off, size);
};
