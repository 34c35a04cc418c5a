/**
 * Hashes the files that a CUDA C++ source may include, so that the cache on disk notices when one of them changes.
 *
 * NVRTC does not report which files it read, so this search follows the includes itself. Only the compiler knows which
 * includes are active and where it finds each file. So the search visits every place where a name could be found. It
 * hashes the file there or its absence: a header that later appears in an earlier place changes the hash.
 *
 * It must never hash a source whose includes it cannot determine. A name made by a macro, `__DATE__` and `__TIME__` give
 * no hash, so such a source is not cached.
 */
import { createHash, type Hash } from "node:crypto"
import { readFileSync, statSync } from "node:fs"
import { dirname, extname, isAbsolute, resolve, sep } from "node:path"

/** If a search visits more places than this, the source gets no hash and is not cached. */
const MOST_PLACES = 200_000

/** A source, the files included before it, and the folders that NVRTC searches. */
export interface HeaderSearch {
  readonly source: string
  /** The source's folder, where NVRTC looks first for a header in quotes. */
  readonly folder: string
  /** Headers given as texts, which NVRTC takes for an include of exactly that name, before any file. */
  readonly headers: ReadonlyMap<string, string>
  readonly preIncludes: readonly string[]
  readonly folders: readonly string[]
  /**
   * The folders of CUDA's own headers. Macros in these headers name other headers of the toolkit only, and the toolkit's
   * version is hashed anyway, so their macros do not end the search. Each is read once per process.
   */
  readonly toolkit: readonly string[]
}

/** A hash of all files that the source may include; undefined if they cannot be determined. */
export function hashHeaders(search: HeaderSearch): string | undefined {
  // A text may include files, too. Only the compiler knows which texts the source includes, so all count.
  const texts = [search.source, ...search.headers.values()].map((text) => includedNames(withoutComments(text)))
  if (!texts.every(({ areAll }) => areAll)) return undefined
  return new Walk(search).hash([...search.preIncludes, ...texts.flatMap(({ names }) => names)])
}

/** A visited place: the hash of its file, and the names that the file includes. */
interface Found {
  readonly fingerprint: string
  readonly included: IncludedNames
}

const ABSENT: Found = { fingerprint: "absent", included: { names: [], areAll: true } }

const toolkitFiles = new Map<string, Found>()

/** Follows the includes through all files. */
class Walk {
  readonly #folders: readonly string[]
  readonly #toolkit: readonly string[]
  readonly #hash: Hash = createHash("sha256")
  readonly #found = new Map<string, Found>()

  readonly #source: string

  constructor({ folder, folders, headers, toolkit }: HeaderSearch) {
    this.#source = folder
    this.#folders = folders
    for (const [name, text] of headers) this.#hash.update(JSON.stringify([name, text]))
    this.#toolkit = toolkit.map((folder) => resolve(folder) + sep)
  }

  hash(names: readonly string[]): string | undefined {
    const pending = [{ names, folder: this.#source }]
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      for (const path of this.#places(next.names, next.folder)) {
        const known = this.#found.get(path)
        const found = known ?? this.#read(path)
        if (found === undefined || this.#found.size > MOST_PLACES) return undefined
        this.#hash.update(found.fingerprint)
        if (known !== undefined) continue
        this.#found.set(path, found)
        pending.push({ names: found.included.names, folder: dirname(path) })
      }
    }
    return this.#hash.digest("hex")
  }

  /** Each place where one of the names could be found. Adds the names to the hash. */
  *#places(names: readonly string[], folder: string): Generator<string> {
    for (const name of names) {
      this.#hash.update(JSON.stringify(name))
      const folders = isAbsolute(name) ? ["."] : [folder, ".", ...this.#folders]
      for (const place of folders) {
        yield resolve(place, name)
        // NVRTC also tries this suffix for a name without an extension.
        if (extname(name) === "") yield resolve(place, `${name}.stdh`)
      }
    }
  }

  /** Reads a place; undefined if its includes cannot be determined. */
  #read(path: string): Found | undefined {
    if (!this.#toolkit.some((folder) => path.startsWith(folder))) {
      const found = read(path, withoutComments)
      return found?.included.areAll ? found : undefined
    }
    const found = toolkitFiles.get(path) ?? read(path, (text) => text)
    if (found !== undefined) toolkitFiles.set(path, found)
    return found
  }
}

/** Reads a file; undefined if it cannot be hashed, such as a pipe. */
function read(path: string, prepare: (text: string) => string): Found | undefined {
  try {
    const stats = statSync(path, { throwIfNoEntry: false })
    if (stats === undefined || stats.isDirectory()) return ABSENT
    if (!stats.isFile()) return undefined
    const bytes = readFileSync(path)
    const fingerprint = createHash("sha256").update(bytes).digest("hex")
    return { fingerprint, included: includedNames(prepare(bytes.toString("utf8"))) }
  } catch {
    return undefined
  }
}

const LITERAL_OR_COMMENT =
  /R"([^()\\\s]{0,16})\([^]*?\)\1"|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|\/\*[^]*?\*\/|\/\/[^\n]*/g
const INCLUDE = /^[^\S\n]*(?:#|%:)[^\S\n]*include(?:_next)?\b(.*)$/gm
const HAS_INCLUDE = /\b__has_include(?:_next)?\s*\((.*)$/gm
const NAME = /^\s*(?:"([^"\n\uFFFD]+)"|<([^>\n\uFFFD]+)>)/
const CHANGES_BY_ITSELF = /\b__(?:DATE|TIME)__\b/

/** The names in a text's `#include` and `__has_include`. */
interface IncludedNames {
  readonly names: readonly string[]
  /** False if a macro makes a name, or if the text uses `__DATE__` or `__TIME__`. */
  readonly areAll: boolean
}

/** The text must have no comments. */
function includedNames(text: string): IncludedNames {
  const operands = [INCLUDE, HAS_INCLUDE].flatMap((pattern) =>
    [...text.matchAll(pattern)].map(([, operand]) => operand),
  )
  const names = operands.flatMap((operand) => nameIn(operand ?? "") ?? [])
  return { names, areAll: names.length === operands.length && !CHANGES_BY_ITSELF.test(text) }
}

function nameIn(operand: string): string | undefined {
  const [, quoted, angled] = NAME.exec(operand) ?? []
  return quoted ?? angled
}

/** Joins continued lines and replaces each comment by a space, as the compiler does. */
function withoutComments(text: string): string {
  const joined = text.replaceAll(/\\\r?\n/g, "")
  return joined.replaceAll(LITERAL_OR_COMMENT, (part) => (part.startsWith("/") ? " " : part))
}
