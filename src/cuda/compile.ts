/** From a kernel's CUDA C++ to an image for one device, through the cache on disk. */
import { AuxstreamError } from "../runtime/errors.js"
import { cacheKey, readCache, writeCache } from "./kernel-cache.js"
import { nvrtc, type Nvrtc, type Program } from "./nvrtc.js"

/** Raised when what an entry of the cache holds changes. */
const CACHE_FORMAT = "1"

/** CUDA C++, and the device to compile it for. */
export interface CompileRequest {
  readonly name: string
  readonly source: string
  readonly options: readonly string[]
  /** The device's compute capability: 90 is 9.0. */
  readonly architecture: number
  /** The driver's CUDA version, as CUDA counts. */
  readonly driverVersion: number
}

/** @throws AuxstreamError AUX_KERNEL_INVALID with the compiler's log, AUX_KERNEL_UNAVAILABLE without a compiler */
export function compile(request: CompileRequest): Uint8Array {
  const { compiler, program, key } = plan(request)
  const cached = key === undefined ? undefined : readCache(key)
  if (cached !== undefined) return cached
  return store(key, compiler.compile(program))
}

/** The same, without holding up the event loop. */
export async function compileInBackground(request: CompileRequest): Promise<Uint8Array> {
  const { compiler, program, key } = plan(request)
  const cached = key === undefined ? undefined : readCache(key)
  if (cached !== undefined) return cached
  return store(key, await compiler.compileInBackground(program))
}

function store(key: string | undefined, image: Uint8Array): Uint8Array {
  if (key !== undefined) writeCache(key, image)
  return image
}

interface Plan {
  readonly compiler: Nvrtc
  readonly program: Program
  /** Undefined if the result must not be cached. */
  readonly key: string | undefined
}

function plan({ name, source, options, architecture, driverVersion }: CompileRequest): Plan {
  const compiler = nvrtc(Math.floor(driverVersion / 1000))
  const target = options.find(namesArchitecture) ?? `--gpu-architecture=${targetFor(compiler, architecture, name)}`
  const includes = compiler.includes.map((directory) => `--include-path=${directory}`)
  const all = [...new Set([target, ...options, ...includes])]
  const output = /sm_\d+[a-z]?$/.test(target) ? "cubin" : "ptx"
  // Headers of the user's may change without the source changing.
  const cacheable = !options.some(namesHeaders)
  const key = cacheKey(CACHE_FORMAT, source, compiler.version, String(architecture), ...all)
  return { compiler, program: { name, source, options: all, output }, key: cacheable ? key : undefined }
}

function namesArchitecture(option: string): boolean {
  return /^(--gpu-architecture|-arch)=/.test(option)
}

function namesHeaders(option: string): boolean {
  return /^(-I|--include-path|-include|--pre-include)/.test(option)
}

/** Machine code for the device, or PTX of the newest kind if the compiler is older than the device. */
function targetFor(compiler: Nvrtc, architecture: number, name: string): string {
  if (compiler.architectures.includes(architecture)) return `sm_${architecture}`
  const older = compiler.architectures.findLast((known) => known < architecture)
  if (older !== undefined) return `compute_${older}`
  throw new AuxstreamError(
    "AUX_KERNEL_UNAVAILABLE",
    `Kernel "${name}" cannot be compiled for this device: NVRTC ${compiler.version} is for compute capability ` +
      `${capability(compiler.architectures[0] ?? 0)} and later, and the device's is ${capability(architecture)}. Name an ` +
      "older NVRTC in AUXSTREAM_LIBNVRTC (that of CUDA 12 comes with pip install nvidia-cuda-nvrtc-cu12), or give the " +
      "kernel as PTX or cubin.",
  )
}

/** `75` as `"7.5"`. */
function capability(architecture: number): string {
  return `${Math.floor(architecture / 10)}.${architecture % 10}`
}
