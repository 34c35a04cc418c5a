import { types } from "node:util"
import type { ControlMemory } from "../control/control.js"
import { COPY_BYTES, type KernelDefinition, type StructParameters } from "./kernel-check.js"
import type { Globals, LoadedModules } from "./loaded-modules.js"
import { LAUNCH_WORDS, wordAt } from "../control/layout.js"
import type { DeviceMemory } from "../control/memory.js"
import {
  BFLOAT16,
  FLOAT16,
  FLOAT8,
  FLOAT32,
  FLOAT64,
  INT16,
  INT32,
  INT64,
  INT8,
  POINTER,
  UINT16,
  UINT32,
  UINT64,
  UINT8,
  argumentWords,
  codeAt,
} from "./parameter-codes.js"
import { withStructs } from "./struct-values.js"
import type { WasmFunction } from "../control/web-assembly.js"
import { type View, ViewCache } from "./views.js"
import { WasmStructs } from "./wasm-structs.js"

/** A kernel that is loaded on this worker. */
export interface LoadedKernel {
  /** Runs the launch command at index `at` of the control memory. Throws what the kernel throws. */
  run(control: ControlMemory, at: number): void
}

/** Stands for a module whose code is loaded without a kernel. */
const onlyCode: LoadedKernel = {
  run: () => {
    throw new TypeError("a module without a kernel cannot be launched")
  },
}

/** Loads a WebAssembly kernel. @returns undefined if the kernel is a JavaScript module */
export function loadWasm(definition: KernelDefinition, modules: LoadedModules): LoadedKernel | undefined {
  const { structs, codes } = definition
  const { body } = definition.module
  if (!("module" in body)) return undefined
  const exports = modules.instance(definition.module, body.module)
  if (definition.exportName === undefined) return onlyCode
  const kernel = exports[definition.exportName] as WasmFunction
  const passed = (structs?.places.length ?? codes.length) + GRID_AND_BLOCK
  if (kernel.length > passed) {
    throw new TypeError(
      `its export declares ${kernel.length} parameters, but a launch of this signature passes ${passed}: the arguments, ` +
        "grid x, y, z and block x, y, z",
    )
  }
  if (structs === undefined) return new WasmKernel(kernel, codes, undefined)
  const copies = structs.copies + modules.worker * COPY_BYTES
  return new WasmKernel(kernel, codes, new WasmStructs(structs.places, modules.memory, copies))
}

/** A WebAssembly kernel gets this many numbers after its arguments. */
const GRID_AND_BLOCK = 6

/** Loads a JavaScript kernel. Rejects if its module cannot be used. */
export async function loadModule(definition: KernelDefinition, modules: LoadedModules): Promise<LoadedKernel> {
  const { exportName, codes, structs } = definition
  const { body } = definition.module
  if (!("url" in body)) throw new TypeError("a WebAssembly kernel is not a module")
  const module = await orNever(import(body.url) as Promise<{ readonly [name: string]: unknown }>)
  if (!types.isModuleNamespaceObject(module)) throw new TypeError(EXPORTS_THEN)
  if (exportName === undefined) return onlyCode
  const kernel = module[exportName]
  if (typeof kernel !== "function") {
    const names = Object.keys(module).join(", ")
    const found = names === "" ? "but nothing at all: write `export` before the function" : `only: ${names}`
    throw new TypeError(`its module exports no function "${exportName}", ${found}`)
  }
  if (types.isGeneratorFunction(kernel) || types.isAsyncFunction(kernel)) {
    const kind = types.isGeneratorFunction(kernel)
      ? "a generator function"
      : "an async function, which returns a promise"
    throw new TypeError(`it is ${kind}: ${MUST_BE_DONE}`)
  }
  return new ModuleKernel(
    kernel as ModuleFunction,
    codes,
    structs,
    modules.memory,
    modules.globalsOf(definition.module),
  )
}

const MUST_BE_DONE = "a kernel must be done when it returns"
const EXPORTS_THEN = "its module exports `then`, so import() treats it as a promise: give it another name"

/** Rejects when the thread has nothing left to do: a module that has not loaded by then never will. */
async function orNever<T>(loading: Promise<T>): Promise<T> {
  let giveUp: (() => void) | undefined
  const never = new Promise<never>((_resolve, reject) => {
    giveUp = () =>
      reject(
        new Error("its module never finishes loading: it awaits something that nothing settles, or exports `then`"),
      )
    process.once("beforeExit", giveUp)
  })
  try {
    return await Promise.race([loading, never])
  } finally {
    if (giveUp !== undefined) process.off("beforeExit", giveUp)
  }
}

interface Launch {
  readonly grid: readonly [number, number, number]
  readonly block: readonly [number, number, number]
  readonly sharedMemory: number
  readonly globals: Globals
}

type ModuleFunction = (launch: Launch, ...args: unknown[]) => unknown

class WasmKernel implements LoadedKernel {
  readonly #args: (number | bigint)[]
  readonly #kernel: WasmFunction
  readonly #codes: readonly number[]
  readonly #structs: WasmStructs | undefined

  constructor(kernel: WasmFunction, codes: readonly number[], structs: WasmStructs | undefined) {
    this.#kernel = kernel
    this.#codes = codes
    this.#structs = structs
    this.#args = codes.map(() => 0)
  }

