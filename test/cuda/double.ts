/**
 * The CUDA driver's double: built from `test/cuda-double/` with the system's C compiler, and loaded instead of the driver,
 * NVRTC and cuBLASLt. Tests control it and read its counts.
 */
import { spawnSync } from "node:child_process"
import { createHash, randomUUID } from "node:crypto"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import koffi from "koffi"
import { koffi as configure } from "../../src/cuda/native/ffi.js"

const COMPILERS = ["cc", "gcc", "clang"]
const FLAGS = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Wno-unused-parameter", "-fvisibility=hidden", "-pthread"]

function sourceDirectory(): string {
  let directory = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(directory, "test", "cuda-double", "double.h"))) directory = dirname(directory)
  return join(directory, "test", "cuda-double")
}

function build(): string | undefined {
  const directory = sourceDirectory()
  const names = readdirSync(directory).filter((name) => name.endsWith(".c") || name.endsWith(".h"))
  const hash = createHash("sha256").update(FLAGS.join(" "))
  for (const name of names.sort()) hash.update(readFileSync(join(directory, name)))
  const built = join(tmpdir(), `auxstream-cuda-double-${hash.digest("hex").slice(0, 16)}`)
  const library = join(built, "libcuda-double.so")
  if (existsSync(library)) return library
  const compiler = COMPILERS.find((name) => spawnSync(name, ["--version"]).status === 0)
  if (compiler === undefined) return undefined
  mkdirSync(built, { recursive: true })
  // Built under another name and then moved, because several test files may build it at the same time.
  const unfinished = join(built, `${randomUUID()}.so`)
  const sources = names.filter((name) => name.endsWith(".c")).map((name) => join(directory, name))
  const result = spawnSync(compiler, [...FLAGS, "-shared", "-fPIC", ...sources, "-lm", "-o", unfinished], {
    encoding: "utf8",
  })
  if (result.status !== 0) throw new Error(`the CUDA double does not build:\n${result.stderr}`)
  renameSync(unfinished, library)
  return library
}

/** The double's path; undefined without a C compiler. */
export const doublePath = process.platform === "linux" ? build() : undefined

/** For `describe` and `test`: why the tests of the CUDA code cannot run here, if they cannot. */
export const skip =
  doublePath === undefined
    ? `NOT TESTED: the CUDA code. Its tests need Linux and a C compiler (${COMPILERS.join(", ")}); there is none.`
    : false

// A warning as well, because the test reporter's line is easily missed.
if (skip !== false) process.emitWarning(skip)

const cacheDirectory = mkdtempSync(join(tmpdir(), "auxstream-test-cache-"))
process.on("exit", () => rmSync(cacheDirectory, { recursive: true, force: true }))
process.env["AUXSTREAM_CACHE_DIR"] = cacheDirectory
if (doublePath !== undefined) {
  process.env["AUXSTREAM_LIBCUDA"] = doublePath
  process.env["AUXSTREAM_LIBNVRTC"] = doublePath
  process.env["AUXSTREAM_LIBCUBLASLT"] = doublePath
  process.env["AUXSTREAM_LIBCUBLAS"] = doublePath
  process.env["AUXSTREAM_LIBCUPTI"] = doublePath
  process.env["AUXSTREAM_LIBNVTX"] = doublePath
}

type Call = (...args: (number | string)[]) => number
let library: ReturnType<typeof koffi.load> | undefined

/** A function of the double by its C name: a control function, or a CUDA function as another library would call it. */
export function native(name: string, result: string, parameters: string[]): Call {
  if (doublePath === undefined) throw new Error("there is no double")
  // The driver's own settings come first, because koffi accepts none once a library is loaded.
  configure()
  library ??= koffi.load(doublePath)
  return library.func(name, result, parameters) as Call
}

const bound = new Map<string, Call>()

function call(name: string, result: string, parameters: string[], ...args: (number | string)[]): number {
  let fn = bound.get(name)
  if (fn === undefined) {
    fn = native(name, result, parameters)
    bound.set(name, fn)
  }
  return fn(...args)
}

const LIVE = [
  "contexts",
  "streams",
  "events",
  "pools",
  "allocations",
  "pinned",
  "libraries",
  "programs",
  "graphs",
  "executables",
  "products",
  "descriptions",
  "groups",
] as const

/** The counts of live objects. */
export type Alive = Record<(typeof LIVE)[number], number>

