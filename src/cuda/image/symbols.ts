/**
 * The kernels and globals in an image, by their symbols: from the text of PTX, and from the symbol tables of cubins and of
 * those in a fatbin. It must only be given an image that {@link checkImage} has accepted.
 */
import { ELF, FATBIN, fatbinParts, Image } from "./image.js"
import { unmangled } from "./mangled-name.js"

/** The symbols of an image. */
export interface Symbols {
  readonly kernels: readonly string[]
  /** The globals, and whether each is `__constant__`. */
  readonly globals: ReadonlyMap<string, boolean>
}

/** The symbols of an image; undefined for a fatbin whose parts are all compressed. */
export function symbolsOf(bytes: Uint8Array): Symbols | undefined {
  const image = new Image(bytes)
  switch (image.length < 4 ? 0 : image.uint32(0)) {
    case ELF:
      return ofCubin(image)
    case FATBIN:
      return merged(fatbinParts(image).flatMap((part) => (isElf(part) ? [ofCubin(part)] : [])))
    default:
      return ofPtx(image.text())
  }
}

/** The symbols that match a name: the name itself if it is a symbol, otherwise all symbols with this unmangled name. */
export function named(name: string, symbols: Iterable<string>): readonly string[] {
  const all = [...symbols]
  return all.includes(name) ? [name] : all.filter((symbol) => unmangled(symbol) === name)
}

/** Symbols as an error lists them: sorted, each with its unmangled name. */
export function listed(symbols: Iterable<string>): string {
  const texts = [...symbols].sort().map((symbol) => {
    const name = unmangled(symbol)
    return name === undefined ? symbol : `${symbol} (${name})`
  })
  return texts.length === 0 ? "none" : texts.join(", ")
}

/** Compilers' own constants, such as the texts of printf, have names that begin with this character. */
function isOfCode(name: string): boolean {
  return !name.startsWith("$")
}

function isElf(part: Image): boolean {
  return part.length >= 64 && part.uint32(0) === ELF
}

function merged(parts: readonly Symbols[]): Symbols | undefined {
  if (parts.length === 0) return undefined
  return {
    kernels: [...new Set(parts.flatMap(({ kernels }) => kernels))],
    globals: new Map(parts.flatMap(({ globals }) => [...globals])),
  }
}

const ENTRY = /\.entry\s+([\w$]+)/g
const GLOBAL = /^\s*(?:\.\w+\s+)*?\.(const|global)\s[^;={]*?([\w$%]+)\s*(?:\[[^;=]*)?(?:=|;)/gm

function ofPtx(text: string): Symbols {
  return {
    kernels: Array.from(text.matchAll(ENTRY), ([, name = ""]) => name),
    globals: new Map(
      Array.from(text.matchAll(GLOBAL), ([, space, name = ""]) => [name, space === "const"] as const).filter(([name]) =>
        isOfCode(name),
      ),
    ),
  }
}

const SYMBOL_TABLE = 2
const SYMBOL_BYTES = 24
const TYPE_OBJECT = 1
const TYPE_FUNCTION = 2
/** Set in a function's `st_other` if it is a kernel. */
const IS_ENTRY = 0x10

function ofCubin(image: Image): Symbols {
  const sections = sectionsOf(image)
  const kernels: string[] = []
  const globals = new Map<string, boolean>()
  for (const table of sections.filter(({ type }) => type === SYMBOL_TABLE)) {
    const names = sections[table.link]?.begin ?? 0
    for (let at = table.begin; at + SYMBOL_BYTES <= table.end; at += SYMBOL_BYTES) {
      const [type, section] = [image.uint8(at + 4) & 0xf, sections[image.uint16(at + 6)]?.name ?? ""]
      const name = image.textAt(names + image.uint32(at))
      if (type === TYPE_FUNCTION && (image.uint8(at + 5) & IS_ENTRY) !== 0) kernels.push(name)
      if (type === TYPE_OBJECT && isOfCode(name) && /^\.nv\.(?:global|constant)/.test(section)) {
        globals.set(name, section.startsWith(".nv.constant"))
      }
    }
  }
  return { kernels, globals }
}

interface Section {
  readonly name: string
  readonly type: number
  readonly begin: number
  readonly end: number
  /** For a symbol table, the section with its names. */
  readonly link: number
}

function sectionsOf(image: Image): Section[] {
  const [table, size, count] = [image.uint64(40), image.uint16(58), image.uint16(60)]
  const headers = Array.from({ length: count }, (_, index) => table + index * size)
  const names = image.uint64((headers[image.uint16(62)] ?? table) + 24)
  return headers.map((at) => ({
    name: image.textAt(names + image.uint32(at)),
    type: image.uint32(at + 4),
    begin: image.uint64(at + 24),
    end: image.uint64(at + 24) + image.uint64(at + 32),
    link: image.uint32(at + 40),
  }))
}
