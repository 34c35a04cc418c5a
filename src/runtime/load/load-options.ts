/** The arguments of `device.load`. They are checked before the file is opened. */
import type { FileHandle } from "node:fs/promises"
import { checkSignal } from "../../common/abort.js"
import { checkInteger, checkOptions, mustBe } from "../../common/check.js"
import { checkDType } from "../../common/dtype/elements.js"
import { AuxstreamError } from "../../common/errors.js"
import type { DType } from "../../common/dtype/dtype.js"

/** A file to load from: a path, a `file:` URL or its text, or an open file, which stays open. */
export type LoadableFile = string | URL | FileHandle

/** Options of {@link Device.load}. */
export interface LoadOptions<D extends DType = DType> {
  /** The dtype of the array. The file's bytes are little-endian. */
  readonly dtype: D
  /** The number of elements. Default: all elements up to the end of the file. */
  readonly length?: number | undefined
  /** The position of the first element in the file, in bytes. Default: 0. */
  readonly offset?: number | undefined
  /** If it aborts, the load ends: the promise rejects with its reason, and the array is disposed of. */
  readonly signal?: AbortSignal | undefined
}

const names: ReadonlySet<string> = new Set<keyof LoadOptions>(["dtype", "length", "offset", "signal"])

/** @throws AuxstreamError AUX_INVALID_ARGUMENT, AUX_OUT_OF_RANGE; the signal's reason if it has aborted */
export function checkLoad(file: unknown, options: LoadOptions): asserts file is LoadableFile {
  if (typeof file !== "string" && !(file instanceof URL) && !isFileHandle(file)) {
    throw mustBe("file", "a path, a file: URL or a FileHandle", file)
  }
  if (typeof file === "string" && file.startsWith("file://") && !URL.canParse(file)) {
    throw mustBe("file", "a path, or the text of a valid file: URL", file)
  }
  if (file instanceof URL && file.protocol !== "file:") throw mustBe("file", "a file: URL", file.href)
  if (typeof options !== "object" || options === null) throw mustBe("options", "an object such as { dtype }", options)
  checkOptions(options, "options", names)
  const { dtype, length = 0, offset = 0, signal } = options
  checkDType(dtype)
  checkInteger(length, "length", 0, Number.MAX_SAFE_INTEGER)
  checkInteger(offset, "offset", 0, Number.MAX_SAFE_INTEGER)
  checkSignal(signal)
  signal?.throwIfAborted()
}

/** The number of elements to load. @throws AuxstreamError AUX_OUT_OF_RANGE if the file has fewer */
export function lengthIn(
  { name, size }: { readonly name: string; readonly size: number },
  elementBytes: number,
  { dtype, length, offset = 0 }: LoadOptions,
): number {
  const there = size - offset
  const needed = (length ?? 0) * elementBytes
  if (there < needed) {
    throw new AuxstreamError(
      "AUX_OUT_OF_RANGE",
      `${name} must have at least ${offset + needed} bytes, for ${length ?? 0} elements of ${dtype} from byte ${offset} on; ` +
        `got ${size}`,
    )
  }
  if (length !== undefined) return length
  if (there % elementBytes === 0) return there / elementBytes
  throw new AuxstreamError(
    "AUX_OUT_OF_RANGE",
    `${name} must have a multiple of ${elementBytes} bytes from byte ${offset} on, for elements of ${dtype}; got ${there}. ` +
      "Give the number of elements as `length`.",
  )
}

/** The path or URL to open. A string that begins with `file://` is the text of a URL. */
export function placeOf(file: string | URL): string | URL {
  return typeof file === "string" && file.startsWith("file://") ? new URL(file) : file
}

/** An open file of `node:fs/promises`, whose class is not public. */
export function isFileHandle(file: unknown): file is FileHandle {
  if (typeof file !== "object" || file === null || !("fd" in file)) return false
  return "read" in file && typeof file.read === "function" && "stat" in file && typeof file.stat === "function"
}
