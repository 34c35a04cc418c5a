/**
 * Compiles a kernel's CUDA C++ to an image for one device, through the cache on disk.
 *
 * Nothing may be cached unless its key covers everything that the result depends on.
 */
import { AuxstreamError } from "../../common/errors.js"
import { hashHeaders } from "./headers.js"
import { cacheKey, readCache, writeCache } from "./kernel-cache.js"
import { summarize } from "./nvrtc-options.js"
import { nvrtc, type Nvrtc, type Program } from "./nvrtc.js"

/** Must be raised when the contents of a cache entry, or the parts of its key, change. */
const CACHE_FORMAT = "2"

/** CUDA C++ and the device to compile it for. */
export interface CompileRequest {
  readonly name: string
  readonly source: string
  readonly options: readonly string[]
  /** The device's compute capability: 90 is 9.0. */
  readonly architecture: number
  /** The driver's CUDA version as `cuDriverGetVersion` gives it: 13000 is 13.0. */
  readonly driverVersion: number
}

/** A compiled image, perhaps from the cache. */
export interface Compiled {
  readonly image: Uint8Array
  /** Set for an image from the cache, which may be damaged or stale: the request to compile if the image does not load. */
  readonly again?: CompileRequest
}

/** @throws AuxstreamError AUX_KERNEL_INVALID with the compiler's log, AUX_KERNEL_UNAVAILABLE without a compiler */
export function compile(request: CompileRequest): Compiled {
  const key = keyOf(request)
  return cached(request, key) ?? compileAnew(request, key)
}

/** Like {@link compile}, without blocking the event loop. */
export async function compileInBackground(request: CompileRequest): Promise<Compiled> {
  const key = keyOf(request)
  return cached(request, key) ?? compileAnewInBackground(request, key)
}

/** Like {@link compile}, but ignores the cache's entry and replaces it. */
export function compileAnew(request: CompileRequest, key = keyOf(request)): Compiled {
  return store(request, key, compilerFor(request).compile(programOf(request)))
}

/** Like {@link compileAnew}, without blocking the event loop. */
export async function compileAnewInBackground(request: CompileRequest, key = keyOf(request)): Promise<Compiled> {
  return store(request, key, await compilerFor(request).compileInBackground(programOf(request)))
}

function cached(request: CompileRequest, key: string | undefined): Compiled | undefined {
  const image = key === undefined ? undefined : readCache(key)
  return image && { image, again: request }
}

function store(request: CompileRequest, key: string | undefined, image: Uint8Array): Compiled {
  // If a header changed during the compilation, we cannot know which version was compiled.
  if (key !== undefined && key === keyOf(request)) writeCache(key, image)
  return { image }
}

function compilerFor({ driverVersion }: CompileRequest): Nvrtc {
  return nvrtc(Math.floor(driverVersion / 1000))
}

function programOf(request: CompileRequest): Program {
  const { name, source, options, architecture } = request
  const compiler = compilerFor(request)
  const named = summarize(options).architecture
  const target = named ?? targetFor(compiler, architecture, name)
  const architectureOption = named === undefined ? [`--gpu-architecture=${target}`] : []
  const includes = compiler.includes.map((folder) => `--include-path=${folder}`)
  const output = /^sm_\d+[a-z]?$/.test(target) ? "cubin" : "ptx"
  return { name, source, options: [...architectureOption, ...options, ...includes], output }
}

/** The key of the cache entry. Undefined if the headers cannot be determined: then the result must not be cached. */
function keyOf(request: CompileRequest): string | undefined {
  const { source, architecture } = request
  const compiler = compilerFor(request)
  const { options } = programOf(request)
  const { includePaths, preIncludes, usesPrecompiledHeaders } = summarize(options)
  if (usesPrecompiledHeaders) return undefined
  const headers = hashHeaders({ source, preIncludes, folders: includePaths, toolkit: compiler.includes })
  if (headers === undefined) return undefined
  return cacheKey([CACHE_FORMAT, source, compiler.build, architecture, options, headers])
}

/** Machine code for the device, or the newest PTX that the compiler knows if it is older than the device. */
function targetFor(compiler: Nvrtc, architecture: number, name: string): string {
  if (compiler.architectures.includes(architecture)) return `sm_${architecture}`
  const older = compiler.architectures.findLast((known) => known < architecture)
  if (older !== undefined) return `compute_${older}`
  throw new AuxstreamError(
    "AUX_KERNEL_UNAVAILABLE",
    `Kernel "${name}" cannot be compiled for this device: NVRTC ${compiler.version} supports compute capability ` +
      `${capability(compiler.architectures[0] ?? 0)} and later, and the device has ${capability(architecture)}. Set ` +
      "AUXSTREAM_LIBNVRTC to an older NVRTC (`pip install nvidia-cuda-nvrtc-cu12` installs CUDA 12's), or give the " +
      "kernel as PTX or cubin.",
  )
}

/** `75` as `"7.5"`. */
function capability(architecture: number): string {
  return `${Math.floor(architecture / 10)}.${architecture % 10}`
}
