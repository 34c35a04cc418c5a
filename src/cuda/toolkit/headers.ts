/**
 * The files that a CUDA C++ source may include, so that the cache on disk can tell when one of them has changed.
 *
 * NVRTC does not say which files it read, so this search follows the includes. The compiler decides which of them count
 * (conditions, macros) and where it finds each. So the search looks at every place where a name could be found, and hashes
 * the file there, or the fact that there is none: a header that appears later, in a place that comes earlier, changes the
 * hash. Only the compiler knows a name that a macro makes, and the time of day. Then there is no hash.
 */
import { createHash, type Hash } from "node:crypto"
import { readFileSync, statSync } from "node:fs"
import { dirname, extname, isAbsolute, resolve, sep } from "node:path"

/** With more places than this to look at, there is no hash. */
const MOST_PLACES = 200_000

/** A source, the files included before it, and the folders in which NVRTC searches. */
export interface HeaderSearch {
  readonly source: string
  readonly preIncludes: readonly string[]
  readonly folders: readonly string[]
  /**
   * The folders of CUDA's own headers. Where those make a name by a macro, it is the name of another one of them, and the
   * headers with their versions are hashed anyway. They are read once in a process, as the compiler is loaded once.
   */
  readonly toolkit: readonly string[]
}

/** A hash of all files that the source may include; undefined if it cannot be known which these are. */
export function hashHeaders(search: HeaderSearch): string | undefined {
  const ofSource = includedNames(withoutComments(search.source))
  if (!ofSource.areAll) return undefined
  return new Walk(search).hash([...search.preIncludes, ...ofSource.names])
}

/** A place that was looked at: the hash of its file, and the names that the file includes. */
interface Found {
  readonly fingerprint: string
  readonly included: IncludedNames
}

const ABSENT: Found = { fingerprint: "absent", included: { names: [], areAll: true } }

const toolkitFiles = new Map<string, Found>()

/** From name to name through all files. */
class Walk {
  readonly #folders: readonly string[]
  readonly #toolkit: readonly string[]
  readonly #hash: Hash = createHash("sha256")
  readonly #found = new Map<string, Found>()

  constructor({ folders, toolkit }: HeaderSearch) {
    this.#folders = folders
    this.#toolkit = toolkit.map((folder) => resolve(folder) + sep)
  }

  hash(names: readonly string[]): string | undefined {
    // The source itself is compiled as if it were in the current folder.
    const pending = [{ names, folder: "." }]
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

  /** Each place where one of the names could be found. The hash learns the names. */
  *#places(names: readonly string[], folder: string): Generator<string> {
    for (const name of names) {
      this.#hash.update(JSON.stringify(name))
      const folders = isAbsolute(name) ? ["."] : [folder, ".", ...this.#folders]
      for (const place of folders) {
        yield resolve(place, name)
        // NVRTC adds this suffix to a name without one.
        if (extname(name) === "") yield resolve(place, `${name}.stdh`)
      }
    }
  }

  /** Looks at a place; undefined if what it includes cannot be known. */
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

/** Reads a file; undefined if it is something that cannot be hashed, such as a pipe. */
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

/** The names of the files that a text includes or asks for. */
interface IncludedNames {
  readonly names: readonly string[]
  /** False if a macro makes a name, or the time is asked for. */
  readonly areAll: boolean
}

/** Of a text without comments. */
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

/** Joins continued lines, and puts a space in place of each comment, as the compiler does. */
function withoutComments(text: string): string {
  const joined = text.replaceAll(/\\\r?\n/g, "")
  return joined.replaceAll(LITERAL_OR_COMMENT, (part) => (part.startsWith("/") ? " " : part))
}
