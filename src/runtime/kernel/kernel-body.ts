import { isAbsolute } from "node:path"
import { URL } from "node:url"
import type { CompileOptions, CudaModuleBody, HostModuleBody } from "../../driver/module-body.js"
import { bytesOf, isDetached, isTypedArray, typedArrayName } from "../../common/typed-array.js"
import { checkNames, mustBe } from "../../common/check.js"
import { AuxstreamError } from "../../common/errors.js"
import { show } from "../../common/show.js"

/** A kernel's code for CUDA. */
export type CudaKernelBody = CudaModuleBody

/** A kernel's code for the host device. `export` defaults to the kernel's name. */
export type HostKernelBody = HostModuleBody & {
  /** The name of the export. Default: the kernel's name. */
  readonly export?: string | undefined
}

/**
 * The type of an option in a kernel's body. `take` returns the value for the driver, as an object of this realm that the
 * caller cannot change; undefined if the value is invalid.
 */
interface Part<T> {
  readonly allowed: string
  readonly take: (value: unknown) => T | undefined
}

/** A string that has a form in UTF-8, which compilers read. A lone surrogate has none. */
const text: Part<string> = {
  allowed: "a string without lone surrogates",
  take: (value) => (typeof value === "string" && !/\p{Surrogate}/u.test(value) ? value : undefined),
}
/** In C, a string ends at NUL. */
const cText: Part<string> = {
  allowed: "a string without NUL and lone surrogates",
  take: (value) => (text.take(value)?.includes("\0") === false ? text.take(value) : undefined),
}
const cTexts: Part<readonly string[]> = {
  allowed: "an array of strings without NUL and lone surrogates",
  take: (value) => {
    if (!Array.isArray(value)) return undefined
    const texts = Array.from(value, cText.take)
    return texts.every((word) => word !== undefined) ? texts : undefined
  },
}
const identifier: Part<string> = {
  allowed: "a string that is not empty",
  take: (value) => cText.take(value === "" ? undefined : value),
}
const headers: Part<Readonly<Record<string, string>>> = {
  allowed: "an object with the texts of headers by their names, strings without NUL and lone surrogates",
  take: (value) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined
    const entries = Object.entries(value).map(
      ([name, header]: [string, unknown]) => [name, cText.take(header)] as const,
    )
    const isTaken = entries.every(([name, header]) => identifier.take(name) !== undefined && header !== undefined)
    return isTaken ? Object.fromEntries(entries.map(([name, header = ""]) => [name, header])) : undefined
  },
}
const bytes: Part<Uint8Array> = {
  allowed: "a Uint8Array",
  take: (value) =>
    isTypedArray(value) && typedArrayName(value) === "Uint8Array" && !isDetached(value) ? bytesOf(value) : undefined,
}
const url: Part<URL> = { allowed: "a URL", take: (value) => (isUrl(value) ? new URL(value.href) : undefined) }

function either<A, B>(one: Part<A>, other: Part<B>): Part<A | B> {
  return {
    allowed: `${one.allowed}, or ${other.allowed}`,
    take: (value) => one.take(value) ?? other.take(value),
  }
}

/** The absolute path of a file, or the text of its URL. A relative path has no base, because nobody knows the calling file. */
function location(part: Part<string>, ...protocols: readonly string[]): Part<string> {
  const isUrlText = (value: string) => protocols.some((protocol) => value.startsWith(protocol)) && URL.canParse(value)
  return {
    allowed: `an absolute path, or the text of a URL (${protocols.join(" or ")})`,
    take: (value) => {
      const taken = part.take(value)
      return taken !== undefined && (isAbsolute(taken) || isUrlText(taken)) ? taken : undefined
    },
  }
}

const place = either(url, location(text, "file:", "data:"))
const file = either(url, location(cText, "file:"))
const files: Part<readonly (URL | string)[]> = {
  allowed: "an array of URLs and absolute paths",
  take: (value) => {
    const taken = Array.isArray(value) ? value.map((path: unknown) => file.take(path)) : [undefined]
    return taken.every((path) => path !== undefined) ? taken : undefined
  },
}
const image = either(cText, bytes)
const module = either(url, bytes)

/** Whether the value is a URL: Node's own, or one of another realm or of a test's DOM. */
function isUrl(value: unknown): value is { readonly href: string } {
  return (
    typeof value === "object" &&
    value !== null &&
    "href" in value &&
    "protocol" in value &&
    typeof value.href === "string" &&
    URL.canParse(value.href)
  )
}

/** The properties of a kernel's definition. */
export const kernelNames: readonly string[] = ["name", "signature", "cuda", "host", "partialOutputs", "resident"]

/** Throws unless the value is a definition of this form. Its parts are checked elsewhere. */
export function checkDefinition(definition: unknown, form: string, names: readonly string[]): void {
  if (typeof definition === "object" && definition !== null) {
    return checkNames(definition, "definition", new Set(names))
  }
  throw mustBe("definition", `an object such as ${form}`, definition)
}

/** Throws unless the value can be a kernel's name. */
export function checkKernelName(name: unknown): asserts name is string {
  if (typeof name === "string" && /^[A-Za-z_$][\w$]*$/.test(name)) return
  throw mustBe("name", "an identifier, the one that the code exports", name)
}

