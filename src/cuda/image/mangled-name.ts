/**
 * Reads the name of a function or variable from its symbol, which C++ compilers mangle by the Itanium rules:
 * `_ZN2ns5scaleIfLi4EEEvPf` is `ns::scale`. It reads names only, without template arguments and parameters, and gives
 * `undefined` for what it cannot read. It must never guess: a wrong name would select a wrong kernel.
 */

/** The qualified name in a symbol without template arguments; undefined if the symbol is not mangled or not understood. */
export function unmangled(symbol: string): string | undefined {
  if (!symbol.startsWith("_Z")) return undefined
  const reader = new Reader(symbol, 2)
  const names = reader.take("N") ? reader.nestedNames() : reader.names()
  return names === undefined || names.length === 0 ? undefined : names.join("::")
}

/** How compilers name what has no name of its own, or only one inside its file. */
const WITHOUT_NAME = /^_(?:GLOBAL__N_|INTERNAL_)/

class Reader {
  readonly #text: string
  #at: number

  constructor(text: string, at: number) {
    this.#text = text
    this.#at = at
  }

  take(letter: string): boolean {
    if (this.#text[this.#at] !== letter) return false
    this.#at += 1
    return true
  }

  /** A name that is not nested; `L` marks one of internal linkage. */
  names(): string[] | undefined {
    this.take("L")
    return this.#sourceName()
  }

  /** Names up to the `E` that ends them, after the qualifiers of a member function. */
  nestedNames(): string[] | undefined {
    while ("rVKRO".includes(this.#text[this.#at] ?? " ")) this.#at += 1
    const names: string[] = []
    while (!this.take("E")) {
      if (this.take("I")) {
        if (!this.#skipToEnd()) return undefined
        continue
      }
      this.take("L")
      const name = this.#sourceName()
      if (name === undefined) return undefined
      names.push(...name)
    }
    return names
  }

  /** A length and as many characters. Gives no name for what has none. */
  #sourceName(): string[] | undefined {
    const digits = /^[1-9]\d*/.exec(this.#text.slice(this.#at))?.[0]
    if (digits === undefined) return undefined
    const begin = this.#at + digits.length
    this.#at = begin + Number(digits)
    if (this.#at > this.#text.length) return undefined
    const name = this.#text.slice(begin, this.#at)
    return WITHOUT_NAME.test(name) ? [] : [name]
  }

  /** Skips template arguments and their contents, up to the `E` that ends them. */
  #skipToEnd(): boolean {
    while (this.#at < this.#text.length) {
      if (this.take("E")) return true
      if (!this.#skipPart()) return false
    }
    return false
  }

  #skipPart(): boolean {
    const letter = this.#text[this.#at] ?? ""
    if (/\d/.test(letter)) return this.#sourceName() !== undefined
    this.#at += 1
    if (letter === "L") return this.#skipLiteral()
    if ("NIJFX".includes(letter)) return this.#skipToEnd()
    if ("TA".includes(letter)) return this.#skipBehind("_")
    if (letter !== "S") return true
    // A substitution: `St` and its like, or `S`, digits or capitals, and `_`.
    if (/[a-z]/.test(this.#text[this.#at] ?? "")) this.#at += 1
    else return this.#skipBehind("_")
    return true
  }

  /** A type, a value, and an `E`. The digits of a value are no length. */
  #skipLiteral(): boolean {
    // `L_Z` is a function or a variable, whose name may have an `E` in it.
    if (this.#text[this.#at] === "_" || !this.#skipPart()) return false
    return this.#skipBehind("E")
  }

  #skipBehind(letter: string): boolean {
    const end = this.#text.indexOf(letter, this.#at)
    this.#at = end + 1
    return end >= 0
  }
}
