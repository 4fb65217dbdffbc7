import type { TestType } from "./selftest-btf.js";

/** Types in the making: each call gives the number of a type. */
export class Types {
  readonly list: TestType[] = [];
  add(type: TestType): number {
    return this.list.push(type);
  }
  int(size: number): number {
    return this.add({ shape: { kind: "int", size, signed: true } });
  }
  struct(name: string, size: number, members: readonly [string, number, number][], tags?: TestType["tags"]): number {
    return this.add({
      shape: { kind: "struct", name, size },
      members: members.map(([member, type, at]) => ({ name: member, type, bitOffset: at * 8, bitSize: 0 })),
      ...(tags === undefined ? {} : { tags }),
    });
  }
  pointer(to: number, ...tags: string[]): number {
    return this.add({ shape: { kind: "pointer", to, tags } });
  }
  proto(params: readonly [string, number][], returns: number): number {
    return this.add({ shape: { kind: "proto" }, params: params.map(([name, type]) => ({ name, type })), returns });
  }
  func(name: string, params: readonly [string, number][], returns: number): void {
    this.add({ shape: { kind: "func", name, proto: this.proto(params, returns), linkage: "global" } });
  }
}
