import { URL } from "node:url"
import type { CudaModuleBody, HostModuleBody } from "../../driver.js"
import { bytesOf, isTypedArray, typedArrayName } from "../../common/typed-array.js"
import { checkNames, mustBe } from "../../common/check.js"
import { AuxstreamError } from "../../common/errors.js"
import { show } from "../../common/show.js"

/** A kernel's code for CUDA. */
export type CudaKernelBody = CudaModuleBody

/** A kernel's code for the host device. `export` defaults to the kernel's name. */
export type HostKernelBody = HostModuleBody & { readonly export?: string | undefined }

/**
 * The type of an option in a kernel's body. `take` returns the value for the driver, as an object of this realm that the
 * caller cannot change; undefined if the value is invalid.
 */
interface Part<T> {
  readonly allowed: string
  readonly take: (value: unknown) => T | undefined
}

const definitionNames: ReadonlySet<string> = new Set(["name", "signature", "cuda", "host"])

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
  take: (value) => text.take(value === "" ? undefined : value),
}
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

/** Throws unless the value is a kernel's definition. Its name and signature are checked elsewhere. */
export function checkDefinition(definition: unknown): void {
  if (typeof definition === "object" && definition !== null)
    return checkNames(definition, "definition", definitionNames)
  throw mustBe("definition", "an object such as { name, signature, cuda, host }", definition)
}

/** The error for a definition without code. */
export function withoutCode(kernel: string): Error {
  return new AuxstreamError(
    "AUX_INVALID_ARGUMENT",
    `Kernel "${kernel}" must have code for at least one device. Give its definition a \`cuda\` or a \`host\` body.`,
  )
}

/** Checks a kernel's code for CUDA. It may be undefined. */
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

/** Checks a kernel's code for the host device. It may be undefined. */
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

/** A body as the user gave it. It must have exactly one of the forms. */
class Body<F extends string> {
  readonly #kernel: string
  readonly #kind: string
  readonly #value: object
  readonly form: F

  constructor(kernel: string, kind: string, value: unknown, forms: readonly F[]) {
    this.#kernel = kernel
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
    throw mustBe(this.#what(key), allowed, value)
  }

  /** The body, or one of its options, in messages. */
  #what(key?: string): string {
    return `\`${key === undefined ? this.#kind : `${this.#kind}.${key}`}\` of kernel "${this.#kernel}"`
  }

  optional<T>(key: string, part: Part<T>): T | undefined {
    return Reflect.get(this.#value, key) === undefined ? undefined : this.part(key, part)
  }
}
