/**
 * Compiles a module's CUDA C++ to an image for one device, through the cache on disk.
 *
 * Nothing may be cached unless its key covers everything that the result depends on.
 */
import { dirname, isAbsolute } from "node:path"
import { AuxstreamError } from "../../common/errors.js"
import type { Steps } from "../native/steps.js"
import { hashHeaders } from "./headers.js"
import { cacheKey, readCache, writeCache } from "./kernel-cache.js"
import { summarize } from "./nvrtc-options.js"
import { type CompiledProgram, nvrtc, type Nvrtc, type Program } from "./nvrtc.js"

/** Must be raised when the contents of a cache entry, or the parts of its key, change. */
const CACHE_FORMAT = "3"

/** CUDA C++ and the device to compile it for. */
export interface CompileRequest {
  /** What errors call its module. */
  readonly label: string
  readonly source: string
  /** The source's file name: an absolute path if it comes from a file. */
  readonly file: string
  readonly options: readonly string[]
  /** Headers by the names under which the source includes them. */
  readonly headers: ReadonlyMap<string, string>
  /** Absolute paths of folders to search for headers. */
  readonly includePaths: readonly string[]
  /** Name expressions of kernels, which the compiler instantiates. */
  readonly expressions: readonly string[]
  /** The device's compute capability: 90 is 9.0. */
  readonly architecture: number
  /** The driver's CUDA version as `cuDriverGetVersion` gives it: 13000 is 13.0. */
  readonly driverVersion: number
}

/** A compiled image, perhaps from the cache. */
export interface Compiled extends CompiledProgram {
  /** Whether it comes from the cache, so that it may be damaged or stale. */
  readonly isCached: boolean
}

/** @throws AuxstreamError AUX_KERNEL_INVALID with the compiler's log, AUX_KERNEL_UNAVAILABLE without a compiler */
export function* compile(request: CompileRequest): Steps<Compiled> {
  const key = keyOf(request)
  const entry = key === undefined ? undefined : readCache(key)
  const compiled = entry && unpack(entry, request.expressions)
  if (compiled !== undefined) return { ...compiled, isCached: true }
  return yield* compileAnew(request, key)
}

/** Like {@link compile}, but ignores the cache's entry and replaces it. */
export function* compileAnew(request: CompileRequest, key = keyOf(request)): Steps<Compiled> {
  const compiled = yield* compilerFor(request).compile(programOf(request))
  // If a header changed during the compilation, we cannot know which version was compiled.
  if (key !== undefined && key === keyOf(request)) writeCache(key, pack(compiled))
  return { ...compiled, isCached: false }
}

const LENGTH_BYTES = 4

/** The contents of a cache entry: the length of the names, the names with a zero byte after each, and the image. */
function pack({ image, names }: CompiledProgram): Uint8Array {
  const text = Buffer.from(
    [...names]
      .flat()
      .map((name) => `${name}\0`)
      .join(""),
  )
  const length = Buffer.alloc(LENGTH_BYTES)
  length.writeUInt32LE(text.length)
  return Buffer.concat([length, text, image])
}

/** Undefined for an entry that lacks the symbol of an expression. */
function unpack(entry: Uint8Array, expressions: readonly string[]): CompiledProgram | undefined {
  const bytes = Buffer.from(entry.buffer, entry.byteOffset, entry.byteLength)
  if (bytes.length < LENGTH_BYTES) return undefined
  const end = LENGTH_BYTES + bytes.readUInt32LE()
  const texts = bytes.toString("utf8", LENGTH_BYTES, end).split("\0")
  const names = new Map<string, string>()
  for (let index = 0; index + 1 < texts.length; index += 2) names.set(texts[index] ?? "", texts[index + 1] ?? "")
  return expressions.every((expression) => names.has(expression)) ? { image: bytes.subarray(end), names } : undefined
}

function compilerFor({ driverVersion }: CompileRequest): Nvrtc {
  return nvrtc(Math.floor(driverVersion / 1000))
}

function programOf(request: CompileRequest): Program {
  const { label, source, file, options, headers, expressions, architecture } = request
  const compiler = compilerFor(request)
  const named = summarize(options).architecture
  const target = named ?? targetFor(compiler, architecture, label)
  const architectureOption = named === undefined ? [`--gpu-architecture=${target}`] : []
  const includes = [...request.includePaths, ...compiler.includes].map((folder) => `--include-path=${folder}`)
  const output = /^sm_\d+[a-z]?$/.test(target) ? "cubin" : "ptx"
  const all = [...architectureOption, ...options, ...includes]
  return { label, source, file, headers, expressions, options: all, output }
}

/** The key of the cache entry. Undefined if the headers cannot be determined: then the result must not be cached. */
function keyOf(request: CompileRequest): string | undefined {
  const { source, headers, expressions, architecture } = request
  const compiler = compilerFor(request)
  const { options } = programOf(request)
  const { includePaths, preIncludes, usesPrecompiledHeaders } = summarize(options)
  if (usesPrecompiledHeaders) return undefined
  const folder = dirname(request.file)
  const search = { source, folder, headers, preIncludes, folders: includePaths, toolkit: compiler.includes }
  const ofHeaders = hashHeaders(search)
  if (ofHeaders === undefined) return undefined
  // `__FILE__` is a path in the code. The name of a source that has none is no part of what it means.
  const path = isAbsolute(request.file) ? request.file : undefined
  return cacheKey([CACHE_FORMAT, source, path, compiler.build, architecture, options, expressions, ofHeaders])
}

/** Machine code for the device, or the newest PTX that the compiler knows if it is older than the device. */
function targetFor(compiler: Nvrtc, architecture: number, label: string): string {
  if (compiler.architectures.includes(architecture)) return `sm_${architecture}`
  const older = compiler.architectures.findLast((known) => known < architecture)
  if (older !== undefined) return `compute_${older}`
  throw new AuxstreamError(
    "AUX_KERNEL_UNAVAILABLE",
    `${label} cannot be compiled for this device: NVRTC ${compiler.version} supports compute capability ` +
      `${capability(compiler.architectures[0] ?? 0)} and later, and the device has ${capability(architecture)}. Set ` +
      "AUXSTREAM_LIBNVRTC to an older NVRTC (`pip install nvidia-cuda-nvrtc-cu12` installs CUDA 12's), or give the " +
      "kernel as PTX or cubin.",
  )
}

/** `75` as `"7.5"`. */
function capability(architecture: number): string {
  return `${Math.floor(architecture / 10)}.${architecture % 10}`
}