/** The error for a definition without code. */
export function withoutCode(label: string): Error {
  return new AuxstreamError(
    "AUX_INVALID_ARGUMENT",
    `${label} must have code for at least one device. Give its definition a \`cuda\` or a \`host\` body.`,
  )
}

/** Code for CUDA, checked. None is allowed. */
export function cudaBody(owner: string, value: unknown): CudaModuleBody | undefined {
  if (value === undefined) return undefined
  const body = new Body(owner, "cuda", value, ["source", "file", "ptx", "cubin", "fatbin"])
  switch (body.form) {
    case "source":
      return { source: body.part("source", cText), ...compileOptions(body) }
    case "file":
      return { file: body.part("file", file), ...compileOptions(body) }
    case "ptx":
      body.checkNames("ptx")
      return { ptx: body.part("ptx", image) }
    case "cubin":
      body.checkNames("cubin")
      return { cubin: body.part("cubin", bytes) }
    case "fatbin":
      body.checkNames("fatbin")
      return { fatbin: body.part("fatbin", bytes) }
  }
}

function compileOptions(body: Body<string>): CompileOptions {
  body.checkNames(body.form, "options", "headers", "includePaths")
  return {
    options: body.optional("options", cTexts),
    headers: body.optional("headers", headers),
    includePaths: body.optional("includePaths", files),
  }
}

/** Code for the host, checked. None is allowed. `extra` is a name that the body may have beside the code. */
export function hostBody(owner: string, value: unknown, extra: "export" | "exports"): HostModuleBody | undefined {
  if (value === undefined) return undefined
  const body = new Body(owner, "host", value, ["source", "module", "wasm"])
  body.checkNames(body.form, extra)
  switch (body.form) {
    case "source":
      return { source: body.part("source", text) }
    case "module":
      return { module: body.part("module", place) }
    case "wasm":
      return { wasm: body.part("wasm", module) }
  }
}

/** The name that a part of a kernel's definition gives it there; undefined if it gives none. */
export function nameIn(kernel: string, part: "cuda" | "host", value: unknown): string | undefined {
  if (value === undefined) return undefined
  const what = `\`${part}\` of kernel "${kernel}"`
  const key = part === "cuda" ? "symbol" : "export"
  if (typeof value !== "object" || value === null) throw mustBe(what, `{ ${key} }`, value)
  checkNames(value, what, new Set([key]))
  return namedBy(kernel, part, value)
}

/** The export in the host body of a kernel; undefined if it names none. */
export function exportName(kernel: string, value: unknown): string | undefined {
  return typeof value === "object" && value !== null ? namedBy(kernel, "host", value) : undefined
}

function namedBy(kernel: string, part: "cuda" | "host", value: object): string | undefined {
  const key = part === "cuda" ? "symbol" : "export"
  const name: unknown = Reflect.get(value, key)
  const taken = name === undefined ? undefined : identifier.take(name)
  if (taken !== undefined || name === undefined) return taken
  throw mustBe(`\`${part}.${key}\` of kernel "${kernel}"`, identifier.allowed, name)
}

/** The names of the exports of a module's host code; undefined if they are not given. */
export function exportedNames(exports: unknown, owner: string): readonly string[] | undefined {
  if (exports === undefined) return undefined
  const names: unknown = typeof exports === "object" && exports !== null ? namesOf(exports) : undefined
  const taken = cTexts.take(names)
  if (taken !== undefined) return taken
  throw mustBe(`\`exports\` of ${owner}`, "an array of names, or a module imported with `import * as`", exports)
}

function namesOf(exports: object): unknown {
  return Array.isArray(exports) ? exports : Object.keys(exports)
}

/** For a relative path: how to name a file beside the calling one. */
function adviceFor(value: unknown): string | undefined {
  const isRelative = typeof value === "string" && /^[\w.-]+([/\\][\w.-]+)*\.\w+$/.test(value)
  return isRelative ? `For a file beside this one, write new URL(${JSON.stringify(value)}, import.meta.url)` : undefined
}

/** A body as it was given: it has exactly one of the forms. */
class Body<F extends string> {
  readonly #owner: string
  readonly #kind: string
  readonly #value: object
  readonly form: F

  constructor(owner: string, kind: string, value: unknown, forms: readonly F[]) {
    this.#owner = owner
    this.#kind = kind
    const given = typeof value === "object" && value !== null ? forms.filter((form) => form in value) : []
    const [form] = given
    if (typeof value !== "object" || value === null || form === undefined || given.length > 1) {
      throw new AuxstreamError(
        "AUX_INVALID_ARGUMENT",
        `${this.#what()} must have exactly one of ${forms.join(", ")}; got ${show(value)}`,
      )
    }
    this.#value = value
    this.form = form
  }

  checkNames(...names: readonly string[]): void {
    checkNames(this.#value, this.#what(), new Set(names))
  }

  part<T>(key: string, { allowed, take }: Part<T>): T {
    const value: unknown = Reflect.get(this.#value, key)
    const taken = take(value)
    if (taken !== undefined) return taken
    throw mustBe(this.#what(key), allowed, value, adviceFor(value))
  }

  /** The body, or one of its options, in messages. */
  #what(key?: string): string {
    return `\`${key === undefined ? this.#kind : `${this.#kind}.${key}`}\` of ${this.#owner}`
  }

  optional<T>(key: string, part: Part<T>): T | undefined {
    return Reflect.get(this.#value, key) === undefined ? undefined : this.part(key, part)
  }
}