/** The double's controls. */
export const double = {
  /** The nth call of this name from now on returns the status and does nothing. A sticky status loses the device. */
  fail: (name: string, nth: number, status: number) =>
    void call("double_fail", "void", ["str", "int", "int"], name, nth, status),
  /** The number of requested failures that have not happened. */
  failuresLeft: () => call("double_failures_left", "int", []),
  failNothing: () => void call("double_fail_nothing", "void", []),
  /** The number of calls of a function. */
  count: (name: string) => call("double_count", "double", ["str"], name),
  alive: () =>
    Object.fromEntries(LIVE.map((name, which) => [name, call("double_alive", "double", ["int"], which)])) as Alive,
  /** The NVTX ranges so far, and those that have not ended. */
  ranges: () => [0, 1].map((open) => call("double_ranges", "double", ["int"], open)),
  /** Forgets what a lost device took with it. */
  forgetLost: () => void call("double_forget_lost", "void", []),
  setDevices: (count: number) => void call("double_set_devices", "void", ["int"], count),
  setVersion: (version: number) => void call("double_set_version", "void", ["int"], version),
  setAttribute: (which: number, value: number) =>
    void call("double_set_attribute", "void", ["int", "int"], which, value),
  /** Requires the context to be current for calls with a stream or an event, too. */
  setStrict: (strict: boolean) => void call("double_set_strict", "void", ["int"], Number(strict)),
  /** Sets the size of the device memory. */
  setMemory: (bytes: number) => void call("double_set_memory", "void", ["double"], bytes),
  setCompilerVersion: (major: number, minor: number) =>
    void call("double_set_compiler_version", "void", ["int", "int"], major, minor),
  setNewestArchitecture: (newest: number) => void call("double_set_newest_architecture", "void", ["int"], newest),
  setCompileTime: (milliseconds: number) => void call("double_set_compile_time", "void", ["int"], milliseconds),
  /** Compilations that begin from now on do not end before this is called with false. */
  holdCompiler: (held: boolean) => void call("double_hold_compiler", "void", ["int"], Number(held)),
  /** Compiles nothing on a thread of Node's pool. */
  compileInBackground: () =>
    new Promise<void>((resolve) => {
      const compile = native("double_compile_nothing", "int", []) as Call & { async(done: () => void): void }
      compile.async(resolve)
    }),
  /** The number of compilations that are held. */
  compilationsHeld: () => call("double_compilations_held", "int", []),
  releasedWhileBusy: () => call("double_released_while_busy", "double", []),
  hostFreesWhileBusy: () => call("double_host_frees_while_busy", "double", []),
  /** The number of calls that had to wait for the device. */
  waits: () => call("double_waits", "double", []),
  /** Sets the most local memory per thread, in bytes, that can be reserved. */
  setMostLocalMemory: (bytes: number) => void call("double_set_most_local", "void", ["int"], bytes),
  /** Kernels are loaded with their image, as with CUDA_MODULE_LOADING=EAGER. */
  setEager: (eager: boolean) => void call("double_set_eager", "void", ["int"], Number(eager)),
  /** Captures a stream on another thread, as another library would, in global mode by default. */
  captureElsewhere: (beside: number, mode = 0) =>
    void call("double_capture_elsewhere", "void", ["uintptr_t", "int"], beside, mode),
  /** Ends that capture. @returns the status */
  endCaptureElsewhere: () => call("double_capture_elsewhere_end", "int", []),
  launchesThatLoad: () => call("double_launches_that_load", "double", []),
  eventFlags: (event: number) => call("double_event_flags", "int", ["uintptr_t"], event),
  streamPriority: (stream: number) => call("double_stream_priority", "int", ["uintptr_t"], stream),
  /** The attributes of the last launch that had any: id, then three words. */
  launchAttributes: () =>
    Array.from({ length: call("double_launch_attributes", "int", []) }, (_, n) =>
      [-1, 0, 1, 2].map((word) => call("double_launch_attribute", "int", ["int", "int"], n, word)),
    ),
  /** The calls that `fn` makes: each its name and its arguments, handles as numbers. */
  log(fn: () => void): (string | number)[][] {
    call("double_log_start", "void", [])
    try {
      fn()
    } finally {
      logged = endLog()
    }
    return logged
  },
  /** The same for an async function. */
  async logAsync(fn: () => Promise<void>): Promise<(string | number)[][]> {
    call("double_log_start", "void", [])
    try {
      await fn()
    } finally {
      logged = endLog()
    }
    return logged
  },
}

let logged: (string | number)[][] = []

function endLog(): (string | number)[][] {
  return String(call("double_log_stop", "str", []))
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.split(" ").map((word, index) => (index === 0 ? word : Number(word))))
}
