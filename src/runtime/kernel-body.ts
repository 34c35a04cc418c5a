import { AuxstreamError } from "./errors.js"
import { show } from "./show.js"

/** What a part of a kernel's body has to be. */
interface Part {
  readonly allowed: string
  holds(value: unknown): boolean
}

const text: Part = { allowed: "a string", holds: (value) => typeof value === "string" }
const identifier: Part = { allowed: "a name", holds: (value) => typeof value === "string" && value !== "" }
const bytes: Part = { allowed: "a Uint8Array", holds: (value) => value instanceof Uint8Array }
const place: Part = {
  allowed: "a URL, or a path as a string",
  holds: (value) => typeof value === "string" || value instanceof URL,
}
const image: Part = { allowed: "a string or a Uint8Array", holds: (value) => text.holds(value) || bytes.holds(value) }
const module: Part = { allowed: "a URL or a Uint8Array", holds: (value) => value instanceof URL || bytes.holds(value) }
const words: Part = {
  allowed: "an array of strings",
  holds: (value) => Array.isArray(value) && value.every((word) => typeof word === "string"),
}

/** Refuses what is no kernel's definition. Its name and signature have checks of their own. */
export function checkDefinition(definition: unknown): void {
  if (typeof definition === "object" && definition !== null) return
  throw new AuxstreamError(
    "AUX_INVALID_ARGUMENT",
    `definition is ${show(definition)}; it is { name, signature, cuda, host }, with code for one device at least`,
  )
}

/** Refuses what is no code for CUDA. None is allowed. */
export function checkCudaBody(name: string, body: unknown): void {
  checkBody(name, "cuda", body, { source: text, ptx: image, cubin: bytes }, { options: words })
}

/** Refuses what is no code for the host. None is allowed. */
export function checkHostBody(name: string, body: unknown): void {
  checkBody(name, "host", body, { source: text, module: place, wasm: module }, { export: identifier })
}

/** A body has exactly one of the forms, and some of the extras. */
function checkBody(
  name: string,
  kind: string,
  body: unknown,
  forms: Readonly<Record<string, Part>>,
  extras: Readonly<Record<string, Part>>,
): void {
  if (body === undefined) return
  const given = typeof body === "object" && body !== null ? Object.keys(forms).filter((form) => form in body) : []
  if (typeof body !== "object" || body === null || given.length !== 1) {
    throw new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      `the ${kind} body of kernel ${name} is ${show(body)}; it has exactly one of ${Object.keys(forms).join(", ")}`,
    )
  }
  for (const [key, part] of Object.entries({ ...forms, ...extras })) {
    const value: unknown = Reflect.get(body, key)
    if (part.holds(value) || (value === undefined && !given.includes(key))) continue
    throw new AuxstreamError(
      "AUX_INVALID_ARGUMENT",
      `${key} in the ${kind} body of kernel ${name} is ${show(value)}; it is ${part.allowed}`,
    )
  }
}
