import type { Btf } from "../btf/btf.js";
import { checkBtf } from "../btf/check.js";
import { BpfError } from "../errors.js";
import { BtfLoadAttr as At, type Attributes } from "./attributes.js";
import { BtfObject } from "./btf-object.js";
import { CallerLog } from "./caller-log.js";
import type { State } from "./state.js";

/** `BTF_MAX_SIZE` */
const MOST_BYTES = 16 << 20;
/** `BPF_F_TOKEN_FD`; there are no tokens here. */
const TOKEN_FD = 1 << 16;
const LOG_TRUE_SIZE_END = 32;

/** BPF_BTF_LOAD. @returns a descriptor */
export function btfLoad(state: State, attr: Attributes): number {
  const { generation, memory } = state;
  if (generation !== "6.1") {
    const flags = attr.u32(At.flags);
    if ((flags & ~TOKEN_FD) !== 0) throw new BpfError("EINVAL", `btf_flags 0x${flags.toString(16)}`);
    if (flags !== 0) state.token(attr.u32(At.tokenFd));
  }
  state.need("CAP_BPF");
  const size = attr.u32(At.btfSize);
  if (size > MOST_BYTES) throw new BpfError("E2BIG", `${size} bytes of BTF: expected at most ${MOST_BYTES}`);
  const log = new CallerLog(memory, generation, {
    ...{ level: attr.u32(At.logLevel), address: attr.pointer(At.logBuf), size: attr.u32(At.logSize) },
  });
  let text = "";
  let refused: BpfError | null = null;
  let types: Btf | null = null;
  try {
    types = checkBtf(memory.read(attr.pointer(At.btf), size).slice());
  } catch (error) {
    if (!(error instanceof BpfError)) throw error;
    refused = error;
    // The code is what the call returns; what it says is the kernel's phrase.
    if (error.code !== "EFAULT") text = `${error.message.slice(error.code.length + 2)}\n`;
  }
  if (generation !== "6.1" && attr.reaches(LOG_TRUE_SIZE_END)) attr.put32(At.logTrueSize, log.trueSize(text.length));
  log.write(text, text.length);
  if (types === null) throw refused ?? new BpfError("EINVAL", "no BTF");
  state.charge(size);
  const object = new BtfObject(state.btfs.nextId(), types, "", (self) => {
    state.btfs.remove(self);
    state.uncharge(size);
  });
  state.btfs.add(object);
  return state.install(object);
}
