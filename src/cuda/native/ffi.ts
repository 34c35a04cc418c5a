/**
 * Calls C functions through koffi. koffi is an optional dependency, so importing the package must never load it: it is
 * loaded at the first use.
 *
 * Handles and addresses are plain numbers. Addresses have 48 bits and so are below 2^53, and koffi passes a number in about
 * a tenth of the time that a pointer object takes.
 */
import { createRequire } from "node:module"
import { unavailable } from "./errors.js"
import { warn } from "../../common/warn.js"

/** The C types in the tables of calls. A pointer, a handle or an address is a `uintptr_t`. */
export type CType = "int" | "uint32_t" | "uint8_t" | "uint16_t" | "uintptr_t" | "size_t" | "str" | "str16"

/** A C function that returns a status. `async` runs it on a thread of Node's pool. */
export interface NativeCall<A extends readonly unknown[]> {
  (...args: A): number
  async(...args: [...A, done: (error: Error | null, status: number) => void]): void
}

/** A C function in a table: its symbol in the library and the types of its parameters. */
export type Signature = readonly [symbol: string, ...parameters: CType[]]

type Argument<T> = T extends "str" | "str16" ? string : number
type Arguments<P extends readonly CType[]> = { [I in keyof P]: Argument<P[I]> }

/** The calls of a table, bound to a library. */
export type Bound<T extends Record<string, Signature>> = {
  readonly [K in keyof T]: T[K] extends readonly [string, ...infer P extends readonly CType[]]
    ? NativeCall<Arguments<P>>
    : never
}

/** A library that has been loaded. */
export interface NativeLibrary {
  func(symbol: string, result: "int" | "uintptr_t", parameters: readonly CType[]): NativeCall<never[]>
}

interface Koffi {
  config(settings?: { sync_stack_size: number; async_stack_size: number }): { sync_stack_size: number }
  load(path: string | null): NativeLibrary
  address(memory: ArrayBuffer): bigint
  view(address: number, byteLength: number): ArrayBuffer
  readonly decode: { string(address: number): string; (address: number, type: "uint64_t"): number | bigint }
}

/** The driver and NVRTC compile on the calling thread's stack, and overflow a smaller one. */
const STACK_SIZE = 8 * 1024 * 1024

let loaded: Koffi | undefined

/** @throws AuxstreamError AUX_DEVICE_UNAVAILABLE if koffi is not installed or does not work on this system */
export function koffi(): Koffi {
  if (loaded !== undefined) return loaded
  let module: Koffi
  try {
    module = createRequire(import.meta.url)("koffi") as Koffi
  } catch (error) {
    throw unavailable(
      "The package koffi, which calls the CUDA driver, cannot be loaded. Install it with `npm install koffi` " +
        "(npm skips it with --omit=optional), and do not bundle auxstream, because koffi cannot be bundled. " +
        firstLine(error),
    )
  }
  setStackSizes(module)
  loaded = module
  return module
}

/**
 * Loads a library and keeps it loaded until the process ends. koffi would unload it when the loading thread or Worker ends,
 * while the CUDA driver's own threads still run its code.
 *
 * @throws Error if it cannot be loaded
 */
export function loadLibrary(path: string): NativeLibrary {
  const library = koffi().load(path)
  try {
    if (process.platform === "win32") pinModule(path)
    if (process.platform === "linux") keepLoaded(path)
  } catch {
    // Systems without this function never unload a library.
  }
  return library
}

const DYNAMIC_LOADER = { dlopen: ["dlopen", "str", "int"] } as const satisfies Record<string, Signature>
const RTLD_LAZY = 0x0001
const RTLD_NODELETE = 0x1000

function keepLoaded(path: string): void {
  bind(koffi().load(null), DYNAMIC_LOADER).dlopen(path, RTLD_LAZY | RTLD_NODELETE)
}

const MODULES = {
  getModuleHandle: ["GetModuleHandleExW", "uint32_t", "str16", "uintptr_t"],
} as const satisfies Record<string, Signature>
const GET_MODULE_HANDLE_EX_FLAG_PIN = 1
/** A buffer of this size is not on V8's own heap, where it could move. */
const LARGE = 256

/** The same on Windows: pins the module until the process ends. */
function pinModule(path: string): void {
  const handle = koffi().address(new ArrayBuffer(LARGE))
  const { getModuleHandle } = bind(koffi().load("kernel32.dll"), MODULES)
  getModuleHandle(GET_MODULE_HANDLE_EX_FLAG_PIN, path.replaceAll("/", "\\"), Number(handle))
}

function setStackSizes(module: Koffi): void {
  try {
    module.config({ sync_stack_size: STACK_SIZE, async_stack_size: STACK_SIZE })
  } catch {
    // Other code has loaded a library through koffi before us, so its sizes apply.
    if (module.config().sync_stack_size >= STACK_SIZE) return
    warn(
      "AUX_SMALL_STACK",
      "Other code configured koffi before auxstream did, with stacks that compiling a large kernel may overflow. " +
        "Open the CUDA device before other code loads a library through koffi.",
    )
  }
}

/** The first line of an error's message, with a full stop at its end. */
export function firstLine(error: unknown): string {
  const text = (error instanceof Error ? error.message : String(error)).split("\n", 1)[0] ?? ""
  return text.endsWith(".") ? text : `${text}.`
}

/** Makes a call for each entry of a table. */
export function eachCall<T extends Record<string, Signature>>(
  table: T,
  make: (signature: Signature) => NativeCall<never[]>,
): Bound<T> {
  return Object.fromEntries(Object.entries(table).map(([name, signature]) => [name, make(signature)])) as Bound<T>
}

/** Looks up every call of a table. @throws Error if the library lacks one */
export function bind<T extends Record<string, Signature>>(
  library: NativeLibrary,
  table: T,
  result: "int" | "uintptr_t" = "int",
): Bound<T> {
  return eachCall(table, ([symbol, ...parameters]) => library.func(symbol, result, parameters))
}

/** Looks up the calls of a table that the library has. */
export function bindPresent<T extends Record<string, Signature>>(library: NativeLibrary, table: T): Partial<Bound<T>> {
  const present = Object.entries(table).flatMap(([name, [symbol, ...parameters]]) => {
    try {
      return [[name, library.func(symbol, "int", parameters)] as const]
    } catch {
      return []
    }
  })
  return Object.fromEntries(present) as Partial<Bound<T>>
}

/** Runs a call on a thread of Node's pool. */
export function inBackground<A extends readonly unknown[]>(call: NativeCall<A>, ...args: A): Promise<number> {
  return new Promise((resolve, reject) => {
    call.async(...args, (error, status) => {
      if (error === null) resolve(status)
      else reject(error)
    })
  })
}

/** The text at an address, which ends with a zero byte. */
export function readText(address: number): string {
  return koffi().decode.string(address)
}

/** Foreign memory as a buffer. Nothing is freed when the buffer is collected. */
export function viewMemory(address: number, byteLength: number): ArrayBuffer {
  return koffi().view(address, byteLength)
}

/** The unsigned 64-bit number below 2^53 at an address: a handle. Much cheaper than a view. */
export function readNumber(address: number): number {
  return Number(koffi().decode(address, "uint64_t"))
}
