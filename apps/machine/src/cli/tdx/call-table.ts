import { Status } from "@vm/tdx";
import type { TdxCall } from "../../index.js";
import { answerOf, entersVcpu, hasEntered, nameOf, statusOf, subFunctionOf, vcpuOf } from "./call-text.js";

/** How often something was called, and what came of it. */
export interface Count {
  calls: number;
  readonly statuses: Map<string, number>;
}

/** A leaf, and what became of its calls. */
export interface Row extends Count {
  readonly kind: TdxCall["kind"];
  /** Null: numbers that no leaf has. */
  readonly leaf: number | null;
  readonly name: string;
  /** Of TDG.VP.VMCALL, by name; their statuses are what the host answered. */
  readonly subFunctions: Map<string, Count>;
}

/** Sub-functions that a vCPU has asked for. */
interface Questions {
  /** What it left for the last time, and waits for the host's answer to. */
  open: Count | null;
  /** What it asks for since the host entered it again. */
  next: Count | null;
}

/**
 * Counts calls by leaf and status. Numbers that no leaf has, and sub-functions that are not defined, are counted together, so that a guest cannot make
 * the table grow.
 */
export class CallTable {
  readonly #rows = new Map<string, Row>();
  readonly #questions = new Map<number, Questions>();

  add(call: TdxCall): void {
    const name = nameOf(call);
    const row = this.#row(call, name);
    count(row, statusOf(call));
    const asked = subFunctionOf(call);
    if (asked !== undefined) this.#ask(call, row, asked.name);
    if (entersVcpu(call)) this.#answer(call);
  }

  #row({ kind, leaf }: TdxCall, name: string): Row {
    const key = `${kind} ${name}`;
    const known = this.#rows.get(key);
    if (known !== undefined) return known;
    const row = {
      ...{ kind, leaf: name === "unknown" ? null : leaf, name, calls: 0 },
      ...{ statuses: new Map(), subFunctions: new Map() },
    };
    this.#rows.set(key, row);
    return row;
  }

  #ask(call: TdxCall, { subFunctions }: Row, name: string): void {
    const sub = subFunctions.get(name) ?? { calls: 0, statuses: new Map() };
    subFunctions.set(name, sub);
    sub.calls++;
    if (call.status === Status.SUCCESS) this.#questionsOf(call).next = sub;
  }

  /** An entry is told of when the guest has left again, with what the host entered it with: by then the guest may have asked anew. */
  #answer(call: TdxCall): void {
    if (!hasEntered(call)) return;
    const questions = this.#questionsOf(call);
    if (questions.open !== null) add(questions.open.statuses, answerOf(call));
    questions.open = questions.next;
    questions.next = null;
  }

  #questionsOf(call: TdxCall): Questions {
    const vcpu = vcpuOf(call);
    const questions = this.#questions.get(vcpu) ?? { open: null, next: null };
    this.#questions.set(vcpu, questions);
    return questions;
  }

  /** SEAMCALLs, then TDCALLs, by number. */
  get rows(): readonly Row[] {
    const place = ({ kind, leaf }: Row): number => (kind === "seamcall" ? 0 : 0x10000) + (leaf ?? 0xffff);
    return [...this.#rows.values()].sort((a, b) => place(a) - place(b));
  }
}

function count(to: Count, status: string): void {
  to.calls++;
  add(to.statuses, status);
}

const add = (to: Map<string, number>, status: string): void => void to.set(status, (to.get(status) ?? 0) + 1);