  run(control: ControlMemory, at: number): void {
    const { words } = control
    const args = this.#args
    const codes = this.#codes
    const structs = this.#structs
    const count = codes.length
    let word = at + LAUNCH_WORDS
    for (let index = 0; index < count; index++) {
      const code = codeAt(codes, index)
      args[index] = code >= POINTER ? wordAt(words, word) : scalar(control, word, code)
      word += argumentWords(code)
    }
    if (structs !== undefined) return this.#runWith(structs.place(args, control.bytes.subarray(4 * word)), words, at)
    for (let axis = 0; axis < GRID_AND_BLOCK; axis++) args[count + axis] = wordAt(words, at + 2 + axis)
    this.#kernel(...args)
  }

  #runWith(args: readonly (number | bigint)[], words: Int32Array, at: number): void {
    this.#kernel(...args, ...words.subarray(at + 2, at + 2 + GRID_AND_BLOCK))
  }
}

class ModuleKernel implements LoadedKernel {
  readonly #args: (View | number | bigint)[]
  readonly #views: ViewCache[]
  /** The grid, block and shared memory of the latest launch, as words: reading frozen arrays is slow. */
  readonly #shape = Int32Array.of(1, 1, 1, 1, 1, 1, 0)
  #launch: Launch
  readonly #kernel: ModuleFunction
  readonly #codes: readonly number[]
  readonly #structs: StructParameters | undefined
  readonly #globals: Globals

  constructor(
    kernel: ModuleFunction,
    codes: readonly number[],
    structs: StructParameters | undefined,
    memory: DeviceMemory,
    globals: Globals,
  ) {
    this.#kernel = kernel
    this.#codes = codes
    this.#structs = structs
    this.#globals = globals
    this.#launch = makeLaunch(1, 1, 1, 1, 1, 1, 0, globals)
    this.#args = codes.map(() => 0)
    this.#views = codes.map((code) => new ViewCache(memory, code & (POINTER - 1)))
  }

  run(control: ControlMemory, at: number): void {
    const { words } = control
    const args = this.#args
    const codes = this.#codes
    const views = this.#views
    let word = at + LAUNCH_WORDS
    for (let index = 0; index < codes.length; index++) {
      const code = codeAt(codes, index)
      const cache = code >= POINTER ? views[index] : undefined
      if (cache !== undefined) {
        args[index] = cache.find(wordAt(words, word) >>> 0, wordAt(words, word + 1) >>> 0)
        word += 2
      } else {
        args[index] = scalar(control, word, code)
        word += argumentWords(code)
      }
    }
    const structs = this.#structs
    const given = structs === undefined ? args : withStructs(structs.places, args, structsAt(control, word, structs))
    const result = this.#kernel(this.#launchAt(words, at), ...given)
    if (result !== undefined) refuseUnfinished(result)
  }

  #launchAt(words: Int32Array, at: number): Launch {
    if (!this.#hasShape(words, at + 2)) {
      this.#shape.set(words.subarray(at + 2, at + LAUNCH_WORDS))
      const [x, y, z, blockX, blockY, blockZ, shared] = this.#shape
      this.#launch = makeLaunch(
        x ?? 1,
        y ?? 1,
        z ?? 1,
        blockX ?? 1,
        blockY ?? 1,
        blockZ ?? 1,
        shared ?? 0,
        this.#globals,
      )
    }
    return this.#launch
  }

  #hasShape(words: Int32Array, at: number): boolean {
    const shape = this.#shape
    for (let index = 0; index < shape.length; index++) if (shape[index] !== words[at + index]) return false
    return true
  }
}

/** A copy, which the kernel may keep and change. */
function structsAt({ bytes }: ControlMemory, word: number, { byteLength }: StructParameters): Uint8Array {
  return bytes.slice(4 * word, 4 * word + byteLength)
}

/** Frozen, because launches of the same shape share it. */
function makeLaunch(
  gridX: number,
  gridY: number,
  gridZ: number,
  blockX: number,
  blockY: number,
  blockZ: number,
  sharedMemory: number,
  globals: Globals,
): Launch {
  const grid: Launch["grid"] = [gridX, gridY, gridZ]
  const block: Launch["block"] = [blockX, blockY, blockZ]
  return Object.freeze({ grid: Object.freeze(grid), block: Object.freeze(block), sharedMemory, globals })
}

/** Refuses a promise, whose rejection is then handled here, and an iterator, which has not run anything yet. */
function refuseUnfinished(result: unknown): void {
  if (typeof result !== "object" || result === null) return
  if (types.isPromise(result)) void Promise.prototype.catch.call(result, () => undefined)
  if (hasMethod(result, "then")) throw new TypeError(`it returned a promise: ${MUST_BE_DONE}`)
  if (hasMethod(result, "next")) throw new TypeError(`it returned an iterator: ${MUST_BE_DONE}`)
}

function hasMethod(value: object, name: string): boolean {
  return typeof Reflect.get(value, name) === "function"
}

const scratch = new Int32Array(2)
const asDouble = new Float64Array(scratch.buffer)
const asSigned = new BigInt64Array(scratch.buffer)
const asUnsigned = new BigUint64Array(scratch.buffer)

function scalar(control: ControlMemory, word: number, code: number): number | bigint {
  const { words } = control
  switch (code) {
    case FLOAT16:
    case BFLOAT16:
    case FLOAT8:
    case FLOAT32:
      return control.floats[word] ?? 0
    case INT8:
    case INT16:
    case INT32:
      return wordAt(words, word)
    case UINT8:
    case UINT16:
    case UINT32:
      return wordAt(words, word) >>> 0
    default:
      scratch[0] = wordAt(words, word)
      scratch[1] = wordAt(words, word + 1)
      if (code === FLOAT64) return asDouble[0] ?? 0
      return code === INT64 ? (asSigned[0] ?? 0n) : code === UINT64 ? (asUnsigned[0] ?? 0n) : 0
  }
}
