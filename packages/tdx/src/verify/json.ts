/** Text that is not JSON, or JSON that more than one reader could understand differently. */
export class JsonError extends Error {
  override readonly name = "JsonError";
  readonly code = "json";
}

/** An object, with the text that it was. */
export class JsonObject {
  constructor(
    readonly members: ReadonlyMap<string, Json>,
    /** From its `{` to its `}`, as it was: what a signature over it is over. */
    readonly text: string,
  ) {}
}

export type Json = string | number | boolean | null | readonly Json[] | JsonObject;

/** Objects and arrays within each other. Collateral has 6. */
const DEEPEST = 16;
/** Characters. Collateral of a PCK CA with 100,000 revoked certificates has 8 million. */
const LONGEST = 2 ** 24;

/**
 * Reads JSON (RFC 8259) whose objects do not have a member twice. White space around the value is allowed, nothing else is.
 *
 * @throws {JsonError} that says where; nothing else
 */
export function parseJson(text: string): Json {
  if (text.length > LONGEST) throw new JsonError(`${text.length} characters of JSON; at most ${LONGEST} are read`);
  const parser = new Parser(text);
  const value = parser.value(0);
  parser.end();
  return value;
}

const NUMBER = /-?(?:0|[1-9]\d{0,14})(?:\.\d{1,20})?(?:[eE][+-]?\d{1,3})?/y;
const LITERALS: readonly (readonly [string, Json])[] = [
  ["true", true],
  ["false", false],
  ["null", null],
];
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

class Parser {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  end(): void {
    this.#space();
    if (this.#at < this.#text.length) this.#fail("something behind the value");
  }

  value(depth: number): Json {
    if (depth > DEEPEST) this.#fail(`more than ${DEEPEST} objects and arrays within each other`);
    this.#space();
    switch (this.#text[this.#at]) {
      case "{":
        return this.#object(depth);
      case "[":
        return this.#array(depth);
      case '"':
        return this.#string();
      default:
        return this.#literal();
    }
  }

  #object(depth: number): JsonObject {
    const start = this.#at;
    const members = new Map<string, Json>();
    this.#each("}", () => {
      this.#space();
      if (this.#text[this.#at] !== '"') this.#fail("no name of a member");
      const name = this.#string();
      if (members.has(name)) this.#fail(`member ${JSON.stringify(name.slice(0, 40))} for the second time`);
      this.#space();
      if (!this.#take(":")) this.#fail("no colon");
      members.set(name, this.value(depth + 1));
    });
    return new JsonObject(members, this.#text.slice(start, this.#at));
  }

  #array(depth: number): Json[] {
    const items: Json[] = [];
    this.#each("]", () => items.push(this.value(depth + 1)));
    return items;
  }

  /** Reads what is between brackets, with commas between. */
  #each(close: string, item: () => void): void {
    this.#at++;
    this.#space();
    if (this.#take(close)) return;
    do {
      item();
      this.#space();
    } while (this.#take(","));
    if (!this.#take(close)) this.#fail(`neither a comma nor ${close}`);
  }

  #string(): string {
    let value = "";
    for (let from = ++this.#at; ; ) {
      const character = this.#text[this.#at];
      if (character === undefined || character < " ") this.#fail("a string that does not end");
      if (character !== '"' && character !== "\\") {
        this.#at++;
        continue;
      }
      value += this.#text.slice(from, this.#at++);
      if (character === '"') return value;
      value += this.#escape();
      from = this.#at;
    }
  }

  #escape(): string {
    const kind = this.#text[this.#at++] ?? "";
    if (kind !== "u") return ESCAPES[kind] ?? this.#fail("an escape that JSON does not have");
    const digits = this.#text.slice(this.#at, this.#at + 4);
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) this.#fail("an escape without four hexadecimal digits");
    this.#at += 4;
    return String.fromCharCode(Number.parseInt(digits, 16));
  }

  #literal(): Json {
    for (const [word, value] of LITERALS) if (this.#take(word)) return value;
    NUMBER.lastIndex = this.#at;
    const number = NUMBER.exec(this.#text)?.[0] ?? this.#fail("no value");
    this.#at += number.length;
    return Number(number);
  }

  #take(word: string): boolean {
    if (!this.#text.startsWith(word, this.#at)) return false;
    this.#at += word.length;
    return true;
  }

  #space(): void {
    while (" \t\n\r".includes(this.#text[this.#at] ?? "x")) this.#at++;
  }

  #fail(what: string): never {
    throw new JsonError(`${what} at character ${this.#at}`);
  }
}
