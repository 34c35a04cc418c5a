/**
 * Another library in the same process: NVIDIA's CUDA runtime on a machine with a GPU, elsewhere a small stand-in over the
 * driver's double, so that the tests themselves run everywhere.
 */
import assert from "node:assert/strict"
import { spawnSync } from "node:child_process"
import { createHash, randomUUID } from "node:crypto"
import { existsSync, readFileSync, renameSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { CMemory } from "../../src/cuda/native/c-memory.js"
import { bind, loadLibrary, type Bound, type NativeLibrary, type Signature } from "../../src/cuda/native/ffi.js"
import { thisMachine } from "../../src/cuda/native/machine.js"
import { toolkitCandidates, toolkitPlaces } from "../../src/cuda/toolkit/toolkit-places.js"
import { findGpu } from "./gpu.js"

const CALLS = {
  setDevice: ["cudaSetDevice", "int"],
  streamCreate: ["cudaStreamCreateWithFlags", "uintptr_t", "uint32_t"],
  streamDestroy: ["cudaStreamDestroy", "uintptr_t"],
  streamQuery: ["cudaStreamQuery", "uintptr_t"],
  streamSynchronize: ["cudaStreamSynchronize", "uintptr_t"],
  streamWaitEvent: ["cudaStreamWaitEvent", "uintptr_t", "uintptr_t", "uint32_t"],
  eventCreate: ["cudaEventCreateWithFlags", "uintptr_t", "uint32_t"],
  eventDestroy: ["cudaEventDestroy", "uintptr_t"],
  eventRecord: ["cudaEventRecord", "uintptr_t", "uintptr_t"],
  malloc: ["cudaMalloc", "uintptr_t", "size_t"],
  free: ["cudaFree", "uintptr_t"],
  memcpyAsync: ["cudaMemcpyAsync", "uintptr_t", "uintptr_t", "size_t", "int", "uintptr_t"],
  memsetAsync: ["cudaMemsetAsync", "uintptr_t", "int", "size_t", "uintptr_t"],
  streamBeginCapture: ["cudaStreamBeginCapture", "uintptr_t", "int"],
  streamEndCapture: ["cudaStreamEndCapture", "uintptr_t", "uintptr_t"],
  graphDestroy: ["cudaGraphDestroy", "uintptr_t"],
  graphInstantiate: ["cudaGraphInstantiate", "uintptr_t", "uintptr_t", "size_t"],
  graphLaunch: ["cudaGraphLaunch", "uintptr_t", "uintptr_t"],
  graphExecDestroy: ["cudaGraphExecDestroy", "uintptr_t"],
} as const satisfies Record<string, Signature>

const NON_BLOCKING = 1
const DISABLE_TIMING = 2
const COPY_DEFAULT = 4
const CAPTURE_RELAXED = 2
const SUCCESS = 0
const NOT_READY = 600

/** The CUDA runtime's functions, without their prefix. They throw failures. */
export class CudaRuntime {
  readonly #calls: Bound<typeof CALLS>

  constructor(library: NativeLibrary) {
    this.#calls = bind(library, CALLS)
    // The device's primary context, which auxstream uses, too.
    succeeded(this.#calls.setDevice(0), "cudaSetDevice")
  }

  /** A non-blocking stream. */
  streamCreate(): bigint {
    const out = new CMemory(8)
    succeeded(this.#calls.streamCreate(out.address, NON_BLOCKING), "cudaStreamCreateWithFlags")
    return BigInt(out.number(0))
  }

  streamDestroy(stream: bigint): void {
    succeeded(this.#calls.streamDestroy(Number(stream)), "cudaStreamDestroy")
  }

  /** Whether all work queued there is done. */
  streamQuery(stream: bigint): boolean {
    const status = this.#calls.streamQuery(Number(stream))
    if (status !== NOT_READY) succeeded(status, "cudaStreamQuery")
    return status === SUCCESS
  }

  streamSynchronize(stream: bigint): void {
    succeeded(this.#calls.streamSynchronize(Number(stream)), "cudaStreamSynchronize")
  }

  streamWaitEvent(stream: bigint, event: bigint): void {
    succeeded(this.#calls.streamWaitEvent(Number(stream), Number(event), 0), "cudaStreamWaitEvent")
  }

  /** In the mode that does not restrict the thread's other streams. */
  streamBeginCapture(stream: bigint): void {
    succeeded(this.#calls.streamBeginCapture(Number(stream), CAPTURE_RELAXED), "cudaStreamBeginCapture")
  }

  /** Launches the graph repeatedly on that stream, waits for it, and destroys the graph. */
  streamEndCapture(stream: bigint, launches = 0): void {
    const out = new CMemory(8)
    succeeded(this.#calls.streamEndCapture(Number(stream), out.address), "cudaStreamEndCapture")
    const graph = out.number(0)
    if (launches > 0) this.#launch(graph, stream, launches)
    succeeded(this.#calls.graphDestroy(graph), "cudaGraphDestroy")
  }

  #launch(graph: number, stream: bigint, launches: number): void {
    const out = new CMemory(8)
    succeeded(this.#calls.graphInstantiate(out.address, graph, 0), "cudaGraphInstantiate")
    const executable = out.number(0)
    for (let launch = 0; launch < launches; launch++) {
      succeeded(this.#calls.graphLaunch(executable, Number(stream)), "cudaGraphLaunch")
    }
    this.streamSynchronize(stream)
    succeeded(this.#calls.graphExecDestroy(executable), "cudaGraphExecDestroy")
  }

  eventCreate(): bigint {
    const out = new CMemory(8)
    succeeded(this.#calls.eventCreate(out.address, DISABLE_TIMING), "cudaEventCreateWithFlags")
    return BigInt(out.number(0))
  }

  eventDestroy(event: bigint): void {
    succeeded(this.#calls.eventDestroy(Number(event)), "cudaEventDestroy")
  }

  eventRecord(event: bigint, stream: bigint): void {
    succeeded(this.#calls.eventRecord(Number(event), Number(stream)), "cudaEventRecord")
  }

  malloc(byteLength: number): number {
    const out = new CMemory(8)
    succeeded(this.#calls.malloc(out.address, byteLength), "cudaMalloc")
    return out.number(0)
  }

  /** Waits for the whole device, so it must not be called while a latch is closed. */
  free(address: number): void {
    succeeded(this.#calls.free(address), "cudaFree")
  }

  memcpyAsync(destination: number, source: number, byteLength: number, stream: bigint): void {
    const status = this.#calls.memcpyAsync(destination, source, byteLength, COPY_DEFAULT, Number(stream))
    succeeded(status, "cudaMemcpyAsync")
  }

  /** Sets every byte. */
  memsetAsync(destination: number, value: number, byteLength: number, stream: bigint): void {
    succeeded(this.#calls.memsetAsync(destination, value, byteLength, Number(stream)), "cudaMemsetAsync")
  }
}

function succeeded(status: number, call: string): void {
  assert.equal(status, SUCCESS, `${call} gave ${status}`)
}

/** A function that opens the runtime, or the reason why there is none. Opening initialises it, so the tests decide when. */
export type Found = { readonly name: string; readonly open: () => CudaRuntime } | { readonly missing: string }

/** NVIDIA's runtime if there is a GPU, otherwise the stand-in. */
export async function findRuntime(): Promise<Found> {
  const gpu = findGpu()
  if (gpu === undefined) return standIn()
  const file = {
    13: { linux: "libcudart.so.13", windows: "cudart64_13.dll" },
    12: { linux: "libcudart.so.12", windows: "cudart64_12.dll" },
  }
  for (const path of toolkitCandidates(thisMachine(), file, 13)) {
    const library = loaded(path)
    if (library !== undefined) return { name: `${path} on ${gpu}`, open: () => new CudaRuntime(library) }
  }
  const places = toolkitPlaces(thisMachine())
  return { missing: `NOT TESTED: other libraries on this GPU. The CUDA runtime was not found in ${places}.` }
}

function loaded(path: string): NativeLibrary | undefined {
  try {
    return loadLibrary(path)
  } catch {
    return undefined
  }
}

async function standIn(): Promise<Found> {
  // Imported only here, because it makes the library use the double instead of the driver.
  const { doublePath, skip } = await import("../cuda/double.js")
  if (doublePath === undefined || skip !== false) return { missing: String(skip) }
  const path = build(doublePath)
  return { name: "a stand-in over the driver's double", open: () => new CudaRuntime(loadLibrary(path)) }
}

/** Builds the stand-in beside the double, whose path it contains. @returns its path */
function build(doublePath: string): string {
  const source = standInSource()
  const hash = createHash("sha256").update(doublePath).update(readFileSync(source)).digest("hex").slice(0, 16)
  const library = join(dirname(doublePath), `libcudart-${hash}.so`)
  if (existsSync(library)) return library
  const compiler = ["cc", "gcc", "clang"].find((name) => spawnSync(name, ["--version"]).status === 0) ?? "cc"
  // Built under another name and then moved, because several processes may build it at the same time.
  const unfinished = join(dirname(doublePath), `${randomUUID()}.so`)
  const flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-fvisibility=hidden", "-shared", "-fPIC"]
  const { status, stderr } = spawnSync(compiler, [...flags, source, doublePath, "-o", unfinished], { encoding: "utf8" })
  if (status !== 0) throw new Error(`the stand-in for the CUDA runtime does not build:\n${stderr}`)
  renameSync(unfinished, library)
  return library
}

function standInSource(): string {
  let directory = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(directory, "test", "gpu", "cuda-runtime.c"))) directory = dirname(directory)
  return join(directory, "test", "gpu", "cuda-runtime.c")
}
