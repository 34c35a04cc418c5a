import { URL } from "node:url"
import type { CudaModuleBody, HostModuleBody } from "../../driver.js"
import { bytesOf, isTypedArray, typedArrayName } from "../../common/typed-array.js"
import { checkNames } from "../../common/check.js"
import { AuxstreamError } from "../../common/errors.js"
import { show } from "../../common/show.js"

/** A kernel's code for CUDA. */
export type CudaKernelBody = CudaModuleBody

/** A kernel's code for the host device. `export` defaults to the kernel's name. */
export type HostKernelBody = HostModuleBody & { readonly export?: string | undefined }

/**
 * What a part of a kernel's body may be. `take` gives it as a driver gets it, of this realm and not to be changed by the
 * caller any more; undefined for what it may not be.
 */
interface Part<T> {
  readonly allowed: string
  readonly take: (value: unknown) => T | undefined
}

const definitionNames: ReadonlySet<string> = new Set(["name", "signature", "cuda", "host"])

/** Half of a surrogate pair is no character: it cannot be written as UTF-8, which is what compilers read. */
const text: Part<string> = {
  allowed: "a string without half a surrogate pair",
  take: (value) => (typeof value === "string" && !/\p{Surrogate}/u.test(value) ? value : undefined),
}
/** C ends a string at NUL. */
const cText: Part<string> = {
  allowed: "a string without NUL and without half a surrogate pair",
  take: (value) => (text.take(value)?.includes("\0") === false ? text.take(value) : undefined),
}
const cTexts: Part<readonly string[]> = {
  allowed: "an array of strings without NUL and without half a surrogate pair",
  take: (value) => {
    if (!Array.isArray(value)) return undefined
    const texts = Array.from(value, cText.take)
    return texts.every((word) => word !== undefined) ? texts : undefined
  },
}
const identifier: Part<string> = { allowed: "a name", take: (value) => text.take(value === "" ? undefined : value) }
const bytes: Part<Uint8Array> = {
  allowed: "a Uint8Array",
  take: (value) => (isTypedArray(value) && typedArrayName(value) === "Uint8Array" ? bytesOf(value) : undefined),
}
const url: Part<URL> = { allowed: "a URL", take: (value) => (isUrl(value) ? new URL(value.href) : undefined) }

function either<A, B>(one: Part<A>, other: Part<B>): Part<A | B> {
  return {
    allowed: `${one.allowed}, or ${other.allowed}`,
    take: (value) => one.take(value) ?? other.take(value),
  }
}

const place = either(url, text)
const image = either(cText, bytes)
const module = either(url, bytes)

/** A URL is one of another realm, or of a test's DOM, too. */
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

/** Refuses what is no kernel's definition. Its name and signature have checks of their own. */
export function checkDefinition(definition: unknown): void {
  if (typeof definition === "object" && definition !== null)
    return checkNames(definition, "definition", definitionNames)
  throw new AuxstreamError(
    "AUX_INVALID_ARGUMENT",
    `definition must be { name, signature, cuda, host }, with code for one device at least; got ${show(definition)}`,
  )
}

/** The error for a definition without code. */
export function withoutCode(kernel: string): Error {
  return new AuxstreamError(
    "AUX_INVALID_ARGUMENT",
    `kernel ${kernel} must have code for one device at least: give defineKernel() a "cuda" or a "host" body`,
  )
}

/** A kernel's code for CUDA, checked. None is allowed. */
export function cudaBody(kernel: string, value: unknown): CudaKernelBody | undefined {
  if (value === undefined) return undefined
  const body = new Body(kernel, "cuda", value, ["source", "ptx", "cubin"])
  switch (body.form) {
    case "source":
      body.checkNames("source", "options")
      return { source: body.part("source", cText), options: body.optional("options", cTexts) }
    case "ptx":
      body.checkNames("ptx")
      return { ptx: body.part("ptx", image) }
    case "cubin":
      body.checkNames("cubin")
      return { cubin: body.part("cubin", bytes) }
  }
}

/** A kernel's code for the host, checked. None is allowed. */
export function hostBody(kernel: string, value: unknown): HostKernelBody | undefined {
  if (value === undefined) return undefined
  const body = new Body(kernel, "host", value, ["source", "module", "wasm"])
  body.checkNames(body.form, "export")
  const extras = { export: body.optional("export", identifier) }
  switch (body.form) {
    case "source":
      return { source: body.part("source", text), ...extras }
    case "module":
      return { module: body.part("module", place), ...extras }
    case "wasm":
      return { wasm: body.part("wasm", module), ...extras }
  }
}

/** A body as it was given: it has exactly one of the forms. */
class Body<F extends string> {
  readonly #what: string
  readonly #value: object
  readonly form: F

  constructor(kernel: string, kind: string, value: unknown, forms: readonly F[]) {
    this.#what = `the ${kind} body of kernel ${kernel}`
    const given = typeof value === "object" && value !== null ? forms.filter((form) => form in value) : []
    const [form] = given
    if (typeof value !== "object" || value === null || form === undefined || given.length > 1) {
      throw new AuxstreamError(
        "AUX_INVALID_ARGUMENT",
        `${this.#what} must have exactly one of ${forms.join(", ")}; got ${show(value)}`,
      )
    }
    this.#value = value
    this.form = form
  }

  checkNames(...names: readonly string[]): void {
    checkNames(this.#value, this.#what, new Set(names))
  }

  part<T>(key: string, { allowed, take }: Part<T>): T {
    const value: unknown = Reflect.get(this.#value, key)
    const taken = take(value)
    if (taken !== undefined) return taken
    throw new AuxstreamError("AUX_INVALID_ARGUMENT", `${key} in ${this.#what} must be ${allowed}; got ${show(value)}`)
  }

  optional<T>(key: string, part: Part<T>): T | undefined {
    return Reflect.get(this.#value, key) === undefined ? undefined : this.part(key, part)
  }
}
